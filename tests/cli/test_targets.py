"""What a TARGET names, on a throwaway machine and in files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from mntscope.cli.targets import Resolved, resolve
from mntscope.errors import AccessError, ParseError, TargetError, UsageError
from mntscope.kernel import syscalls
from mntscope.model import Owner
from tests.support.throwaway import Actor, Host, as_nobody, error_of

LINE = b"22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw\n"


def labels(resolved: Resolved) -> list[str]:
    return [view.label for view in resolved.snapshot.views]


# Processes


def test_a_process(machine: Host) -> None:
    target = machine.unshare("unchanged")
    machine.unshare("private")
    resolved = machine.call(resolve, str(target.inner))
    assert resolved.target == str(target.inner)
    assert labels(resolved) == ["host", resolved.target]
    assert resolved.snapshot.host_label == "host"
    assert resolved.snapshot.mountinfo(resolved.target) == machine.mountinfo(target)


def test_everything(machine: Host) -> None:
    target, other = machine.unshare("unchanged"), machine.unshare("private")
    resolved = machine.call(lambda: resolve(str(target.inner), everything=True))
    assert resolved.target == str(target.inner)
    assert {"host", str(target.inner), str(other.inner)} <= set(labels(resolved))


def test_self_and_a_process_of_the_host_are_the_host(machine: Host) -> None:
    neighbour = machine.spawn()
    for target in ("self", "host", "1", str(neighbour.inner)):
        resolved = machine.call(resolve, target)
        assert (resolved.target, labels(resolved)) == ("host", ["host"])


def test_another_host(host: Host) -> None:
    target = host.unshare("slave")
    resolved = host.call(resolve, str(target.pid), str(host.pid))
    assert resolved.target == str(target.pid)
    assert resolved.snapshot.host_label == str(host.pid)
    assert labels(resolved) == [str(target.pid), str(host.pid)]
    assert resolved.snapshot.mountinfo(str(host.pid)) == host.mountinfo()
    assert resolved.snapshot.not_seen == ()


def test_a_master_that_neither_shows_is_looked_for(machine: Host, tmp_path: Path) -> None:
    def share_again() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_SHARED)

    between = machine.unshare("slave", share_again)

    def follow() -> None:
        with open(f"/proc/{between.inner}/ns/mnt") as namespace:
            syscalls.setns(namespace.fileno(), syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SLAVE)

    target = machine.spawn(follow)
    assert str(between.inner) in labels(machine.call(resolve, str(target.inner)))


def test_processes_that_are_not_there() -> None:
    for word in ("999999", "0", "99999999999999999999", "9" * 5000):
        with pytest.raises(TargetError, match=r"process 9?.*: there is no such process"):
            resolve(word)


def test_the_process_of_another_user_is_known_by_its_table(open_machine: Host) -> None:
    target = open_machine.unshare("unchanged")
    resolved = open_machine.call(as_nobody, resolve, str(target.inner))
    view = resolved.snapshot.view(resolved.target)
    assert (resolved.target, view.namespace.inode) == (str(target.inner), None)
    assert "its table tells which it is; run mntscope as root" in str(resolved.snapshot.not_seen)


# Namespace files


def test_a_namespace_file_of_a_process(machine: Host) -> None:
    target = machine.unshare("slave")
    word = f"ns:/proc/{target.inner}/ns/mnt"
    resolved = machine.call(resolve, word)
    assert resolved.target == word
    assert resolved.snapshot.view(word).namespace.inode == target.namespace("mnt")
    assert resolved.snapshot.mountinfo(word) == machine.mountinfo(target)


def test_a_namespace_file_of_the_host_is_the_host(machine: Host) -> None:
    assert machine.call(resolve, "ns:/proc/1/ns/mnt").target == "host"
    assert machine.call(resolve, "ns:/proc/self/ns/mnt").target == "host"


def test_files_that_are_no_mount_namespace(machine: Host, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    hint = "give a file such as /proc/PID/ns/mnt"
    for path, what in {
        "/proc/self/ns/net": "it is not a mount namespace",
        "/proc/self/status": "it is not a mount namespace",
        str(tmp_path): "it is not a mount namespace",
        str(tmp_path / "pipe"): "it is not a mount namespace",
        str(tmp_path / "missing"): "it cannot be opened (No such file or directory)",
    }.items():
        assert machine.call(error_of, resolve, f"ns:{path}") == (TargetError, f"{path}: {what}; {hint}")


def test_a_namespace_file_that_may_not_be_opened(open_machine: Host) -> None:
    # That of a process has a table beside it.
    assert open_machine.call(as_nobody, resolve, "ns:/proc/1/ns/mnt").target == "host"
    kind, text = open_machine.call(as_nobody, error_of, resolve, "ns:/proc/1/task/1/ns/mnt")
    assert (kind, text) == (AccessError, "/proc/1/task/1/ns/mnt: permission denied; run mntscope as root")


# Files


def test_a_file_is_compared_with_the_machine(machine: Host, tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(LINE)
    resolved = machine.call(resolve, f"file:{path}")
    assert resolved.target == f"file:{path}"
    assert labels(resolved) == ["host", f"file:{path}"]
    assert resolved.snapshot.mountinfo(resolved.target) == LINE
    assert "as if both had been captured at the same moment" in str(resolved.snapshot.not_seen[0])


def test_two_files_need_no_machine(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(LINE)
    other.write_bytes(LINE.replace(b"22", b"32"))
    resolved = resolve(f"file:{one}", f"file:{other}")
    assert labels(resolved) == [f"file:{other}", f"file:{one}"]
    assert resolved.snapshot.host_label == f"file:{other}"
    same = resolve(f"file:{one}", f"file:{one}")
    assert (same.target, labels(same)) == (f"file:{one}", [f"file:{one}"])


def test_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(LINE)
    reader, writer = os.pipe()
    os.write(writer, LINE)
    os.close(writer)
    saved = os.dup(0)
    os.dup2(reader, 0)
    try:
        assert resolve("file:-", f"file:{path}").snapshot.mountinfo("file:-") == LINE
        assert error_of(resolve, "file:-", f"file:{path}")[1].startswith("file:-: it is empty")
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(reader)


def test_a_file_with_some_bad_lines_keeps_the_good_ones(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(LINE + b"garbage\n" + LINE.replace(b"22", b"23"))
    view = resolve(f"file:{path}", f"file:{path}").snapshot.host
    assert [mount.mount_id for mount in view.mounts] == [22, 23]
    [problem] = view.problems
    assert problem.where.startswith(f"file:{path}:2:")


def test_files_that_are_no_table(tmp_path: Path) -> None:
    garbage, closed = tmp_path / "garbage", tmp_path / "closed"
    garbage.write_text("what is this\n")
    kind, text = error_of(resolve, f"file:{garbage}")
    assert kind is ParseError
    assert text.startswith(f"file:{garbage}:1:")
    hint = "a mount table has a line for each mount; make one with `cat /proc/PID/mountinfo`"
    assert error_of(resolve, "file:/dev/null") == (TargetError, f"file:/dev/null: it is empty; {hint}")
    assert error_of(resolve, f"file:{tmp_path}") == (TargetError, f"{tmp_path}: it cannot be read (Is a directory)")
    assert error_of(resolve, f"file:{closed}") == (
        TargetError,
        f"{closed}: it cannot be read (No such file or directory)",
    )


def test_a_file_that_may_not_be_read(open_machine: Host) -> None:
    kind, text = open_machine.call(as_nobody, error_of, resolve, "file:/proc/1/environ")
    assert (kind, text) == (AccessError, "/proc/1/environ: permission denied")


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mntscope.archive.files.LARGEST", 3 << 20)
    assert error_of(resolve, "file:/dev/zero") == (
        TargetError,
        "/dev/zero: it is no snapshot or mount table: larger than 3 MiB",
    )


# Containers


def with_state(machine: Host, files: dict[str, object]) -> None:
    """Lays down state files of container runtimes on the machine."""

    def lay_down() -> None:
        for path in ("/run", "/var/lib"):
            syscalls.mount("none", path, "tmpfs", 0)
        for path, content in files.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(content if isinstance(content, str) else json.dumps(content))

    machine.call(lay_down)


def started(actor: Actor) -> int:
    return int(Path(f"/proc/{actor.pid}/stat").read_text().rpartition(")")[2].split()[19])


def test_a_container_by_its_runtimes_state(machine: Host) -> None:
    web, worker, busybox = (machine.unshare("slave") for _ in range(3))
    number, other = "ba0c71d6" * 8, "ba0c0000" * 8
    with_state(
        machine,
        {
            "/run/runc/web-1/state.json": {"init_process_pid": web.inner, "init_process_start": str(started(web))},
            f"/run/docker/runtime-runc/moby/{number}/state.json": {
                "init_process_pid": worker.inner,
                "init_process_start": started(worker),
            },
            f"/var/lib/docker/containers/{number}/config.v2.json": {"Name": "/worker"},
            f"/run/crun/{other}/status": {"pid": busybox.inner, "process-start-time": started(busybox)},
            "/var/lib/containers/storage/overlay-containers/containers.json": [{"id": other, "names": ["busy box"]}],
            "/run/runc/stale/state.json": {"init_process_pid": web.inner, "init_process_start": 1},
            "/run/runc/broken/state.json": "{",
            "/run/runc/deep/state.json": "[" * 100_000,
            "/run/runc/odd/state.json": {"init_process_pid": "1"},
        },
    )
    for word, actor in {
        "web-1": web,
        "worker": worker,
        number: worker,
        "ba0c7": worker,
        "busy box": busybox,
    }.items():
        assert machine.call(resolve, f"container:{word}").target == str(actor.inner)
    namespace = machine.call(resolve, "container:web-1").snapshot.view(web.inner).namespace
    assert namespace.owner == Owner("runc", "web-1", id="web-1")
    kind, text = machine.call(error_of, resolve, "container:ba0c")
    assert kind is TargetError
    assert (
        text == "2 containers are called 'ba0c'; choose of podman busy box (ba0c0000ba0c), docker worker (ba0c71d6ba0c)"
    )
    for word in ("stale", "broken", "ba0", "nothing"):
        kind, text = machine.call(error_of, resolve, f"container:{word}")
        assert kind is TargetError
        assert text.startswith(f"no running container '{word}'; there are ")


@contextmanager
def in_cgroups(machine: Host, places: Mapping[str, Actor]) -> Iterator[None]:
    """Moves actors into cgroups of these names; ends them at the end."""
    base = Path("/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").is_dir() else "/sys/fs/cgroup")
    if not (base / "cgroup.procs").exists():
        pytest.skip(f"needs cgroups at {base}")
    groups = [base / place for place in places]
    try:
        for group in groups:
            group.mkdir(parents=True)
        for group, actor in zip(groups, places.values(), strict=True):
            (group / "cgroup.procs").write_text(str(actor.pid))
        yield
    except PermissionError as error:
        pytest.skip(f"cannot make a cgroup: {error}")
    finally:
        for actor in places.values():
            machine.kill(actor)
        for group in groups:
            for made in (group, *group.parents):
                empty = base in made.parents and made.exists() and not any(map(Path.is_dir, made.iterdir()))
                if empty:
                    made.rmdir()


def test_a_container_by_its_cgroup(machine: Host) -> None:
    number = "feed" * 16
    target = machine.unshare("slave")
    with in_cgroups(machine, {f"docker-{number}.scope": target}):
        resolved = machine.call(resolve, "container:feedf")
        assert resolved.target == str(target.inner)
        assert resolved.snapshot.view(resolved.target).namespace.owner == Owner("docker", number, id=number)


def test_what_supervises_a_container_is_not_it(machine: Host) -> None:
    supervisor, payload = machine.spawn(), machine.unshare("slave")
    machine_of = "machine-mntscope\\x2dbox.scope"
    with in_cgroups(machine, {f"{machine_of}/supervisor": supervisor, f"{machine_of}/payload": payload}):
        assert machine.call(resolve, "container:mntscope-box").target == str(payload.inner)


def test_no_container_at_all(machine: Host) -> None:
    with_state(machine, {})
    assert machine.call(error_of, resolve, "container:web-1") == (
        TargetError,
        "no running container 'web-1'; none is running that can be seen",
    )


# Snapshots


def captured(path: Path) -> str:
    """A snapshot file of three views."""
    from mntscope.archive import save
    from mntscope.snapshot import Snapshot

    tables = {name: LINE.replace(b"22", number) for name, number in (("host", b"22"), ("A", b"32"), ("4711", b"42"))}
    save(Snapshot.from_mountinfo(tables), path)
    return str(path)


def test_a_view_of_a_snapshot_is_compared_with_that_snapshots_host(tmp_path: Path) -> None:
    path = captured(tmp_path / "x.mntscope.json")
    resolved = resolve(f"snapshot:{path}#A")
    assert (resolved.target, resolved.snapshot.host_label) == ("A", "host")
    assert labels(resolved) == ["host", "A", "4711"]
    assert resolve(f"snapshot:{path}#A", f"snapshot:{path}#4711").snapshot.host_label == "4711"


def test_a_view_of_a_snapshot_against_something_else(machine: Host, tmp_path: Path) -> None:
    path = captured(tmp_path / "x.mntscope.json")
    against_file = tmp_path / "table"
    against_file.write_bytes(LINE)
    resolved = resolve(f"snapshot:{path}#A", f"file:{against_file}")
    assert labels(resolved) == [f"file:{against_file}", f"snapshot:{path}#A"]
    target = machine.unshare("slave")
    resolved = machine.call(resolve, str(target.inner), f"snapshot:{path}#host")
    assert labels(resolved) == ["host", "A", "4711", resolved.target]
    assert resolved.snapshot.mountinfo(resolved.target) == machine.mountinfo(target)


# Words


@pytest.mark.parametrize(
    "word",
    [
        "",
        "bash",
        "12a",
        "-1",
        "1.5",
        "\u0663",
        "file:",
        "ns:",
        "nt:/x",
        "snapshot:",
        "snapshot:#x",
        "snapshot:x#",
        "ns:a\0b",
    ],
)
def test_words_that_are_no_target(word: str) -> None:
    with pytest.raises(UsageError, match=r"is no TARGET|names no view"):
        resolve(word)
