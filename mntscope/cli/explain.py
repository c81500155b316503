"""``mntscope explain [RULE]``."""

from __future__ import annotations

import argparse

from mntscope.cli.output_options import add_output_options, page, write_output

HELP = "what a rule looks for, why it matters, and what to do about it"

EXAMPLES = (
    ("mntscope explain", "every rule, in a line each"),
    ("mntscope explain MNT006", "what this one looks for, why it matters, and what to do"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "rule", metavar="RULE", nargs="?", help="its id or name: MNT001, leak-to-host (default: list all)"
    )
    add_output_options(parser, ("table", "json", "markdown", "html"))
    parser.epilog = "Exit codes: 0 printed, 2 there is no such rule"


def run(arguments: argparse.Namespace) -> int:
    """Look the rule up, and print its page."""
    from mntscope.output.audit.rule_page import FORMATS
    from mntscope.rules import by_id, installed

    rules = installed()
    chosen = rules if arguments.rule is None else (by_id(arguments.rule, rules),)
    write_output(arguments, FORMATS[arguments.format](chosen, page(arguments)))
    return 0
