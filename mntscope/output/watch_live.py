"""A watch on a terminal: how each namespace stands with the host above, what happened last below."""

from __future__ import annotations

import time
from collections import Counter, deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mntscope.base.records import NamedTuple
from mntscope.output.escape import shortened, visible
from mntscope.output.watch import as_line
from mntscope.watch.events import Event

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EVERY = 0.5
"""Seconds between two pictures: calmer than what happens."""

_KEPT = 200
_COLOURS = {"leak": "red", "overflow": "yellow", "unpredicted": "yellow", "healed": "green", "source": "dim"}


class Standing(NamedTuple):
    """How a namespace stands with the host now."""

    name: str
    mounts: int
    leaking: int
    """Its mounts whose events reach the host."""


class LiveView:
    """A picture that is drawn again every now and then; a context manager, at whose end the last one stays."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._events: deque[Event] = deque(maxlen=_KEPT)
        self._counts: Counter[str] = Counter()
        self._drawn = 0.0
        self._shown: object = None
        """What the last picture was made of."""
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._live.stop()

    def add(self, event: Event) -> None:
        """One more."""
        self._events.append(event)
        self._counts[event.kind] += 1
        if event.namespace:
            self._counts[f"ns:{event.namespace}"] += 1

    @property
    def due(self) -> bool:
        """Whether it is time for another picture."""
        return time.monotonic() - self._drawn >= EVERY

    def draw(self, title: str, standings: list[Standing]) -> None:
        """The picture, from what there is now; where it would be the same, nothing is drawn."""
        self._drawn = time.monotonic()
        here = {f"ns:{one.name}" for one in standings}
        for name in [name for name in self._counts if name.startswith("ns:") and name not in here]:
            del self._counts[name]
        shown = title, standings, self._counts.total(), self._console.size
        if shown != self._shown:
            self._shown = shown
            self._live.update(self.picture(title, standings), refresh=True)

    def picture(self, title: str, standings: list[Standing]) -> RenderableType:
        """What is drawn: as high as the terminal, and no higher."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        height = max(10, self._console.height - 1)
        rows = max(3, min(len(standings), height // 2 - 3))
        table = Table(box=None, pad_edge=False, expand=False)
        for name in ("Namespace", "Mounts", "Events", "Verdict"):
            table.add_column(name, justify="right" if name in ("Mounts", "Events") else "left", no_wrap=True)
        worst = sorted(standings, key=lambda one: (-one.leaking, -self._counts[f"ns:{one.name}"], one.name))
        for one in worst[:rows]:
            verdict = Text(f"leaks ({one.leaking})", "red") if one.leaking else Text("no leak", "dim")
            name = shortened(visible(one.name), 40)
            table.add_row(Text(name), str(one.mounts), str(self._counts[f"ns:{one.name}"]), verdict)
        hidden = len(standings) - rows
        more = [Text(f"and {hidden} more", "dim")] if hidden > 0 else []
        below = height - rows - 3 - len(more)
        lines = [self._line(event) for event in list(self._events)[-below:]]
        return Group(Text(title, "bold"), table, *more, Text(""), *lines)

    @staticmethod
    def _line(event: Event) -> RenderableType:
        from rich.text import Text

        return Text(as_line(event).removesuffix("\n"), _COLOURS.get(event.kind, ""), no_wrap=True, overflow="ellipsis")
