"""Terminals of four widths: what they show stands in tests/data/terminal (``python -m tests.support.terminals``)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len

from mntscope.output.writers.page import Page
from tests.support.terminals import COMMANDS, WIDTHS, files, isolating, shown

NS = COMMANDS["ns"]
TREE = COMMANDS["tree"]


@pytest.mark.parametrize(("file", "words", "width"), list(files()), ids=lambda value: getattr(value, "stem", ""))
def test_a_terminal_shows_what_the_file_says(file: Path, words: tuple[str, ...], width: int) -> None:
    text = shown(words, COLUMNS=str(width), NO_COLOR="1")
    assert text == file.read_text()
    # What is longer has no blank at which it may be broken: a path, or a command that is to be copied.
    long = [line.strip() for line in text.splitlines() if cell_len(line) > width]
    assert [line for line in long if not re.match(r"(mount|umount|nsenter|mntscope|[│├└─ ]*/)", line)] == []


@pytest.mark.parametrize(("file", "write", "width"), list(isolating()), ids=lambda value: getattr(value, "stem", ""))
def test_isolate_and_undo_fit(file: Path, write: Callable[[Page], str], width: int) -> None:
    text = write(Page(width=width, terminal=True))
    assert text == file.read_text()
    long = [line.strip() for line in text.splitlines() if cell_len(line) > width]
    # Commands are to be copied, and so is a journal's file, whose table is as wide as it must be.
    whole = r"([0-9]\. )?(mount|mntscope) "
    assert [line for line in long if not re.match(whole, line) and "undo-list" not in file.stem] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_names_verdicts_and_worst_leaks_are_whole_at_any_width(width: int) -> None:
    text = " ".join(shown(NS, COLUMNS=str(width), NO_COLOR="1").split())
    for whole in ("csi-node (runc)", "leaks high /var/lib/kubelet and 2 more", "3 leak to it, 7 receive from it"):
        assert whole in text


@pytest.mark.parametrize(
    ("options", "environment", "coloured"),
    [
        ((), {}, True),
        ((), {"NO_COLOR": "1"}, False),
        (("--color", "never"), {}, False),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        ((), {"TERM": "dumb"}, False),
        ((), {"TERM": "dumb", "FORCE_COLOR": "1"}, True),
    ],
)
def test_colours_are_asked_for_or_refused(
    options: tuple[str, ...], environment: dict[str, str], *, coloured: bool
) -> None:
    text = shown((*NS, *options), **{"TERM": "xterm", "NO_COLOR": "", "FORCE_COLOR": "", **environment})
    assert ("\x1b[" in text) is coloured


@pytest.mark.parametrize(("locale", "branch"), [("C", "|-/sys"), ("POSIX", "|-/sys"), ("C.UTF-8", "├─/sys")])
def test_trees_are_drawn_as_the_locale_can(locale: str, branch: str) -> None:
    assert f"\n{branch} " in shown(TREE, LC_ALL=locale, COLUMNS="120", NO_COLOR="1")


def test_for_a_script_there_are_rows_alone() -> None:
    rows = shown((*NS, "--raw", "--noheadings", "--columns", "namespace,verdict,worst-leak"), COLUMNS="40").splitlines()
    assert rows[0] == r"the\x20host the\x20host -"
    assert rows[3] == r"csi-node\x20(runc) leaks high\x20/var/lib/kubelet\x20and\x202\x20more"
    assert len(rows) == 14
    aligned = shown((*TREE, "--noheadings", "--columns", "target,fstype"), COLUMNS="40", LC_ALL="C").splitlines()
    assert re.fullmatch(r"\|-/sys +sysfs", aligned[1])
    assert len(shown((*TREE, "--raw"), COLUMNS="40").splitlines()) == 1 + len(aligned)
