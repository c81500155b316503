"""The examples at the end of every command's help are run, by a shell, as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mntscope.cli.main import overview
from mntscope.cli.parser import COMMANDS, command_parser
from mntscope.kernel import syscalls
from tests.support.repository import FIXTURES
from tests.support.throwaway import Host

CAPTURES = {
    "web-1": "runc.mntscope.json.gz",
    "monday": "container-host-1-morning.mntscope.json.gz",
    "tuesday": "container-host-2-noon.mntscope.json.gz",
    "node-1": "runc.mntscope.json.gz",
}
"""The machines that are spoken of, and who stands in for them."""

MANIFESTS = Path(__file__).parent.parent / "data/manifests"


def examples(name: str) -> list[str]:
    """The command lines that the help of a command ends with; of mntscope itself, if it has no name."""
    text = (command_parser(name) if name else overview()).format_help()
    end = re.search(r"\n\nExamples:\n((?:  .*\n)+)\Z", text)
    assert end is not None, text
    return re.findall(r"^  (\S.*)$", end[1], re.MULTILINE)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_ends_with_two_examples(name: str) -> None:
    lines = examples(name)
    assert len(lines) == 2
    assert all(f"mntscope {name}" in line for line in lines)
    assert max(map(len, lines)) <= 96


def served() -> None:
    """What the examples say is mounted on the host."""
    syscalls.mount("srv", "/srv", "tmpfs", 0)
    os.mkdir("/srv/volume")
    syscalls.mount("volume", "/srv/volume", "tmpfs", 0)


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_examples_work(name: str, machine: Host, tmp_path: Path) -> None:
    program = Path(sys.executable).parent
    machine.call(served)
    target = machine.unshare("unchanged")
    for named, capture in CAPTURES.items():
        shutil.copy(FIXTURES / capture, tmp_path / f"{named}.mntscope.json.gz")
    shutil.copy(MANIFESTS / "cadvisor.yaml", tmp_path / "ds.yaml")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/kustomize").write_text("#!/bin/sh\ncat ds.yaml\n")
    (tmp_path / "bin/kustomize").chmod(0o755)
    (tmp_path / ".config/fish/completions").mkdir(parents=True)
    environment = {"PATH": f"{tmp_path}/bin:{program}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def run(line: str) -> tuple[int, str, str]:
        # The process that is spoken of has another number here.
        words = re.sub(r"\b4711\b(?!\.)", str(target.inner), line)
        # Nor is there so much time.
        words = re.sub(r"--for \w+", "--for 1s", words)
        shell = ["bash", "-c", words]
        done = machine.run(shell, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, done.stderr

    if name == "capture":
        (tmp_path / "web-1.mntscope.json.gz").unlink()
    if name == "undo":
        assert run("mntscope isolate 4711 /srv --journal srv.journal --force")[0] == 0
    for line in examples(name):
        code, output, complaints = run(line)
        assert code in (0, 1), f"{line}: {complaints}"
        assert complaints == "", line
        assert output or re.search("-o | > |--journal|-- (sh|mount)|^eval", line), line
