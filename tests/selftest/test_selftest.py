"""``mntscope selftest``: random operations on this kernel, predicted first, compared after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mntscope.model import Mount
from mntscope.propagation import OPERATIONS, Outcome, simulate
from mntscope.propagation.operations import MountNew, Operation, Umount
from mntscope.propagation.versions import DETACHED_PASSES_ON, Kernel
from mntscope.selftest import replay as replaying
from mntscope.selftest.compare import Tables, tables
from mntscope.selftest.execute import World
from mntscope.selftest.generate import PROFILES, Generator
from mntscope.selftest.run import Script, observe, run_live, run_recorded
from mntscope.selftest.traces import SKELETON, read_traces, snapshot_of
from mntscope.snapshot import Snapshot
from tests.support.features import BENEATH, MOUNT_SETATTR, SET_GROUP
from tests.support.throwaway import Host

pytestmark = pytest.mark.usefixtures("namespaces")

SMALL = 1500
"""Operations of one run; `mntscope selftest --operations 20000` is the long one."""


def ignore(_: int) -> None:
    pass


def test_this_kernel_does_as_predicted(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    tally = run_live(SMALL, seed, progress=ignore)
    with capsys.disabled():
        sys.stdout.write(f"\nmntscope selftest --operations {SMALL} --seed {seed}: {dict(tally.results)}")
    assert tally.cases == []
    assert tally.operations == SMALL
    in_sequence = tally.by_mode["in sequence"]
    kernel = os.uname()
    if Kernel.of(kernel.release, kernel.version).has(DETACHED_PASSES_ON):
        assert in_sequence == {"exact": SMALL}
    else:
        # What a detached mount of a group does to its slaves no table shows.
        assert in_sequence["exact"] + in_sequence["uncertain"] == SMALL
        assert in_sequence["uncertain"] < 0.03 * SMALL


def carried_out(seed: int, number: int) -> Iterator[tuple[Operation, str | None, Tables, Tables]]:
    """One generated trace: each operation, how it ended, and the tables around it."""
    generator = Generator.of(seed, number)
    with World() as world:
        now = tables(snapshot_of(world.state(), SKELETON, ""))
        while (op := generator.next(now)) is not None:
            errno = world.perform(op)
            generator.learn(op, errno)
            before, now = now, tables(snapshot_of(world.state(), SKELETON, ""))
            yield op, errno, before, now


def test_a_seed_gives_the_same_operations_again(seed: int) -> None:
    for number in range(len(PROFILES)):
        first, again = ([(op, errno) for op, errno, *_ in carried_out(seed, number)] for _ in range(2))
        assert first == again


def test_what_is_hard_really_occurs() -> None:
    succeeded: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for number in range(120):
        for op, errno, before, after in carried_out(1, number):
            if errno is not None:
                errors[errno] += 1
                continue
            succeeded[op.op] += 1
            mounts = [mount for table in after.values() for mount in table]
            seen["a new user namespace"] += getattr(op, "new_userns", False)
            seen["an attached tree"] += op.op == "attach"
            seen["a tucked mount"] += op.op in ("mount", "bind") and reparented(before, after)
            seen["five namespaces"] += len(after) >= 5
            seen["a stack of three"] += stack(after) >= 3
            seen["shared and slave"] += any(mount.propagation == "shared,slave" for mount in mounts)
            seen["a chain of three masters"] += chain(mounts) >= 3
            seen["a group of twenty"] += largest_group(mounts) >= 20
            seen["a file"] += any(mount.root.endswith("/f") for mount in mounts)
    lacking = {
        op
        for feature, op in (
            (BENEATH, "move_beneath"),
            (SET_GROUP, "set_group"),
            (MOUNT_SETATTR, "propagation_handle"),
            (MOUNT_SETATTR, "setattr"),
        )
        if not feature.here()
    }
    assert OPERATIONS.keys() - succeeded.keys() == lacking
    assert {"EBUSY", "EINVAL", "ELOOP", "ENOENT", "ENOTDIR", "EPERM"} <= errors.keys()
    assert [what for what, count in seen.items() if not count] == []
    assert sum(errors.values()) < sum(succeeded.values()) / 2


def reparented(before: Tables, after: Tables) -> bool:
    parents = {mount.mount_id: mount.parent_id for table in before.values() for mount in table}
    return any(parents.get(m.mount_id, m.parent_id) != m.parent_id for table in after.values() for m in table)


def stack(state: Tables) -> int:
    return max(max(Counter(mount.mount_point for mount in table).values()) for table in state.values())


def chain(mounts: list[Mount]) -> int:
    masters = {mount.peer_group: mount.master for mount in mounts if mount.peer_group is not None}

    def above(group: int | None) -> int:
        return 0 if group is None else 1 + above(masters.get(group))

    return max((above(mount.master) for mount in mounts), default=0)


def largest_group(mounts: list[Mount]) -> int:
    return max(Counter(mount.peer_group for mount in mounts if mount.peer_group is not None).values(), default=0)


def test_a_wrong_prediction_is_shrunk_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Wrong about every mount in A but the first: the shortest sequence is one that works, and the next.
    def broken(snapshot: Snapshot, operation: Operation) -> Outcome:
        outcome = simulate(snapshot, operation)
        second = isinstance(operation, MountNew) and operation.ns == "A" and len(snapshot.host.mounts) > 1
        return replace(outcome, errno="EIO") if second else outcome

    monkeypatch.setattr(replaying, "simulate", broken)
    tally = run_live(100, 1, progress=ignore)
    assert tally.results["wrong"] > 3
    smallest = tally.cases[0]
    assert smallest.shrunk
    assert len(smallest.operations) == 2
    assert smallest.operations[1] == smallest.judgement.operation
    assert len(smallest.before.host.mounts) == 2
    assert smallest.judgement.mismatches[0].what == "predicted EIO, got success"


def test_a_run_can_be_recorded_and_replayed(host: Host, tmp_path: Path) -> None:
    recording = tmp_path / "traces.jsonl.gz"
    done = host.mntscope("selftest", "--operations", 60, "--seed", 5, "--record", recording, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    live = json.loads(done.stdout)
    assert live["schema"] == "mntscope.selftest/1"
    assert live["operations"] == 60 == live["exact"] + live["uncertain"]
    assert (live["wrong"], live["mismatches"], live["seed"]) == (0, [], 5)

    traces = list(read_traces(recording))
    assert (len(traces), sum(len(trace.steps) for trace in traces)) == (live["traces"], 60)
    for trace in traces:
        for state in trace.states:
            for table in state.values():
                assert len(table.unique) in (0, table.mountinfo.count(b"\n"))

    done = host.mntscope("selftest", "--replay", recording, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    replayed = json.loads(done.stdout)
    for key in ("traces", "operations", "exact", "uncertain", "wrong", "modes"):
        assert replayed[key] == live[key]


@pytest.mark.parametrize(("seconds", "result"), [(0.1, "exact"), (3, "wrong")])
def test_who_looks_at_a_mount_for_a_moment_makes_no_prediction_wrong(
    seconds: float, result: str, namespaces: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = World.perform
    looks: list[subprocess.Popen[bytes]] = []

    def looked_at(self: World, op: Operation) -> str | None:
        if isinstance(op, Umount) and not looks:
            looker = subprocess.Popen(
                ["sleep", str(seconds)],
                pass_fds=[fd := os.open(f"/proc/{self._inhabitants['A'].pid}/root/a", os.O_PATH)],
            )
            os.close(fd)
            looks.append(looker)
        return perform(self, op)

    monkeypatch.setattr(World, "perform", looked_at)
    operations = [MountNew("A", "tmpfs", "t", "/a"), Umount("A", "/a")]
    *_, last = observe(Script(operations))
    looks[0].wait()
    assert [judgement.result for judgement in last.judgements] == [result, result]


def test_a_wrong_recording_is_found_out(tmp_path: Path, host: Host) -> None:
    recording = tmp_path / "traces.jsonl"
    assert host.mntscope("selftest", "--operations", 30, "--seed", 5, "--record", recording).returncode == 0
    forged = recording.read_text().replace('"target":"/a"', '"target":"/c"', 1)
    recording.write_text(forged)
    done = host.mntscope("selftest", "--replay", recording)
    assert done.returncode == 1
    assert done.stdout.startswith("WRONG  ")
    assert "What differs after it: - as predicted, + as it is" in done.stdout
    document = json.loads(host.mntscope("selftest", "--replay", recording, "--format", "json").stdout)
    first: dict[str, Any] = document["mismatches"][0]
    assert first.keys() == {"trace", "step", "mode", "operation", "differences", "before", "operations", "shrunk"}
    assert document["wrong"] >= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replay", "/nonexistent"], "/nonexistent: cannot read: No such file or directory"),
        (["--replay", "/dev/null"], "/dev/null:1:1: no trace, expected mnttrace/1"),
        (["--replay", "x", "--seed", "1"], "--seed is for a run on this kernel; leave it out, or leave out --replay"),
        (["--operations", "many"], "'many' is not a number"),
        (["--record", "/nonexistent/x"], "/nonexistent/x: cannot write: No such file or directory"),
    ],
)
def test_trouble_is_one_line(words: list[str], message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mntscope", "selftest", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


def test_observing_ends_with_its_world() -> None:
    observed = observe(Generator.of(1, 0))
    first = next(observed)
    assert first.before.keys() == {"A"}
    observed.close()  # type: ignore[attr-defined]


def test_several_recordings_add_up(tmp_path: Path, host: Host) -> None:
    recording = tmp_path / "t.jsonl"
    assert host.mntscope("selftest", "--operations", 20, "--seed", 6, "--record", recording).returncode == 0
    tally = run_recorded([recording, recording], progress=ignore)
    assert (tally.operations, tally.results["wrong"]) == (40, 0)
