"""What an operation does: an errno, or effects in every namespace, and the world after it."""

from __future__ import annotations

from typing import Literal

from mntscope.base.display import Framed, Records, Shown
from mntscope.base.records import dataclass
from mntscope.model import Mount
from mntscope.propagation.operations import Operation
from mntscope.snapshot import Snapshot

Change = Literal["mount", "umount", "move", "propagation", "remount"]


@dataclass(frozen=True, slots=True)
class Effect(Shown):
    """One mount of one namespace that an operation creates, removes, moves or retypes."""

    namespace: str
    """The label of the view; for a detached tree, the name of its handle."""
    change: Change
    path: str
    """Its mount point: the new one, or the last one for an ``umount``."""
    before: Mount | None
    after: Mount | None
    crosses: bool
    """Whether the namespace is another than the one of the process that acts."""


@dataclass(frozen=True, slots=True)
class Outcome(Framed, Shown):
    """What the kernel does when *operation* is carried out on a snapshot."""

    operation: Operation
    errno: str | None
    """``None`` for success, else the errno's name; a failing operation changes nothing."""
    effects: Records[Effect]
    snapshot: Snapshot
    """The world after it."""
    uncertain: tuple[str, ...] = ()
    """What the snapshot cannot tell and the result depends on, each with the reason; empty: it is exact."""
    may_cross: bool = False
    """Whether other namespaces would see something, were mounts locked otherwise than is likely."""
