"""What isolate does and what undo puts back, on the running kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mntscope import MntscopeError, RefusedError, TargetError
from mntscope.isolate.journal import Journal
from mntscope.kernel import syscalls
from mntscope.lab import Scene
from tests.support.features import SET_GROUP, needs
from tests.support.isolating import isolated, leaking, lines_at, mount_of, undone
from tests.support.throwaway import NOBODY, Host


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs mntscope where the tests run."""
    argv = [sys.executable, "-m", "mntscope", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def table(pid: int) -> bytes:
    return Path(f"/proc/{pid}/mountinfo").read_bytes()


def tags(host: Host, path: str, target: object = None) -> list[str]:
    """The optional fields of each mount at a path."""
    return [" ".join(line.split(" - ")[0].split(" ")[6:]) for line in lines_at(host, path, target)]  # type: ignore[arg-type]


# The story


@needs(SET_GROUP)
def test_the_seed_story_by_hand(namespaces: None, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with Scene() as scene:
        scene.run("unshare --pid --fork --mount --propagation unchanged")
        host, pid = scene.host.pid, scene.target.pid
        before = table(host), table(pid)
        assert run("diff", pid, "/proc", "--against", host).returncode == 1
        done = run("isolate", pid, "--mount-proc", "--against", host, "--journal", journal)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("ISOLATED")
        assert f"mntscope undo {journal}" in done.stdout
        assert [listed.comm for listed in scene.target.look().processes] == ["target"]
        assert table(host) == before[0]
        assert run("diff", pid, "/proc", "--against", host).returncode == 0
        undone = run("undo", journal)
        assert (undone.returncode, undone.stderr) == (0, "")
        assert (table(host), table(pid)) == before
        again = run("undo", journal)
        assert again.returncode == 0
        assert again.stdout.startswith("NOTHING TO UNDO")
        assert (table(host), table(pid)) == before


def test_a_directory_on_a_shared_mount_beside_what_unshare_does(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "dir"
    directory.mkdir()
    unshare = ["unshare", "--mount", "--pid", "--fork", f"--mount-proc={directory}", "--propagation", "unchanged"]
    assert host.run([*unshare, "true"]).returncode == 0
    assert len(lines_at(host, str(directory))) == 1, "unshare's proc has leaked to the host"
    host.call(syscalls.umount2, str(directory))
    before = host.mountinfo()
    target = leaking(host)
    isolated(host, target, str(directory), journal=tmp_path / "journal", mount_proc=True)
    assert host.mountinfo() == before, "isolate's proc has not"
    assert len(lines_at(host, str(directory), target)) == 1
    undone(host, tmp_path / "journal")
    assert not lines_at(host, str(directory), target)


@needs(SET_GROUP)
def test_a_dry_run_shows_the_plan_and_changes_nothing(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    before = host.mountinfo(), host.mountinfo(target)
    journal = tmp_path / "journal"
    words = ("isolate", target.pid, "--mount-proc", "--dry-run", "--against", host.pid, "--journal", journal)
    done = host.mntscope(*words)
    assert done.returncode == 0
    assert done.stdout.startswith("PLAN")
    assert "mount --make-private /proc" in done.stdout
    assert (host.mountinfo(), host.mountinfo(target)) == before
    assert not journal.exists()


@needs(SET_GROUP)
def test_the_document(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    words = ("isolate", target.pid, "--against", host.pid, "--journal", tmp_path / "journal", "--format", "json")
    document = json.loads(host.mntscope(*words).stdout)
    assert document["schema"] == "mntscope.isolate/1"
    assert (document["applied"], document["verified"], document["refused"]) == (True, True, None)
    assert document["journal"] == str(tmp_path / "journal")
    (action,) = document["plan"]
    assert (action["action"], action["path"]) == ("propagation", "/proc")
    (effect,) = action["effects"]
    assert effect["before"]["peer_group"] is not None
    assert (effect["after"]["propagation"], effect["crosses"]) == ("private", False)


# What it chooses


def test_a_disks_mount_becomes_a_slave_so_that_umounts_still_arrive(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "volumes"
    (directory / "one").mkdir(parents=True)
    target = leaking(host)
    host.call(syscalls.mount, "one", str(directory / "one"), "tmpfs", 0)
    isolated(host, target, str(directory), journal=tmp_path / "journal")
    (root,) = tags(host, mount_of(host, tmp_path), target)
    assert root.startswith("master:")
    host.call(syscalls.umount2, str(directory / "one"))
    assert not lines_at(host, str(directory / "one"), target), "the host's umount has arrived"


def test_one_action_for_two_paths_in_one_mount(host: Host, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    paths = [str(tmp_path / name) for name in ("a", "b")]
    done = isolated(host, leaking(host), *paths, journal=tmp_path / "journal", dry_run=True)
    assert len(done.plan.actions) == 1


def mount_family() -> None:
    """A tmpfs at /mnt, and two in it."""
    syscalls.mount("top", "/mnt", "tmpfs", 0)
    for name in ("a", "b"):
        os.mkdir(f"/mnt/{name}")
        syscalls.mount(name, f"/mnt/{name}", "tmpfs", 0)


def test_recursive_takes_what_is_mounted_below_with_it_and_undo_gives_it_back(host: Host, tmp_path: Path) -> None:
    host.call(mount_family)
    target = leaking(host)
    before = host.mountinfo(), host.mountinfo(target)
    done = isolated(host, target, "/mnt", journal=tmp_path / "journal", recursive=True, kind="private")
    assert len(done.plan.actions) == 1
    assert [tags(host, path, target) for path in ("/mnt", "/mnt/a", "/mnt/b")] == [[""]] * 3
    assert host.mountinfo() == before[0]
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_recursive_takes_all_below_a_mount_that_needs_no_change_itself(host: Host, tmp_path: Path) -> None:
    """A container's root is private, and what is mounted in it at several places is not."""
    host.call(mount_family)
    target = host.unshare("unchanged", lambda: syscalls.mount(None, "/mnt", None, syscalls.MS_PRIVATE))
    before = host.mountinfo(), host.mountinfo(target)
    done = isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private", recursive=True)
    assert (done.attempts, len(done.plan.actions)) == (1, 1)
    assert [tags(host, path, target) for path in ("/mnt", "/mnt/a", "/mnt/b")] == [[""]] * 3
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_a_slaves_old_master_comes_back(host: Host, tmp_path: Path) -> None:
    """What was a slave and is made private with what it lies in has its master again afterwards."""
    host.call(mount_family)
    target = host.unshare("unchanged", lambda: syscalls.mount(None, "/mnt/b", None, syscalls.MS_SLAVE))
    before = host.mountinfo(), host.mountinfo(target)
    assert tags(host, "/mnt/b", target)[0].startswith("master:")
    isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private", recursive=True)
    assert tags(host, "/mnt/b", target) == [""]
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_private_stops_what_a_slave_receives_and_undo_lets_it_arrive_again(host: Host, tmp_path: Path) -> None:
    host.call(mount_family)
    target = host.unshare("slave")
    before = host.mountinfo(), host.mountinfo(target)
    done = isolated(host, target, "/mnt", journal=tmp_path / "journal", recursive=True)
    assert not done.applied, "a slave sends nothing"
    (note,) = done.plan.notes
    assert "reaches another namespace already; what the host mounts still arrives, unless --type private" in note
    isolated(host, target, "/mnt", journal=tmp_path / "journal", recursive=True, kind="private")
    host.call(syscalls.mount, "new", "/mnt/a", "tmpfs", 0)
    assert len(lines_at(host, "/mnt/a", target)) == 1, "that of the host does not arrive"
    host.call(syscalls.umount2, "/mnt/a")
    undone(host, tmp_path / "journal")
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_one_slave_is_made_private_and_what_is_below_it_is_not(host: Host, tmp_path: Path) -> None:
    host.call(mount_family)
    target = host.unshare("slave")
    isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private")
    assert tags(host, "/mnt", target) == [""]
    assert tags(host, "/mnt/a", target)[0].startswith("master:")
    again = isolated(host, target, "/mnt", journal=tmp_path / "again", kind="private")
    assert not again.applied, "it is private already"


def test_a_symbolic_link_is_followed_as_the_target_follows_it(host: Host, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    done = isolated(host, leaking(host), str(tmp_path / "link"), journal=tmp_path / "journal", dry_run=True)
    assert done.plan.paths == (str(tmp_path / "there"),)


# What there is nothing to do about, and what is refused


def test_a_target_whose_proc_is_its_own_needs_nothing(host: Host, tmp_path: Path) -> None:
    target = host.unshare("private", lambda: syscalls.mount("proc", "/proc", "proc", 0), new_pids=True)
    words = ("isolate", target.pid, "--mount-proc", "--against", host.pid, "--journal", tmp_path / "journal")
    done = host.mntscope(*words)
    assert done.returncode == 0
    assert done.stdout.startswith("NOTHING TO DO")
    assert "/proc shows the target's own processes already" in done.stdout
    assert not (tmp_path / "journal").exists()


def test_the_hosts_own_namespace_is_refused_with_what_to_do_instead(host: Host, tmp_path: Path) -> None:
    sibling = host.spawn()
    before = host.mountinfo()
    done = host.mntscope("isolate", sibling.pid, "--against", host.pid, "--journal", tmp_path / "journal")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "mntscope run" in done.stderr
    assert "unshare --mount" in done.stderr
    assert host.mountinfo() == before


@needs(SET_GROUP)
def test_the_hosts_own_namespace_on_demand(host: Host, tmp_path: Path) -> None:
    sibling = host.spawn()
    peer = leaking(host)
    before = host.mountinfo(), host.mountinfo(peer)
    journal = tmp_path / "journal"
    words = ("isolate", sibling.pid, "--in-host-namespace", "--against", host.pid, "--journal", journal)
    assert host.mntscope(*words).returncode == 0
    assert tags(host, "/proc")[-1] == ""
    assert host.mountinfo(peer) == before[1]
    assert host.mntscope("undo", journal).returncode == 0
    assert (host.mountinfo(), host.mountinfo(peer)) == before


@needs(SET_GROUP)
def test_a_namespace_file_names_a_namespace_but_no_processes(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    namespace = f"/proc/{target.pid}/ns/mnt"
    with pytest.raises(RefusedError, match="it names no process"):
        isolated(host, namespace, journal=tmp_path / "1", mount_proc=True)
    words = ("isolate", f"ns:{namespace}", "--against", host.pid, "--journal", tmp_path / "2")
    assert host.mntscope(*words).returncode == 0
    assert tags(host, "/proc", target)[-1] == ""


@pytest.mark.parametrize("target", ["file:/proc/self/mountinfo", "nonsense", "snapshot:a#b", "-1"])
def test_what_cannot_be_isolated(target: str) -> None:
    done = run("isolate", "--", target)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be isolated" in done.stderr


def test_the_host_is_refused_by_its_name() -> None:
    done = run("isolate", "host")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "mntscope run" in done.stderr


def test_private_is_refused_where_the_host_must_be_able_to_unmount(host: Host, tmp_path: Path) -> None:
    volumes = tmp_path / "kubelet"
    volumes.mkdir()

    def set_up() -> None:
        syscalls.mount("kubelet", "/var/lib", "tmpfs", 0)
        (Path("/var/lib") / "kubelet").mkdir()

    host.call(set_up)
    target = leaking(host)
    with pytest.raises(
        RefusedError, match=r"private is wrong for /var/lib: volumes come and go.*--type slave.*--force"
    ):
        isolated(host, target, "/var/lib/kubelet", journal=tmp_path / "1", kind="private")
    assert tags(host, "/var/lib", target)[0].startswith("shared:")
    isolated(host, target, "/var/lib/kubelet", journal=tmp_path / "2", kind="private", force=True)
    assert tags(host, "/var/lib", target) == [""]


def test_what_others_depend_on_is_not_cut_off_without_force(host: Host, tmp_path: Path) -> None:
    """The target's mount is the only member of the group of which another namespace has slaves."""

    def set_up() -> None:
        syscalls.mount("only", "/mnt", "tmpfs", 0)
        syscalls.mount(None, "/mnt", None, syscalls.MS_SHARED)

    target = host.unshare("private", set_up)

    def slave() -> None:
        syscalls.setns(syscalls.pidfd_open(target.pid), syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)

    other = host.spawn(slave)
    assert tags(host, "/mnt", other)[0].startswith("master:")

    def look_everywhere() -> object:
        words = ("isolate", target.pid, "/mnt", "--against", host.pid, "--journal", tmp_path / "journal")
        return host.mntscope(*words)

    done = look_everywhere()
    assert done.returncode == 2  # type: ignore[attr-defined]
    assert "--force" in done.stderr  # type: ignore[attr-defined]
    assert tags(host, "/mnt", other)[0].startswith("master:")


@pytest.mark.parametrize(
    ("path", "message"),
    [("relative", "no absolute path"), ("/no/such/place", "leads nowhere"), ("/a\0b", "no absolute path")],
)
def test_a_path_that_leads_nowhere(host: Host, tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(MntscopeError, match=message):
        isolated(host, leaking(host), path, journal=tmp_path / "journal")


def test_no_such_process(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    host.kill(target)
    with pytest.raises(TargetError, match="there is no such process"):
        isolated(host, target.pid, journal=tmp_path / "journal")


def test_an_existing_journal_is_not_overwritten(host: Host, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.write_text("mine")
    with pytest.raises(RefusedError, match="it exists already"):
        isolated(host, leaking(host), journal=journal)
    assert journal.read_text() == "mine"


def test_unprivileged_it_says_so_in_one_line_and_changes_nothing(open_machine: Host, tmp_path: Path) -> None:
    target = open_machine.unshare("unchanged", new_pids=True)
    before = open_machine.mountinfo(), open_machine.mountinfo(target)
    done = open_machine.mntscope("isolate", target.pids[1], "--mount-proc", "--journal", "/tmp/journal", uid=NOBODY)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "run mntscope as root" in done.stderr
    assert (open_machine.mountinfo(), open_machine.mountinfo(target)) == before


def test_without_the_capability_it_says_so_in_one_line(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    before = host.mountinfo(target)
    program = "import sys; from mntscope.cli import main; sys.exit(main())"
    drop = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    words = ["isolate", target.pid, "--against", host.pid, "--journal", tmp_path / "journal"]
    done = host.run([*drop, sys.executable, "-c", program, *words])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "CAP_SYS_ADMIN" in done.stderr
    assert host.mountinfo(target) == before


# Undo


def isolate_proc(host: Host, journal: Path) -> tuple[bytes, bytes]:
    """Isolates a target and gives its tables before."""
    target = leaking(host)
    before = host.mountinfo(), host.mountinfo(target)
    isolated(host, target, journal=journal, mount_proc=True)
    return before


def edited(journal: Path, **fields: object) -> None:
    first, rest = journal.read_text().split("\n", 1)
    journal.write_text(f"{json.dumps(json.loads(first) | fields)}\n{rest}")


def test_a_journal_of_another_boot_is_refused(host: Host, tmp_path: Path) -> None:
    isolate_proc(host, tmp_path / "journal")
    edited(tmp_path / "journal", boot_id="another")
    with pytest.raises(RefusedError, match="it is of another boot"):
        undone(host, tmp_path / "journal")


def test_a_namespace_that_is_gone_is_refused(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    isolated(host, target, journal=tmp_path / "journal")
    host.kill(target)
    with pytest.raises(RefusedError, match=r"the mount namespace it speaks of (is gone|any more)"):
        undone(host, tmp_path / "journal")


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"schema": "mntscope.diff/1"}', '{"schema": "mntscope.journal/1"}', "[" * 100_000,
        '{"schema": "mntscope.journal/1", "entries": [{"action": 1, "path": "/", "changed": 3}]}',
    ],
)  # fmt: skip
def test_what_is_no_journal_is_refused(host: Host, tmp_path: Path, text: str) -> None:
    (tmp_path / "journal").write_text(text)
    with pytest.raises(TargetError, match="it is not a journal of mntscope"):
        undone(host, tmp_path / "journal")


def test_a_journal_that_is_not_there(host: Host, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="No such file"):
        undone(host, tmp_path / "journal")
    with pytest.raises(MntscopeError, match=r"it is not a file|Is a directory"):
        undone(host, tmp_path)


def test_a_group_that_is_gone_is_said_to_be_and_the_mount_is_shared_again(host: Host, tmp_path: Path) -> None:
    """The only other member is unmounted between isolate and undo."""

    def set_up() -> None:
        syscalls.mount("pair", "/mnt", "tmpfs", 0)

    host.call(set_up)
    target = leaking(host)
    isolated(host, target, "/mnt", journal=tmp_path / "journal", kind="private")
    host.call(syscalls.umount2, "/mnt")
    undoing = undone(host, tmp_path / "journal")
    if lines_at(host, "/mnt", target):
        assert any("is gone" in note for note in undoing.notes)
        assert tags(host, "/mnt", target)[0].startswith("shared:")


@needs(SET_GROUP)
def test_undo_works_while_the_group_lives_on_in_a_third_namespace_only(host: Host, tmp_path: Path) -> None:
    host.call(syscalls.mount, "trio", "/mnt", "tmpfs", 0)
    third, target = leaking(host), leaking(host)
    before = tags(host, "/mnt", target)
    words = ("isolate", target.pid, "/mnt", "--against", host.pid, "--journal", tmp_path / "journal")
    assert host.mntscope(*words).returncode == 0
    host.call(syscalls.mount, None, "/mnt", None, syscalls.MS_PRIVATE)
    assert host.mntscope("undo", tmp_path / "journal").returncode == 0
    assert tags(host, "/mnt", target) == before == tags(host, "/mnt", third)


def test_a_proc_that_was_unmounted_meanwhile_is_noted(host: Host, tmp_path: Path) -> None:
    target = leaking(host)
    before = host.mountinfo(), host.mountinfo(target)
    isolated(host, target, journal=tmp_path / "journal", mount_proc=True)

    def unmount() -> None:
        syscalls.setns(syscalls.pidfd_open(target.pid), syscalls.CLONE_NEWNS)
        syscalls.umount2("/proc", syscalls.MNT_DETACH)

    host.call(unmount)
    undoing = undone(host, tmp_path / "journal")
    assert any("had been unmounted already" in note for note in undoing.notes)
    assert (host.mountinfo(), host.mountinfo(target)) == before


def test_the_journal_is_private_and_complete(host: Host, tmp_path: Path) -> None:
    isolate_proc(host, tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["journal"]
    journal = Journal.read(str(tmp_path / "journal"))
    assert journal.state == "applied"
    assert [(entry.action, entry.state) for entry in journal.entries] == [("propagation", "done"), ("mount", "done")]
    assert journal.entries[0].changed[0].peers
