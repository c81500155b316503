"""What an object shows of itself: a document, made short enough for a cell's output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from mntscope.base.records import dataclass
from mntscope.model import Mount
from mntscope.output.document import Block, Commands, Heading, Items, Paragraph, Table, Word, Words, name, parts

T = TypeVar("T")

ROWS = 12
"""How many rows of a table, or items of a list, are shown before the rest is counted."""
LONGEST = 2000
"""Characters of a command."""
SECTIONS = 12
"""How many parts under a heading of their own are shown before the rest is counted."""
QUICK = 20_000
"""What takes a step for each mount is left out of objects with more mounts: showing something must not take long."""


FRAME = ".frame() has all of them"


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing."""

    caption: str
    svg: str
    """An element of :mod:`mntscope.output.graph.svg`."""
    folded: bool = False
    alone: str = ""
    """The same as a file of its own; empty where it only goes with the words."""


@dataclass(frozen=True, slots=True)
class Told:
    """What there is to show."""

    title: Words
    blocks: tuple[Block, ...]
    """What matters first; then sections, each under a heading of level 2, which may be folded away."""
    picture: Picture | None = None
    text: str = ""
    """What a report for the terminal makes of it, where there is one; otherwise the blocks are set as text."""
    rest: str = FRAME
    """Where to find what is left out."""


def shortened(told: Told) -> tuple[Block, ...]:
    """The blocks without what is too much for a cell; they say what is left out."""
    blocks: list[Block] = []
    sections = 0
    for block in told.blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections += 1
        if sections <= SECTIONS:
            blocks += _cut(block, told.rest)
    if sections > SECTIONS:
        blocks.append(Paragraph(_more(sections - SECTIONS, "")))
    return tuple(blocks)


def _cut(block: Block, rest: str) -> Iterator[Block]:
    match block:
        case Table(columns, rows):
            shown = rows if len(rows) <= ROWS + 1 else rows[:ROWS]
            yield _with_content(columns, shown)
            if len(shown) < len(rows):
                yield Paragraph(_more(len(rows) - len(shown), rest))
        case Items(items) if len(items) > ROWS + 1:
            yield Items(items[:ROWS])
            yield Paragraph(_more(len(items) - ROWS, ""))
        case Commands(lines):
            shown_lines = lines if len(lines) <= ROWS + 1 else lines[:ROWS]
            yield Commands(tuple(line if len(line) <= LONGEST else f"# {_too_long(line)}" for line in shown_lines))
            if len(shown_lines) < len(lines):
                yield Paragraph(_more(len(lines) - len(shown_lines), ""))
        case _:
            yield block


def _with_content(columns: tuple[str, ...], rows: tuple[tuple[Words, ...], ...]) -> Table:
    """The table without the columns in which no row says anything."""
    kept = [at for at in range(len(columns)) if any(_says(row[at]) for row in rows)]
    return Table(
        tuple(columns[at] for at in kept),
        tuple(tuple(tuple(map(_in_cell, parts(row[at]))) for at in kept) for row in rows),
    )


def _says(words: Words) -> bool:
    return any(part if isinstance(part, str) else part.text for part in parts(words))


def _in_cell(part: str | Word) -> str | Word:
    """A command is not cut, as a name is: where it is too long for a cell, only that is said."""
    if isinstance(part, Word) and part.style == "command" and len(part.text) > LONGEST:
        return Word(_too_long(part.text), "dim")
    return part


def _too_long(command: str) -> str:
    return f"a command of {len(command):,} characters: too long to be shown here"


def tabled(
    columns: tuple[str, ...], things: Sequence[T], row: Callable[[T], tuple[Words, ...]], rest: str = FRAME
) -> Iterator[Block]:
    """A table of *things*, of which no more rows are made than are shown."""
    shown = things if len(things) <= ROWS + 1 else things[:ROWS]
    if shown:
        yield Table(columns, tuple(map(row, shown)))
    if len(shown) < len(things):
        yield Paragraph(_more(len(things) - len(shown), rest))


def _more(count: int, rest: str) -> Word:
    return Word(f"and {count:,} more{f': {rest}' if rest else ''}", "dim")


# What many of them say


def together(*words: Words) -> tuple[str | Word, ...]:
    """One sentence of several pieces."""
    return tuple(part for piece in words for part in parts(piece))


def counted(number: int, noun: str, plural: str = "s") -> str:
    """``1 mount``, ``2,000 mounts``."""
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def filesystem(mount: Mount) -> Words:
    """As findmnt(8) has it: ``ext4 /dev/sda1[/dir]``."""
    source = "" if mount.source in ("none", mount.fs_type) else f" {mount.source}"
    root = "" if mount.root == "/" else f"[{mount.root}]"
    return name(f"{mount.fs_type}{source}{root}")


def tags(mount: Mount) -> str:
    """``shared:12 master:3``, or the type where it is in no group."""
    groups = (("shared", mount.peer_group), ("master", mount.master), ("propagate_from", mount.propagate_from))
    return " ".join(f"{tag}:{group}" for tag, group in groups if group is not None) or mount.propagation
