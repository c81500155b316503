"""The checklists of CONTRIBUTING.md work: each is followed to the letter, in a copy of the tree, and then tried."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from mntscope.cli import main
from tests.support.repository import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
CHECKLISTS = dict(re.findall(r"^### (.*)\n((?:(?!##).*\n)*)", TEXT, re.MULTILINE))
BLOCK = re.compile(r"^   ```(python|diff)\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
COPIED = (
    "mntscope",
    "tests",
    "docs",
    "fixtures",
    "conftest.py",
    "pyproject.toml",
    "README.md",
    "SECURITY.md",
)
TOOLS = Path(sys.executable).parent
ID = "5" * 64


class Tree:
    """A copy of the tree, in which a checklist was followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        ignored = shutil.ignore_patterns("__pycache__", "data")
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, path / name, ignore=ignored)
            else:
                shutil.copy(ROOT / name, path / name)

    def follow(self, checklist: str) -> None:
        """Does what every step says that gives a file, or lines of one."""
        steps = re.split(r"^\d\. ", CHECKLISTS[checklist], flags=re.MULTILINE)[1:]
        done = 0
        for step in steps:
            file = self.path / step.split("`")[1]
            for kind, text in BLOCK.findall(step):
                done += 1
                if kind == "python":
                    assert not file.exists(), f"{file} is there already"
                    file.write_text(dedent(text))
                else:
                    file.write_text(patched(file.read_text("utf-8"), text))
        assert done

    def run(self, *command: str, ends_with: int = 0) -> str:
        """What a program prints in the copy, whose modules Python finds before the installed ones."""
        environment = {"PYTHONPATH": str(self.path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        result = subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert result.returncode == ends_with, f"{command}\n{result.stdout}{result.stderr}"
        return result.stdout

    def python(self, *words: str) -> str:
        """What ``python WORDS`` prints in the copy."""
        return self.run(sys.executable, *words)

    def mntscope(self, *words: str, ends_with: int = 0) -> str:
        """What ``mntscope WORDS`` prints in the copy."""
        return self.run(sys.executable, "-m", "mntscope", *words, ends_with=ends_with)

    def completed(self, line: str) -> list[str]:
        """What a line of bash may become."""
        return self.mntscope("completion", "bash", "--", line).split()

    def passes(self, *words: str) -> None:
        """Runs tests in the copy."""
        assert " passed" in self.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *words)

    def passes_the_linters(self, *rooms: str) -> None:
        """Asks ruff about these rooms of the copy, and lint-imports about all."""
        self.run(str(TOOLS / "ruff"), "check", *rooms)
        self.run(str(TOOLS / "ruff"), "format", "--check", *rooms)
        self.run(str(TOOLS / "lint-imports"), "--no-cache")


def patched(text: str, lines: str) -> str:
    """*text* with these lines of a diff: what is added stands below the line before it, as far to the right."""
    place = replaced = None
    for sign, line in re.findall(r"^ {3}([ +-]) *(.*)$", lines, re.MULTILINE):
        if sign == " ":
            found = re.findall(rf"^ *{re.escape(line)}$\n", text, re.MULTILINE)
            assert len(found) == 1, f"{line!r} is there {len(found)} times"
            place = found[0]
        elif sign == "-":
            assert text.count(line) == 1, f"{line!r} is there {text.count(line)} times"
            replaced = line
        elif replaced is not None:
            text = text.replace(replaced, line)
            replaced = None
        else:
            assert place is not None
            indented = place[: len(place) - len(place.lstrip())] + line + "\n"
            text = text.replace(place, place + indented)
            place = indented
    return text


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_every_checklist_is_tried() -> None:
    assert list(CHECKLISTS) == ["A rule of `mntscope audit`", "A command", "An output format", "A container runtime"]


def test_every_file_that_is_named_exists_or_is_made() -> None:
    made = set(re.findall(r"^\d\. `([^`]+)`", TEXT, re.MULTILINE))
    named = set(re.findall(r"`((?:\w+/)+\w+\.\w+|tests/\w+|[A-Z]+\.md)`|\]\(([\w/-]+\.md)\)", TEXT))
    paths = {path for found in named for path in found if path}
    assert {"tests/support/tables.py", "docs/architecture.md", "SECURITY.md"} <= paths
    missing = {path for path in paths if not (ROOT / path).exists()}
    assert missing <= made
    assert {path for path in missing if not re.search("900|count|titles", path)} == set()


def test_every_command_that_is_shown_works() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8").replace("$(VENV)", ".venv")
    commands = [line.split() for line in re.findall(r"^\$ ([^#\n]*)", TEXT, re.MULTILINE)]
    assert len(commands) >= 5
    for program, *words in commands:
        if program == "make":
            assert f"\n{words[0]}: " in makefile
        else:
            assert (program, words[0]) == (".venv/bin/python", "-m")
            if words[1] == "pytest":
                assert words[2] == "-q"
                assert (ROOT / words[3]).exists()
            else:
                # What follows --more is for another program.
                own = words[: words.index("--more")] if "--more" in words else words
                options = {word for word in own if word.startswith("--")}
                shown = subprocess.run(
                    [sys.executable, "-m", words[1], "--help"], cwd=ROOT, capture_output=True, text=True, check=True
                )
                assert options <= set(re.findall(r"--[a-z0-9-]+", shown.stdout))


def test_the_hooks_are_the_linters_of_the_project() -> None:
    """What stands in .venv is run, and nothing is fetched."""
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"repo: (.*)", hooks) == ["local"]
    programs = re.findall(r"entry: \.venv/bin/(\S+)", hooks)
    assert programs == ["ruff", "ruff", "mypy", "lint-imports"]
    assert len(programs) == len(re.findall(r"- id: ", hooks))
    assert [program for program in programs if not (TOOLS / program).exists()] == []


def test_the_templates_ask_for_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    templates = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / ".github").rglob("*.*")))
    commands = set(re.findall(r"(?:`|  )mntscope ([a-z]+)((?: --?[a-z-]+)*)", templates))
    assert {"capture", "selftest", "predict"} <= {command for command, _ in commands}
    for command, options in sorted(commands):
        assert main([command, "--help"]) == 0
        shown = capsys.readouterr().out
        assert [option for option in options.split() if not re.search(rf"{option}\b", shown)] == []
    assert [name for name in re.findall(r"`(\w+\.md)`", templates) if not (ROOT / name).exists()] == []


def test_a_rule(tree: Tree, namespaces: None) -> None:
    tree.follow("A rule of `mntscope audit`")
    tree.python("-m", "mntscope.output.audit.rule_page", "docs/rules")

    (tree.path / "table").write_text("1 0 8:1 / / rw - ext4 a rw\n2 1 0:9 / /scratch rw - ramfs b rw\n")
    shown = tree.mntscope("audit", f"file:{tree.path}/table", "--against", f"file:{tree.path}/table", "--no-settings")
    assert "MNT900 unbounded-ramfs" in shown
    assert "umount /scratch" in shown
    assert "never swapped out" in tree.mntscope("explain", "MNT900")
    assert "MNT900" in (tree.path / "docs" / "rules" / "README.md").read_text()
    assert "MNT900" in tree.completed("mntscope explain MNT9")
    assert '"MNT900"' in tree.mntscope("audit", "fixtures/sandbox.mntscope.json", "--format", "sarif", ends_with=1)
    tree.passes("tests/rules/test_audit.py", "-k", "MNT900 or quiet")
    tree.passes("tests/output/test_rule_pages.py")
    tree.passes_the_linters("mntscope/rules", "tests/rules")


def test_a_command(tree: Tree) -> None:
    tree.follow("A command")

    assert "how many mounts of each filesystem type a process sees" in tree.mntscope("--help")
    target = "snapshot:fixtures/sandbox.mntscope.json#4711"
    assert re.search(r"^proc +1$", tree.mntscope("count", target), re.MULTILINE)
    assert '"schema": "mntscope.count/1"' in tree.mntscope("count", target, "--format", "json")
    assert "| proc | 1 |" in tree.mntscope("count", target, "--format", "markdown")
    assert "<td" in tree.mntscope("count", target, "--format", "html")
    assert tree.completed("mntscope cou") == ["count"]
    assert "self" in tree.completed("mntscope count ")
    tree.passes("tests/cli/test_count.py", "tests/test_readme.py", "tests/cli/test_main.py", "-k", "count or listed")
    tree.passes("tests/test_opened.py", "-k", "every_command_is_tried")
    tree.python("-m", "tests.release.man", "docs/man")
    assert "by the type of their filesystem" in (tree.path / "docs/man/mntscope-count.1").read_text()
    tree.passes("tests/test_man.py", "-k", "count or parsers")
    tree.passes_the_linters("mntscope/analysis", "mntscope/output", "mntscope/cli", "tests/cli")


def test_an_output_format(tree: Tree) -> None:
    tree.follow("An output format")

    audit = ("audit", "fixtures/runc.mntscope.json.gz", "--no-settings")
    assert tree.mntscope(*audit, "--format", "titles", ends_with=1).startswith(
        "high MNT006 web-shared (runc) can mount"
    )
    assert tree.completed("mntscope audit --format t") == ["table", "titles"]
    tree.passes("tests/test_readme.py", "-k", "usage and audit")
    tree.passes_the_linters("mntscope/output", "mntscope/cli")


def test_a_container_runtime(tree: Tree) -> None:
    tree.follow("A container runtime")

    for pid, cgroup in {"1": "/init.scope", "4711": f"/system.slice/quokka-{ID}.scope"}.items():
        process = tree.path / "machine" / pid
        process.mkdir(parents=True)
        (process / "mountinfo").write_text(f"{pid}0 1 0:{pid} / / rw - overlay overlay rw\n")
        (process / "cgroup").write_text(f"0::{cgroup}\n")
    assert f"{ID[:12]} (quokka)" in tree.mntscope("ns", "--snapshot", "machine")
    tree.passes("tests/analysis/test_owners.py", "-k", "who_runs_in_a_cgroup")
    tree.passes_the_linters("mntscope/analysis", "tests/analysis")
