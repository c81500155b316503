"""What is told of a machine that is watched: one event for what somebody did, with all its consequences."""

from __future__ import annotations

from typing import Any, Literal, get_args

from mntscope.base.records import dataclass
from mntscope.graph import Severity

SCHEMA = "mntscope.watch/1"

Kind = Literal[
    "source",
    "mount",
    "umount",
    "move",
    "propagation",
    "remount",
    "namespace-born",
    "namespace-gone",
    "leak",
    "healed",
    "overflow",
    "unpredicted",
]
"""``source``: what tells of events, and what that cannot see. ``unpredicted``: what no prediction had."""

KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Who:
    """The process that did something, as far as it could be told before it ended."""

    pid: int
    """In this process's PID namespace; 0 where it is not in there."""
    comm: str = ""
    """Empty where it had ended."""
    owner: str = ""
    """The name of the mount namespace it lived in: ``host``, ``web-1 (docker)``; empty where it had ended."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a namespace."""

    namespace: str
    """Its name: ``host``, ``web-1 (docker)``."""
    path: str | None
    """``None`` where the mount was gone before it could be looked at."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch."""

    time: float
    """Seconds since 1970 (CLOCK_REALTIME)."""
    monotonic: float
    """Seconds since some point (CLOCK_MONOTONIC): differences between events hold also where the clock is set."""
    kind: Kind
    namespace: str = ""
    path: str | None = None
    who: Who | None = None
    """``None`` where the source does not tell."""
    also: tuple[Place, ...] = ()
    """Where it went beside; of a leak, where on the host what is mounted at *path* lands."""
    known: bool = True
    """Whether the mount could be looked at before it was gone."""
    fs_type: str = ""
    source: str = ""
    was: str = ""
    """Of a move the path before; of a change of propagation or a remount what it was before."""
    now: str = ""
    """What it is since."""
    severity: Severity | None = None
    """Of a leak."""
    remedy: str = ""
    """Of a leak: the command that stops it."""
    count: int = 0
    """Of a namespace: its mounts; of a leak: the mounts that leak."""
    text: str = ""
    """What else there is to say, in words."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON object ``mntscope.watch/1``: what is empty is left out, but for the fields that every event has."""
        who = self.who
        more = {
            "fs_type": self.fs_type,
            "source": self.source,
            "was": self.was,
            "now": self.now,
            "severity": self.severity,
            "remedy": self.remedy,
            "count": self.count,
            "text": self.text,
        }
        return {
            "schema": SCHEMA,
            "time": round(self.time, 6),
            "monotonic": round(self.monotonic, 6),
            "kind": self.kind,
            "who": who and {"pid": who.pid, "comm": who.comm, "owner": who.owner},
            "namespace": self.namespace,
            "path": self.path,
            "also": [{"namespace": place.namespace, "path": place.path} for place in self.also],
            "known": self.known,
            **{name: value for name, value in more.items() if value},
        }
