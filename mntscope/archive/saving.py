"""How a snapshot becomes a file: all of it or nothing, for its owner's eyes, and never through somebody else's link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from mntscope.archive.document import to_document
from mntscope.errors import AccessError, RefusedError
from mntscope.kernel.trust import ourselves, who_else
from mntscope.kernel.worker import in_child
from mntscope.snapshot import Snapshot

_FOR_ITS_OWNER = 0o600
"""What others' mount tables show is guarded by the kernel; a copy is guarded as well."""

_TRIES = 8

SECONDS = 5.0
"""For a disk to answer: the server of the filesystem may be gone."""
SLOW = 1 << 20
"""Bytes that a slow disk takes in a second."""


def save(snapshot: Snapshot, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write *snapshot* to *path*, all of it or nothing: gzip of the JSON that :mod:`document` describes.

    The same snapshot always gives the same bytes. Only its owner can read the file. A link at *path* is not followed:
    with *force* it is replaced, as a file is.

    :raises RefusedError: the file exists, and *force* is not given; or it is somebody else's, or no file at all.
    :raises AccessError: it cannot be written.
    :raises NoAnswerError: the filesystem does not answer.
    """
    target = os.fspath(path)
    packed = pack(snapshot)
    try:
        in_child(partial(_save, packed, target, force=force), seconds=SECONDS + len(packed) / SLOW, where=target)
    except FileExistsError:
        raise RefusedError("it exists already", where=target, hint="choose another name, or give --force") from None
    except OSError as error:
        if isinstance(error, RefusedError):
            raise
        raise AccessError(f"it cannot be written ({error.strerror})", where=target) from None


def pack(snapshot: Snapshot) -> bytes:
    """The content of its file, which is always the same for the same snapshot."""
    import gzip
    import json

    text = json.dumps(to_document(snapshot), separators=(",", ":"))
    return gzip.compress(text.encode(), compresslevel=6, mtime=0)


def _save(packed: bytes, target: str, *, force: bool) -> bytes:
    parent, name = os.path.split(target)
    # Whatever happens to the way there meanwhile, it is one directory in which all of this is done.
    directory = os.open(parent or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _refuse(directory, name, target, force=force)
        with _written(packed, directory, f".{name}.mntscope") as source:
            _named(source, directory, name, force=force)
    finally:
        os.close(directory)
    return b""


def _refuse(directory: int, name: str, target: str, *, force: bool) -> None:
    """Before anything is written.

    :raises RefusedError: what is at the place already must not be replaced.
    """
    try:
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    around = os.fstat(directory)
    # Where others may make files, they may have made this one, to have it replaced or to see what becomes of it.
    if who_else(around) and there.st_uid not in ourselves():
        raise RefusedError("it belongs to somebody else", where=target, hint="choose another name")
    if not force:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    if not (stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode)):
        raise RefusedError("it is no file", where=target, hint="choose another name")


@contextmanager
def _written(data: bytes, directory: int, temporary: str) -> Iterator[str]:
    """A path to a new file in *directory* that holds *data*, to be linked to a name.

    It has no name of its own, so that nothing is left of it should mntscope be killed. Where the filesystem has no
    such files it has the name *temporary*, which is always the same for one target: what a killed one has left is gone
    with the next.
    """
    named = False
    try:
        fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, _FOR_ITS_OWNER, dir_fd=directory)
    except OSError:
        named = True
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, _FOR_ITS_OWNER, dir_fd=directory)
    try:
        with open(fd, "wb", closefd=False) as file:
            # Whatever the umask.
            os.fchmod(fd, _FOR_ITS_OWNER)
            file.write(data)
            file.flush()
            os.fsync(fd)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
        if named:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)


def _named(source: str, directory: int, name: str, *, force: bool) -> None:
    """Give the file *source* the *name*. Unlike a rename, a link fails if that is taken, also by someone just now."""
    try:
        os.link(source, name, dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError:
        if not force:
            raise
    else:
        return
    # Only a rename replaces. The name that it needs is the same each time: one that was left by a kill is taken away.
    second = f".{name}.mntscope-new"
    for _ in range(_TRIES):
        try:
            os.link(source, second, dst_dir_fd=directory, follow_symlinks=True)
            os.replace(second, name, src_dir_fd=directory, dst_dir_fd=directory)
            return
        except (FileExistsError, FileNotFoundError):
            # Left behind; or another mntscope writes the same file.
            with suppress(FileNotFoundError):
                os.unlink(second, dir_fd=directory)
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
