"""The commands, and how the words behind each are understood."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

from mntscope.cli.output_options import columns, write_standard_output
from mntscope.errors import UsageError

GROUPS = {
    "Look": {
        "diff": "what a process sees that the host does not, and what leaks between them",
        "ns": "every mount namespace: whose it is, and what it shares with the host",
        "tree": "the mount tree, with the peers and the master of each mount by name",
        "graph": "who shares with whom: peer groups, their members and masters, across namespaces",
        "holders": "who still has a filesystem mounted, how it got there, and what frees it",
        "audit": "is this machine sound? findings, with evidence and remedy",
        "explain": "what a rule looks for, why it matters, and what to do about it",
    },
    "Foresee": {
        "predict": "what the kernel will do, in every namespace, if a command runs there",
    },
    "Change": {
        "isolate": "stop what is mounted at a path from reaching other namespaces: verified, and undoable",
        "undo": "put back what isolate changed, the peer group included",
        "run": "run a command in a mount namespace of its own, from which nothing leaks",
    },
    "Keep": {
        "capture": "write what can be seen of this machine to a snapshot file",
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


def near(word: str, known: Iterable[str]) -> str:
    """``did you mean diff?``; empty where nothing known is like *word*."""
    import difflib

    names = list(known)
    found = difflib.get_close_matches(word, names, n=1, cutoff=0.7)
    found = found or [name for name in names if len(word) > 2 and word in name]
    return f"did you mean {found[0]}?" if found else ""


class Help(argparse.RawDescriptionHelpFormatter):
    """As wide as the terminal. argparse would import shutil to find out, for each option of a command."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=columns(otherwise=80) - 2)


class Parser(argparse.ArgumentParser):
    """Reports what it does not understand as one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        """Where argparse would print its usage and exit."""
        unknown = message.removeprefix("unrecognized arguments: ")
        if unknown == message:
            raise UsageError(message, hint=f"try {self.prog} --help")
        word = next((word for word in unknown.split() if word.startswith("-")), unknown).partition("=")[0]
        options = [option for action in self._actions for option in action.option_strings]
        hint = near(word, options) if word.startswith("--") else ""
        raise UsageError(message, hint=hint or f"try {self.prog} --help")

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
