"""What users state of containers: believed of their own processes, and no way to slow or to stop root's commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mntscope.kernel import syscalls
from mntscope.kernel.worker import DEADLINE, in_child
from mntscope.live import containers, users
from mntscope.live.containers import Runtimes
from mntscope.live.names import find_container
from mntscope.live.procfs import open_proc, read_process
from mntscope.model import Owner, Process
from tests.support.isolating import Counter
from tests.support.throwaway import Actor, Host, WorkerFailed, become_nobody
from tests.support.timing import quickest

ALICE, BOB = 12345, 12346
HOME = Path(f"/run/user/{ALICE}")


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # A change of user takes /proc/PID from it.
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def logged_in(machine: Host, *uids: int) -> None:
    """Users with runtime directories, on a machine without a container."""

    def log_in() -> None:
        for path in ("/run", "/var/lib"):
            syscalls.mount("none", path, "tmpfs", 0, "mode=755")
        os.mkdir("/run/user")
        for uid in uids:
            os.mkdir(f"/run/user/{uid}", 0o700)
            os.chown(f"/run/user/{uid}", uid, uid)

    machine.call(log_in)


def by(machine: Host, uid: int, act: Callable[[], object]) -> None:
    """The user does something."""

    def as_user() -> None:
        become(uid)
        act()

    machine.call(as_user)


def stated(actor: Actor, name: str = "web", home: Path = HOME) -> Callable[[], None]:
    """Writes a state file as runc does, which says that *actor* is the first process of a container."""
    start = Path(f"/proc/{actor.pid}/stat").read_text().rpartition(")")[2].split()[19]

    def write() -> None:
        (home / "runc" / name).mkdir(parents=True)
        state = {"init_process_pid": actor.inner, "init_process_start": start}
        (home / "runc" / name / "state.json").write_text(json.dumps(state))

    return write


def process(actor: Actor) -> Process:
    with open_proc() as proc:
        directory = os.open(str(actor.inner), os.O_RDONLY, dir_fd=proc.fd)
        return read_process(proc, directory, actor.inner)


def owner(machine: Host, actor: Actor) -> Owner | None:
    """Whose process it is, by what runtimes state."""
    return machine.call(lambda: Runtimes().started(process(actor)))


def in_user_namespace(maker: int, uid: int) -> Callable[[], None]:
    """What a rootless runtime does: *maker* makes a user namespace, and a process of it runs as another uid."""

    def make() -> None:
        ready, gone = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            become(maker)
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(ready[1], b"+")
            os.read(gone[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
        Path(f"/proc/{child}/uid_map").write_text(f"0 {uid} 1\n")
        Path(f"/proc/{child}/gid_map").write_text(f"0 {uid} 1\n")
        fd = os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
        syscalls.setns(fd, syscalls.CLONE_NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.write(gone[1], b"+")
        os.waitpid(child, 0)

    return make


def test_a_user_is_believed_of_his_own_process(machine: Host) -> None:
    logged_in(machine, ALICE, BOB)
    hers = machine.unshare("slave", lambda: become(ALICE))
    by(machine, ALICE, stated(hers))
    assert owner(machine, hers) == Owner("runc", "web")


def test_and_of_one_with_a_subordinate_uid_in_a_user_namespace_of_his(machine: Host) -> None:
    logged_in(machine, ALICE, BOB)
    hers = machine.spawn(in_user_namespace(ALICE, 100_999))
    by(machine, ALICE, stated(hers))
    by(machine, BOB, stated(hers, "false", Path(f"/run/user/{BOB}")))
    assert owner(machine, hers) == Owner("runc", "web")


@pytest.mark.parametrize(
    "whose",
    [
        pytest.param(lambda: None, id="root's"),
        pytest.param(lambda: become(BOB), id="another user's"),
        pytest.param(lambda: os.setresuid(ALICE, 0, 0), id="of a set-user-ID program"),
        pytest.param(in_user_namespace(0, 100_000), id="in a user namespace that root made"),
        pytest.param(in_user_namespace(BOB, 100_000), id="in a user namespace that another made"),
        pytest.param(become_nobody, id="of one who is nobody in particular"),
    ],
)
def test_but_not_of_a_process_that_is_not_his(machine: Host, whose: Callable[[], None]) -> None:
    logged_in(machine, ALICE, users.NOBODY)
    other = machine.unshare("slave", whose)
    by(machine, ALICE, stated(other, "csi-node approved"))
    by(machine, users.NOBODY, stated(other, "csi-node approved", Path(f"/run/user/{users.NOBODY}")))
    assert owner(machine, other) is None
    assert "approved" not in machine.mntscope("ns", "--all").stdout


def test_nor_of_a_pid_that_was_reused(machine: Host) -> None:
    logged_in(machine, ALICE)
    hers = machine.unshare("slave", lambda: become(ALICE))
    by(machine, ALICE, stated(hers))

    def started_later() -> Owner | None:
        known = process(hers)
        return Runtimes().started(Process(known.pid, (known.start_time or 0) + 1))

    assert machine.call(started_later) is None


def test_a_user_takes_no_name_from_a_container_of_roots(machine: Host) -> None:
    number = "ba0c71d6" * 8
    logged_in(machine, ALICE)
    roots, hers = machine.unshare("slave"), machine.unshare("slave", lambda: become(ALICE))
    start = Path(f"/proc/{roots.pid}/stat").read_text().rpartition(")")[2].split()[19]

    def docker() -> None:
        for path, content in {
            f"/run/docker/runtime-runc/moby/{number}/state.json": {
                "init_process_pid": roots.inner,
                "init_process_start": int(start),
            },
            f"/var/lib/docker/containers/{number}/config.v2.json": {"Name": "/web"},
        }.items():
            Path(path).parent.mkdir(parents=True)
            Path(path).write_text(json.dumps(content))

    machine.call(docker)
    by(machine, ALICE, stated(hers, number))
    assert owner(machine, hers) == Owner("runc", number)
    assert (
        machine.call(find_container, "web")
        == machine.call(find_container, number)
        == machine.call(find_container, "ba0c")
        == roots.inner
    )
    by(machine, ALICE, stated(hers, "web"))
    assert machine.call(find_container, "web") == roots.inner


MONITOR = """
import os, signal
child = os.fork()
if child:
    with open("/run/user/{uid}/pid.new", "w") as file:
        file.write(str(child))
    os.rename("/run/user/{uid}/pid.new", "/run/user/{uid}/pid")
signal.pause()
"""


def monitored(machine: Host, uid: int, *words: str) -> int:
    """A process of a user's whose parent has this command line; its pid there."""

    def start() -> int:
        Path("/run/monitor").mkdir(exist_ok=True)
        # What Python loads before it does what its command line says.
        Path("/run/monitor/sitecustomize.py").write_text(MONITOR.format(uid=uid))
        kept = Path(f"/run/user/{uid}/pid")
        kept.unlink(missing_ok=True)
        subprocess.Popen(
            words,
            executable=sys.executable,
            env={"PYTHONPATH": "/run/monitor"},
            user=uid,
            group=uid,
            extra_groups=[],
        )
        for _ in range(500):
            if kept.exists():
                return int(kept.read_text())
            time.sleep(0.01)
        raise TimeoutError

    return machine.call(start)


def claimed(machine: Host, pid: int, uid: int, number: str) -> Owner | None:
    """Whose that process is, once the user says that it is the first of a container."""

    def tell() -> Owner | None:
        with open_proc() as proc:
            found = read_process(proc, os.open(str(pid), os.O_RDONLY, dir_fd=proc.fd), pid)
        return Runtimes().started(found)

    def write() -> None:
        start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        place = Path(f"/run/user/{uid}/runc/{number}")
        place.mkdir(parents=True, exist_ok=True)
        (place / "state.json").write_text(json.dumps({"init_process_pid": pid, "init_process_start": start}))

    by(machine, uid, write)
    return machine.call(tell)


NUMBER = "1" * 64


def test_a_users_container_is_called_as_its_monitor_calls_it(open_machine: Host) -> None:
    logged_in(open_machine, ALICE)
    pid = monitored(open_machine, ALICE, "conmon", "-c", NUMBER, "-n", "web")
    assert claimed(open_machine, pid, ALICE, NUMBER) == Owner("podman", "web")
    for word in ("web", NUMBER, "1111"):
        assert open_machine.call(find_container, word) == pid


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("conmon", "-c", "2" * 64, "-n", "web"), id="another container's"),
        pytest.param(("sleep", "-c", NUMBER, "-n", "web"), id="another program's"),
        pytest.param(("conmon", "-c", NUMBER, "-n", "\x1b[2J"), id="no name"),
        pytest.param(("conmon", "-c", NUMBER), id="none at all"),
    ],
)
def test_but_not_as_another_parent_has_it(open_machine: Host, words: tuple[str, ...]) -> None:
    logged_in(open_machine, ALICE)
    pid = monitored(open_machine, ALICE, *words)
    assert claimed(open_machine, pid, ALICE, NUMBER) == Owner("runc", NUMBER)


def test_a_container_of_a_users_is_found_by_its_name(machine: Host) -> None:
    logged_in(machine, ALICE)
    hers = machine.unshare("slave", lambda: become(ALICE))
    by(machine, ALICE, stated(hers, "web-1"))
    assert machine.call(find_container, "web-1") == machine.call(find_container, "web-") == hers.inner


HUGE = b"[" + b"{}," * 5_592_400 + b"0]"


def many_links() -> None:
    Path(HOME / "runc/huge").mkdir(parents=True)
    (HOME / "runc/huge/state.json").write_bytes(HUGE)
    for number in range(20):
        os.symlink("huge", HOME / f"runc/link{number}")


def many_files() -> None:
    for number in range(2000):
        (HOME / f"crun/{number}").mkdir(parents=True)
        (HOME / f"crun/{number}/status").write_bytes(b"[" + b"{}," * 21_000 + b"0]")


def odd(*contents: bytes) -> Callable[[], None]:
    def write() -> None:
        for number, content in enumerate(contents):
            (HOME / f"runc/{number}").mkdir(parents=True)
            (HOME / f"runc/{number}/state.json").write_bytes(content)

    return write


def special_files() -> None:
    for name in "abc":
        (HOME / "runc" / name).mkdir(parents=True)
    os.mkfifo(HOME / "runc/a/state.json")
    os.symlink("/etc/shadow", HOME / "runc/b/state.json")
    os.symlink("/dev/zero", HOME / "runc/c/state.json")
    os.mkfifo(HOME / "crun")


def no_directories() -> None:
    HOME.chmod(0o700)
    os.symlink("/proc", HOME / "runc")
    os.symlink("/", HOME / "crun")


@pytest.mark.parametrize(
    "fill",
    [
        many_links,
        many_files,
        special_files,
        no_directories,
        odd(
            b"", b"{", b"[" * 60_000, b"3", b'{"init_process_pid": "1"}', b'{"init_process_pid": ' + b"9" * 5000 + b"}"
        ),
        odd(
            b'{"init_process_pid": 1e400, "init_process_start": 1}',
            b'{"init_process_pid": true, "init_process_start": 1}',
            b"\xff\xfe",
        ),
        odd(b'{"init_process_pid": -1, "init_process_start": "\\u0000x"}', b'{"init_process_pid": 4294967297}'),
    ],
)
def test_what_a_user_puts_there_neither_slows_nor_ends_a_command(machine: Host, fill: Callable[[], None]) -> None:
    logged_in(machine, ALICE)
    hers = machine.unshare("slave", lambda: become(ALICE))

    def ask() -> None:
        done = machine.mntscope("ns", timeout=60)
        assert (done.returncode, done.stderr) == (0, "")

    # Beside what it takes without, which is more on an emulated machine.
    slow = DEADLINE + max(1, 2 * quickest(ask, below=0.5))
    by(machine, ALICE, fill)
    assert quickest(ask, below=slow) < slow
    assert owner(machine, hers) is None


def test_a_file_of_anothers_is_not_read(machine: Host) -> None:
    """Root's, by a hard link or a directory that was moved there: what it says is not the user's word."""
    logged_in(machine, ALICE)
    hers = machine.unshare("slave", lambda: become(ALICE))
    machine.call(stated(hers))
    assert owner(machine, hers) is None


def dead(machine: Host, *places: str) -> None:
    """Filesystems whose server never answers."""

    def mount() -> None:
        for place in places:
            os.makedirs(place, exist_ok=True)
            server = os.open("/dev/fuse", os.O_RDWR)
            options = f"fd={server},rootmode=40000,user_id={ALICE},group_id={ALICE},allow_other"
            syscalls.mount("server", place, "fuse.sshfs", 0, options)

    try:
        machine.spawn(mount)
    except (OSError, WorkerFailed) as error:
        pytest.skip(f"needs FUSE: {error}")


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, place: str) -> Counter:
    """How often a module has a child look at *place*."""
    asked = Counter()

    def look(act: Callable[[], bytes], *, where: str) -> bytes:
        if where == place:
            asked.next()
        return in_child(act, where=where)

    monkeypatch.setattr(module, "in_child", look)
    return asked


@pytest.mark.parametrize("below", ["", "/runc", "/crun"])
def test_a_directory_that_does_not_answer_costs_the_deadline_once_and_is_told(
    machine: Host, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    asked = counted(monkeypatch, users, f"/run/user/{ALICE}")
    logged_in(machine, ALICE, BOB)
    hers, his = (machine.unshare("slave", lambda uid=uid: become(uid)) for uid in (ALICE, BOB))  # type: ignore[misc]
    by(machine, BOB, stated(his, home=Path(f"/run/user/{BOB}")))
    dead(machine, f"/run/user/{ALICE}{below}")

    def ask() -> tuple[list[Owner | None], list[str]]:
        runtimes = Runtimes()
        found = [runtimes.started(process(actor)) for actor in (hers, his, hers)]
        return found, [str(problem) for problem in runtimes.not_seen]

    found, not_seen = machine.call(ask)
    assert found == [None, Owner("runc", "web"), None]
    assert not_seen == [f"/run/user/{ALICE}: its containers: it did not answer within 2 s"]
    assert asked.value == 1


def test_what_no_runtime_uses_is_not_looked_at(machine: Host) -> None:
    logged_in(machine, ALICE)
    hers = machine.unshare("slave", lambda: become(ALICE))
    by(machine, ALICE, stated(hers))
    dead(machine, f"/run/user/{ALICE}/doc")

    def ask() -> None:
        assert owner(machine, hers) == Owner("runc", "web")

    assert quickest(ask, below=DEADLINE) < DEADLINE


def test_many_who_do_not_answer_cost_no_more_than_some(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Counter()

    def soon(act: Callable[[], bytes], *, where: str) -> bytes:
        asked.next()
        return in_child(act, seconds=0.2, where=where)

    monkeypatch.setattr(users, "in_child", soon)
    uids = range(ALICE, ALICE + 40)
    logged_in(machine, *uids)
    dead(machine, *(f"/run/user/{uid}" for uid in uids))

    def ask() -> tuple[list[int], int]:
        runtimes = Runtimes()
        return runtimes.pids(), len(runtimes.not_seen)

    assert machine.call(ask) == ([], 40)
    assert asked.value <= 3


def test_a_machine_without_users_forks_nobody(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in(machine)
    target = machine.unshare("slave")

    def no_child(*_: object, **__: object) -> bytes:
        raise AssertionError("a child")

    monkeypatch.setattr(users, "in_child", no_child)
    assert owner(machine, target) is None
    # Nor for a process of root's, whoever is logged in.
    logged_in(machine, ALICE)
    assert owner(machine, target) is None


def test_names_of_containers_on_a_filesystem_that_does_not_answer(
    machine: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(monkeypatch, containers, "/var/lib/docker")
    number = "ba0c71d6" * 8
    logged_in(machine)
    dead(machine, "/var/lib/docker")

    def ask() -> tuple[Owner, list[str]]:
        runtimes = Runtimes()
        found = [runtimes.named(Owner("docker", number, id=number)) for _ in range(3)][-1]
        return found, [str(problem) for problem in runtimes.not_seen]

    found, not_seen = machine.call(ask)
    assert found == Owner("docker", number, id=number)
    assert not_seen == ["/var/lib/docker: the names of containers: it did not answer within 2 s"]
    assert asked.value == 1


def test_what_others_could_have_written_is_not_believed_by_root(machine: Host) -> None:
    number = "ba0c71d6" * 8
    logged_in(machine)

    def ask() -> list[Owner]:
        file = Path(f"/var/lib/docker/containers/{number}/config.v2.json")
        file.parent.mkdir(parents=True)
        found = []
        for uid, mode in ((ALICE, 0o644), (0, 0o666), (0, 0o664), (0, 0o644)):
            file.write_text('{"Name": "/web"}')
            os.chown(file, uid, uid)
            file.chmod(mode)
            found.append(Runtimes().named(Owner("docker", number, id=number)))
        return found

    unnamed, named = Owner("docker", number, id=number), Owner("docker", "web", id=number)
    assert machine.call(ask) == [unnamed, unnamed, unnamed, named]
