"""What is pasted into a shell, read as a shell reads it: commands and their words, quotes and backslashes undone.

Nothing is expanded, substituted or redirected: where a shell would, it is an error that says so. Every
character keeps its place in the text that was given, through any number of quotes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, cast

from mntscope.base.records import dataclass
from mntscope.errors import ParseError, UsageError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

PROGRAMS = ("mount", "umount", "unshare", "nsenter", "chroot", "pivot_root", "switch_root", "sudo", "sh")
"""Those whose arguments the grammar knows, each a start symbol of it."""
OF_BUSYBOX = ("mount", "umount", "unshare", "nsenter", "chroot")
"""Those of which BusyBox accepts something else: start symbols too, as ``busybox_mount``."""

LONGEST = 128 * 1024
"""Bytes: what Linux accepts as one argument (MAX_ARG_STRLEN)."""

Joint = Literal["&&", ";"]


@dataclass(frozen=True, slots=True)
class Text:
    """Characters, and where each of them stood in the *source*: the text that was given."""

    chars: str
    places: Sequence[int]
    """The offset of each character, and of what follows the last one."""
    source: str
    span: tuple[int, int]
    """The stretch of the source it was made from, quotes included."""

    @classmethod
    def of(cls, source: str) -> Text:
        """The source itself.

        :raises UsageError: it is longer than a command line can be, or holds what no command line can.
        """
        try:
            size = len(source.encode("utf-8", "surrogateescape"))
        except UnicodeEncodeError as error:
            raise UsageError(f"a command cannot hold {source[error.start]!r}") from None
        if size > LONGEST:
            raise UsageError(f"a command of {size} bytes", hint=f"Linux accepts {LONGEST}")
        return cls(source, range(len(source) + 1), source, (0, len(source)))

    @classmethod
    def arguments(cls, words: Sequence[Text]) -> Text:
        """The words that follow the first one, each ended by a NUL."""
        places = [place for word in words[1:] for place in word.places]
        span = words[0].span[1], words[-1].span[1]
        return cls("".join(f"{word.chars}\0" for word in words[1:]), [*places, span[1]], words[0].source, span)

    def ended(self) -> Text:
        """The text with a NUL behind it, which ends an option's value in the grammar."""
        return Text(f"{self.chars}\0", [*self.places, self.places[-1]], self.source, self.span)

    def part(self, start: int, end: int) -> Text:
        """The characters from *start* up to *end*."""
        places = self.places[start : end + 1]
        return Text(self.chars[start:end], places, self.source, (places[0], places[-1]))

    def position(self, at: int = 0) -> tuple[int, int]:
        """Line and column (in bytes) in the source of the character *at*, both counted from 1."""
        before = self.source[: self.places[min(at, len(self.chars))]]
        line = before.rpartition("\n")[2]
        return before.count("\n") + 1, len(line.encode("utf-8", "surrogateescape")) + 1

    def written(self) -> str:
        """The stretch of the source that it was made from, quotes and backslashes included."""
        return self.source[slice(*self.span)]

    def error(self, what: str, at: int = 0, *, hint: str = "") -> ParseError:
        """The error that points at the character *at*."""
        line, column = self.position(at)
        text = self.source.split("\n")[line - 1].encode("utf-8", "surrogateescape")
        return ParseError(what, file="command", line=line, column=column, text=text, hint=hint)


def quoted(text: str, most: int = 60) -> str:
    """*text* for an error: in quotes, on one line, and not longer than it needs to be recognised."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}.."


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its words, and what joins it to the command before it (``;`` for the first)."""

    words: tuple[Text, ...]
    joint: Joint


@functools.cache
def command_grammar() -> Lark:
    """Lark's parser of grammar/mountcmd.lark, made once: its start symbols are a script, a word, and each program."""
    from lark import Lark

    return Lark(
        files("mntscope.grammar").joinpath("mountcmd.lark").read_text("utf-8"),
        parser="lalr",
        start=["script", "word", *PROGRAMS, *(f"busybox_{name}" for name in OF_BUSYBOX), "mount_options"],
        propagate_positions=True,
        maybe_placeholders=False,
    )


def commands(text: Text) -> list[Command]:
    """The commands of *text*, in order; none where it holds only blanks and comments.

    :raises ParseError: a quote that is not closed, or something a shell would expand, redirect or run elsewhere.
    """
    from lark.exceptions import UnexpectedInput

    try:
        script = command_grammar().parse(text.chars, start="script")
    except UnexpectedInput as error:
        raise _refused(text, where_it_ended(error, text)) from None
    return [
        Command(tuple(_word(text, word, start) for word, start in _tokens(command)), "&&" if after else ";")
        for line in _trees(script)
        for statement in _trees(line)
        for after, command in enumerate(_trees(statement))
    ]


def where_it_ended(error: UnexpectedInput, text: Text) -> int:
    """The position in *text* up to which it was in the language; its length where more was expected."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return len(text.chars)
    return cast("int", error.pos_in_stream)


def _trees(tree: Tree[Token]) -> Iterable[Tree[Token]]:
    return cast("list[Tree[Token]]", tree.children)


def _tokens(tree: Tree[Token]) -> Iterator[tuple[Token, int]]:
    """The tokens of *tree*, each with the position at which it begins."""
    for token in cast("list[Token]", tree.children):
        yield token, cast("int", token.start_pos)


def _word(text: Text, word: Token, start: int) -> Text:
    pieces = _tokens(command_grammar().parse(word, start="word"))
    kept = [start + position for piece, begin in pieces for position in _kept(piece, begin)]
    # An empty word ('') stands where its quotes do.
    places = [text.places[position] for position in [*kept, kept[-1] + 1 if kept else start]]
    chars = "".join(text.chars[position] for position in kept)
    return Text(chars, places, text.source, (text.places[start], text.places[start + len(word)]))


_DOUBLE_QUOTED = re.compile(r'\\\n|\\([$`"\\])|(.)', re.DOTALL)


def _kept(token: Token, start: int) -> Iterator[int]:
    """The positions of the characters that remain of a piece of a word that begins at *start*."""
    match token.type:
        case "PLAIN":
            yield from range(start, start + len(token))
        case "ESCAPED" if token != "\\\n":
            yield start + 1
        case "SINGLE":
            yield from range(start + 1, start + len(token) - 1)
        case "DOUBLE":
            for match in _DOUBLE_QUOTED.finditer(token, 1, len(token) - 1):
                if match.lastindex:
                    yield start + match.start(match.lastindex)


_REFUSED = {
    "|": "a pipe or || is not predicted",
    "&": "a command in the background is not predicted",
    "<": "a redirection is not predicted",
    ">": "a redirection is not predicted",
    "(": "a subshell is not predicted",
    ")": "a subshell is not predicted",
    "$": "a variable or substitution is not expanded",
    "`": "a command substitution is not expanded",
    "*": "a wildcard is not expanded",
    "?": "a wildcard is not expanded",
    "[": "a wildcard is not expanded",
    "]": "a wildcard is not expanded",
    "{": "braces are not expanded",
    "}": "braces are not expanded",
}
_UNCLOSED = {
    "\\": "a backslash with nothing behind it",
    "'": "the quote ' is never closed",
    '"': 'the quote " is never closed',
}
_BEGUN = re.compile(r'"(?:[^"\\$`\0]|\\[^\0])*')


def _refused(text: Text, at: int) -> ParseError:
    """Why the script is not one, from where its grammar ended."""
    rest = text.chars[at:]
    if not rest:
        return text.error("a command is missing after &&", at)
    for joint in (";", "&&"):
        if rest.startswith(joint):
            return text.error(f"a command is missing before {joint}", at)
    # A double quote may have ended early because of what stands in it.
    inside = _BEGUN.match(rest)
    if inside and rest[inside.end() : inside.end() + 1] in ("$", "`", "\0"):
        at += inside.end()
    found = text.chars[at]
    if found in _UNCLOSED:
        return text.error(_UNCLOSED[found], at)
    if found in _REFUSED:
        return text.error(_REFUSED[found], at, hint=f"put {found} in single quotes if it is meant as it stands")
    return text.error(f"a command cannot hold {found!r}", at)
