"""What the README shows is what happens."""

import contextlib
import io
import re
import shlex

import pytest

from mntscope.cli import main
from mntscope.cli.main import EXIT_CODES
from mntscope.cli.output_options import TARGETS
from mntscope.cli.parser import COMMANDS, command_parser
from tests.support.repository import ROOT

README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return [block for name, block in found if name == language]


EXAMPLES = [
    example
    for block in blocks("console")
    for example in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]


@pytest.mark.parametrize(("command", "output"), EXAMPLES)
def test_an_example_prints_what_is_shown(
    command: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "100")
    program, *words = shlex.split(command)
    assert program == "mntscope"
    assert main(words) in (0, 1)
    assert capsys.readouterr() == (output, "")


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = blocks("python")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {})
    assert " / /proc " in printed.getvalue()


def test_every_command_is_listed_with_what_it_is_for() -> None:
    listed = re.findall(r"^\| `mntscope (\w+)` \| (.*) \|$", README, re.MULTILINE)
    assert listed == list(COMMANDS.items())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_usage_line_is_that_of_the_program(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert command_parser(name).format_usage().removeprefix("usage: ") in "".join(blocks(""))


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert EXIT_CODES in blocks("")


def test_every_form_of_a_target_is_named() -> None:
    forms = re.findall(r"^  (\S+?)(?:, (\w+))?  ", TARGETS, re.MULTILINE)
    assert [form for group in forms for form in group if form and f"`{form}`" not in README] == []


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


def test_every_link_leads_somewhere() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
