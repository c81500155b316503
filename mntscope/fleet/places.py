"""Where snapshots and data sets are: a path, or a URL of whatever fsspec knows (``s3://``, ``gs://``, ``https://``)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import NamedTemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit, urlunsplit

from mntscope.errors import AccessError, MntscopeError, UsageError
from mntscope.fleet.missing import needed

LEFT_BEHIND = 24 * 3600.0
"""Seconds after which a file that has no name yet is nobody's any more."""


class Place:
    """A directory of some filesystem, in which files appear whole or not at all.

    In a directory of this machine a file is written beside its place and renamed, and can be read by its owner only, as
    what it holds is guarded by the kernel. An object store shows an object when all of it is there.
    """

    def __init__(self, url: str) -> None:
        """*url* names it; nothing is looked at yet.

        :raises UsageError: there is no such kind of URL, or what fsspec needs for it is not installed.
        """
        self.url = url.rstrip("/") or "/"
        self.fs, self.root = opened(self.url)
        self.local = is_local(self.fs)

    def at(self, name: str) -> str:
        """The path of a file in here, as its filesystem has it."""
        return f"{self.root.rstrip('/')}/{name}"

    def names(self, below: str, ending: str) -> list[str]:
        """The files in the directory *below*, sorted by name; none where there is no such directory."""
        with told(self.url):
            # What was listed a moment ago is not what is there now.
            self.fs.invalidate_cache()
            try:
                found = self.fs.ls(self.at(below), detail=False)
            except FileNotFoundError:
                return []
        ends = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in ends if name.endswith(ending) and not name.startswith("."))

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with told(self.url):
            self.fs.invalidate_cache()
            return bool(self.fs.exists(self.at(name)))

    def empty(self) -> bool:
        """Whether there is nothing here yet, but for what another is just writing."""
        with told(self.url):
            self.fs.invalidate_cache()
            try:
                return all(map(_is_unfinished, self.fs.ls(self.root, detail=False)))
            except FileNotFoundError:
                return True

    def read(self, name: str, most: int) -> bytes:
        """The first bytes of a file, as many as *most*."""
        with told(f"{self.url}/{name}"), self.fs.open(self.at(name), "rb") as file:
            data: bytes = file.read(most)
        return data

    def read_all(self, names: list[str], most: int) -> dict[str, bytes]:
        """The content of several files, asked for at once; of each no more than *most* bytes."""
        if not names:
            return {}
        with told(self.url):
            found = self.fs.cat_ranges([self.at(name) for name in names], [0] * len(names), [most] * len(names))
            for one in found:
                if isinstance(one, Exception):
                    raise one
        return dict(zip(names, found, strict=True))

    @contextmanager
    def written(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write, which gets its *name* when the ``with`` ends, in place of one that had it."""
        with told(f"{self.url}/{name}"):
            if self.local:
                with _beside(self.at(name)) as file:
                    yield file
            else:
                with NamedTemporaryFile(prefix="mntscope-") as file:
                    yield file
                    file.flush()
                    self.fs.put_file(file.name, self.at(name))

    def tidy(self) -> None:
        """Remove what writers that were killed long ago have left here."""
        if self.local:
            for directory, _, names in os.walk(self.root):
                for name in names:
                    path = os.path.join(directory, name)
                    if _is_unfinished(name):
                        with suppress(OSError):
                            if time.time() - os.stat(path).st_mtime > LEFT_BEHIND:
                                os.unlink(path)


def _is_unfinished(path: str) -> bool:
    """Whether it is what :func:`_beside` writes."""
    name = os.path.basename(path)
    return name.startswith(".") and name.endswith(".part")


@contextmanager
def _beside(path: str) -> Iterator[IO[bytes]]:
    directory, name = os.path.split(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def opened(url: str) -> tuple[Any, str]:
    """The filesystem of fsspec that *url* is on, and the path there.

    :raises UsageError: there is no such kind, or what it needs is not installed.
    """
    fsspec = needed("fsspec", "a fleet")
    try:
        fs, path = fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:
        hint = str(error).partition("\n")[0]
        raise UsageError("it is on no filesystem that can be reached", where=shown(url), hint=hint) from None
    return fs, str(path)


def is_local(fs: Any) -> bool:
    """Whether a filesystem is this machine's own."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def shown(url: str) -> str:
    """*url* without what nobody else may know: a password, and what a signed URL is signed with."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


@contextmanager
def told(where: str) -> Iterator[None]:
    """What a filesystem complains of, as an error of ours."""
    try:
        yield
    except MntscopeError:
        raise
    except Exception as error:
        # The filesystems of fsspec raise what the libraries below them do.
        if not _of_transport(error):
            raise
        raise AccessError(f"it cannot be reached ({why(error)})", where=shown(where)) from error


def _of_transport(error: Exception) -> bool:
    """Whether it was raised by a filesystem or a network, and not by a fault of ours."""
    home = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or home in _TRANSPORTS


_TRANSPORTS = ("aiobotocore", "aiohttp", "asyncio", "azure", "botocore", "fsspec", "gcsfs", "google", "s3fs")


def why(error: Exception) -> str:
    """What it says, in a line."""
    said = (error.strerror if isinstance(error, OSError) else None) or str(error).partition("\n")[0]
    return said[:200] or type(error).__name__
