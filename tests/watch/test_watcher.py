"""Every kind of event, on the running kernel, by each source."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mntscope.archive import replay
from mntscope.errors import AccessError
from mntscope.kernel import syscalls
from mntscope.kernel.syscalls import MS_BIND, MS_MOVE, MS_PRIVATE, MS_REC, MS_REMOUNT
from mntscope.live import capture
from mntscope.watch.check import Prediction
from mntscope.watch.choice import ByWhat
from mntscope.watch.events import Event
from mntscope.watch.recording import Recorder
from mntscope.watch.watcher import HEARD, Round, Watcher
from tests.support.features import MNTNS_ID
from tests.support.throwaway import Host, WorkerFailed, in_fork
from tests.support.watching import PATIENCE, inside, told

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may watch other namespaces")


@pytest.fixture(scope="module")
def fanotify() -> None:
    """Skips what there is only where the kernel tells of mounts by fanotify."""

    def begin() -> None:
        with Watcher(by="fanotify"):
            pass

    try:
        in_fork(begin)
    except WorkerFailed as error:
        pytest.skip(f"this kernel does not tell of mounts by fanotify: {str(error).splitlines()[-1]}")


@pytest.fixture(params=["fanotify", "poll"])
def by(request: pytest.FixtureRequest) -> ByWhat:
    """Each source, as far as there is one."""
    if request.param == "fanotify":
        request.getfixturevalue("fanotify")
    source: ByWhat = request.param
    return source


def watch(**settings: Any) -> Watcher:
    """Watches, with the namespace of this process as the host."""
    return Watcher(host=os.stat("/proc/self/ns/mnt").st_ino, **settings)


def scratch(host: Host) -> None:
    """/mnt of the machine: a shared tmpfs with some directories."""

    def make() -> None:
        syscalls.mount("t", "/mnt", "tmpfs", 0)
        for name in "abc":
            os.mkdir(f"/mnt/{name}")

    host.call(make)


def test_a_mount_is_told_with_everywhere_it_went(host: Host, by: ByWhat) -> None:
    scratch(host)
    target, slave = host.unshare("unchanged"), host.unshare("slave")

    def body() -> list[Event]:
        with watch(by=by) as watcher:
            inside(target.pid, syscalls.mount, "t", "/mnt/a", "tmpfs", 0)
            return told(watcher, "mount", of=(target.pid, slave.pid))

    events = host.call(body)
    assert [(event.kind, event.path) for event in events] == [("mount", "/mnt/a")]
    (event,) = events
    names = {event.namespace, *(place.namespace for place in event.also)}
    assert len(names) == 3
    assert {name.partition(" ")[0] for name in names} > {str(target.pid), str(slave.pid)}
    assert (event.fs_type, event.known) == ("tmpfs", True)
    if by == "fanotify":
        # The kernel says who did it; whose namespace that is decides where it began.
        assert event.who is not None
        assert event.namespace.startswith(str(target.pid))
    else:
        assert event.who is None


def test_an_umount_and_a_move_are_told(host: Host, by: ByWhat) -> None:
    scratch(host)

    def body() -> list[Event]:
        syscalls.mount(None, "/mnt", None, MS_PRIVATE)
        syscalls.mount("t", "/mnt/a", "tmpfs", 0)
        with watch(by=by) as watcher:
            syscalls.mount("/mnt/a", "/mnt/b", None, MS_MOVE)
            moved = told(watcher, "move")
            syscalls.umount2("/mnt/b")
            return moved + told(watcher, "umount")

    moved, unmounted = host.call(body)
    assert (moved.kind, moved.was, moved.path) == ("move", "/mnt/a", "/mnt/b")
    assert (unmounted.kind, unmounted.namespace, unmounted.path) == ("umount", moved.namespace, "/mnt/b")


def test_make_private_and_remount_are_found_by_the_sweep(host: Host, by: ByWhat) -> None:
    scratch(host)

    def body() -> list[Event]:
        with watch(by=by, sweep=0.5) as watcher:
            syscalls.mount(None, "/mnt", None, MS_PRIVATE)
            retyped = told(watcher, "propagation")
            syscalls.mount(None, "/mnt", None, MS_REMOUNT | MS_BIND | syscalls.MS_RDONLY)
            return retyped + told(watcher, "remount")

    retyped, remounted = host.call(body)
    assert retyped.was.startswith("shared:")
    assert retyped.now == "private"
    assert remounted.was.startswith("rw")
    assert remounted.now.startswith("ro")


def test_what_a_moved_mount_takes_along_is_recorded(host: Host, by: ByWhat, tmp_path: Path) -> None:
    scratch(host)
    file = str(tmp_path / "recording")

    def body() -> tuple[list[Event], bytes, bytes]:
        syscalls.mount(None, "/mnt", None, MS_PRIVATE)
        syscalls.mount("t", "/mnt/a", "tmpfs", 0)
        for path in ("/mnt/a/below", "/mnt/a/below/it"):
            os.mkdir(path)
            syscalls.mount("t", path, "tmpfs", 0)
        with watch(by=by) as watcher:
            recorder = Recorder(file, watcher.machine)
            syscalls.mount("/mnt/a", "/mnt/b", None, MS_MOVE)
            done = watcher.finish()
            recorder.write(done)
            recorder.close()
        recorded = replay(file).at()
        table = recorded.mountinfo(recorded.host_label)
        events = [event for event in done.events if event.kind == "move" and "/mnt" in (event.path or "")]
        return events, table, Path("/proc/self/mountinfo").read_bytes()

    events, recorded, there = host.call(body)
    assert [(event.was, event.path) for event in events] == [("/mnt/a", "/mnt/b")]
    assert recorded == there


def test_another_process_of_a_namespace_is_watched_through_when_the_first_has_ended(host: Host) -> None:
    scratch(host)
    target = host.unshare("private")

    def body() -> list[Event]:
        with watch(by="poll", sweep=1e5) as watcher:
            there = os.stat(f"/proc/{target.pid}/ns/mnt").st_ino
            joined = os.fork()
            if joined == 0:
                # What it has open of the watch's would stay in the epoll instance.
                os.closerange(3, 4096)
                syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
                fd = os.open(f"/proc/{target.pid}/ns/mnt", os.O_RDONLY)
                syscalls.setns(fd, syscalls.CLONE_NEWNS)
                signal.pause()
            wait_until(lambda: os.stat(f"/proc/{joined}/ns/mnt").st_ino == there)
            os.kill(target.pid, signal.SIGKILL)
            # Of one that has ended, and is not waited for, there are no namespaces any more.
            wait_until(lambda: not os.path.exists(f"/proc/{target.pid}/ns/mnt"))
            # Before another is looked for: its table is read when it is watched through.
            inside(joined, syscalls.mount, "t", "/mnt/a", "tmpfs", 0)
            events = told(watcher, "mount", of=[joined])
            os.kill(joined, signal.SIGKILL)
            os.waitpid(joined, 0)
            return events

    assert [event.path for event in host.call(body)] == ["/mnt/a"]


def traced(host: Host, act: Callable[[Watcher], list[Event]], *, by: ByWhat = "auto") -> list[Event]:
    """What *act* is told by a watcher that traces calls, and does not sweep meanwhile."""

    def body() -> list[Event] | None:
        try:
            watcher = watch(by=by, trace=True, sweep=1e5)
        except AccessError:
            return None
        with watcher:
            return act(watcher)

    events = host.call(body)
    if events is None:
        pytest.skip("there is no tracefs here")
    return events


def test_a_call_that_is_made_while_tables_are_read_is_not_missed(host: Host) -> None:
    scratch(host)

    def act(watcher: Watcher) -> list[Event]:
        read = watcher._tables.read

        def read_and_make_private(namespaces: Iterable[int]) -> dict[int, bytes | None]:
            texts = read(namespaces)
            watcher._tables.read = read  # type: ignore[method-assign]
            inside(os.getpid(), syscalls.mount, None, "/mnt", None, MS_PRIVATE)
            return texts

        watcher._tables.read = read_and_make_private  # type: ignore[method-assign]
        watcher._swept = -1e6
        return told(watcher, "propagation")

    events = traced(host, act)
    assert [(event.path, event.now) for event in events] == [("/mnt", "private")]


def test_a_call_that_is_made_while_a_new_namespace_is_looked_at_is_not_missed(host: Host, by: ByWhat) -> None:
    scratch(host)

    def act(watcher: Watcher) -> list[Event]:
        look = watcher._look_for_namespaces

        def look_and_make_private(done: Round) -> None:
            watcher._look_for_namespaces = look  # type: ignore[method-assign]
            look(done)
            assert done.born
            inside(os.getpid(), syscalls.mount, None, "/mnt", None, MS_PRIVATE)

        watcher._look_for_namespaces = look_and_make_private  # type: ignore[method-assign]
        new = host.unshare("private")
        watcher._looked = 0.0
        events = told(watcher, "propagation")
        host.kill(new)
        return events

    events = traced(host, act, by=by)
    assert [(event.path, event.now) for event in events] == [("/mnt", "private")]


@pytest.mark.usefixtures("fanotify")
def test_what_reaches_a_namespace_before_it_is_known_is_not_held_against_the_kernel(host: Host) -> None:
    scratch(host)

    def body() -> tuple[list[Event], int]:
        checker = Prediction()
        with watch(checker=checker, sweep=1e5) as watcher:
            until = time.monotonic() + HEARD
            while time.monotonic() < until:
                watcher.step(0.1)
            new = host.unshare("unchanged")
            # Its table has the mount already when it is read first.
            syscalls.mount("t", "/mnt/a", "tmpfs", 0)
            watcher._looked = 0.0
            events = told(watcher, "namespace-born", "mount", of=[new.pid])
            host.kill(new)
            return events, checker.wrong

    events, wrong = host.call(body)
    assert {event.kind for event in events} == {"namespace-born", "mount"}
    assert wrong == 0


def test_make_private_is_told_with_who_did_it_where_calls_are_traced(host: Host, by: ByWhat) -> None:
    scratch(host)

    def act(watcher: Watcher) -> list[Event]:
        # Poll tells of this one: whoever makes the other private has not mounted it.
        syscalls.mount("t", "/mnt/a", "tmpfs", 0)
        inside(os.getpid(), syscalls.mount, None, "/mnt", None, MS_PRIVATE)
        return told(watcher, "propagation", "mount")

    events = traced(host, act, by=by)
    retyped = [event for event in events if event.kind == "propagation"]
    assert [(event.path, event.now) for event in retyped] == [("/mnt", "private")]
    assert retyped[0].who is not None
    assert retyped[0].who.comm
    (mounted,) = (event for event in events if event.kind == "mount")
    assert (mounted.who is None) == (by == "poll")


def test_a_namespace_is_told_when_it_is_born_and_when_it_is_gone(host: Host, by: ByWhat) -> None:
    def body() -> tuple[list[str], bool]:
        with watch(by=by) as watcher:
            child = os.fork()
            if child == 0:
                syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
                syscalls.unshare(syscalls.CLONE_NEWNS)
                signal.pause()
            kinds: list[str] = []
            name = until_kind(watcher, "namespace-born", str(child), kinds)
            number = None
            # Its inode may be another's soon, so where nothing else tells it, it is not looked for.
            if MNTNS_ID.here():
                with open(f"/proc/{child}/ns/mnt") as namespace:
                    number = syscalls.ns_get_mntns_id(namespace.fileno())
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            until_kind(watcher, "namespace-gone", name, kinds)
            # Nothing of the watch kept it.
            return kinds, number is not None and any(view.namespace.id == number for view in capture().views)

    kinds, still_there = host.call(body)
    assert kinds == ["namespace-born", "namespace-gone"]
    assert not still_there


def wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def until_kind(watcher: Watcher, kind: str, name: str, kinds: list[str]) -> str:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for event in watcher.step(0.2).events:
            if event.kind == kind and event.namespace.split(" ")[0] == name.split(" ", maxsplit=1)[0]:
                kinds.append(event.kind)
                return event.namespace
    raise AssertionError(f"{kind} of {name} was not told")


def test_a_leak_is_told_with_its_remedy_and_when_it_is_healed(host: Host, by: ByWhat) -> None:
    scratch(host)
    target = host.unshare("private")

    def share() -> None:
        # As a volume is given with Bidirectional: a peer of the host's mount.
        there = os.open(f"/proc/{target.pid}/ns/mnt", os.O_RDONLY)
        tree = syscalls.open_tree(syscalls.AT_FDCWD, "/mnt", syscalls.OPEN_TREE_CLONE)
        syscalls.setns(there, syscalls.CLONE_NEWNS)
        syscalls.move_mount(tree, "", syscalls.AT_FDCWD, "/mnt", syscalls.MOVE_MOUNT_F_EMPTY_PATH)

    def body() -> list[Event]:
        with watch(by=by, sweep=0.5) as watcher:
            in_fork(share)
            appeared = told(watcher, "leak", of=[target.pid])
            inside(target.pid, syscalls.mount, None, "/mnt", None, MS_PRIVATE)
            return appeared + told(watcher, "healed", of=[target.pid])

    events = host.call(body)
    leak = next(event for event in events if event.kind == "leak")
    assert (leak.path, [place.path for place in leak.also]) == ("/mnt", ["/mnt"])
    assert (leak.severity, leak.remedy) == ("high", "mount --make-slave /mnt")
    healed = next(event for event in events if event.kind == "healed")
    assert (healed.namespace, healed.path) == (leak.namespace, "/mnt")


@pytest.mark.usefixtures("fanotify")
def test_where_more_comes_than_the_queue_holds_all_is_read_again(host: Host) -> None:
    scratch(host)
    limit = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text())
    if limit > 20_000:
        pytest.skip("the queue is too long to be filled in a test")

    def body() -> tuple[Sequence[str], bool]:
        with watch() as watcher:
            for _ in range(limit // 2 + 100):
                syscalls.mount("/mnt", "/mnt/a", None, MS_BIND)
                syscalls.umount2("/mnt/a")
            syscalls.mount("left", "/mnt/b", "tmpfs", 0)
            kinds = [event.kind for event in watcher.step(1.0).events]
            watcher.finish()
            return kinds, watcher.snapshot.mountinfo(watcher.snapshot.host_label) == Path(
                "/proc/self/mountinfo"
            ).read_bytes()

    kinds, same = host.call(body)
    assert "overflow" in kinds
    assert same


@pytest.mark.usefixtures("fanotify")
def test_acts_of_one_process_in_a_row_are_told_apart(host: Host) -> None:
    scratch(host)

    def act() -> None:
        for name in "abc":
            syscalls.mount("/mnt", f"/mnt/{name}", None, MS_BIND)
        syscalls.mount("/mnt", "/mnt/a", None, MS_BIND | MS_REC)

    def body() -> list[str]:
        syscalls.mount(None, "/mnt", None, MS_PRIVATE)
        with watch() as watcher:
            in_fork(act)
            events = told(watcher, "mount")
            in_fork(syscalls.umount2, "/mnt/a", syscalls.MNT_DETACH)
            events += told(watcher, "umount")
            return [f"{event.kind} {event.path} {len(event.also)}" for event in events if event.who and event.path]

    assert [line for line in host.call(body) if "/mnt" in line] == [
        "mount /mnt/a 0",
        "mount /mnt/b 0",
        "mount /mnt/c 0",
        "mount /mnt/a 3",
        "umount /mnt/a 3",
    ]


def test_names_with_escapes_and_bytes_that_are_no_text_are_told_as_they_are(host: Host) -> None:
    scratch(host)
    name = os.fsdecode(b"/mnt/\x1b[31m \xff\n")

    def body() -> list[Event]:
        os.mkdir(name)
        with watch() as watcher:
            syscalls.mount("s\x1b]0;x", name, "tmpfs", 0)
            return told(watcher, "mount")

    (event,) = host.call(body)
    assert event.path == name


@pytest.mark.usefixtures("fanotify")
def test_a_watch_holds_nothing_of_a_namespace_open(host: Host) -> None:
    host.unshare("private")

    def held() -> set[str]:
        found = set()
        for fd in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                found.add(os.readlink(f"/proc/self/fd/{fd}"))
        return found

    def body() -> set[str]:
        before = held()
        with watch(by="fanotify") as watcher:
            watcher.step(0.1)
            return {link for link in held() - before if "mnt" in link or "mountinfo" in link}

    assert host.call(body) == set()
