"""Manual pages of mntscope(1) and of each command, of the parsers that understand their command lines.

argparse-manpage writes what it can know: names, synopsis, arguments and options. What stands below them in ``--help``,
with tables and examples, it would set as one paragraph; that is taken apart here, into sections.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from mntscope import __version__
from mntscope.cli.main import EXAMPLES, EXIT_CODES, OVERVIEW, overview
from mntscope.cli.output_options import TARGETS
from mntscope.cli.parser import COMMANDS, command_parser
from tests.release import man_text
from tests.support.repository import ROOT

DIRECTORY = ROOT / "docs/man"

Block: TypeAlias = Sequence[str]


def pages() -> dict[str, str]:
    """Every page by the name of its file."""
    with _wide():
        made = {"mntscope.1": _main_page()}
        for name in COMMANDS:
            made[f"mntscope-{name}.1"] = _command_page(name)
    return made


def _main_page() -> str:
    parser = overview()
    parser.epilog = None
    parser.description = None
    page = _page(parser, OVERVIEW[0].lower() + OVERVIEW[1:].rstrip("."))
    commands = [(f"mntscope-{name}(1)", what) for name, what in COMMANDS.items()]
    _add(page, "description", _prose(man_text.OVERVIEW))
    _add(page, "commands", _list(commands))
    _targets(page)
    codes = [line.strip().partition("  ") for line in EXIT_CODES.splitlines()[1:]]
    _add(page, "exit status", _list((code, what) for code, _, what in codes))
    _ends(page, "", EXAMPLES)
    return _written(page)


def _command_page(name: str) -> str:
    parser = command_parser(name)
    blocks = _blocks(parser.epilog or "")
    parser.epilog = None
    parser.description = None
    page = _page(parser, COMMANDS[name])
    prose = [block for block in blocks if not _is_special(block)]
    _add(page, "description", "\n.PP\n".join([_prose(man_text.ABOUT[name]), *map(_roff, prose)]))
    if TARGETS.split("\n", 1)[0] in {block[0] for block in blocks}:
        _targets(page)
    (codes,) = (block for block in blocks if block[0].startswith("Exit code"))
    said = re.sub(r"^Exit codes?: ", "", " ".join(line.strip() for line in codes))
    _add(page, "exit status", f"{_escaped(said)}.\n.PP\n{_prose(man_text.INTERRUPTED)}")
    _ends(page, name, importlib.import_module(f"mntscope.cli.{name}").EXAMPLES)
    return _written(page)


def _page(parser: argparse.ArgumentParser, what: str) -> Any:
    """The page of a parser, as the library has it."""
    # The heading that the library drops, so that the arguments would stand under the description.
    parser._positionals.title = "arguments"
    name = parser.prog.replace(" ", "-")
    usage = " ".join(parser.format_usage().split()).removeprefix(f"usage: {parser.prog} ").replace("[-h] ", "")
    program, parser.prog = parser.prog, name
    page = Manpage(parser)
    page.description = what
    page.source = f"mntscope {__version__}"
    page.manual = "mntscope manual"
    # The same page whenever it is made.
    page.date = ""
    _add(page, "synopsis", f".SY {_quoted(program)}\n{_breakable(usage)}\n.YS")
    return page


def _written(page: Any) -> str:
    """The page, whose words stay whole: a hyphen at the end of a line would be taken for a part of a name."""
    first, rest = str(page).split("\n", 1)
    return f"{first}\n.nr HY 0\n.nh\n.ad l\n{rest}"


def _ends(page: Any, name: str, examples: Iterable[tuple[str, str]]) -> None:
    """The sections that every page ends with."""
    _add(page, "examples", _list((line, f"{what}.".replace("?.", "?")) for line, what in examples))
    if files := man_text.FILES.get(name, man_text.LIVE):
        _add(page, "files", _list(files))
    variables = [*man_text.ENVIRONMENT]
    if name in ("", "isolate", "undo"):
        variables += man_text.STATE
    if man_text.LIVE[0] in files:
        variables += man_text.DATA
    _add(page, "environment", _list(variables))
    others = ["mntscope(1)"] if name else [f"mntscope-{each}(1)" for each in COMMANDS]
    _add(page, "see also", _escaped(", ".join([*others, *man_text.SEE_ALSO])))


def _targets(page: Any) -> None:
    _add(page, "targets", _roff(TARGETS.strip("\n").split("\n")))


def _add(page: Any, heading: str, content: str) -> None:
    page.add_section(heading, "=", content)


# ---- the text below the options of --help ----


def _blocks(epilog: str) -> list[Block]:
    """Its parts, which blank lines divide; what it says of exit codes is one of its own."""
    apart = re.sub(r"^(?=Exit codes?: )", "\n", epilog, flags=re.MULTILINE)
    return [part.strip("\n").split("\n") for part in re.split(r"\n{2,}", apart.strip("\n")) if part.strip()]


def _is_special(block: Block) -> bool:
    """Whether it is for a section of its own."""
    return block[0] in (TARGETS.split("\n", 1)[0], "Examples:") or block[0].startswith("Exit code")


def _roff(block: Block) -> str:
    """Paragraphs, and lists of terms where lines are indented."""
    parts = []
    for indented, group in groupby(block, key=lambda line: line.startswith("  ")):
        lines = list(group)
        parts.append(_list(_terms(lines)) if indented else _prose("\n".join(lines)))
    return "\n".join(parts)


def _terms(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Terms and what is said of each, which two blanks divide; a line that is indented further goes on."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line.startswith("    ") and found:
            term, said = found.pop()
            found.append((term, f"{said} {line.strip()}"))
        else:
            term, _, said = line.strip().partition("  ")
            found.append((term, said.strip()))
    return found


# ---- roff ----


def _prose(text: str) -> str:
    return "\n.PP\n".join(_escaped(" ".join(paragraph.split())) for paragraph in text.split("\n\n"))


def _list(items: Iterable[tuple[str, str]]) -> str:
    """Terms in bold, and below each what is said of it."""
    return "\n".join(f".TP\n.B {_quoted(term)}\n{_escaped(said) or '.br'}" for term, said in items)


def _escaped(text: str) -> str:
    """*text* as roff prints it: what is typed on a keyboard stays what it is, at the start of a line too."""
    for mark, written in (("\\", r"\e"), ("-", r"\-"), ("'", r"\(aq"), ('"', r"\(dq"), ("`", r"\(ga"), ("~", r"\(ti")):
        text = text.replace(mark, written)
    return re.sub(r"^\.", r"\\&.", text, flags=re.MULTILINE)


def _quoted(text: str) -> str:
    """The same as one argument of a macro."""
    return f'"{_escaped(text)}"'


def _breakable(usage: str) -> str:
    """A synopsis whose long lists of choices may be broken."""
    return _escaped(usage).replace(",", r",\:")


@contextmanager
def _wide() -> Iterator[None]:
    """What argparse writes meanwhile is not broken into lines: as wide as no terminal."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "10000"
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def main() -> None:
    """Write all pages where the command line says; what else is there is an old one, and goes."""
    parser = argparse.ArgumentParser(prog="python -m tests.release.man", description=main.__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=DIRECTORY)
    directory: Path = parser.parse_args().directory
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.1"):
        old.unlink()
    for name, text in pages().items():
        (directory / name).write_text(text, "ascii")


if __name__ == "__main__":
    main()
