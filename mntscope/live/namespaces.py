"""Mount namespaces: what identifies each, how one is read, and how the kernel lists them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mntscope.base.redaction import redact
from mntscope.errors import AccessError, KernelError, TargetError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import inside
from mntscope.live.procfs import Proc, hold, namespace_link, read_process
from mntscope.live.table_source import first_reading
from mntscope.model import Namespace, Process
from mntscope.parse import MountTable, RecordReader, read_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.live.table_source import Source

_OPEN = os.O_RDONLY | os.O_CLOEXEC

LOCAL = {
    "bcachefs", "btrfs", "cramfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs", "ramfs",
    "rootfs", "squashfs", "tmpfs", "ubifs", "udf", "vfat", "xfs", "zfs",
}  # fmt: skip
"""Filesystems that look a name up without asking a server."""

TableKey = tuple[bytes, ...]
"""Mount ID, parent ID, device and root of a mount: at any moment these are of one namespace only."""


class CapturedNamespace:
    """A mount namespace as it was read: the bytes of its table, and what was learnt beside them."""

    def __init__(
        self,
        label: str,
        table: bytes,
        namespace: Namespace,
        *,
        reader: Process | None = None,
        processes: dict[int, Process] | None = None,
        root: str = "",
        source: Source | None = None,
        entrance: int | None = None,
    ) -> None:
        self.label = label
        self.table = table
        self.namespace = namespace
        """Without its processes."""
        self.reader = reader
        """The process through which it was read; ``None`` if it was entered, or read through a thread on its own."""
        self.processes = processes or {}
        self.proc_pid_namespace: int | None = None
        """Of whose processes its /proc shows; asked for when all are read."""
        self.root = root
        """The root directory from which its mount points count, below that of the proc: ``4711/root``, or that of a
        thread; empty if it was entered."""
        self.root_of = reader
        """Whose root directory that is; ``None`` of a thread."""
        self.source = source
        """Its table, opened; ``None`` once it is let go."""
        self.entrance = entrance
        """A descriptor of the namespace, if it was entered."""
        self.with_secrets = False
        """Whether the passwords in it are told."""
        self.records: RecordReader | None = None
        """What the tables of the same capture are read with."""
        self._parsed: tuple[bytes, MountTable] | None = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that it keeps open, of which there are up to three for each namespace."""
        kept = self.source.descriptors if self.source else ()
        return kept if self.entrance is None else (*kept, self.entrance)

    def parsed(self) -> MountTable:
        """The mounts of the table, parsed once for each table; without passwords unless :attr:`with_secrets`."""
        if self._parsed is None or self._parsed[0] is not self.table:
            table = self.table if self.with_secrets else redact(self.table)
            records = self.records or RecordReader()
            self._parsed = self.table, read_table(table, records, strict=False, file=self.label)
        return self._parsed[1]

    def look_again(self) -> bool:
        """Whether the table has changed since the last reading; it is then read anew.

        :raises OSError: it cannot be read any more.
        :raises AccessError: the same.
        """
        if self.source is None:
            return False
        table = self.source.read()
        if table == self.table:
            return False
        self.table = table
        return True

    @property
    def asked_through(self) -> tuple[int, int | None]:
        """The pid of the process whose root directory counts, and when it started, where that is known."""
        return int(self.root.partition("/")[0]), self.root_of.start_time if self.root_of else None

    def close(self) -> None:
        """Close its descriptors: it cannot be read again, but what was read stays."""
        if self.source is not None:
            self.source.close()
        if self.entrance is not None:
            os.close(self.entrance)
        self.source = self.entrance = None

    @property
    def hidden_above(self) -> str:
        """The root directory of its reader, where that hides mounts which lie outside it; else empty."""
        return self.reader.root if self.reader and self.reader.root != "/" else ""

    @property
    def keys(self) -> set[TableKey]:
        """What tells the namespace where its inode may not be read."""
        return {tuple(line.split(b" ", 4)[:4]) for line in self.table.split(b"\n") if line}


def proc_mount(table: bytes, path: str) -> tuple[str, bool] | None:
    """The device of what a table shows topmost at *path*, if that is a whole proc; and whether the way is local."""
    wanted = os.fsencode(path)
    there: dict[bytes, list[bytes]] = {}
    local = True
    # What is mounted there, and on the way: a few lines, and there may be many others.
    way = [b"/", wanted, *(wanted[:end] for end in range(len(wanted)) if wanted[end : end + 1] == b"/")]
    # It begins with a literal, which re finds quickly; "^" it would try at every character.
    for line in re.finditer(rb"\n(?:[^ \n]*+ ){4}+(?:%s) .*" % b"|".join(map(re.escape, way)), b"\n" + table):
        words = line[0][1:].split(b" ")
        if len(words) > 9:
            if words[4] == wanted:
                there[words[0]] = words
            else:
                local = local and os.fsdecode(words[words.index(b"-", 6) + 1]) in LOCAL
    parents = {words[1] for words in there.values()}
    top = [words for number, words in there.items() if number not in parents]
    if len(top) == 1 and top[0][3] == b"/" and top[0][top[0].index(b"-", 6) + 1] == b"proc":
        return os.fsdecode(top[0][2]), local
    return None


def identify(fd: int) -> Namespace:
    """The namespace that *fd* refers to: its inode, and what else the kernel tells."""
    number = owner = None
    with suppress(KernelError):
        number = syscalls.ns_get_mntns_id(fd)
    # EPERM where the owner is neither this process's own user namespace nor a descendant of it.
    with suppress(KernelError):
        user_namespace = syscalls.ns_get_userns(fd)
        owner = os.fstat(user_namespace).st_ino
        os.close(user_namespace)
    return Namespace(inode=os.fstat(fd).st_ino, id=number, user_namespace=owner)


def read_through(
    proc: Proc, pid: int, label: str, *, thread: int | None = None, by_table: bool = False
) -> CapturedNamespace:
    """The mount namespace in which process *pid* lives, or its *thread*, as that process or thread sees it.

    With *by_table*, a process whose table may be read but not its namespace links gives a namespace without
    identity; otherwise that is an error. It is to be closed.

    :raises TargetError: there is no such process, or it ended, or it moved to another namespace meanwhile.
    :raises AccessError: it may not be read.
    """
    captured = None
    try:
        with hold(proc, pid) as process, _of_thread(process, thread) as directory:
            captured = _read_at(directory, label, by_table=by_table)
            captured.root = f"{pid}/root" if thread is None else f"{pid}/task/{thread}/root"
            if thread is None:
                captured.reader = read_process(proc, directory, pid)
                captured.root_of = captured.reader
                captured.processes[pid] = captured.reader
            if (inode := captured.namespace.inode) is not None and namespace_link("mnt", dir_fd=directory) != inode:
                raise TargetError("it changed its mount namespace while it was read", where=f"process {pid}")
    except BaseException:
        if captured is not None:
            captured.close()
        raise
    return captured


@contextmanager
def _of_thread(process: int, thread: int | None) -> Iterator[int]:
    """The directory of a thread in that of its process; the latter itself if no thread is meant."""
    if thread is None:
        yield process
        return
    fd = os.open(f"task/{thread}", _OPEN | os.O_DIRECTORY, dir_fd=process)
    try:
        yield fd
    finally:
        os.close(fd)


def _read_at(directory: int, label: str, *, by_table: bool) -> CapturedNamespace:
    fd, namespace = None, Namespace()
    try:
        fd = os.open("ns/mnt", _OPEN, dir_fd=directory)
    except PermissionError:
        if not by_table:
            raise
    try:
        if fd is not None:
            namespace = identify(fd)
        source, table = first_reading(os.open("mountinfo", _OPEN, dir_fd=directory), fd, directory)
    finally:
        if fd is not None:
            os.close(fd)
    return CapturedNamespace(label=label, table=table, namespace=namespace, source=source)


def process_of(path: str) -> int | None:
    """The process of which *path* is the mount namespace, by its name: ``/proc/4711/ns/mnt``; else ``None``."""
    found = re.fullmatch(r"/proc/([1-9][0-9]{0,9})/ns/mnt", path)
    return int(found[1]) if found else None


def open_namespace(path: str) -> int:
    """A descriptor of the mount namespace file *path*.

    :raises TargetError: it is no namespace file, or of another kind of namespace.
    :raises AccessError: it may not be opened.
    :raises NoAnswerError: the filesystem that it is on does not answer.
    """
    hint = "give a file such as /proc/PID/ns/mnt"
    try:
        from mntscope.live.foreign import open_namespace_file

        fd = open_namespace_file(path)
    except PermissionError as error:
        raise AccessError("permission denied", where=path, hint="run mntscope as root") from error
    except OSError as error:
        what = (
            "it is not a mount namespace" if error.errno == errno.EINVAL else f"it cannot be opened ({error.strerror})"
        )
        raise TargetError(what, where=path, hint=hint) from error
    try:
        kind = syscalls.ns_get_nstype(fd)
    except KernelError:
        kind = 0
    if kind != syscalls.CLONE_NEWNS:
        os.close(fd)
        raise TargetError("it is not a mount namespace", where=path, hint=hint)
    return fd


def read_inside(proc: Proc, fd: int, label: str) -> CapturedNamespace:
    """The mount namespace *fd*, whole: no process need live there.

    :raises AccessError: the namespace may not be entered.
    """
    captured = enter(proc, fd, label)
    captured.close()
    return captured


def enter(proc: Proc, fd: int, label: str) -> CapturedNamespace:
    """As :func:`read_inside`; it is to be closed.

    :raises AccessError: the namespace may not be entered.
    """
    # Opened there, the file shows that namespace from anywhere.
    _, opened = inside(fd, lambda: (b"", [os.open("self/mountinfo", _OPEN, dir_fd=proc.fd)]), where=label)
    source, table = first_reading(opened[0], fd)
    return CapturedNamespace(label=label, table=table, namespace=identify(fd), source=source, entrance=os.dup(fd))


def lists_all(proc: Proc) -> bool:
    """Whether :func:`every_namespace` gives them all: it takes root and Linux 6.12, which lists them."""
    if os.geteuid():
        return False
    fd = os.open("self/ns/mnt", _OPEN, dir_fd=proc.fd)
    try:
        neighbour, _ = syscalls.ns_mnt_get_next(fd)
        os.close(neighbour)
    except KernelError as error:
        return error.errno == errno.ENOENT
    finally:
        os.close(fd)
    return True


def every_namespace(proc: Proc) -> Iterator[int]:
    """Descriptors of all that :func:`listed_namespaces` lists."""
    for namespace, _ in listed_namespaces(proc):
        yield namespace


def listed_namespaces(proc: Proc) -> Iterator[tuple[int, syscalls.MountNamespaceInfo]]:
    """All mount namespaces, with or without processes, except this process's own, and what the kernel tells of each.

    (Linux 6.12.) A descriptor is closed when the next is asked for. Older kernels give none, newer ones leave out
    those over which the caller has no CAP_SYS_ADMIN.
    """
    for neighbour in (syscalls.ns_mnt_get_prev, syscalls.ns_mnt_get_next):
        here = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc.fd)
        try:
            while True:
                there, info = neighbour(here)
                os.close(here)
                here = there
                yield here, info
        except KernelError:
            # ENOENT past the last one.
            continue
        finally:
            os.close(here)
