"""Styled text for a page: where its lines are broken, and what stands before each.

rich draws what is more than lines, such as tables, and knows how wide a character is. It takes longer to load than most
commands take to run: text in ASCII needs none of it. Lines are broken where rich breaks them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Piece = tuple[str, str]
"""Text, and its style (as rich has them); empty for none."""

# A word, with the blanks that follow it; the first one with those before it too.
_WORD = r"\s*\S+\s*"

_CODES = {
    "bold": "1",
    "dim": "2",
    "underline": "4",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "magenta": "35",
    "cyan": "36",
}
"""The words of a style, as ECMA-48 numbers them (SGR)."""

GUIDES = "│├└─… |`-~"
"""What trees are drawn with, and begin with."""


class Text:
    """A paragraph, or several lines of them; it must be fit to be shown."""

    __slots__ = ("indent", "lead", "pieces", "whole")

    def __init__(
        self, *pieces: str | Piece, indent: str | Piece = "", lead: str | Piece | None = None, whole: bool = False
    ) -> None:
        """*pieces* are set one after the other.

        Every line begins with *indent*, but the first with *lead*, as wide, where that is given. A *whole* line, such
        as a command that is to be copied, is not broken: to wrap it is left to the terminal.
        """
        self.pieces = [_piece(piece) for piece in pieces]
        self.indent = _piece(indent)
        self.lead = self.indent if lead is None else _piece(lead)
        self.whole = whole

    def lines(self, width: int) -> Iterator[list[Piece]]:
        """Its lines on a page of *width* columns, without the blanks that end them."""
        room = max(1, width - cells(self.indent[0]))
        before, at = self.lead, 0
        for line in "".join(text for text, _ in self.pieces).split("\n"):
            for start, end in [(0, len(line))] if self.whole else _broken(line, room):
                shown = line[start:end].rstrip(" ")
                yield [before, *self._between(at + start, at + start + len(shown))]
                before = self.indent
            at += len(line) + 1

    def _between(self, start: int, end: int) -> Iterator[Piece]:
        for text, style in self.pieces:
            part = text[max(0, start) : max(0, end)]
            if part:
                yield part, style
            start, end = start - len(text), end - len(text)


def _piece(piece: str | Piece) -> Piece:
    return (piece, "") if isinstance(piece, str) else piece


def cells(text: str) -> int:
    """How many columns of a terminal *text* takes."""
    if text.lstrip(GUIDES).isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def folded(text: str, width: int) -> list[str]:
    """*text* in lines of *width* columns, broken between words; a word that is longer has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def painted(text: str, style: str) -> str:
    """*text* with the escape sequences of *style*, in the sixteen colours that every terminal has."""
    return f"\x1b[{';'.join(_CODES[word] for word in style.split())}m{text}\x1b[0m" if text and style else text


def _broken(line: str, width: int) -> Iterator[tuple[int, int]]:
    """Where the parts of *line* begin and end."""
    start = 0
    if cells(line) > width:
        for end in _breaks(line, width):
            yield start, end
            start = end
    yield start, len(line)


def _breaks(line: str, width: int) -> Iterator[int]:
    """Where a new line begins: at a word that has no more room, and within one that has room on no line."""
    used = 0
    for word in re.finditer(_WORD, line):
        start, text = word.start(), word[0]
        long = cells(text.rstrip())
        if used + long <= width:
            used += cells(text)
            continue
        parts = _chopped(text, width) if long > width else [text]
        for part in parts:
            if start:
                yield start
            start += len(part)
        used = cells(parts[-1])


def _chopped(text: str, width: int) -> list[str]:
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)]
    from rich.cells import chop_cells

    return chop_cells(text, width)
