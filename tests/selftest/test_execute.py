"""Operations on the real kernel, in throwaway namespaces: what is recorded is what happens."""

from __future__ import annotations

import itertools
import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mntscope.errors import AccessError
from mntscope.kernel import syscalls
from mntscope.parse import parse_mountinfo
from mntscope.propagation import operation
from mntscope.propagation.versions import CHANGES, Kernel
from mntscope.selftest.compare import Renaming, compare, tables
from mntscope.selftest.execute import World
from mntscope.selftest.run import Script, observe, run_live
from mntscope.selftest.scenarios import SCENARIOS, script
from mntscope.selftest.traces import SKELETON, Trace, read_traces, snapshot_of
from tests.support.features import MNTNS_ID, MOUNT_SETATTR, needs
from tests.support.repository import DATA
from tests.support.throwaway import NOBODY, in_fork

CONFORMANCE = DATA / "conformance"


@pytest.fixture
def world(namespaces: None) -> Iterator[World]:
    with World() as throwaway:
        yield throwaway


def perform(world: World, op: str, ns: str = "A", **fields: object) -> str | None:
    return world.perform(operation({"op": op, "ns": ns, **fields}))


def mount(world: World, target: str, ns: str = "A") -> str | None:
    return perform(world, "mount", ns, fstype="tmpfs", source="t", target=target)


def shown(world: World, label: str) -> list[tuple[str, str]]:
    return [(mount.mount_point, mount.source) for mount in parse_mountinfo(world.state()[label].mountinfo)]


def test_a_world_begins_with_one_tmpfs(world: World) -> None:
    (only,) = parse_mountinfo(world.state()["A"].mountinfo)
    assert (only.mount_point, only.root, only.fs_type, only.source) == ("/", "/", "tmpfs", "root0")
    assert only.propagation == "private"


def test_every_filesystem_holds_the_skeleton(world: World) -> None:
    assert mount(world, "/a/x") is None
    for name in (*SKELETON.dirs, *SKELETON.files):
        assert perform(world, "bind", source=f"/a/x/{name}", target=f"/{name}") is None
        assert perform(world, "umount", target=f"/{name}") is None
    assert mount(world, "/a/x/f") == "ENOTDIR"
    assert mount(world, "/a/x/g") == "ENOENT"


def test_over_the_root_too(world: World) -> None:
    assert mount(world, "/") is None
    assert perform(world, "open_tree", source="/", handle="h") is None
    assert shown(world, "A") == [("/", "root0"), ("/", "t")]


def test_where_a_copy_of_the_mount_hides_it(world: World) -> None:
    # /b/b/e is a peer of /b/b: what is mounted over its root propagates over the root of /b/b, and covers it all.
    assert mount(world, "/b") is None
    assert mount(world, "/b/b") is None
    assert perform(world, "propagation", target="/b/b", type="shared") is None
    assert perform(world, "bind", source="/b/b", target="/b/b/e") is None
    assert mount(world, "/b/b/e") is None
    assert shown(world, "A")[-2:] == [("/b/b/e", "t"), ("/b/b", "t")]
    assert perform(world, "bind", source="/b/b/a/f", target="/f") is None


def test_a_copied_namespace_has_a_process_of_its_own(world: World) -> None:
    assert perform(world, "propagation", target="/", type="shared") is None
    assert perform(world, "clone_ns", new="B") is None
    assert mount(world, "/a", ns="B") is None
    assert shown(world, "A") == shown(world, "B") == [("/", "root0"), ("/a", "t")]
    state = world.state(unique=True)
    assert state["A"].userns == state["B"].userns
    assert MNTNS_ID.here() is (state["A"].mntns != state["B"].mntns)
    assert len(state["A"].unique) in (0, 2)
    assert perform(world, "exit_ns", ns="A") is None
    assert world.labels == ("B",)
    assert mount(world, "/b", ns="B") is None


def test_a_user_namespace_inside_another(world: World) -> None:
    assert perform(world, "clone_ns", new="B", new_userns=True) is None
    assert perform(world, "clone_ns", ns="B", new="C", new_userns=True) is None
    assert len({table.userns for table in world.state().values()}) == 3
    assert mount(world, "/a", ns="C") is None
    assert mount(world, "/") is None
    assert perform(world, "clone_ns", new="D", new_userns=True) == "EPERM"
    assert world.labels == ("A", "B", "C")


@needs(MOUNT_SETATTR)
def test_a_handle_is_attached_once_and_then_moved(world: World) -> None:
    assert perform(world, "fsmount", handle="h") is None
    assert perform(world, "propagation_handle", handle="h", type="shared") is None
    assert perform(world, "attach", handle="h", target="/a") is None
    assert perform(world, "attach", handle="h", target="/b") is None
    assert shown(world, "A") == [("/", "root0"), ("/b", "none")]
    assert perform(world, "umount", target="/b") == "EBUSY"
    assert perform(world, "close_handle", handle="h") is None
    assert perform(world, "umount", target="/b") is None


def test_nothing_outlives_the_world(namespaces: None) -> None:
    with World() as world:
        perform(world, "clone_ns", new="B")
        pids = [actor.pid for actor in world._inhabitants.values()]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_the_processes_die_with_the_one_that_made_them(namespaces: None) -> None:
    reader, writer = os.pipe()
    maker = os.fork()
    if maker == 0:
        with World() as world:
            os.write(writer, b"%d" % world._inhabitants["A"].pid)
            signal.pause()
        os._exit(0)
    actor = int(os.read(reader, 16))
    watched = os.pidfd_open(actor)
    os.kill(maker, signal.SIGKILL)
    os.waitpid(maker, 0)
    # A pidfd becomes readable when its process ends.
    assert select.select([watched], [], [], 10)[0] == [watched]
    for descriptor in (reader, writer, watched):
        os.close(descriptor)


def test_as_an_ordinary_user_where_user_namespaces_are_allowed(namespaces: None) -> None:
    def body() -> list[str]:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        # As after the exec of a login: a process that has changed its user may not even write its own /proc files.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
        with World() as world:
            return [str(mount(world, "/a")), str(perform(world, "clone_ns", new="B")), *world.labels]

    assert in_fork(body) == ["None", "None", "A", "B"]


def as_nobody() -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)


def in_a_chroot() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("/", "/mnt", None, syscalls.MS_BIND | syscalls.MS_REC)
    os.chroot("/mnt")


@pytest.mark.parametrize("become", [as_nobody, in_a_chroot])
def test_nothing_is_wrong_for_who_may_less(namespaces: None, become: Callable[[], None], seed: int) -> None:
    def body() -> tuple[int, int]:
        become()
        tally = run_live(150, seed, progress=lambda done: None)
        return tally.operations, tally.results["wrong"]

    assert in_fork(body) == (150, 0)


def test_user_namespaces_that_may_not_be_made_are_left_out_and_counted(namespaces: None) -> None:
    def body() -> tuple[int, list[str | None]]:
        in_a_chroot()
        wanted = [operation({"op": "clone_ns", "ns": "A", "new": "B", "new_userns": True})]
        seen = list(observe(Script(wanted)))
        return sum(each.refused for each in seen), [each.errno for each in seen]

    assert in_fork(body) == (1, [None])


def test_where_namespaces_are_forbidden_it_says_so(namespaces: None) -> None:
    def body() -> str:
        # A user namespace of one's own can forbid any further ones.
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
        with pytest.raises(AccessError) as caught, World():
            pass
        return str(caught.value)

    assert in_fork(body) == (
        "cannot make a throwaway mount namespace: unshare: ENOSPC (No space left on device); "
        "run as root, or allow user namespaces"
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_is_predicted_to_its_end(namespaces: None, scenario: str) -> None:
    sources = (f"t{number}" for number in itertools.count(1))
    names = {"W": "/a", "X": "/b", "Y": "/c", "Z": "/d", "N": "B", "H": "h"}
    told = list(script(SCENARIOS[scenario], "A", names, lambda: next(sources)))
    observed = list(observe(Script(told)))
    assert [step.operation for step in observed] == told
    assert [step.judgements[0].result for step in observed] == ["exact"] * len(told)
    assert "ENOENT" not in [step.errno for step in observed]


def traces() -> list[Trace]:
    return [trace for file in sorted(CONFORMANCE.glob("*.jsonl.gz")) for trace in read_traces(file)]


def test_the_recorded_operations_do_the_same_again(namespaces: None) -> None:
    here, recorded = os.uname(), Kernel.of(traces()[0].kernel)
    if [change for change in CHANGES if Kernel.of(here.release, here.version).has(change) != recorded.has(change)]:
        pytest.skip(f"Linux {here.release} does not do all that Linux {recorded.release} did")
    # The recordings come from another program: what they say, this kernel does, and the comparison finds equal.
    for trace in traces()[:: 1 if os.environ.get("MNTSCOPE_ALL") else 5]:
        names = Renaming()
        with World(trace.skeleton) as world:
            for index, step in enumerate(trace.steps):
                assert world.perform(step.operation) == step.errno, (trace.id, index)
                now = snapshot_of(world.state(), trace.skeleton, trace.kernel)
                names, mismatches = compare(tables(now), tables(trace.snapshot(step.after)), names)
                assert mismatches == [], (trace.id, index)
