"""What undo could not put back: it is told before anything is done, and undo itself changes nothing then."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mntscope import MntscopeError, RefusedError
from mntscope.errors import KernelError
from mntscope.isolate import IrreversibleError, RolledBackError
from mntscope.isolate.journal import Journal
from mntscope.kernel import syscalls
from mntscope.propagation.versions import Kernel
from tests.support.features import SET_GROUP, needs
from tests.support.isolating import Counter, descriptors, isolated, leaking, lines_at, undone
from tests.support.throwaway import Actor, Host


def in_user_namespace(host: Host) -> tuple[Actor, Actor]:
    """Two processes of one user namespace, each with its own mounts; these are peers, and locked in one another."""

    def own() -> None:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text("0 0 1")
        Path("/proc/self/gid_map").write_text("0 0 1")
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)

    first = host.spawn(own)

    def second() -> None:
        line = syscalls.pidfd_open(first.pid)
        syscalls.setns(line, syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)

    return first, host.spawn(second)


# What is foreseen


@pytest.mark.parametrize("kind", ["private", "slave"])
def test_locked_mounts_in_the_only_other_member_are_foreseen_and_undo_changes_nothing(
    host: Host, tmp_path: Path, kind: Any
) -> None:
    attempts = 8
    while True:
        first, second = in_user_namespace(host)
        before = host.mountinfo(first), host.mountinfo(second)
        for dry_run in (True, False):
            with pytest.raises(IrreversibleError, match=r"could not put it back: / cannot .* locked there.*--force"):
                isolated(host, second, "/", journal=tmp_path / "1", kind=kind, dry_run=dry_run, everything=True)
        assert (host.mountinfo(first), host.mountinfo(second)) == before
        try:
            done = isolated(host, second, "/", journal=tmp_path / "2", kind=kind, force=True, everything=True)
            break
        except RolledBackError as error:
            # Other programs of this machine mount, too; what cannot be put back is tried with others.
            attempts -= 1
            if not attempts or f"{first.pid}:" in str(error) or f"{second.pid}:" in str(error):
                raise
            (tmp_path / "2").unlink()
    assert "locked there" in " ".join(done.irreversible)
    as_isolated = host.mountinfo(first), host.mountinfo(second)
    assert as_isolated != before
    for _ in range(2):
        with pytest.raises(RefusedError, match=r"open_tree: EINVAL.*locked there.*nothing is changed"):
            undone(host, tmp_path / "2", everything=True)
        assert (host.mountinfo(first), host.mountinfo(second)) == as_isolated
        assert Journal.read(str(tmp_path / "2")).to_undo


@pytest.mark.parametrize("kind", ["private", "slave"])
def test_locked_mounts_do_not_matter_where_another_member_has_none(host: Host, tmp_path: Path, kind: Any) -> None:
    """A mount that holds no others can be rejoined in a user namespace, too."""
    first, second = in_user_namespace(host)
    before = host.mountinfo(first), host.mountinfo(second)
    isolated(host, second, "/proc", journal=tmp_path / "journal", kind=kind, everything=True)
    assert host.mountinfo(second) != before[1]
    undone(host, tmp_path / "journal", everything=True)
    assert (host.mountinfo(first), host.mountinfo(second)) == before


@needs(SET_GROUP)
def test_a_kernel_that_lets_no_mount_join_a_group(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = leaking(host)
    move_mount = syscalls.move_mount

    def old(*arguments: Any) -> None:
        if arguments[-1] & syscalls.MOVE_MOUNT_SET_GROUP:
            raise KernelError("move_mount", errno.EINVAL)
        move_mount(*arguments)

    monkeypatch.setattr(syscalls, "move_mount", old)
    before = host.mountinfo(target)
    with pytest.raises(IrreversibleError, match=r"MOVE_MOUNT_SET_GROUP, Linux 5\.15.*--force"):
        isolated(host, target, journal=tmp_path / "1")
    assert host.mountinfo(target) == before
    isolated(host, target, journal=tmp_path / "2", kind="slave", force=True)
    as_isolated = host.mountinfo(target)
    with pytest.raises(RefusedError, match=r"move_mount: EINVAL.*Linux 5\.15"):
        undone(host, tmp_path / "2")
    assert host.mountinfo(target) == as_isolated, "it is a slave still"
    monkeypatch.undo()
    undone(host, tmp_path / "2")
    assert host.mountinfo(target) == before


def test_a_kernel_that_puts_what_joins_a_group_of_slaves_apart(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux 5.10.262: what the group receives may be mounted there twice, so nothing is made to rejoin it."""

    def receiving_and_sharing() -> None:
        for flags in (syscalls.MS_SLAVE, syscalls.MS_SHARED):
            syscalls.mount(None, "/proc", None, flags)
        syscalls.mount("/proc", "/mnt", None, syscalls.MS_BIND)

    target = host.unshare("unchanged", receiving_and_sharing, new_pids=True)
    monkeypatch.setattr("mntscope.isolate.sources.Kernel.of", lambda *_: Kernel("5.10.262", (5, 10, 262), exact=True))
    before = host.mountinfo(target)
    with pytest.raises(IrreversibleError, match="apart from its peers"):
        isolated(host, target, journal=tmp_path / "journal")
    assert host.mountinfo(target) == before


def lone_slaves() -> None:
    """As systemd has it for a service: slaves of the host's mounts, and shared, each in a peer group of its own."""
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)


def test_a_master_that_would_be_lost_is_foreseen(host: Host, tmp_path: Path) -> None:
    """Alone in its group, and private then: nothing is left of the group, and the new one has no master."""
    host.call(syscalls.mount, "lone", "/mnt", "tmpfs", 0)
    target = host.unshare("unchanged", lone_slaves)
    before = host.mountinfo(target)
    words = ("isolate", target.pid, "/mnt", "--recursive", "--against", host.pid, "--journal", tmp_path / "1")
    for more in ([], ["--dry-run"]):
        done = host.mntscope(*words, "--type", "private", "--format", "json", *more)
        assert done.returncode == 2
        told = json.loads(done.stdout)
        (why,) = told["irreversible"]
        assert re.fullmatch(r"/mnt is no slave of peer group \d+ any more", why)
        assert why in told["refused"]
        assert told["plan"]
        assert "--force" in done.stderr
    assert host.mountinfo(target) == before
    forced = host.mntscope(*words, "--type", "private", "--dry-run", "--force")
    assert forced.returncode == 0
    assert "What undo could not put back" in forced.stdout
    assert host.mountinfo(target) == before
    # As a slave it keeps its master, and is shared again afterwards, if in a group with another number.
    assert host.mntscope(*words, "--type", "slave").returncode == 0
    assert host.mntscope("undo", tmp_path / "1").returncode == 0
    number = re.compile(rb"shared:\d+")
    assert number.sub(b"shared", host.mountinfo(target)) == number.sub(b"shared", before)


# Whatever fails while it is undone


Fault = Callable[[], None]


def failing(step: str, number: int) -> Fault:
    def fault() -> None:
        raise KernelError(step.split(" ", maxsplit=1)[0], number)

    return fault


def family() -> None:
    """A tmpfs at /mnt, and two in it."""
    syscalls.mount("top", "/mnt", "tmpfs", 0)
    for name in ("a", "b"):
        os.mkdir(f"/mnt/{name}")
        syscalls.mount(name, f"/mnt/{name}", "tmpfs", 0)


SCENES: dict[str, tuple[str, dict[str, Any]]] = {
    "private, and a proc": ("/proc", {"mount_proc": True}),
    "slave": ("/mnt/a", {"kind": "slave"}),
    "all below, slaves": ("/mnt", {"kind": "slave", "recursive": True}),
}


class Undoing:
    """A target that is isolated and undone again and again, each time with something that fails."""

    def __init__(self, host: Host, directory: Path, scene: str) -> None:
        self.host = host
        self.directory = directory
        self.path, self.options = SCENES[scene]
        host.call(family)
        self.target = leaking(host)
        self.before = self.tables()

    def tables(self) -> tuple[bytes, bytes]:
        return self.host.mountinfo(), self.host.mountinfo(self.target)

    def isolate(self, name: str) -> Path:
        journal = self.directory / name
        isolated(self.host, self.target, self.path, journal=journal, **self.options)
        return journal

    def steps(self) -> list[str]:
        """The system calls of an undo without faults, in order."""
        journal, log = self.isolate("0"), self.directory / "steps"
        self.as_isolated = self.tables()
        undone(self.host, journal, hook=lambda step: _noted(log, step))
        assert self.tables() == self.before
        return log.read_text().splitlines()

    def fail(self, number: int, step: str, name: str) -> tuple[str, list[str]]:
        """What undo says if that call fails; and what is wrong then, or after it is undone again."""
        journal, calls = self.isolate(f"{number}-{name}"), Counter()
        lines = self.tables()[1].count(b"\n")
        open_before, wrong, said = descriptors(), [], "done"

        def hook(_: str) -> None:
            if calls.next() == number:
                raise KernelError(step.split(" ", maxsplit=1)[0], getattr(errno, name))

        try:
            undone(self.host, journal, hook=hook)
        except MntscopeError as error:
            said = "refused" if isinstance(error, RefusedError) else "failed"
            if f"{step.split(' ', maxsplit=1)[0]}: {name}" not in str(error):
                wrong.append(f"it does not name the call that failed: {error}")
        if descriptors() != open_before:
            wrong.append("a descriptor was left open")
        now = self.tables()
        # A proc that is mounted anew has new numbers.
        known = {line for tables in (self.before, self.as_isolated) for table in tables for line in table.splitlines()}
        strange = [
            line for table in now for line in table.splitlines() if line not in known and b" - proc " not in line
        ]
        if strange:
            wrong.append(f"neither as isolated nor as before: {strange}")
        if said == "refused" and now[1].count(b"\n") != lines:
            wrong.append("something was changed, though it was refused")
        if said != "done":
            undone(self.host, journal)
        if self.tables() != self.before:
            wrong.append("not as before in the end")
        if Journal.read(str(journal)).to_undo:
            wrong.append("the journal has something to undo left")
        return said, wrong


@pytest.mark.parametrize("scene", SCENES)
def test_whatever_fails_undo_can_be_done_again(host: Host, tmp_path: Path, scene: str) -> None:
    """Each mount is as isolate left it or as it was before, never in between, and the journal stays good."""
    undoing = Undoing(host, tmp_path, scene)
    steps = undoing.steps()
    assert "move_mount SET_GROUP" in steps
    numbers = ("EINVAL", "EPERM", "EBUSY")
    # Every one at every step where these are few, else by turns.
    outcomes = {
        (number, step, name): undoing.fail(number, step, name)
        for number, step in enumerate(steps)
        for name in (numbers if scene == "slave" else (numbers[number % 3],))
    }
    assert {at: wrong for at, (_, wrong) in outcomes.items() if wrong} == {}
    said = {said for said, _ in outcomes.values()}
    assert "refused" in said, "before anything is changed"
    assert "failed" in said or scene == "slave", "half way"


def _noted(log: Path, step: str) -> None:
    with log.open("a") as file:
        file.write(f"{step}\n")


def test_undo_while_two_processes_use_what_it_takes_away(host: Host, tmp_path: Path) -> None:
    """One has its working directory in the proc, another a file of it open."""
    target = leaking(host)
    before = host.mountinfo(), host.mountinfo(target)
    isolated(host, target, journal=tmp_path / "journal", mount_proc=True)

    def settle(use: Callable[[], object]) -> Callable[[], None]:
        def enter() -> None:
            syscalls.setns(syscalls.pidfd_open(target.pid), syscalls.CLONE_NEWNS)
            use()

        return enter

    host.spawn(settle(lambda: os.chdir("/proc/fs")))
    host.spawn(settle(lambda: os.open("/proc/version", os.O_RDONLY)))
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


@needs(SET_GROUP)
def test_a_member_in_a_namespace_without_processes_is_a_way_back(
    one_processor: None, host: Host, tmp_path: Path
) -> None:
    """Only a bind mount keeps the namespace in which the only other member of the group lives."""
    kept = tmp_path / "kept"
    kept.touch()
    host.call(syscalls.mount, "pair", "/mnt", "tmpfs", 0)
    keeper, target = leaking(host), leaking(host)
    before = lines_at(host, "/mnt", target)
    assert before
    # So that a file of the keeper's namespace is not mounted there, which would be a circle.
    host.call(syscalls.mount, None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    host.call(syscalls.mount, f"/proc/{keeper.pid}/ns/mnt", str(kept), None, syscalls.MS_BIND)
    host.kill(keeper)
    words = ("isolate", target.pid, "/mnt", "--against", host.pid, "--journal", tmp_path / "journal")
    done = host.mntscope(*words, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    # Those of other programs may end meanwhile.
    assert told["unread"] == told["ended"]
    assert lines_at(host, "/mnt", target) != before
    assert host.mntscope("undo", tmp_path / "journal").returncode == 0
    assert lines_at(host, "/mnt", target) == before
