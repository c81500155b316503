"""What a runtime starts, and what came of looking at it: records, as JSON between the host and the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtimes.scene import Scene


@dataclass(frozen=True, slots=True)
class Foreseen:
    """How the mount table that it had when it had just started compares with the preview."""

    wrong: tuple[str, ...]
    """A line for each mount that is not as previewed."""
    doubted: bool
    """Whether some are not, of which the preview says that it is not sure."""


@dataclass(frozen=True, slots=True)
class Target:
    """A process that a runtime has started with some option."""

    option: str
    """As its user writes it."""
    pid: int
    """Of a process inside it; 0: it does not run."""
    calls: tuple[str, ...] = ()
    """What its user calls it: names and ids, each of which has to find it."""
    shown: str = ""
    """What `ns` has to call it; empty: whatever finds it."""
    container: bool = True
    """Whether ``container:`` has to find it, too."""
    names_only: bool = False
    """Whether nothing is mounted there: it is stopped, or is looked at for its name."""
    refused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words that do not find it, and what the message has to tell instead."""
    foreseen: Foreseen | None = None
    """What came of its preview, if `preview` reads what it was started with."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that cannot be had here."""

    option: str
    why: str


@dataclass(frozen=True, slots=True)
class Runtime:
    """How to start and stop a runtime's containers with every option that touches mounts."""

    name: str
    packages: tuple[str, ...]
    start: Callable[[Scene], Iterator[Target | Missing]]
    stop: Callable[[Scene], None]
    images: tuple[Path, ...] = ()
    more_images: tuple[Path, ...] = ()
    """Those that a few of its options do without."""
    host_table: bool = True
    """Whether the host's mount table has to be the same again once it is stopped."""


@dataclass(slots=True)
class Row:
    """What came of one target."""

    runtime: str
    option: str
    why_not: str = ""
    """Why it is not to be had; the rest is then empty."""
    name: str = ""
    """As `ns` has it."""
    says: str = ""
    """The verdict of `diff`."""
    kernel: str = ""
    """The verdict by what the kernel did."""
    mounts: int = 0
    out: list[str] = field(default_factory=list)
    """Where a mount of the target reached the host."""
    into: list[str] = field(default_factory=list)
    """Where a mount of the host reached the target."""
    checks: int = 0
    """Mounts that were made, and predicted."""
    diff_wrong: list[str] = field(default_factory=list)
    predict_wrong: list[str] = field(default_factory=list)
    predict_doubts: int = 0
    """Predictions that were not right and had said that they might not be."""
    isolated: str = ""
    """``exact``, ``nothing to do``, or why not."""
    isolate_wrong: list[str] = field(default_factory=list)
    safe: list[str] = field(default_factory=list)
    """The commands that `diff` prints."""
    previewed: str = ""
    """How the preview beforehand was: ``exact``, ``doubted`` where it says what it is not sure of; empty: not asked."""
    preview_wrong: list[str] = field(default_factory=list)
    names_wrong: list[str] = field(default_factory=list)
    names: int = 0
    """Words that were tried as a TARGET."""
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        wrong = (self.diff_wrong, self.predict_wrong, self.isolate_wrong, self.preview_wrong, self.names_wrong)
        return not any(wrong)


@dataclass(slots=True)
class Report:
    """What came of one runtime."""

    runtime: str
    rows: list[Row] = field(default_factory=list)
    version: str = ""
    why_not: str = ""
    """Why it is not to be had here."""
    failed: str = ""
    """What went wrong, so that not all of it was looked at."""
    left: list[str] = field(default_factory=list)
    """What was still there when it had been stopped."""
    seconds: float = 0.0

    @property
    def had(self) -> Sequence[Row]:
        """The rows of what could be had."""
        return [row for row in self.rows if not row.why_not]

    @property
    def right(self) -> bool:
        """Whether all that could be had was looked at, is right, and has gone."""
        return not (self.failed or self.left) and all(row.right for row in self.had)
