"""docs/architecture.md is true: the rooms are those of the contract, and each walk is what happens."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.support.entered import functions_entered
from tests.support.repository import ROOT
from tests.support.throwaway import Host

PACKAGE = ROOT / "mntscope"
TEXT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", TEXT, re.MULTILINE))
WALKS = {title: text for title, text in SECTIONS.items() if "\n1. " in text and "```" in text}
FUNCTION = re.compile(r"`([\w/]+\.py)`\s+`([\w.]+)`")

GOOD = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
BAD = "2 1 0:5 /proc rw - proc proc rw\n"


def steps(title: str) -> list[str]:
    """The numbered steps of a walk."""
    _, _, text = WALKS[title].partition("\n1. ")
    return re.split(r"\n\d\. ", text.partition("\n\n")[0])


def functions(steps: list[str]) -> list[str]:
    """What these steps name, as ``file qualname``, in their order."""
    return [" ".join(found) for step in steps for found in FUNCTION.findall(step)]


def command(title: str, **values: str) -> list[str]:
    """The command line that a walk shows, with *values* in place of words of it."""
    line: str = WALKS[title].split("```\n")[1]
    return [values.get(word, word) for word in line.split()[1:]]


def first_missing(named: list[str], entered: list[str]) -> str | None:
    """What is wrong with the first of the *named* that is not entered behind the one before it; ``None``: nothing."""
    assert named
    at = 0
    for name in named:
        if name not in entered:
            return f"{name} is never entered"
        if entered.index(name) < at:
            return f"{name} is entered before what is named before it"
        at = entered.index(name)
    return None


def test_the_walks_are_there() -> None:
    assert list(WALKS) == [
        "A pid through diff",
        "A line through the parser",
        "An operation through the model",
        "A plan through isolate",
        "A finding from rule to SARIF",
    ]


def test_a_walk_that_goes_another_way_is_noticed() -> None:
    entered = ["cli/main.py main", "cli/diff.py run", "analysis/diff.py diff"]
    assert first_missing(["cli/main.py main", "analysis/diff.py diff"], entered) is None
    assert first_missing(["analysis/diff.py diff", "cli/diff.py run"], entered) is not None
    assert first_missing(["cli/main.py main", "cli/ns.py run"], entered) is not None


def test_a_pid_through_diff(host: Host) -> None:
    target = host.unshare("unchanged")
    words = command("A pid through diff", **{"4711": str(target.pid)})
    entered = functions_entered([*words, "--against", str(host.pid)])
    missing = first_missing(functions(steps("A pid through diff")), entered)
    assert missing is None


@pytest.mark.parametrize(("table", "taken"), [(GOOD, 2), (GOOD + BAD, 5)], ids=["good", "with a bad line"])
def test_a_line_through_the_parser(tmp_path: Path, table: str, taken: int) -> None:
    (tmp_path / "table").write_text(table)
    words = command("A line through the parser", **{"file:TABLE": f"file:{tmp_path}/table"})
    entered = functions_entered([*words, "--against", words[-1]])
    way = steps("A line through the parser")
    missing = first_missing(functions(way[:taken]), entered)
    assert missing is None
    assert [name for name in functions(way[taken:]) if name in entered] == []


@pytest.mark.parametrize("title", ["An operation through the model", "A finding from rule to SARIF"])
def test_a_walk_through_a_captured_machine(title: str) -> None:
    missing = first_missing(functions(steps(title)), functions_entered(command(title), cwd=ROOT))
    assert missing is None


def test_a_plan_through_isolate(host: Host, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o700)
    target = host.unshare("unchanged", new_pids=True)
    words = command("A plan through isolate", **{"4711": str(target.pid)})
    entered = functions_entered([*words, "--against", str(host.pid), "--journal", str(tmp_path / "journal")])
    missing = first_missing(functions(steps("A plan through isolate")), entered)
    assert missing is None


@cache
def defined(file: Path) -> set[str]:
    """The functions, classes and methods of a file, by their qualified names."""
    found: set[str] = set()
    pending: list[tuple[str, ast.AST]] = [("", ast.parse(file.read_bytes()))]
    while pending:
        prefix, node = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found.add(prefix + child.name)
                pending.append((f"{prefix}{child.name}.", child))
    return found


def test_every_function_that_is_named_exists() -> None:
    named = FUNCTION.findall(TEXT)
    assert named
    assert [(file, name) for file, name in named if name not in defined(PACKAGE / file)] == []


def test_every_file_that_is_named_exists() -> None:
    rooms = {path.name for path in PACKAGE.iterdir()} | {"grammar"}
    paths = re.findall(r"`((?:[\w.]+/)*\w+\.(?:py|lark|md|toml))`|`((?:\w+/)+)`", TEXT)
    named = {file or folder for file, folder in paths}
    assert {"analysis/plan.py", "grammar/mountinfo.lark", "rules/"} <= named
    assert [path for path in sorted(named) if not any((root / path).exists() for root in (ROOT, PACKAGE))] == []
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
    modules = re.findall(r"`(\w+)\.(\w+)`", TEXT)
    known = [(room, module) for room, module in modules if room in rooms]
    assert ("kernel", "process") in known
    assert [(room, module) for room, module in known if not (PACKAGE / room / f"{module}.py").exists()] == []


def test_the_floors_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (floors,) = (contract["layers"] for contract in contracts if contract.get("containers") == ["mntscope"])
    known = {path.stem for path in PACKAGE.iterdir()}
    kept = [[room for room in re.findall(r"\w+", floor) if room in known] for floor in floors]
    rows = re.findall(r"^\| (`[^|]*`) \|", SECTIONS["The house"], re.MULTILINE)
    assert [re.findall(r"\w+", row) for row in rows] == kept
