"""Compressed files as streams: never more in memory than is asked for, and never more unpacked than is allowed."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from mntscope.archive.limits import MOST_RATIO, MOST_STREAMS, UNPACKED_UNASKED
from mntscope.errors import MissingLibraryError, MntscopeError, TargetError

_CHUNK = 1 << 16
_MEMORY = 1 << 27
"""What a decompressor may take for itself: as much as xz -9 and zstd --ultra -22 ask for."""
_GZIP = 31
"""For zlib: the largest window, in a gzip header and trailer."""


class Stream:
    """The content of a file, unpacked on the way; may be read once, forwards."""

    def __init__(self, file: BinaryIO, where: str, *, largest: int) -> None:
        self.where = where
        self.position = 0
        """How many bytes were read or passed over."""
        self._largest = largest
        self._packed = self._unpacked = 0
        self._held, self._at = b"", 0
        self._chunks = _unpacked(file, where, self._count)

    def peek(self, size: int) -> bytes:
        """The next *size* bytes, or all that are left, without moving on."""
        if len(self._held) - self._at < size:
            parts = [self._held[self._at :]]
            held = len(parts[0])
            while held < size and (chunk := self._next()):
                parts.append(chunk)
                held += len(chunk)
            self._held, self._at = b"".join(parts), 0
        return self._held[self._at : self._at + size]

    def read(self, size: int) -> bytes:
        """The next *size* bytes, or all that are left.

        :raises MntscopeError: the file is cut off or damaged, or holds more than is allowed.
        """
        data = self.peek(size)
        self._at += len(data)
        self.position += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Passes over *size* bytes; whether there were so many."""
        self.position += size
        while size > len(self._held) - self._at:
            size -= len(self._held) - self._at
            self._held, self._at = self._next(), 0
            if not self._held:
                return False
        self._at += size
        return True

    def finish(self) -> None:
        """Passes over all that is left, so that the checksums at the end are compared."""
        while self._next():
            pass
        self._held, self._at = b"", 0

    def _count(self, packed: int) -> None:
        self._packed += packed

    def _next(self) -> bytes:
        chunk = next(self._chunks, b"")
        self._unpacked += len(chunk)
        largest = min(self._largest, UNPACKED_UNASKED + MOST_RATIO * self._packed)
        if self._unpacked > largest:
            size = f"{largest >> 20} MiB"
            raise TargetError(f"it is no snapshot or mount table: larger than {size} when unpacked", where=self.where)
        return chunk


def _unpacked(file: BinaryIO, where: str, count: Callable[[int], None]) -> Iterator[bytes]:
    """The content of *file* in pieces, none of them empty; *count* is told of the packed bytes."""
    packed = _Packed(file, where, count)
    head = packed.read(6)
    packed.returned = head
    name, unpack = next(((name, unpack) for magic, name, unpack in _KINDS if head.startswith(magic)), ("", _plain))
    if unpack is None:
        raise TargetError(f"it is packed by {name}, which is not read here", where=where, hint="unpack it first")
    try:
        for chunk in unpack(packed):
            if chunk:
                yield chunk
    except EOFError:
        raise MntscopeError("it is cut off", where=where) from None
    except (OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise TargetError(f"it cannot be read ({error.strerror})", where=where) from None
        raise MntscopeError(f"it is damaged: not what {name} wrote", where=where) from None


class _Packed:
    """A file that can only be read forwards, but for its first bytes."""

    def __init__(self, file: BinaryIO, where: str, count: Callable[[int], None]) -> None:
        self.where = where
        self._file = file
        self._count = count
        self._streams = 0
        self.returned = b""
        """What is to be read once more."""

    def read(self, size: int) -> bytes:
        data, self.returned = self.returned or self._file.read(size), b""
        self._count(len(data))
        return data

    def more(self, size: int) -> bytes:
        """The same.

        :raises EOFError: there is nothing more.
        """
        data = self.read(size)
        if not data:
            raise EOFError
        return data

    def next_stream(self, data: bytes, size: int) -> bytes:
        """The beginning of the next stream, of which *data* was read already; empty if there is none.

        :raises ValueError: there are more than anybody makes.
        """
        # Between two streams, and after the last, there may be zeros (the .xz file format, 2.2; of gzip, tape blocks).
        while not (data := data.lstrip(b"\0")) and (data := self.read(size)):
            pass
        self._streams += bool(data)
        if self._streams > MOST_STREAMS:
            raise ValueError
        return data


# One for each kind of compression: what is in the file, in pieces of bounded size. EOFError: the file ends too soon.


def _plain(file: _Packed) -> Iterator[bytes]:
    return iter(lambda: file.read(_CHUNK), b"")


def _gzip(file: _Packed) -> Iterator[bytes]:
    data = b""
    while data := file.next_stream(data, _CHUNK):
        unpacker = zlib.decompressobj(_GZIP)
        while not unpacker.eof:
            yield unpacker.decompress(data or file.more(_CHUNK), _CHUNK)
            data = unpacker.unconsumed_tail
        data = unpacker.unused_data


def _streams(make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]) -> Callable[[_Packed], Iterator[bytes]]:
    def unpacked(file: _Packed) -> Iterator[bytes]:
        data = b""
        while data := file.next_stream(data, _CHUNK):
            unpacker = make()
            while not unpacker.eof:
                if unpacker.needs_input and not data:
                    data = file.more(_CHUNK)
                yield unpacker.decompress(data, _CHUNK)
                data = b""
            data = unpacker.unused_data

    return unpacked


def _zstandard(file: _Packed) -> Iterator[bytes]:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise MissingLibraryError("reading what zstd has packed", "zstandard", where=file.where) from None

    # Three bytes may stand for 128 KiB, and one call gives all that its input stands for.
    size = 1 << 10
    unpackers = zstandard.ZstdDecompressor(max_window_size=_MEMORY)
    data = b""
    while data := file.next_stream(data, size):
        unpacker = unpackers.decompressobj()
        while not unpacker.eof:
            try:
                yield unpacker.decompress(data or file.more(size))
            except zstandard.ZstdError as error:
                raise ValueError(str(error)) from None
            data = b""
        data = unpacker.unused_data


_xz = _streams(lambda: lzma.LZMADecompressor(memlimit=_MEMORY))

_KINDS: tuple[tuple[bytes, str, Callable[[_Packed], Iterator[bytes]] | None], ...] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _streams(bz2.BZ2Decompressor)),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"]\0\0", "lzma", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstandard),
    (b"\x1f\x9d", "compress", None),
    (b"LZIP", "lzip", None),
    (b"\x89LZO", "lzop", None),
    (b"\x04\x22\x4d\x18", "lz4", None),
)
"""The first bytes of a packed file, by what it was packed, and how it is unpacked, if it can be."""
