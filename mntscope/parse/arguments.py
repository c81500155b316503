"""The words of one command, read as getopt_long(3) would read them: options, their values, operands."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from mntscope.base.records import dataclass
from mntscope.base.suggestion import did_you_mean
from mntscope.errors import ParseError
from mntscope.parse.mount_program import NEWEST, MountProgram
from mntscope.parse.shell import OF_BUSYBOX, Text, command_grammar, quoted, where_it_ended

if TYPE_CHECKING:
    from lark import Token, Tree


class Refused(Exception):
    """A command line that other versions of its program accept, and this one refuses; why, in one line."""


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or a word of an option's list."""

    name: str
    """What the grammar calls it: ``bind`` for ``--bind`` and for ``-B``."""
    value: Text
    """Its value, or the word itself in a list; empty where there is none."""
    text: Text
    """All of it."""

    @classmethod
    def of(cls, tree: Tree[Token], within: Text) -> Argument:
        """The argument that *tree* parsed from *within*."""
        text = within.part(tree.meta.start_pos, tree.meta.end_pos)
        text = text.part(0, len(text.chars.rstrip("\0")))
        if not tree.children:
            return cls(tree.data, text.part(len(text.chars), len(text.chars)), text)
        token = cast("Token", tree.children[0])
        return cls(tree.data, within.part(cast("int", token.start_pos), cast("int", token.end_pos)), text)

    @property
    def option(self) -> str:
        """The option alone, as its manual has it: ``--mkdir``, ``-m``."""
        return _option(self.text.chars) if self.text.chars.startswith("-") else f"-{self.text.chars[0]}"


@dataclass(frozen=True, slots=True)
class Arguments:
    """What follows the name of a program."""

    words: Sequence[Text]
    """The name, and all that follows."""
    options: tuple[Argument, ...]
    operands: tuple[Text, ...]
    program: tuple[Text, ...]
    """The words of the program that this one runs; none where it runs none."""

    @classmethod
    def read(cls, name: str, words: Sequence[Text], program: MountProgram = NEWEST) -> Arguments:
        """The *words* of a command (its name first), read as the program *name* of *program* reads them.

        :raises Refused: an option that *program* has not, and another has.
        :raises ParseError: an option that is not understood, or one that lacks its value.
        """
        from lark.exceptions import UnexpectedInput

        text = Text.arguments(words)
        busybox = program.busybox and name in OF_BUSYBOX
        try:
            tree = command_grammar().parse(text.chars, start=f"busybox_{name}" if busybox else name)
        except UnexpectedInput as error:
            at = where_it_ended(error, text)
            if not busybox:
                raise _misunderstood(name, words, text, at) from None
            # What nobody understands is a fault in what was given, and no answer.
            cls.read(name, words)
            raise _refused(program, name, _word_at(words, text, at)) from None
        options: list[Argument] = []
        operands: list[Text] = []
        run: tuple[Text, ...] = ()
        for child in cast("list[Tree[Token]]", tree.children):
            if child.data == "program":
                run = tuple(words[1 + text.chars.count("\0", 0, child.meta.start_pos) :])
            elif child.data in ("operand", "argument", "directory"):
                operands.append(Argument.of(child, text).value)
            else:
                options.append(Argument.of(child, text))
        for option in options:
            if not program.accepts(name, option.option):
                raise _refused(program, name, option.option)
        return cls(words, tuple(options), tuple(operands), run)

    def has(self, name: str) -> bool:
        """Whether an option is given, by its name in the grammar (``bind`` for ``--bind`` and ``-B``)."""
        return any(option.name == name for option in self.options)

    def last(self, name: str) -> Text | None:
        """The value of an option, the last where it is given several times."""
        return next((option.value for option in reversed(self.options) if option.name == name), None)


def _refused(program: MountProgram, name: str, option: str) -> Refused:
    return Refused(f"{name} of {program.name} does not take {quoted(option)}")


def _option(word: str) -> str:
    return word.partition("\0")[0].partition("=")[0]


def _word_at(words: Sequence[Text], text: Text, at: int) -> str:
    """The option, or the letter of several, at which the *text* of the arguments ceased to be understood."""
    word = words[min(1 + text.chars.count("\0", 0, at), len(words) - 1)].chars
    return _option(word) if word.startswith("--") or not word.startswith("-") else f"-{text.chars[at]}"


def _misunderstood(name: str, words: Sequence[Text], text: Text, at: int) -> ParseError:
    """Why the *text* of the arguments is not in the language of the program, from where it ceased to be."""
    number = 1 + text.chars.count("\0", 0, at)
    if number >= len(words):
        last = words[-1].chars
        if len(words) > 1 and last.startswith("-"):
            option = last if last.startswith("--") else f"-{last[-1]}"
            return words[-1].error(f"{name}: option {quoted(option)} needs a value")
        return words[-1].error(f"{name} of nothing", len(last))
    word = words[number]
    if not word.chars.startswith("-"):
        return word.error(f"{name}: {quoted(word.chars)} is not understood")
    begin = text.chars.rfind("\0", 0, at) + 1
    if not word.chars.startswith("--"):
        return word.error(f"{name}: option {'-' + text.chars[at]!r} is not understood", at - begin)
    option = word.chars.partition("=")[0]
    known = _long_options(name)
    if option in known:
        return word.error(
            f"{name}: option {quoted(option)} {'takes no' if at - begin == len(option) else 'needs a'} value"
        )
    hint = did_you_mean(option, known, most=3) or (f"it may be {', '.join(known)}" if known else "")
    return word.error(f"{name}: option {quoted(option)} is not understood", hint=hint)


@functools.cache
def _long_options(name: str) -> list[str]:
    """The long options that the grammar has for a program."""
    grammar = command_grammar()
    accepted: set[str] = grammar.parse_interactive(start=name).accepts()  # type: ignore[no-untyped-call]
    patterns = {grammar.get_terminal(terminal).pattern.value for terminal in accepted if terminal != "$END"}
    if "--make-" in patterns:
        patterns.remove("--make-")
        patterns |= {f"--make-{r}{kind}" for r in ("", "r") for kind in ("private", "shared", "slave", "unbindable")}
    return sorted(pattern for pattern in patterns if pattern.startswith("--") and "\0" not in pattern)
