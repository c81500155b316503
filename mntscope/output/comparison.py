"""A diff for a ticket or a folder: as a document, in Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mntscope.analysis.diff import Change, Diff, Verdict
from mntscope.graph import Leak
from mntscope.model import Mount
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Heading,
    Items,
    Paragraph,
    Table,
    Word,
    Words,
    listed,
    name,
)
from mntscope.output.shell import command, command_for_all
from mntscope.output.verdict import named, problems
from mntscope.output.writers.page import Page

ROWS = 100
"""How many rows of a table are given, unless all are asked for."""

_SAID: dict[Verdict, str] = {
    "same-namespace": "It lives in the very mount namespace that it is compared with: what it mounts is mounted there.",
    "leaks": "What it mounts or unmounts at the paths below happens on the host too.",
    "receives": "Nothing that it mounts or unmounts reaches the host. The host's mounts and umounts reach it.",
    "isolated": "No mount or umount crosses between the two. What the host unmounts stays mounted, and busy, here.",
}


def document(diff: Diff, page: Page) -> Document:
    """The diff as a document."""
    at = f" at {diff.path}" if diff.path else ""
    return Document(f"Mounts of {named(diff.target)} compared with {named(diff.host)}{at}", tuple(_blocks(diff, page)))


def _blocks(diff: Diff, page: Page) -> Iterator[Block]:
    bad = diff.verdict in ("leaks", "same-namespace")
    yield Paragraph((Word(diff.verdict.upper(), "critical" if bad else "good"), f": {_SAID[diff.verdict]}"))
    for damage in diff.damage:
        yield Paragraph((Word("Damage" if damage.certain else "Damage?", "critical"), f": {damage}."))
    yield from _leaks([leak for leak in diff.leaks if leak.direction != "in"], diff, page)
    inward = [leak for leak in diff.leaks if leak.direction == "in"]
    if inward:
        yield Heading("What arrives from the host")
        rows = [(name(leak.path), _places(leak), f"group {leak.peer_group}") for leak in inward]
        yield from _table(("Path", "From the host's", "Through"), rows, page)
    if diff.changes:
        yield Heading("What else differs")
        yield from _table(("What", "Path", "On the host", "Here"), map(_change, diff.changes), page)
    unseen = problems(diff)
    if unseen:
        yield Heading("Not seen")
        yield Items(tuple(str(problem) for problem in (unseen if page.everything else unseen[:ROWS])))


def _leaks(leaks: Sequence[Leak], diff: Diff, page: Page) -> Iterator[Block]:
    if not leaks:
        return
    yield Heading("What reaches the host")
    rows = [
        (
            Word(leak.severity, leak.severity),
            name(leak.path),
            _places(leak),
            f"{leak.via} in group {leak.peer_group}",
            Word(command(leak, diff) or "", "command"),
        )
        for leak in leaks
    ]
    yield from _table(("Severity", "Path", "Lands on the host at", "Through", "To stop it"), rows, page)
    stop = command_for_all(diff)
    if stop is not None:
        yield Paragraph("To stop all of it, and still let the host's umounts in:")
        yield Commands((stop,))


def _places(leak: Leak) -> Words:
    more = len(leak.lands_at) - 3
    rest = (f" and {more} more",) if more > 0 else ()
    return (*listed(map(name, leak.lands_at[:3])), *rest)


def _change(change: Change) -> tuple[Words, ...]:
    return change.kind, name(change.path), _described(change.host), _described(change.target)


def _described(mount: Mount | None) -> Words:
    if mount is None:
        return ""
    directory = "" if mount.root == "/" else f"[{mount.root}]"
    return name(f"{mount.fs_type} {mount.source}{directory} {','.join(mount.options)}"), f" {mount.propagation}"


def _table(columns: tuple[str, ...], rows: Iterable[tuple[Words, ...]], page: Page) -> Iterator[Block]:
    found = tuple(rows)
    shown = found if page.everything else found[:ROWS]
    yield Table(columns, shown)
    if len(found) > len(shown):
        yield Paragraph(Word(f"and {len(found) - len(shown)} more (--all)", "dim"))
