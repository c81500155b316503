"""What a container lays out for whoever looks into it: links, FIFOs, devices, lies, servers that never answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from mntscope.errors import KernelError, NoAnswerError
from mntscope.isolate import isolate
from mntscope.kernel import syscalls
from mntscope.kernel.process import reap
from mntscope.kernel.worker import DEADLINE, in_child
from mntscope.live import capture, foreign
from mntscope.live.foreign import IN_PROC, IN_ROOT, claimed_namespace, claimed_pids, open_at, read_claim
from mntscope.live.namespaces import proc_mount
from mntscope.live.paths import real_path
from mntscope.live.procfs import open_proc
from tests.support.dead import dead_filesystem, inside_a_dying_filesystem
from tests.support.isolating import capture_from
from tests.support.throwaway import Actor, Host, Scratch

PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def mount_proc() -> None:
    syscalls.mount("proc", "/proc", "proc", 0)


# The one function, by openat2(2) and without


def not_known(*_: object) -> int:
    """What openat2(2) is before Linux 5.6."""
    raise KernelError("openat2", 38)


@pytest.fixture(params=["openat2", "stepwise"])
def opener(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, int], str]:
    """Opens below the current directory: the name of the error, or ``opened``."""
    if request.param == "stepwise":
        monkeypatch.setattr(syscalls, "openat2", not_known)

    def opened(path: str, flags: int, resolve: int) -> str:
        directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
        os.chdir("/proc")
        try:
            os.close(open_at(directory, path, flags, resolve))
        except OSError as error:
            return str(KernelError("", error.errno or 0).errno_name)
        finally:
            os.fchdir(directory)
            os.close(directory)
        return "opened"

    return opened


@pytest.mark.parametrize(
    ("path", "flags", "resolve", "expected"),
    [
        ("file", READ, IN_ROOT, "opened"),
        ("directory/inner", READ, IN_PROC, "opened"),
        ("link", READ, IN_ROOT, "ELOOP"),
        ("link", PLACE, IN_ROOT, "opened"),
        ("directory/link-up", READ, IN_ROOT, "ELOOP"),
        ("link-to-directory/inner", READ, IN_ROOT, "ELOOP"),
        ("link-to-directory/inner", PLACE, IN_PROC, "ELOOP"),
        ("mounted/there", READ, IN_ROOT, "opened"),
        ("mounted/there", READ, IN_PROC, "EXDEV"),
        ("mounted", PLACE, IN_PROC, "EXDEV"),
        ("over", READ, IN_PROC, "EXDEV"),
        ("directory/../../file", READ, IN_PROC, "EXDEV"),
        ("file", PLACE | os.O_DIRECTORY, IN_ROOT, "ENOTDIR"),
        ("nothing", READ, IN_ROOT, "ENOENT"),
    ],
)
def test_no_link_is_followed_and_no_mount_crossed(
    scratch: Scratch,
    tmp_path: Path,
    opener: Callable[[str, int, int], str],
    path: str,
    flags: int,
    resolve: int,
    expected: str,
) -> None:
    def body() -> str:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        os.chdir(tmp_path)
        for directory in ("directory", "mounted"):
            os.mkdir(directory)
        for file in ("file", "over", "directory/inner"):
            Path(file).write_text(file)
        os.symlink("/etc/passwd", "link")
        os.symlink("directory", "link-to-directory")
        os.symlink("../file", "directory/link-up")
        syscalls.mount("none", "mounted", "tmpfs", 0)
        Path("mounted/there").touch()
        # The same filesystem, by another mount.
        syscalls.mount("file", "over", None, syscalls.MS_BIND)
        return opener(path, flags, resolve)

    assert scratch(body) == expected


# A proc that somebody else has decked out


def covered(what: str) -> Callable[[], None]:
    """Mounts a proc, and something over what it says of process 1."""

    def set_up() -> None:
        mount_proc()
        syscalls.mount("none", "/tmp", "tmpfs", 0)
        status = "/proc/1/status"
        match what:
            case "fifo":
                os.mkfifo("/tmp/status")
                syscalls.mount("/tmp/status", status, None, syscalls.MS_BIND)
            case "device":
                syscalls.mount("/dev/zero", status, None, syscalls.MS_BIND)
            case "other file of proc":
                syscalls.mount("/proc/version", status, None, syscalls.MS_BIND)
            case "dead":
                dead_filesystem("/proc/1")()
            case "lie":
                Path("/tmp/ns").mkdir()
                Path("/tmp/status").write_text("NSpid:\t1\n")
                os.symlink("pid:[not-a-number]", "/tmp/ns/pid")
                syscalls.mount("/tmp", "/proc/1", None, syscalls.MS_BIND)
            case "link":
                os.symlink("/etc/hostname", "/tmp/status")
                syscalls.mount("/tmp", "/proc/1", None, syscalls.MS_BIND)

    return set_up


@pytest.mark.parametrize("what", ["fifo", "device", "other file of proc", "dead", "lie", "link"])
def test_what_covers_a_file_of_proc_is_not_opened(machine: Host, what: str) -> None:
    """Nor does it keep anything else from being told: the second process of that namespace tells what it is."""
    container = machine.unshare("private", covered(what), new_pids=True)
    snapshot = machine.call(capture)
    view = next(view for view in snapshot.views if view.namespace.inode == container.namespace("mnt"))
    assert view.proc_pid_namespace in (None, container.namespace("pid"))
    assert not any("/proc shows" in str(problem) for problem in snapshot.not_seen)


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        (b"NSpid:\t12\t1\n", [12, 1]),
        (b"Name:\tx\nNSpid:\t1\n", [1]),
        (b"NSpid:\t-1\n", []),
        (b"NSpid:\t1e3\n", []),
        (b"NSpid:\t99999999999999999999\n", []),
        (b"NSpid: \xc2\xb2\n", []),
        (b"", []),
        (b"NSpid:\n", []),
    ],
)
def test_a_claim_that_makes_no_sense_is_none(
    monkeypatch: pytest.MonkeyPatch, said: bytes, understood: list[int]
) -> None:
    monkeypatch.setattr(foreign, "read_claim", lambda *_: said)
    assert claimed_pids(-1, "1") == understood


def test_a_claim_is_read_of_proc_alone(tmp_path: Path) -> None:
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    elsewhere = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    (tmp_path / "status").write_text("NSpid:\t1\n")
    try:
        assert read_claim(proc, "version").startswith(b"Linux")
        assert claimed_namespace(proc, str(os.getpid()), "pid") == os.stat("/proc/self/ns/pid").st_ino
        for directory, path in ((elsewhere, "status"), (proc, "sys"), (proc, "self"), (proc, f"{os.getpid()}/exe")):
            with pytest.raises(OSError, match=r"Invalid argument|symbolic links"):
                read_claim(directory, path)
    finally:
        os.close(proc)
        os.close(elsewhere)


# Servers that never answer


@pytest.mark.parametrize("greedy", [False, True])
def test_a_dead_filesystem_over_the_machines_own_proc(machine: Host, greedy: bool) -> None:
    machine.spawn(dead_filesystem("/proc", greedy=greedy))
    snapshot = machine.call(capture)
    assert str(snapshot.not_seen[0]).startswith("/proc: what is mounted there does not answer; a private proc instance")
    assert {process.pid for process in snapshot.host.namespace.processes} >= {1}


@pytest.mark.parametrize("greedy", [False, True])
def test_a_dead_filesystem_over_the_proc_of_another_namespace(machine: Host, greedy: bool) -> None:
    dead = machine.unshare("private", dead_filesystem("/proc", greedy=greedy))
    other = machine.unshare("private", mount_proc, new_pids=True)
    snapshot = machine.call(capture)
    shown = {view.namespace.inode: view.proc_pid_namespace for view in snapshot.views}
    # It is no proc, so nobody has to look; and what it would show is not known.
    assert shown[dead.namespace("mnt")] is None
    assert shown[other.namespace("mnt")] == other.namespace("pid")
    assert not any("did not answer" in str(problem) for problem in snapshot.not_seen)


@pytest.mark.parametrize("root", [False, True])
def test_a_process_that_lives_in_a_dead_filesystem(machine: Host, root: bool) -> None:
    host_proc = Path(f"/proc/{machine.pid}/root/mnt")
    assert host_proc.is_dir()
    actor = machine.unshare("private", inside_a_dying_filesystem("/mnt", root=root))
    snapshot = machine.call(capture)
    view = next(view for view in snapshot.views if view.namespace.inode == actor.namespace("mnt"))
    assert view.process is not None
    assert view.process.root == ("/mnt" if root else "/")
    if not root:
        with pytest.raises(NoAnswerError):
            real_path(actor.pid, "/mnt/sub")
    with pytest.raises(NoAnswerError):
        isolated_at("/mnt/sub" if not root else "/sub", actor, machine)


def isolated_at(path: str, actor: Actor, machine: Host) -> None:
    isolate(actor.pid, (path,), capture=capture_from(machine, everything=True), dry_run=True)


def test_a_path_that_does_not_answer_is_told_of(host: Host) -> None:
    host.spawn(dead_filesystem("/mnt"))
    assert real_path(host.pid, "/mnt") == "/mnt"
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match=r"/mnt/sub of process \d+: it did not answer within 2 s"):
        real_path(host.pid, "/mnt/sub")
    assert time.monotonic() - began < 10 * DEADLINE


@pytest.mark.parametrize("greedy", [False, True])
def test_no_child_is_left_of_one_that_did_not_answer(host: Host, greedy: bool) -> None:
    server = host.spawn(dead_filesystem("/mnt", greedy=greedy))
    reap(seconds=10)
    before = children()
    with pytest.raises(NoAnswerError):
        in_child(lambda: os.fsencode(os.readlink(f"/proc/{host.pid}/root/mnt/sub")), seconds=0.2)
    host.kill(server)
    deadline = time.monotonic() + 10
    while len(children()) >= len(before) and time.monotonic() < deadline:
        with suppress(NoAnswerError):
            in_child(lambda: b"", seconds=5)
        time.sleep(0.01)
    assert len(children()) == len(before) - 1, "of those before, the server has ended"


def children() -> list[str]:
    """Forks of this very program; other children of the tests are none."""
    own = Path("/proc/self/cmdline").read_bytes()
    pids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in pids if Path(f"/proc/{pid}/cmdline").read_bytes() in (own, b"")]


# What a table says of a proc


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (b"1 0 0:1 / / rw - tmpfs t rw\n2 1 0:5 / /proc rw - proc proc rw\n", ("0:5", True)),
        (b"1 0 0:1 / / rw - fuse.sshfs t rw\n2 1 0:5 / /proc rw - proc proc rw\n", ("0:5", False)),
        (b"1 0 0:1 / / rw - tmpfs t rw\n2 1 0:5 /sys /proc rw - proc proc rw\n", None),
        (b"1 0 0:1 / / rw - tmpfs t rw\n2 1 0:5 / /proc rw - fuse.proc proc rw\n", None),
        # Of two on top of each other the one that is nobody's parent.
        (
            b"1 0 0:1 / / rw - xfs t rw\n2 3 0:5 / /proc rw - proc proc rw\n3 1 0:6 / /proc rw - proc p rw\n",
            ("0:5", True),
        ),
        (b"1 0 0:1 / / rw - xfs t rw\n2 1 0:5 / /proc rw - proc proc rw\n3 2 0:6 / /proc rw - tmpfs p rw\n", None),
        (b"1 0 0:1 / / rw - xfs t rw\n", None),
        (b"garbage\n\n", None),
    ],
)
def test_the_proc_that_a_table_shows(table: bytes, expected: tuple[str, bool] | None) -> None:
    assert proc_mount(table, "/proc") == expected


def test_something_mounted_on_the_machines_own_proc(machine: Host) -> None:
    """Where a container is given the host's /proc, what it mounts there can land on what the host's says of others."""
    actor: Actor = machine.spawn()

    def body() -> str:
        # Lines with a raw carriage return are lines of the kernel's, too.
        syscalls.mount("none", "/mnt", "tmpfs", 0)
        os.mkdir("/mnt/a\rb")
        syscalls.mount("/mnt/a\rb", f"/proc/{actor.inner}", None, syscalls.MS_BIND)
        with open_proc() as proc:
            return str(proc.problem)

    assert machine.call(body) == (
        f"/proc: something is mounted at /proc/{actor.inner}, over a process; a private proc instance was read instead"
    )
