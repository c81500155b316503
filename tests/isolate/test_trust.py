"""A journal commands root: undo obeys none that somebody else can have written, or can put another in the place of."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mntscope.errors import AccessError, RefusedError, TargetError
from mntscope.isolate import journal as journals
from mntscope.isolate import trust
from mntscope.isolate.journal import Journal, default_path, locked
from mntscope.isolate.trust import open_directory
from mntscope.kernel import syscalls
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live.namespaces import identify
from tests.support.features import LISTMOUNT, MNTNS_ID, SET_GROUP, needs
from tests.support.isolating import descriptors, isolated, leaking, lines_at, undone
from tests.support.throwaway import NOBODY, Actor, Host, Scratch, become_nobody, error_of, in_fork


class Scene:
    """An isolated target and its journal; whatever is done to that, nothing may change."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.target = leaking(host)
        self.journal = directory / "journal.json"
        isolated(host, self.target, journal=self.journal, mount_proc=True)
        self.before = self.tables()

    def tables(self) -> tuple[bytes, bytes]:
        return self.host.mountinfo(), self.host.mountinfo(self.target)

    def refused(self, journal: Path | None = None) -> str:
        """Why undo does not obey, in one line; nothing has changed."""
        done = self.host.mntscope("undo", journal or self.journal, timeout=15)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
        assert self.tables() == self.before, "something was changed"
        return done.stderr

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Writes the journal anew as one document, changed."""
        journal = Journal.read(str(self.journal))
        document = {"schema": "mntscope.journal/1", **journal._document()}
        change(document)
        self.journal.write_text(json.dumps(document))
        self.journal.chmod(0o600)


@pytest.fixture
def scene(host: Host, tmp_path: Path) -> Scene:
    return Scene(host, tmp_path)


# Who can have written it


def make_foreign(journal: Path) -> None:
    os.chown(journal, NOBODY, NOBODY)


def copy_of_another(journal: Path) -> None:
    """Read by somebody, and put where he may write."""
    data = journal.read_bytes()
    journal.unlink()
    journal.write_bytes(data)
    os.chown(journal, NOBODY, -1)
    journal.chmod(0o600)


def link_to_it(journal: Path) -> None:
    journal.rename(journal.with_name("real"))
    journal.symlink_to("real")


def second_name(journal: Path) -> None:
    os.link(journal, journal.with_name("second"))


def become_fifo(journal: Path) -> None:
    journal.unlink()
    os.mkfifo(journal, 0o600)


def become_socket(journal: Path) -> None:
    journal.unlink()
    os.mknod(journal, 0o600 | stat.S_IFSOCK)


def become_device(journal: Path) -> None:
    journal.unlink()
    os.mknod(journal, 0o600 | stat.S_IFCHR, os.makedev(1, 5))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (make_foreign, "it belongs to user 65534"),
        (copy_of_another, "it belongs to user 65534"),
        (lambda journal: journal.chmod(0o620), "others may write it"),
        (lambda journal: journal.chmod(0o602), "others may write it"),
        (lambda journal: journal.parent.chmod(0o770), "others may write it, and put another file"),
        (lambda journal: journal.parent.chmod(0o707), "others may write it, and put another file"),
        (lambda journal: os.chown(journal.parent, NOBODY, -1), "who can put another file in the place of any"),
        (link_to_it, "it is a symbolic link"),
        (second_name, "it has 2 names"),
        (become_fifo, "it is not a file"),
        (become_socket, "it is not a file"),
        (become_device, "it is not a file"),
        (lambda journal: journal.write_bytes(b" " * (1 << 25)), "it is longer than"),
        (lambda journal: journal.write_bytes(b"[" * (1 << 20)), "it is not a journal"),
        (lambda journal: journal.write_bytes(b'{"schema":' * (1 << 20)), "it is not a journal"),
    ],
)  # fmt: skip
def test_it_is_not_obeyed(scene: Scene, change: Callable[[Path], object], why: str) -> None:
    change(scene.journal)
    assert why in scene.refused()


def test_in_a_sticky_directory_the_callers_own_is(scene: Scene) -> None:
    scene.journal.parent.chmod(0o1777)
    assert scene.host.mntscope("undo", scene.journal).returncode == 0


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_on_the_way_that_others_can_rename_in(scene: Scene, tmp_path: Path, mode: int) -> None:
    deep = tmp_path / "open" / "private"
    deep.mkdir(parents=True)
    deep.chmod(0o700)
    journal = scene.journal.rename(deep / "journal.json")
    deep.parent.chmod(mode)
    assert f"{deep.parent}: others may write it" in scene.refused(journal)


def test_a_link_on_the_way_is_followed_if_nobody_else_can_turn_it(scene: Scene, tmp_path: Path) -> None:
    for name, owner in (("theirs", NOBODY), ("ours", 0)):
        (tmp_path / name).symlink_to(tmp_path)
        os.chown(tmp_path / name, owner, -1, follow_symlinks=False)
    assert "is a link of user 65534" in scene.refused(tmp_path / "theirs" / "journal.json")
    assert scene.host.mntscope("undo", tmp_path / "ours" / "journal.json").returncode == 0


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(AccessError, match="Too many levels of symbolic links"):
        open_directory(str(tmp_path / "a"))


def test_isolate_writes_none_that_undo_would_not_obey(host: Host, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    target = leaking(host)
    before = host.mountinfo(target)
    with pytest.raises(RefusedError, match="others may write it"):
        isolated(host, target, journal=tmp_path / "journal")
    assert host.mountinfo(target) == before
    assert not os.listdir(tmp_path)


def test_isolate_writes_through_no_link(host: Host, tmp_path: Path) -> None:
    (tmp_path / "journal").symlink_to("elsewhere")
    with pytest.raises(RefusedError, match="it exists already"):
        isolated(host, leaking(host), journal=tmp_path / "journal")
    assert os.listdir(tmp_path) == ["journal"]


# What it says


def without_unique_ids(document: dict[str, Any]) -> None:
    for entry in document["entries"]:
        entry["unique_id"] = None
        for changed in entry["changed"]:
            changed["unique_id"] = None


def without_peers_unique_ids(document: dict[str, Any]) -> None:
    for changed in document["entries"][0]["changed"]:
        for peer in changed["peers"]:
            peer["unique_id"] = None


def without_namespace_id(document: dict[str, Any]) -> None:
    document["namespace_id"] = None


def in_line(old: str, new: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        changed = document["entries"][0]["changed"][0]
        assert old in changed["line"]
        changed["line"] = changed["line"].replace(old, new, 1)

    return change


def other_line(line: str) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["entries"][0]["changed"][0].update(line=line)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param(without_unique_ids, "does not tell the unique id of mount", marks=needs(LISTMOUNT)),
        pytest.param(without_peers_unique_ids, "the unique ids of the mounts in peer group", marks=needs(LISTMOUNT)),
        pytest.param(without_namespace_id, "does not tell the 64-bit id of its namespace", marks=needs(MNTNS_ID)),
        (in_line(" / /proc ", " /sys /proc "), "and the journal speaks of /sys of"),
        (other_line(""), "is no line of mountinfo"),
        (other_line("1 1 0:1 / / rw - proc proc rw\n2 1 0:1 / /a rw - proc proc rw"), "is no line of mountinfo"),
        (other_line("no line"), "is no line of mountinfo"),
    ],
)
def test_what_does_not_fit_is_refused(scene: Scene, change: Callable[[dict[str, Any]], object], why: str) -> None:
    scene.edit(change)
    assert why in scene.refused()


@needs(LISTMOUNT)
def test_a_number_alone_is_no_peer_group(scene: Scene) -> None:
    """The group that bears the number now has none of those that were in it: it is not joined."""

    def change(document: dict[str, Any]) -> None:
        for peer in document["entries"][0]["changed"][0]["peers"]:
            peer["unique_id"] += 1 << 40

    scene.edit(change)
    host = lines_at(scene.host, "/proc")
    undoing = undone(scene.host, scene.journal)
    assert any("none of the members it had is left" in note for note in undoing.notes)
    (mount,) = lines_at(scene.host, "/proc", scene.target)[-1:]
    assert "shared:" in mount
    assert mount.split(" ")[6] != host[-1].split(" ")[6]
    assert lines_at(scene.host, "/proc") == host


@needs(LISTMOUNT)
def test_an_unrelated_private_mount_gets_no_place_in_the_hosts_group(host: Host, tmp_path: Path) -> None:
    """As a stranger would write it, but owned by root: the mount was never in the group, nor of its kernel's ids."""

    def volume() -> None:
        syscalls.mount("volume", "/mnt", "tmpfs", 0)
        syscalls.mount(None, "/mnt", None, syscalls.MS_SHARED)

    host.call(volume)
    target = host.unshare("private")
    theirs, ours = (lines_at(host, "/mnt", it)[-1].split(" ") for it in (target, None))
    line = " ".join([*theirs[:6], ours[6], *theirs[theirs.index("-") :]])
    write_journal(tmp_path / "journal", host, target, line, int(theirs[0]), int(ours[0]), unique=False)
    before = host.mountinfo(), host.mountinfo(target)
    done = host.mntscope("undo", tmp_path / "journal")
    assert done.returncode == 2
    assert "unique id" in done.stderr
    assert (host.mountinfo(), host.mountinfo(target)) == before


def write_journal(
    path: Path, host: Host, target: Actor, line: str, mount_id: int, peer: int, *, unique: bool, **fields: object
) -> None:
    """A journal made by hand, of a propagation change of one mount; unique ids as told, or none."""
    fd = os.open(f"/proc/{target.pid}/ns/mnt", os.O_RDONLY)
    namespace = identify(fd)
    os.close(fd)
    ids = unique_ids(namespace.id) if unique else {}
    changed = {"mount_id": mount_id, "unique_id": ids.get(mount_id), "line": line}
    changed["peers"] = [{"mount_id": peer, "unique_id": None}]  # type: ignore[assignment]
    entry = {"action": "propagation", "path": "/mnt", "type": "private", "state": "done", "changed": [changed]}
    document = {
        "schema": "mntscope.journal/1",
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "time": "x",
        "pid": None,
        "start_time": None,
        "namespace": namespace.inode,
        "namespace_id": namespace.id,
        "state": "applied",
        "note": "",
        "entries": [entry],
        **fields,
    }
    path.write_text(json.dumps(document))
    path.chmod(0o600)


def test_what_was_never_begun_needs_no_namespace(scene: Scene) -> None:
    """Killed before its first action: there is nothing to undo, whatever has become of the target."""
    scene.edit(lambda document: [entry.update(state="planned") for entry in document["entries"]])
    scene.host.kill(scene.target)
    done = scene.host.mntscope("undo", scene.journal)
    assert (done.returncode, done.stdout[:15]) == (0, "NOTHING TO UNDO")


def test_somebody_elses_change_since_is_not_taken_back(scene: Scene) -> None:
    def share() -> None:
        syscalls.setns(syscalls.pidfd_open(scene.target.pid), syscalls.CLONE_NEWNS)
        syscalls.umount2("/proc", syscalls.MNT_DETACH)
        syscalls.mount(None, "/proc", None, syscalls.MS_SHARED)

    scene.host.call(share)
    scene.before = scene.tables()
    assert "somebody else has made it shared since" in scene.refused()


# The host's own namespace


@needs(SET_GROUP)
def test_the_hosts_own_namespace_takes_two_words(machine: Host, tmp_path: Path) -> None:
    """That of isolate, in the journal, and that of undo."""
    sibling = machine.spawn()
    machine.unshare("unchanged")
    before = machine.mountinfo()

    def mntscope(*words: object) -> tuple[int, str]:
        done = machine.mntscope(*words)
        return done.returncode, done.stderr

    journal = tmp_path / "journal.json"
    assert mntscope("isolate", sibling.inner, "--in-host-namespace", "--journal", journal)[0] == 0
    changed = machine.mountinfo()
    assert changed != before
    for said in (False, True):
        document = {"schema": "mntscope.journal/1", **Journal.read(str(journal))._document()}
        journal.write_text(json.dumps(document | {"in_host_namespace": said}))
        code, why = mntscope("undo", journal)
        assert (code, why.count("\n")) == (2, 1)
        assert ("undo it with --in-host-namespace" if said else "not of `isolate --in-host-namespace`") in why
        assert mntscope("undo", "--in-host-namespace", journal)[0] == (0 if said else 2)
        assert machine.mountinfo() == (before if said else changed)


# Locks of others


def test_a_strangers_lock_of_a_shared_directory_is_not_waited_for(scene: Scene) -> None:
    """Who may open a directory for reading can lock it, and nobody can tell him to let go."""
    scene.journal.parent.chmod(0o1777)
    reader = os.open(scene.journal.parent, os.O_RDONLY)
    fcntl.flock(reader, fcntl.LOCK_EX)
    try:
        assert scene.host.mntscope("undo", scene.journal, timeout=15).returncode == 0
    finally:
        os.close(reader)


def test_who_does_not_end_is_named_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of our own, too: one that is stopped, say."""
    monkeypatch.setattr(journals, "PATIENCE", 0.3)
    with locked(str(tmp_path / "journal"), new=True):
        begun = time.monotonic()
        refused = pytest.raises(RefusedError, match=f"process {os.getpid()}, or what it left, has been at work there")
        with refused, locked(str(tmp_path / "journal"), new=False):
            pytest.fail("two at work")
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("noted", [False, True])
def test_a_signal_is_heard_while_it_waits(tmp_path: Path, noted: bool) -> None:
    """Whether Python raises it, or isolate has noted it down."""
    pending: list[int] = []
    timer = threading.Timer(0.2, lambda: pending.append(2) if noted else signal.raise_signal(signal.SIGINT))
    with locked(str(tmp_path / "journal"), new=True):
        before = descriptors()
        timer.start()
        with pytest.raises(KeyboardInterrupt), locked(str(tmp_path / "journal"), new=True, pending=pending):
            pytest.fail("two at work")
        assert descriptors() == before
    timer.join()


def test_a_lock_is_waited_for_a_moment(tmp_path: Path) -> None:
    program = "import fcntl, os, sys, time; fcntl.flock(os.open(sys.argv[1], 0), 2); print(); time.sleep(.5)"
    holder = subprocess.Popen([sys.executable, "-uc", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with locked(str(tmp_path / "journal"), new=True):
        assert holder.wait() == 0
    holder.stdout.close()


# Where journals lie by default


def test_an_ordinary_users_are_in_his_state_directory(scratch: Scratch) -> None:
    def body() -> tuple[str, int, int, str]:
        syscalls.mount("none", "/mnt", "tmpfs", 0, "mode=755")
        os.mkdir("/mnt/home")
        os.chown("/mnt/home", NOBODY, NOBODY)

        def as_user() -> tuple[str, int, int, str]:
            become_nobody()
            os.umask(0)
            os.environ["XDG_STATE_HOME"] = "relative counts for none"
            os.environ["HOME"] = "/mnt/home"
            at_home = default_path(4711)
            mode = os.stat(os.path.dirname(at_home)).st_mode & 0o777
            os.environ["XDG_STATE_HOME"] = "/mnt/home/state"
            os.umask(0o022)
            os.makedirs("/mnt/home/state/mntscope")
            elsewhere = default_path(None)
            tightened = os.stat(os.path.dirname(elsewhere)).st_mode & 0o777
            return at_home, mode, tightened, elsewhere

        return in_fork(as_user)

    at_home, mode, tightened, elsewhere = scratch(body)
    assert at_home.startswith("/mnt/home/.local/state/mntscope/isolate-")
    assert (mode, tightened) == (0o700, 0o700)
    assert elsewhere.startswith("/mnt/home/state/mntscope/isolate-")


def test_roots_are_below_run_in_a_directory_that_is_roots(scratch: Scratch) -> None:
    def body(owner: int, mode: int) -> tuple[Any, int]:
        syscalls.mount("none", "/run", "tmpfs", 0, "mode=755")
        os.mkdir("/run/mntscope")
        os.chmod("/run/mntscope", mode)
        os.chown("/run/mntscope", owner, -1)
        try:
            found: Any = os.path.dirname(default_path(1))
        except RefusedError as error:
            found = str(error)
        return found, os.stat("/run/mntscope").st_mode & 0o777

    assert scratch(body, 0, 0o755) == ("/run/mntscope", 0o700)
    assert "it belongs to user 65534" in scratch(body, NOBODY, 0o700)[0]
    assert "others may write it" in scratch(body, 0, 0o777)[0]


def test_no_place_for_a_journal(scratch: Scratch) -> None:
    def body() -> object:
        syscalls.mount("none", "/run", "tmpfs", syscalls.MS_RDONLY)
        return error_of(default_path, 1)

    assert scratch(body) == (
        AccessError,
        "/run/mntscope: cannot be made (Read-only file system); give --journal FILE",
    )


def test_a_program_that_answers_for_its_files_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A FUSE filesystem says that a file is root's because its program does."""
    monkeypatch.setattr(trust, "_served_by_users", lambda: {os.stat(tmp_path).st_dev: NOBODY})
    with pytest.raises(RefusedError, match=r"are what a program of user 65534 says \(FUSE\)"):
        open_directory(str(tmp_path))


def test_a_filesystem_whose_program_is_gone_is_not_waited_for(scratch: Scratch) -> None:
    def body() -> tuple[dict[int, int], str]:
        program = os.open("/dev/fuse", os.O_RDWR)
        syscalls.mount(
            "dead", "/mnt", "fuse", 0, f"fd={program},rootmode=40000,user_id={NOBODY},group_id=0,allow_other"
        )
        served = dict(trust._served_by_users())
        _, said = error_of(open_directory, "/mnt/there")
        return served, said

    served, said = scratch(body)
    assert list(served.values()) == [NOBODY]
    assert "did not answer within 2 s" in said


def test_from_a_directory_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    program = (
        "import os, sys; from mntscope.cli import main; os.rmdir(os.getcwd()); sys.exit(main(['undo', 'journal']))"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, cwd=tmp_path / "gone", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "the current directory is gone" in done.stderr


@pytest.mark.parametrize("words", [("isolate", "PID", "--journal", "j"), ("holders", "./x")])
def test_nor_is_anything_else_named_from_there(machine: Host, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "gone").mkdir()
    command = [word.replace("PID", str(machine.unshare("unchanged").inner)) for word in words]
    program = f"import os, sys; from mntscope.cli import main; os.rmdir(os.getcwd()); sys.exit(main({command}))"
    done = machine.run([sys.executable, "-c", program], cwd=tmp_path / "gone")
    said = f"mntscope: {words[-1]}: the current directory is gone; give the path from / on\n"
    assert (done.returncode, done.stderr) == (2, said)


def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("{}")
    with pytest.raises(AccessError, match="No such file"):
        Journal.read(str(tmp_path / "no" / "journal"))
    with pytest.raises(TargetError, match="No such file"):
        Journal.read(str(tmp_path / "none"))
