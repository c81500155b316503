"""What tells that something has changed: the one interface of all sources."""

from __future__ import annotations

import select
from collections.abc import Collection, Iterable
from typing import Protocol

from mntscope.base.records import NamedTuple, dataclass
from mntscope.watch.events import Who
from mntscope.watch.state import WatchedNamespace


class Told(NamedTuple):
    """What the kernel told of one mount: that it was attached, detached, or (both) moved."""

    key: int
    """Its unique id."""
    attached: bool
    detached: bool
    who: Who | None
    inode: int = 0
    """Of the mount namespace of who did it; 0 where that is not known."""


class Call(NamedTuple):
    """A system call that changes what no event tells: a propagation type, or options."""

    name: str
    """As the kernel has it: ``mount``, ``mount_setattr``."""
    who: Who
    inode: int = 0
    """As above."""


@dataclass(frozen=True, slots=True)
class News:
    """What a source has to tell since it was asked last."""

    mounts: tuple[Told, ...] = ()
    """In the order in which it happened."""
    tables: frozenset[int] = frozenset()
    """The keys of namespaces whose table is to be read again."""
    calls: tuple[Call, ...] = ()
    """Something may have changed anywhere: all tables are to be read again."""
    namespaces: bool = False
    """Whether there may be new namespaces, or some are gone."""
    lost: bool = False
    """Whether something was not told, so that everything is to be read again."""

    def __bool__(self) -> bool:
        return bool(self.mounts or self.tables or self.calls or self.namespaces or self.lost)


class Source(Protocol):
    """A way to learn of changes."""

    @property
    def name(self) -> str:
        """What it is called: ``fanotify``, ``poll``, ``tracefs``."""
        ...

    @property
    def blind(self) -> tuple[str, ...]:
        """What it cannot see, a sentence each."""
        ...

    def register(self, epoll: select.epoll) -> None:
        """Have its descriptors in there: those that are ready are told to :meth:`collect`."""
        ...

    def watch(self, namespace: WatchedNamespace) -> None:
        """From now on of this namespace too, as far as there is anything to do for that."""
        ...

    def collect(self, ready: Collection[int]) -> News:
        """What there is to tell, given the descriptors that are ready; nothing is waited for."""
        ...

    def close(self) -> None:
        """It is no longer needed."""
        ...


def merged(news: Iterable[News]) -> News:
    """What several have to tell, or one several times."""
    every = list(news)
    return News(
        mounts=tuple(told for each in every for told in each.mounts),
        tables=frozenset().union(*(each.tables for each in every)),
        calls=tuple(call for each in every for call in each.calls),
        namespaces=any(each.namespaces for each in every),
        lost=any(each.lost for each in every),
    )
