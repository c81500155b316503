"""The commands, and how the words behind each are understood."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from contextlib import suppress

from mntscope.base.suggestion import did_you_mean
from mntscope.cli.output_options import terminal_width, write_standard_output
from mntscope.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

GROUPS = {
    "Look": {
        "diff": "what a process sees that the host does not, and what leaks between them",
        "ns": "every mount namespace: whose it is, and what it shares with the host",
        "tree": "the mount tree, with the peers and the master of each mount by name",
        "graph": "who shares with whom: peer groups, their members and masters, across namespaces",
        "holders": "who still has a filesystem mounted, how it got there, and what frees it",
        "audit": "is this machine sound? findings, with evidence and remedy",
        "explain": "what a rule looks for, why it matters, and what to do about it",
        "watch": "what is mounted and unmounted, by whom, and where it goes, as it happens",
    },
    "Foresee": {
        "predict": "what the kernel will do, in every namespace, if a command runs there",
        "preview": "what containers would mount, receive and pin, before they start",
    },
    "Change": {
        "isolate": "stop what is mounted at a path from reaching other namespaces: verified, and undoable",
        "undo": "put back what isolate changed, the peer group included",
        "run": "run a command in a mount namespace of its own, from which nothing leaks",
    },
    "Keep": {
        "capture": "write what can be seen of this machine to a snapshot file",
    },
    "Many hosts": {
        "fleet": "snapshots of many hosts as one data set: what is found on how many, what is odd or has changed",
    },
    "Learn, and try": {
        "lab": "the whole story of a leaking mount on this kernel, act by act, harmlessly",
        "selftest": "compare predictions with this kernel, in throwaway namespaces",
        "completion": "what makes bash, zsh or fish complete all of this",
    },
}
"""The commands, by what they are for."""

COMMANDS = {name: line for group in GROUPS.values() for name, line in group.items()}


def commands_text() -> str:
    """The commands in groups, a line each, and how to learn more."""
    width = max(map(len, COMMANDS))
    groups = (
        f"{title}\n" + "".join(f"  {name:{width}}  {line}\n" for name, line in group.items())
        for title, group in GROUPS.items()
    )
    return "\n".join((*groups, "mntscope help COMMAND says more.\n"))


# mntscope speaks English. To find that out of each word, argparse would load locale and look through directories.
argparse._ = str  # type: ignore[attr-defined]


class Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. argparse would import shutil to find out, for each option of a command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=terminal_width(otherwise=80) - 2)


class Parser(argparse.ArgumentParser):
    """Reports what it does not understand as one line, like every other error."""

    example = ""
    """A command line as it should be."""

    def error(self, message: str) -> NoReturn:
        """Where argparse would print its usage and exit."""
        if wrong := re.fullmatch(r"(argument [^ ]+: invalid choice: (.*)) \(choose from (.*)\)", message, re.DOTALL):
            what, given, choices = wrong.groups()
            known = choices.replace("'", "").split(", ")
            raise UsageError(what, hint=did_you_mean(given.strip("'"), known) or f"choose of {', '.join(known)}")
        raise UsageError(message, hint=self._meant(message) or f"try {self.prog} --help")

    def _meant(self, message: str) -> str:
        """What to write instead, as far as that can be told."""
        if message.startswith("the following arguments are required"):
            return f"as in {self.example}; {self.prog} --help says more" if self.example else ""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message:
            return ""
        word = next((word for word in unknown.split() if word.startswith("-")), unknown).partition("=")[0]
        choices = {option: action.choices or () for action in self._actions for option in action.option_strings}
        if word.startswith("-"):
            return did_you_mean(word, choices) if word.startswith("--") else ""
        if word in choices.get("--format", ()):
            return f"did you mean --format {word}?"
        return f"did you mean --snapshot {word}?" if "--snapshot" in choices and "." in word else ""

    def print_help(self, file: object = None) -> None:  # noqa: ARG002
        """Where argparse would ignore that it cannot be written."""
        write_standard_output(self.format_help())


def command_parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command; its ``run`` default is the function that carries the command out."""
    # As importlib.import_module has it, but for what importlib itself would load.
    module = __import__(f"mntscope.cli.{name}", fromlist=["run"])
    parser = Parser(
        prog=f"mntscope {name}",
        description=module.HELP,
        formatter_class=Help,
        allow_abbrev=False,
    )
    module.configure(parser)
    parser.epilog = "\n\n".join(text.strip("\n") for text in (parser.epilog, examples(module.EXAMPLES)) if text)
    parser.example = next((line for line, _ in module.EXAMPLES), "")
    parser.set_defaults(run=module.run)
    return parser


def examples(shown: Iterable[tuple[str, str]]) -> str:
    """The end of a command's help: command lines, and below each what it is for."""
    return "Examples:\n" + "".join(f"  {line}\n      {what}\n" for line, what in shown)


def parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """The arguments of a command; its options may stand before, between and behind the others."""
    # Where there are no options the plain way does the same, and does not begin by writing the usage.
    if "--" not in words and any(word.startswith("-") for word in words):
        # TypeError: it ends in the command line of another program, whose options are not ours.
        with suppress(TypeError):
            return parser.parse_intermixed_args(words)
    return parser.parse_args(words)
