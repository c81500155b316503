"""The namespaces that were read, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from mntscope.kernel.worker import beside
from mntscope.live.namespaces import Mark, Reading
from mntscope.live.not_seen import Gaps

SPARE = 64
"""Descriptors that are left for all else than tables."""

LARGE = 500_000
"""From so many bytes of tables on, another process reads them again: here they take some 20 ms."""

Progress = Callable[[int, int], None]
"""Is told how many namespaces have been read, and how many there are as far as is known."""


class Readings:
    """The readings of one capture, in the order in which they were made; closes them on leaving a ``with``.

    *most_descriptors* is how many this process may have.
    """

    def __init__(self, gaps: Gaps, most_descriptors: int, progress: Progress | None = None) -> None:
        self.expected = 0
        """How many namespaces there are, as far as is known."""
        self.with_secrets = False
        """Whether the passwords in the tables are told."""
        self._gaps = gaps
        self._most_descriptors = most_descriptors
        self._progress = progress
        self._all: list[Reading] = []
        self._labels: set[str] = set()
        self._by_inode: dict[int, Reading] = {}
        self._by_mark: dict[Mark, Reading] | None = None
        """``None`` as long as nobody had to ask."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for reading in self._all:
            reading.close()

    def __iter__(self) -> Iterator[Reading]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, position: int) -> Reading:
        return self._all[position]

    def of(self, inode: int) -> Reading | None:
        """The namespace with this inode."""
        return self._by_inode.get(inode)

    @property
    def inodes(self) -> set[int]:
        """Of all whose inode is known."""
        return set(self._by_inode)

    def add(self, reading: Reading) -> Reading:
        """Joins it to the reading of the same namespace if there is one, which is returned; else it is one more."""
        known = self._same(reading)
        if known is None:
            self._append(reading)
            return reading
        known.processes |= reading.processes
        if known.namespace.inode is None and reading.namespace.inode is not None:
            known.namespace = reading.namespace
            self._by_inode[reading.namespace.inode] = known
        reading.close()
        return known

    def agree(self, meanwhile: Callable[[], object]) -> bool:
        """Whether a second reading of all tables is known to give the same.

        Of large tables only, and by another process: so that *meanwhile* can be done here.
        """
        if sum(len(reading.table) for reading in self) < LARGE:
            return False
        import threading

        # A fork of a program with threads, such as a notebook's, may find locks that nobody will open.
        if threading.active_count() > 1:
            return False
        _, said = beside(lambda: b"" if any(reading.look_again() for reading in self) else b"=", meanwhile)
        return said == b"="

    def _same(self, reading: Reading) -> Reading | None:
        inode = reading.namespace.inode
        if inode in self._by_inode:
            return self._by_inode[inode]
        if inode is not None and not self._gaps.unidentified:
            return None
        # Where the inode of either could not be read, the tables tell.
        if self._by_mark is None:
            self._by_mark = {mark: known for known in self._all for mark in known.marks}
        known = next((self._by_mark[mark] for mark in reading.marks if mark in self._by_mark), None)
        # But two inodes are two namespaces: the tables are not of the very same moment.
        return None if known and None not in (known.namespace.inode, inode) else known

    def _append(self, reading: Reading) -> None:
        if reading.label in self._labels:
            # Its process lived in another namespace when that was read.
            reading.label = f"mnt:[{reading.namespace.inode}]" if reading.namespace.inode else f"{reading.label}*"
        self._labels.add(reading.label)
        reading.with_secrets = self.with_secrets
        self._all.append(reading)
        if reading.namespace.inode is not None:
            self._by_inode[reading.namespace.inode] = reading
        if self._by_mark is not None:
            self._by_mark |= dict.fromkeys(reading.marks, reading)
        if max(reading.descriptors, default=0) >= self._most_descriptors - SPARE:
            reading.close()
            self._gaps.read_once += 1
        if self._progress:
            self._progress(len(self), max(len(self), self.expected))
