"""What several reports say, in one wording: how much of a list is shown, what was not seen, which mounts and paths.

Numbers are put into words by :mod:`mntscope.base.counting`, and namespaces are named by
:func:`mntscope.graph.names.namespace_name`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from mntscope.base.counting import counted
from mntscope.graph import Leak
from mntscope.model import Hold, Mount, Problem, View
from mntscope.output.document import (
    Block,
    Entry,
    Heading,
    Items,
    More,
    Paragraph,
    Table,
    Word,
    Words,
    listed,
    name,
    with_content,
)
from mntscope.output.writers.page import Page

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

FEW = 6
"""How many of a kind are told of, each in a sentence, before the rest is counted; and"""
ROWS = 100
"""how many in a row of a table."""
PLACES = 3
"""How many paths of a mount are named in a sentence."""
QUICK = 20_000
"""What takes a step for each mount is left out of what is shown of a thing with more: to show it must not take long."""


def shown(things: Sequence[T], page: Page, most: int = FEW) -> Sequence[T]:
    """The first of them, or all. One more takes no more room than to say that there is one more."""
    return things if page.everything or len(things) <= most + 1 else things[:most]


def more(things: Sequence[object], kept: Sequence[object]) -> Iterator[Block]:
    """How many of *things* are not among those *kept*, if any."""
    if len(kept) < len(things):
        yield Paragraph(More(len(things) - len(kept)))


def entries(things: Sequence[T], entry: Callable[[T], Entry], page: Page) -> Iterator[Entry]:
    """An entry for each of *things* that is shown, and one that counts the others."""
    kept = shown(things, page)
    yield from map(entry, kept)
    if len(kept) < len(things):
        yield Entry(entry(things[0]).lead, More(len(things) - len(kept)))


def rows(
    columns: tuple[str, ...],
    things: Sequence[T],
    row: Callable[[T], tuple[Words, ...]],
    page: Page,
    most: int = ROWS,
) -> Iterator[Block]:
    """A table of *things*, of which no more rows are made than are shown, without columns that say nothing."""
    kept = shown(things, page, most)
    if kept:
        yield Table(*with_content(columns, map(row, kept)))
    yield from more(things, kept)


def unseen(problems: Sequence[Problem], page: Page) -> Iterator[Block]:
    """A section on what was not seen; none where all was."""
    yield from noted("Not seen", list(map(str, problems)), page)


def uncertain(reasons: Sequence[str]) -> Iterator[Block]:
    """A section on what the answer depends on and is not known: all of it."""
    if reasons:
        yield Heading("Uncertain")
        yield Items(tuple(Word(reason, "medium") for reason in reasons))


def noted(heading: str, lines: Sequence[str], page: Page) -> Iterator[Block]:
    """A section of what is to be known, too, and matters less."""
    kept = shown(lines, page)
    if kept:
        yield Heading(heading)
        yield Items(tuple(Word(line, "dim") for line in kept))
        yield from more(lines, kept)


def some(paths: Iterable[str], page: Page, most: int = FEW) -> tuple[str | Word, ...]:
    """``/a, /b and 4 more``: paths, each once."""
    found = list(dict.fromkeys(paths))
    kept = shown(found, page, most)
    left = len(found) - len(kept)
    return (*listed(map(name, kept)), *((f" and {left} more",) if left else ()))


def places(paths: Sequence[str]) -> Words:
    """``/srv/a, /srv/b and 2 more``: where what is mounted arrives."""
    return some(paths, Page(), PLACES)


def mounts_of(leaks: Sequence[Leak], view: View) -> str:
    """``3 of the 20 mounts``: which of its mounts leak."""
    concerned, there = len({leak.mount.mount_id for leak in leaks}), len(view.mounts)
    if there == 1:
        return "the one mount"
    return f"all {there} mounts" if concerned == there else f"{concerned} of the {there} mounts"


def filesystem(mount: Mount) -> str:
    """Type, source and root of a mount, as findmnt(8) has them: ``ext4 /dev/sda1[/dir]``."""
    source = "" if mount.source in ("", "none", mount.fs_type) else f" {mount.source}"
    root = "" if mount.root == "/" else f"[{mount.root}]"
    return f"{mount.fs_type}{source}{root}"


def tags(mount: Mount) -> str:
    """``shared:12 master:3``, as mountinfo has it; or the propagation type where it is in no group."""
    groups = (("shared", mount.peer_group), ("master", mount.master), ("propagate_from", mount.propagate_from))
    return " ".join(f"{tag}:{group}" for tag, group in groups if group is not None) or mount.propagation


def held_by(hold: Hold) -> str:
    """What keeps a namespace alive: ``mount /run/ns/kept``, ``fd /proc/58/fd/7 (sleep)``, ``thread 59 (java)``."""
    of_mount = hold.kind == "mount" and hold.label != "host"
    who = hold.label if of_mount else hold.process.comm if hold.process else ""
    return f"{hold.kind} {hold.where}{f' ({who})' if who else ''}"


def and_more(first: str, others: int, noun: str = "") -> str:
    """``a``, ``a and 2 more``, ``a and 1 more process``: the first of several, and how many others there are."""
    if not others:
        return first
    return f"{first} and {counted(others, f'more {noun}') if noun else f'{others} more'}"
