"""The namespaces that were read, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType

from mntscope.kernel.worker import beside
from mntscope.live.namespaces import CapturedNamespace, TableKey
from mntscope.live.not_seen import NotSeen
from mntscope.parse import RecordReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

SPARE = 64
"""Descriptors that are left for all else than tables."""

LARGE = 500_000
"""From so many bytes of tables on, another process reads them again: here they take some 20 ms."""

Progress = Callable[[int, int], None]
"""Is told how many namespaces have been read, and how many there are as far as is known."""


class Captures:
    """The namespaces of one capture, in the order in which they were read; closes them on leaving a ``with``.

    *most_descriptors* is how many this process may have.
    """

    def __init__(self, not_seen: NotSeen, most_descriptors: int, progress: Progress | None = None) -> None:
        self.expected = 0
        """How many namespaces there are, as far as is known."""
        self.with_secrets = False
        """Whether the passwords in the tables are told."""
        self._records = RecordReader(remember=True)
        self._not_seen = not_seen
        self._most_descriptors = most_descriptors
        self._progress = progress
        self._all: list[CapturedNamespace] = []
        self._labels: set[str] = set()
        self._by_inode: dict[int, CapturedNamespace] = {}
        self._by_key: dict[TableKey, CapturedNamespace] | None = None
        """``None`` as long as nobody had to ask."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        for captured in self._all:
            captured.close()

    def __iter__(self) -> Iterator[CapturedNamespace]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, position: int) -> CapturedNamespace:
        return self._all[position]

    def of(self, inode: int) -> CapturedNamespace | None:
        """The namespace with this inode, if it has been captured."""
        return self._by_inode.get(inode)

    @property
    def inodes(self) -> set[int]:
        """The inodes of all namespaces but of those whose inode may not be read."""
        return set(self._by_inode)

    def add(self, captured: CapturedNamespace) -> CapturedNamespace:
        """Joins it to the same namespace captured before, if there is one, which is returned; else it is one more."""
        known = self._same(captured)
        if known is None:
            self._append(captured)
            return captured
        known.processes |= captured.processes
        if known.namespace.inode is None and captured.namespace.inode is not None:
            known.namespace = captured.namespace
            self._by_inode[captured.namespace.inode] = known
        captured.close()
        return known

    def agree(self, meanwhile: Callable[[], object]) -> bool:
        """Whether a second reading of all tables is known to give the same.

        Of large tables only, and by another process: so that *meanwhile* can be done here.
        """
        if sum(len(captured.table) for captured in self) < LARGE:
            return False
        import threading

        # A fork of a program with threads, such as a notebook's, may find locks that nobody will open.
        if threading.active_count() > 1:
            return False
        _, said = beside(lambda: b"" if any(captured.look_again() for captured in self) else b"=", meanwhile)
        return said == b"="

    def _same(self, captured: CapturedNamespace) -> CapturedNamespace | None:
        inode = captured.namespace.inode
        if inode in self._by_inode:
            return self._by_inode[inode]
        if inode is not None and not self._not_seen.unidentified:
            return None
        # Where the inode of either could not be read, the tables tell.
        if self._by_key is None:
            self._by_key = {key: known for known in self._all for key in known.keys}
        known = next((self._by_key[key] for key in captured.keys if key in self._by_key), None)
        # But two inodes are two namespaces: the tables are not of the very same moment.
        return None if known and None not in (known.namespace.inode, inode) else known

    def _append(self, captured: CapturedNamespace) -> None:
        if captured.label in self._labels:
            # Its process lived in another namespace when that was read.
            captured.label = f"mnt:[{captured.namespace.inode}]" if captured.namespace.inode else f"{captured.label}*"
        self._labels.add(captured.label)
        captured.with_secrets = self.with_secrets
        captured.records = self._records
        self._all.append(captured)
        if captured.namespace.inode is not None:
            self._by_inode[captured.namespace.inode] = captured
        if self._by_key is not None:
            self._by_key |= dict.fromkeys(captured.keys, captured)
        if max(captured.descriptors, default=0) >= self._most_descriptors - SPARE:
            captured.close()
            self._not_seen.read_once += 1
        if self._progress:
            self._progress(len(self), max(len(self), self.expected))
