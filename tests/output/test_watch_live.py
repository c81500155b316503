"""A watch on a terminal: how namespaces stand above, what happened below, and calm while nothing does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from mntscope.output.watch_live import LiveView, Standing
from mntscope.watch.events import Event, Place, Who

QUIET = [Standing("host", 40, 0), Standing("web-1 (docker)", 30, 0)]


@contextmanager
def drawn_on(height: int = 14, width: int = 100) -> Iterator[tuple[LiveView, io.StringIO]]:
    """A view, and what it writes to a terminal of that size."""
    screen = io.StringIO()
    console = Console(file=screen, width=width, height=height, force_terminal=True, color_system=None)
    with LiveView(console) as view:
        yield view, screen


def picture(view: LiveView, standings: list[Standing], *, height: int = 14, width: int = 100) -> list[str]:
    """The lines of the picture."""
    page = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    page.print(view.picture("mntscope watch", standings))
    assert isinstance(page.file, io.StringIO)
    return [line.rstrip() for line in page.file.getvalue().splitlines()]


def mounted(path: str, namespace: str = "web-1 (docker)") -> Event:
    return Event(0.0, 0.0, "mount", namespace, path, Who(4711, "mount"), fs_type="tmpfs", source="t")


def leak() -> Event:
    return Event(0.0, 0.0, "leak", "web-1 (docker)", "/srv", also=(Place("host", "/srv"),), severity="high")


def test_how_each_namespace_stands_is_above_and_what_happened_below() -> None:
    with drawn_on() as (view, _):
        view.add(mounted("/x"))
        view.add(leak())
        lines = picture(view, [QUIET[0], Standing("web-1 (docker)", 31, 2)])
    assert [line.split() for line in lines[:4]] == [
        ["mntscope", "watch"],
        ["Namespace", "Mounts", "Events", "Verdict"],
        # What leaks comes first.
        ["web-1", "(docker)", "31", "2", "leaks", "(2)"],
        ["host", "40", "0", "no", "leak"],
    ]
    assert lines[4] == ""
    assert "mounted tmpfs t on web-1 (docker):/x" in lines[5]
    assert "LEAK (high): what is mounted at web-1 (docker):/srv reaches host:/srv" in lines[6]


def test_it_is_no_higher_than_the_terminal_and_no_line_wider() -> None:
    with drawn_on(height=16, width=60) as (view, _):
        for number in range(100):
            view.add(mounted("/" + "long/" * 30 + str(number)))
        many = [Standing(f"container-{number} (docker)", number, 0) for number in range(300)]
        lines = picture(view, many, height=16, width=60)
    assert len(lines) <= 16
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("and 29") and line.endswith("more") for line in lines)
    # The last that happened is the last that is seen.
    assert lines[-1].lstrip("0123456789: ").startswith("mount[4711] mounted tmpfs t on web-1")


def test_nothing_is_written_while_nothing_changes() -> None:
    with drawn_on() as (view, screen):
        view.draw("mntscope watch", QUIET)
        first = screen.getvalue()
        view.draw("mntscope watch", list(QUIET))
        assert screen.getvalue() == first
        view.add(mounted("/x"))
        view.draw("mntscope watch", QUIET)
        assert "/x" in screen.getvalue()[len(first) :]


def test_a_name_cannot_write_on_the_terminal() -> None:
    with drawn_on() as (view, _):
        view.add(mounted("/\x1b[2J", "\x1b]0;x\x07"))
        lines = picture(view, [Standing("\x1b[31mweb", 1, 0)])
    assert not any("\x1b" in line or "\x07" in line for line in lines)


def test_what_is_gone_is_forgotten() -> None:
    with drawn_on() as (view, _):
        for number in range(1000):
            view.add(mounted("/x", f"{number} (sh)"))
        view.draw("mntscope watch", QUIET)
        assert not any(name.startswith("ns:") for name in view._counts)
