"""A machine of containers, seen live and from its snapshot file: every command gives the same answer."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mntscope.cli import main
from tests.support import scenes
from tests.support.throwaway import Host


@dataclass(frozen=True, slots=True)
class Both:
    """A machine, its scene, and the file it was captured to."""

    machine: Host
    scene: scenes.ContainerHost
    file: Path

    def said(self, *words: object) -> tuple[int, str]:
        """The exit code and the output of a command."""
        done = self.machine.mntscope(*words)
        assert (done.stderr, done.returncode in (0, 1)) == ("", True), done
        return done.returncode, done.stdout

    def document(self, *words: object) -> tuple[int, Any]:
        """The exit code of a command, and its JSON without what differs from one run to the next."""
        # It goes first where a command of the target's follows.
        code, text = self.said(words[0], "--format", "json", *words[1:])
        return code, self.lasting(json.loads(text))

    def lasting(self, found: Any) -> Any:
        """Without the process of the command itself, what an audit says of its making, and what processes have open."""
        if isinstance(found, list):
            return [self.lasting(each) for each in found if not self.is_of_a_command(each)]
        if isinstance(found, dict):
            return {
                key: self.lasting(value) for key, value in found.items() if key not in ("made", "subject", "references")
            }
        return found

    def about(self, *words: object) -> tuple[int, Any]:
        """The same of a command on one namespace, without what the running machine tells otherwise than the file.

        What is asked for is read first. And diff reads no more of the running machine than it was asked about: not who
        else lives in these namespaces.
        """
        code, document = self.document(*words)
        for side in ("host", "target"):
            if isinstance(document.get(side), dict):
                document[side] = {key: document[side][key] for key in ("mount_namespace", "owner")}
            else:
                document.pop(side, None)
        return code, in_one_order(document)

    def is_of_a_command(self, found: Any) -> bool:
        """Whether it is a process that has ended since, by number or described."""
        pid = found.get("pid") if isinstance(found, dict) and "start_time" in found else found
        return type(pid) is int and pid > self.scene.kept.holder.inner


@pytest.fixture(scope="module")
def both(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """One scene for all of these tests, which only look at it."""
    tmp_path = tmp_path_factory.mktemp("machine")
    with closing(Host(own_pids=True)) as machine, scenes.container_host(machine, tmp_path) as scene:
        file = tmp_path / "captured"
        machine.mntscope("capture", "-o", file).check_returncode()
        yield Both(machine, scene, file)


def test_each_namespace_is_listed_once_with_its_owner(both: Both) -> None:
    document = json.loads(both.said("ns", "--format", "json")[1])
    listed = [each for each in document["namespaces"] if each["verdict"] != "same-namespace"]
    owners = {each["inode"]: each["owner"] or "" for each in listed}
    assert len(owners) == len(listed)
    assert owners.keys() == both.scene.owners.keys()
    for inode, owner in both.scene.owners.items():
        assert owners[inode].startswith(owner), owners
    held = {
        each["inode"]: [(hold["kind"], hold["where"]) for hold in each["holds"]] for each in listed if each["holds"]
    }
    kept = both.scene.kept
    assert held == {
        both.scene.pinned: [("mount", both.scene.pin)],
        kept.inode: [("fd", f"/proc/{kept.holder.inner}/fd/{kept.fd}")],
    }


COMMANDS: tuple[tuple[object, ...], ...] = (
    ("ns",),
    ("tree",),
    ("graph",),
    ("graph", "--all"),
    ("holders", "VOLUME"),
    ("holders", "/proc"),
    ("audit",),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_of_the_whole_machine(both: Both, command: tuple[str, ...]) -> None:
    words = [both.scene.volume if word == "VOLUME" else word for word in command]
    live = both.document(*words)
    assert live[0] == both.said(*words)[0]
    assert both.document(*words, "--snapshot", both.file) == live


ACTORS = ("private", "slave", "shared", "sandbox", "unshared")


@pytest.mark.parametrize("name", ACTORS)
def test_of_one_namespace(both: Both, name: str) -> None:
    inode = getattr(both.scene, name).namespace("mnt")
    listed = both.document("ns")[1]["namespaces"]
    # A namespace that is asked for by the pid of another of its processes is named by that one, live.
    pid = next(each["label"] for each in listed if each["inode"] == inode)
    captured = f"snapshot:{both.file}#{pid}"
    assert both.about("tree", pid, "--snapshot", both.file) == both.about("tree", pid)
    assert both.about("graph", pid, "--snapshot", both.file) == both.about("graph", pid)
    assert both.about("diff", captured) == both.about("diff", pid)
    command = ("--", "mount -t tmpfs none /proc")
    assert both.about("predict", captured, *command) == both.about("predict", pid, *command)


def test_of_namespaces_that_no_process_lives_in(both: Both) -> None:
    """They are targets by their names, offline; live, by what keeps them."""
    targets = {both.scene.pinned: f"ns:{both.scene.pin}"}
    targets[both.scene.kept.inode] = f"ns:/proc/{both.scene.kept.holder.inner}/fd/{both.scene.kept.fd}"
    for inode, target in targets.items():
        live = both.said("diff", target)
        offline = both.said("diff", f"snapshot:{both.file}#mnt:[{inode}]")
        assert live[0] == offline[0] == 0
        assert live[1].startswith("ISOLATED")
        assert offline[1].startswith("ISOLATED")


def in_one_order(found: Any) -> Any:
    """The same with every list of objects sorted."""
    if isinstance(found, dict):
        return {key: in_one_order(value) for key, value in found.items()}
    if isinstance(found, list):
        return sorted(map(in_one_order, found), key=lambda each: json.dumps(each, sort_keys=True))
    return found


# What is printed is accepted


def printed(table: str) -> dict[int, list[str]]:
    """By the inode of each namespace whatever the raw table of ``ns`` tells that names it, with blanks as they are."""
    heading, *rows = [line.split(" ") for line in table.splitlines() if line]
    found: dict[int, list[str]] = {}
    for row in rows:
        cells = {column: cell.replace(r"\x20", " ") for column, cell in zip(heading, row, strict=True)}
        # What keeps it is told with what that is, and whose: fd /proc/7/fd/77 (supervisor).
        kept_by = re.sub(r"^(?:mount|fd|thread) (.*?)(?: \(.*\))?$", r"\1", cells["KEPT-BY"])
        names = [cells["NAMESPACE"], cells["INODE"], f"mnt:[{cells['INODE']}]", cells["LABEL"], kept_by, row[0]]
        # A process may have any name, that of a container too.
        if not cells["OWNER"].startswith(("process", "-")):
            names += [cells["OWNER"], cells["OWNER"].rpartition(" ")[2]]
        found[int(cells["INODE"])] = names
    return found


COMMANDS_OF_ONE = (
    ("tree", "WORD"),
    ("predict", "WORD", "mount -t tmpfs none /proc"),
    ("graph", "WORD"),
    ("audit", "WORD"),
    ("holders", "/proc", "--against", "WORD"),
    ("isolate", "WORD", "/proc", "--dry-run"),
)


@pytest.mark.parametrize("captured", [False, True], ids=["live", "captured"])
def test_whatever_ns_prints_of_a_namespace_names_it(both: Both, *, captured: bool) -> None:
    """To diff whatever it is; to each other command a name of each kind, of one namespace after another."""
    of = ("--snapshot", str(both.file)) if captured else ()
    names = printed(both.said("ns", *of, "--raw", "--columns", "namespace,inode,label,kept-by,owner")[1])
    assert set(names) >= set(both.scene.owners)
    asked: list[tuple[int, list[str]]] = []
    for inode, words in names.items():
        asked += [(inode, ["diff", *of, word]) for word in words]
        if captured:
            asked += [(inode, ["diff", f"snapshot:{both.file}#{word}"]) for word in words]
    for kind in range(8):
        known = [(inode, words[kind]) for inode, words in names.items() if inode in both.scene.owners and words[kind:]]
        for number, (command, *words) in enumerate(COMMANDS_OF_ONE):
            inode, word = known[(kind + number) % len(known)]
            if not (captured and command == "isolate"):
                asked.append((inode, [command, *of, *(word if each == "WORD" else each for each in words)]))
    labels = {each["inode"]: each["label"] for each in json.loads(both.said("ns", *of, "-J")[1])["namespaces"]}
    answers = both.machine.call(answers_of, [words for _, words in asked])
    for (inode, words), (code, out, complaint) in zip(asked, answers, strict=True):
        assert complaint == "", words
        assert code in (0, 1), words
        told = json.loads(out)
        if words[0] == "diff":
            assert told["target"]["mount_namespace"] == inode, words
        elif words[0] == "tree":
            assert told["mount_namespace"] == inode, words
        elif words[0] in ("holders", "predict") and captured:
            assert told["host" if words[0] == "holders" else "target"] == labels[inode], words


def answers_of(commands: list[list[str]]) -> list[tuple[int, str, str]]:
    """The exit code, the JSON and the complaint of each command, all in this process."""
    answers = []
    for command, *words in commands:
        out, complaint = io.BytesIO(), io.StringIO()
        with redirect_stdout(io.TextIOWrapper(out, "utf-8", write_through=True)) as stream, redirect_stderr(complaint):
            code = main([command, "--format", "json", *words])
            stream.detach()
        answers.append((code, out.getvalue().decode(), complaint.getvalue()))
    return answers
