"""``mntscope holders`` in scenes that people have met: what it names, and that all it prints works as it is printed."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mntscope.kernel import syscalls
from tests.cli.test_holders import asked, device_number, loop_device, open_exclusively, umount
from tests.support import scenes
from tests.support.dead import dead_filesystem
from tests.support.throwaway import Actor, Host

_COMMAND = re.compile(r"^ +((?:umount|rmdir|rm|nsenter) .*)$", re.MULTILINE)

Step = Callable[[], None]


def report(host: Host, *words: object, code: int) -> str:
    """The table that is printed, in lines as long as they get."""
    done = host.mntscope("holders", *words, env={**os.environ, "COLUMNS": "500", "NO_COLOR": "1"})
    assert (done.stderr, done.returncode) == ("", code), done.stdout
    return done.stdout


def commands(text: str) -> list[str]:
    """The commands in a table, in the order in which they are printed."""
    return _COMMAND.findall(text)


def run_all(host: Host, lines: list[str]) -> None:
    """Run them one after the other, and stop at the first that fails."""
    assert lines
    script = "\n".join(["set -e", *lines])
    done = host.run(["sh", "-c", script])
    assert done.returncode == 0, f"{script}\n{done.stderr}"


def tables(host: Host, *actors: Actor) -> str:
    return (host.mountinfo() + b"".join(map(host.mountinfo, actors))).decode()


def mount(path: Path, source: str = "inner") -> Step:
    def act() -> None:
        path.mkdir(parents=True, exist_ok=True)
        syscalls.mount(source, str(path), "tmpfs", 0)

    return act


def bind(source: Path, target: Path, *, recursive: bool = True, propagation: int = syscalls.MS_PRIVATE) -> Step:
    def act() -> None:
        target.mkdir(parents=True, exist_ok=True)
        deep = syscalls.MS_REC if recursive else 0
        syscalls.mount(str(source), str(target), None, syscalls.MS_BIND | deep)
        syscalls.mount(None, str(target), None, propagation | deep)

    return act


def both(*steps: Step) -> Step:
    def act() -> None:
        for step in steps:
            step()

    return act


# What the host has unmounted


def test_it_is_found_at_another_path(machine: Host, tmp_path: Path) -> None:
    volumes = scenes.volume(machine, tmp_path / "volumes")
    pod = volumes / "pod" / "mount"
    machine.call(mount(pod, "pod"))
    there = tmp_path / "container" / "volumes"
    container = machine.unshare("slave", bind(volumes, there))
    umount(machine, pod)
    text = report(machine, pod, code=1)
    assert f"{there}/pod/mount" in text
    run_all(machine, commands(text)[:1])
    assert " - tmpfs pod " not in tables(machine, container)


def test_it_is_found_through_a_bind_mount_of_the_whole_path(machine: Host, tmp_path: Path) -> None:
    """The host knows the directory by two paths, and the asker names that at which nothing was ever mounted."""
    (tmp_path / "real" / "disk").mkdir(parents=True)
    machine.call(bind(tmp_path / "real", tmp_path / "shown", propagation=syscalls.MS_PRIVATE))
    machine.call(mount(tmp_path / "real" / "disk", "disk"))
    machine.unshare("private")
    umount(machine, tmp_path / "real" / "disk")
    text = report(machine, tmp_path / "shown" / "disk", code=1)
    assert "umount --namespace" in text
    assert f"{tmp_path}/real/disk" in text


def test_it_is_found_where_the_host_has_unmounted_what_it_was_in_as_well(machine: Host, tmp_path: Path) -> None:
    outer = scenes.volume(machine, tmp_path / "outer")
    machine.call(mount(outer / "inner", "inside"))
    copy = machine.unshare("private")
    umount(machine, outer / "inner")
    umount(machine, outer)
    outer.joinpath("inner").mkdir(exist_ok=True)
    text = report(machine, outer / "inner", code=1)
    assert "tmpfs, inside" in text
    run_all(machine, commands(text))
    assert " - tmpfs inside " not in tables(machine, copy)


def test_a_former_slave_is_not_said_to_be_private(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    machine.call(os.mkdir, data / "sub")
    machine.unshare("slave", mount(data / "sub"))
    umount(machine, data)
    text = report(machine, data, code=1)
    assert "how it got there is not known" in text
    assert "made private" not in text


# Where the host still has it


def test_mounts_below_are_named_with_the_order_that_works(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    for path in (data / "a", data / "a" / "b", data / "c"):
        machine.call(mount(path))
    assert "busy" in machine.run(["umount", data]).stderr
    text = report(machine, data, code=0)
    assert f"{data}/a" in text
    assert f"{data}/c" in text
    assert "umount frees it" not in text
    run_all(machine, commands(text))
    assert str(data) not in tables(machine)


def test_very_many_mounts_below(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    machine.call(both(*(mount(data / str(number)) for number in range(20))))
    run_all(machine, commands(report(machine, data, code=0)))
    assert str(data) not in tables(machine)


def test_what_a_process_has_open_keeps_umount_from_succeeding(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    user = machine.spawn(lambda: os.chdir(data))
    other = machine.unshare("slave", lambda: os.chdir(data))
    assert "busy" in machine.run(["umount", data]).stderr
    code, document = asked(machine, data)
    assert (code, document["verdict"]) == (1, "busy")
    assert {(each["pid"], each["kind"], each["in_no_table"]) for each in document["references"]} == {
        (user.inner, "cwd", False),
        (other.inner, "cwd", False),
    }
    assert f"{user.inner} (python)" in report(machine, data, code=1)
    for each in (user, other):
        machine.kill(each)
    assert asked(machine, data)[0] == 0
    umount(machine, data)


# In no table


def lazily(host: Host, mounted: Path) -> None:
    host.run(["umount", "--lazy", mounted]).check_returncode()


def test_what_was_unmounted_lazily(machine: Host, tmp_path: Path) -> None:
    """Each way in which a process can keep it: the device is busy until all of them are gone."""
    with loop_device(machine, tmp_path) as (device, mounted):
        program = mounted / "sleep"
        machine.run(["cp", "/bin/sleep", program]).check_returncode()
        machine.call(lambda: (mounted / "file").write_bytes(bytes(4096)))

        def open_it() -> None:
            os.dup2(os.open(mounted / "file", os.O_RDONLY), 77)

        def map_it() -> None:
            import mmap

            fd = os.open(mounted / "file", os.O_RDONLY)
            globals()["_kept"] = mmap.mmap(fd, 4096, prot=mmap.PROT_READ)
            os.close(fd)

        def live_there() -> None:
            os.chroot(mounted)

        def hold_a_tree() -> None:
            os.dup2(syscalls.open_tree(syscalls.AT_FDCWD, str(mounted), syscalls.OPEN_TREE_CLONE), 78)

        def run_it() -> None:
            subprocess.Popen([program, "1000"])

        steps = (lambda: os.chdir(mounted), open_it, map_it, live_there, hold_a_tree, run_it)
        actors = [machine.spawn(step) for step in steps]
        lazily(machine, mounted)
        assert machine.call(open_exclusively, device) == "Device or resource busy"
        for name in (device, device_number(device)):
            code, document = asked(machine, name)
            found = {(each["pid"], each["kind"]) for each in document["references"] if each["in_no_table"]}
            expected = zip(actors[:-1], ("cwd", "fd", "map", "root", "fd"), strict=True)
            assert {(actor.inner, kind) for actor, kind in expected} <= found
            assert "exe" in {kind for _, kind in found}
            assert (code, document["verdict"], document["holders"]) == (1, "busy", [])
        # By the path nobody can tell what was there, only that something is kept.
        assert asked(machine, mounted)[0] == 1
        for pid in {each["pid"] for each in document["references"]}:
            machine.run(["kill", "-9", pid]).check_returncode()
        for actor in actors:
            machine.kill(actor)
        code, document = asked(machine, device)
        assert (code, document["verdict"]) == (0, "free")
        scenes.waited_for(lambda: machine.call(open_exclusively, device) != "Device or resource busy" or None)


def test_a_dead_server_that_was_unmounted_lazily(machine: Host, tmp_path: Path) -> None:
    """What keeps it is found without asking it."""
    dead = tmp_path / "dead"
    dead.mkdir()

    def hold_it() -> None:
        os.dup2(os.open(dead, os.O_PATH), 77)

    actor = machine.spawn(both(dead_filesystem(str(dead)), hold_it))
    (line,) = [line for line in machine.mountinfo().decode().splitlines() if " fuse.dead " in line]
    lazily(machine, dead)
    done = machine.mntscope("holders", line.split()[2], "--format", "json", timeout=20)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert {each["pid"] for each in document["references"]} == {actor.inner}
    assert document["not_seen"] == []


def test_a_path_on_a_dead_server_is_answered_for_its_mount(machine: Host, tmp_path: Path) -> None:
    dead = tmp_path / "dead"
    dead.mkdir()
    machine.spawn(dead_filesystem(str(dead)))
    machine.unshare("private")
    assert asked(machine, dead / "some" / "dir")[1]["inside"] == str(dead)
    assert report(machine, dead / "some" / "dir", code=1).startswith(f"BUSY  {dead}/some/dir lies in a mount: ")


# On a file


def network_namespace(machine: Host, at: Path) -> None:
    at.touch()
    with scenes.program(machine, "unshare", "--net", "sleep", "1000", comm="sleep") as there:
        machine.call(syscalls.mount, f"/proc/{there.inner}/ns/net", str(at), None, syscalls.MS_BIND)


def test_a_network_namespace_is_on_a_file(machine: Host, tmp_path: Path) -> None:
    at = tmp_path / "net"
    network_namespace(machine, at)
    copy = machine.unshare("private")
    umount(machine, at)
    text = report(machine, at, code=1)
    assert f"    rm {at}\n" in text
    assert f"    rm {at}\n" in report(machine, code=1)
    run_all(machine, commands(text))
    assert str(at) not in tables(machine, copy)


def test_a_volume_of_a_single_file_is_removed_as_one(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    target, snapshot = tmp_path / "settings", tmp_path / "snapshot"
    target.touch()
    machine.call((data / "settings").touch)
    machine.call(syscalls.mount, str(data / "settings"), str(target), None, syscalls.MS_BIND)
    copy = machine.unshare("private")
    umount(machine, target)
    machine.mntscope("capture", "-o", snapshot).check_returncode()
    assert f"    rm {target}\n" in report(machine, target, code=1)
    # A snapshot does not tell what it is; the same command removes an empty directory.
    offline = commands(report(machine, target, "--snapshot", snapshot, code=1))
    assert offline[-1] == f"rm --dir {target}"
    run_all(machine, offline[-1:])
    assert str(target) not in tables(machine, copy)


# Names


def test_a_path_inside_of_a_mount_is_answered_for_it(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    machine.unshare("private")
    machine.call(lambda: (data / "some" / "dir").mkdir(parents=True))
    text = report(machine, data / "some" / "dir", code=1)
    assert text.startswith(f"BUSY  {data}/some/dir lies in a mount: when the host has unmounted {data} (")
    assert asked(machine, data / "some")[1]["inside"] == str(data)


def test_a_path_in_what_the_host_has_unmounted(machine: Host, tmp_path: Path) -> None:
    """Who asks for a file of a log directory that is gone is told who keeps the filesystem in which it was."""
    volume = scenes.volume(machine, tmp_path / "volume")
    machine.call((volume / "logs").mkdir)
    keeper = machine.unshare("private")
    umount(machine, volume)
    text = report(machine, volume / "logs", code=1)
    assert f"{volume / 'logs'} is not there any more: it may have been in what others keep mounted there" in text
    assert str(keeper.inner) in text
    run_all(machine, commands(text)[:1])
    assert machine.mntscope("holders", volume / "logs").returncode == 2


def test_a_name_in_the_current_directory_is_a_path(machine: Host, tmp_path: Path) -> None:
    scenes.volume(machine, tmp_path / "data")
    done = machine.mntscope("holders", "data", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[:2]) == (0, ["HELD", str(tmp_path / "data")])
    assert machine.mntscope("holders", "nothing", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize("name", ["/nonexistent/at/all", "8:99", "0:999999", "/dev/nothing"])
def test_what_does_not_exist_is_not_free(machine: Host, name: str) -> None:
    done = machine.mntscope("holders", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"mntscope: .*(does not exist|no such device).*\n", done.stderr)


def test_a_source_of_several_filesystems_is_to_be_chosen_from(machine: Host, tmp_path: Path) -> None:
    for name in ("one", "two"):
        machine.call(mount(tmp_path / name, "shared-name"))
    done = machine.mntscope("holders", "shared-name")
    assert done.returncode == 2
    assert "2 filesystems have this source" in done.stderr
    assert f"({tmp_path}/one of host)" in done.stderr
    assert f"({tmp_path}/two of host)" in done.stderr


# What is printed works


def peers(machine: Host) -> list[Actor]:
    """Two namespaces whose mounts are peers of each other's, and no longer of the host's."""

    def part() -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)

    first = machine.unshare("unchanged", part)

    def join() -> None:
        syscalls.setns(os.open(f"/proc/{first.inner}/ns/mnt", os.O_RDONLY), syscalls.CLONE_NEWNS)
        syscalls.unshare(syscalls.CLONE_NEWNS)

    return [first, machine.spawn(join)]


@pytest.mark.parametrize("unmounted", [True, False])
def test_an_umount_that_takes_others_along_is_printed_once(machine: Host, tmp_path: Path, unmounted: bool) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    actors = peers(machine)
    if unmounted:
        umount(machine, data)
    text = report(machine, data, code=1)
    printed = commands(text)
    assert sum(line.startswith("umount --namespace") for line in printed) == 1
    assert "it goes with what is unmounted before" in text
    run_all(machine, printed)
    assert str(data) not in tables(machine, *actors)


def test_several_copies_in_one_namespace(machine: Host, tmp_path: Path) -> None:
    """Binds of each other are peers: what is mounted in one is in the other, and goes from both at once."""
    data = scenes.volume(machine, tmp_path / "data")

    def again() -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount(None, str(data), None, syscalls.MS_SHARED)
        bind(data, tmp_path / "again", propagation=syscalls.MS_SHARED)()
        mount(data / "inner")()

    (tmp_path / "again").mkdir()
    actor = machine.unshare("unchanged", again)
    umount(machine, data)
    run_all(machine, commands(report(machine, data, code=1)))
    assert str(tmp_path / "again") not in tables(machine, actor)
    assert str(data) not in tables(machine, actor)


def test_a_copy_in_a_user_namespace(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    words = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "sleep", "1000")
    with scenes.program(machine, *words, comm="sleep") as actor:
        run_all(machine, commands(report(machine, data, code=1)))
        assert str(data) not in tables(machine, actor)


def test_a_namespace_that_is_kept_by_its_file(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    scenes.held_by_mount(machine, tmp_path / "pins" / "kept")
    umount(machine, data)
    text = report(machine, data, code=1)
    assert f"or end its namespace, with all that is mounted there: umount {tmp_path}/pins/kept" in text
    run_all(machine, commands(text))
    assert asked(machine)[1]["holders"] == []


def test_a_namespace_in_which_its_copies_cannot_be_named_is_ended_once(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "outer" / "data")
    machine.call(bind(data, tmp_path / "outer" / "again", propagation=syscalls.MS_SHARED))
    scenes.held_by_mount(machine, tmp_path / "pins" / "kept", set_up=mount(tmp_path / "outer"))
    for path in (data, tmp_path / "outer" / "again"):
        umount(machine, path)
    text = report(machine, data, code=1)
    printed = commands(text)
    assert printed.count(f"umount {tmp_path}/pins/kept") == 1
    run_all(machine, printed)
    assert asked(machine)[1]["holders"] == []


# All that the host has given back


def test_all_that_others_keep(machine: Host, tmp_path: Path) -> None:
    assert "nothing that the host has unmounted" in report(machine, code=0)
    with loop_device(machine, tmp_path) as (device, mounted):
        data = scenes.volume(machine, tmp_path / "data")
        copies = [machine.unshare("private"), machine.unshare("slave", mount(mounted / "inner"))]
        # Its own, on a slave: the host never had it.
        machine.unshare("slave", mount(tmp_path / "own", "own"))
        assert report(machine, code=0)
        lazily(machine, mounted)
        umount(machine, data)
        text = report(machine, code=1)
        assert "own" not in re.sub("unknown|known|the host's own", "", text)
        document: Any = json.loads(machine.mntscope("holders", "--format", "json").stdout)
        assert document["devices"][0] == device_number(device)
        assert (document["wanted"], document["verdict"], len(document["devices"])) == (None, "busy", 2)
        assert {each["path"] for each in document["holders"]} == {str(mounted), str(data)}
        snapshot = tmp_path / "snapshot"
        machine.mntscope("capture", "-o", snapshot).check_returncode()
        offline = machine.mntscope("holders", "--snapshot", snapshot, "--format", "json")
        assert offline.returncode == 1
        assert json.loads(offline.stdout)["devices"] == document["devices"]
        run_all(machine, [line for line in commands(text) if line.startswith("umount")])
        assert device_number(device) not in tables(machine, *copies)
        report(machine, code=0)
        scenes.waited_for(lambda: machine.call(open_exclusively, device) != "Device or resource busy" or None)


def test_an_audit_says_the_same(machine: Host, tmp_path: Path) -> None:
    """Before and after the host's umount; and its commands work."""
    with loop_device(machine, tmp_path) as (device, mounted):
        container = tmp_path / "container"
        copies = [machine.unshare("private"), machine.unshare("slave", mount(mounted / "inner"))]
        machine.unshare("slave")
        machine.unshare("slave", bind(mounted, container))

        def audited() -> list[Any]:
            done = machine.mntscope("audit", "--no-settings", "--rule", "MNT008", "--format", "json")
            return list(json.loads(done.stdout)["findings"])

        for unmounted in (False, True):
            if unmounted:
                lazily(machine, mounted)
            findings = audited()
            assert {finding["subject"] for finding in findings} == {str(copy.inner) for copy in copies}
        for finding in findings:
            run_all(machine, [" ".join(words) for words in finding["commands"]])
        assert audited() == []
        assert device_number(device) not in tables(machine, *copies)
