"""``mntscope holders`` on this kernel: what it foretells happens, and following what it prints frees the filesystem."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mntscope.kernel import syscalls
from mntscope.parse import parse_mountinfo
from tests.support import scenes
from tests.support.isolating import lines_at
from tests.support.throwaway import NOBODY, Actor, Host, Mode


def asked(host: Host, *words: object) -> tuple[int, Any]:
    """The exit code and the JSON of ``mntscope holders WORDS..`` in the host."""
    done = host.mntscope("holders", *words, "--format", "json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def only_staying(document: Any) -> Any:
    """The one holder that the host's umount does not reach."""
    (holder,) = (each for each in document["holders"] if not each["receives_host_umount"])
    return holder


def shell(host: Host, command: str) -> subprocess.CompletedProcess[str]:
    """A command as it was printed, in a shell of the host."""
    return host.run(["sh", "-c", command])


def umount(host: Host, path: object) -> None:
    host.run(["umount", str(path)]).check_returncode()


def test_the_forgotten_namespace(machine: Host, tmp_path: Path) -> None:
    """The host has unmounted an overlay, and cannot mount it again: a private copy lives on."""
    merged, mount = overlay(machine, tmp_path)
    forgotten = machine.unshare("private")
    umount(machine, merged)
    assert "mount point busy" in mount().stderr

    code, document = asked(machine, merged)
    holder = only_staying(document)
    assert code == 1
    assert (holder["owner"], holder["pids"], holder["path"]) == ("process python", [forgotten.inner], str(merged))
    printed = machine.mntscope("holders", merged).stdout
    assert printed.startswith("BUSY")
    assert f"    {holder['remedy']}\n" in printed

    assert shell(machine, holder["remedy"]).returncode == 0
    assert asked(machine, merged)[0] == 0
    assert mount().returncode == 0


def test_the_device_is_busy(machine: Host, tmp_path: Path) -> None:
    """The device of a filesystem that the host has unmounted cannot be had while another namespace has it."""
    with loop_device(machine, tmp_path) as (device, mounted):
        machine.unshare("private")
        umount(machine, mounted)
        assert machine.call(open_exclusively, device) == "Device or resource busy"
        for name in (device, device_number(device), str(mounted)):
            code, document = asked(machine, name)
            assert (code, document["device"]) == (1, device_number(device))
        assert shell(machine, only_staying(document)["remedy"]).returncode == 0
        # Another's look at the machine may keep the filesystem for a moment.
        scenes.waited_for(lambda: machine.call(open_exclusively, device) != "Device or resource busy" or None)


def test_a_directory_is_busy_in_the_namespace_that_has_it_mounted(machine: Host, tmp_path: Path) -> None:
    """rmdir(2) fails where the remover's own namespace has something mounted there, be it gone from the host's."""
    data = scenes.volume(machine, tmp_path / "data")
    daemon = machine.unshare("private")
    umount(machine, data)
    removal = ["nsenter", "-t", str(daemon.inner), "-m", "rmdir", str(data)]
    assert "Device or resource busy" in machine.run(removal).stderr
    _, document = asked(machine, data)
    assert shell(machine, only_staying(document)["remedy"]).returncode == 0
    assert machine.run(removal).returncode == 0


def test_removing_the_directory_frees_all_copies(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    actors = [machine.unshare("private"), machine.unshare("private")]
    umount(machine, data)
    _, document = asked(machine, data)
    removals = {
        each["command"] for holder in document["holders"] for each in holder["remedies"] if each["kind"] == "rmdir"
    }
    assert removals == {f"rmdir {data}"}
    assert shell(machine, removals.pop()).returncode == 0
    assert not any(lines_at(machine, str(data), actor) for actor in actors)
    # There is no such device any more, nor is the path.
    assert machine.mntscope("holders", document["device"]).returncode == 2


def test_a_locked_copy(machine: Host, tmp_path: Path) -> None:
    """In a namespace of another user namespace umount(8) says that nothing is mounted; its directory can be removed."""
    data = scenes.volume(machine, tmp_path / "data")
    words = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "sleep", "1000")
    with scenes.program(machine, *words, comm="sleep") as actor:
        holder = only_staying(asked(machine, data)[1])
        assert holder["may_be_locked"]
        assert [each["kind"] for each in holder["remedies"]] == ["rmdir", "umount"]
        umount(machine, data)
        assert "not mounted" in shell(machine, holder["remedies"][1]["command"]).stderr
        assert shell(machine, holder["remedy"]).returncode == 0
        assert not lines_at(machine, str(data), actor)


def test_a_namespace_that_only_a_mount_keeps(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    pin = tmp_path / "pins/kept"
    inode = scenes.held_by_mount(machine, pin)
    umount(machine, data)
    _, document = asked(machine, data)
    holder = only_staying(document)
    assert (holder["inode"], holder["pids"], holder["held_by"]) == (inode, [], [f"mount {pin}"])
    assert holder["remedy"] == f"umount --namespace {pin} {data}"
    assert shell(machine, holder["remedy"]).returncode == 0
    assert asked(machine, data)[1]["holders"] == []
    # The other way: the namespace goes, and all that is mounted in it.
    ends = next(each["command"] for each in holder["remedies"] if each["kind"] == "pin")
    assert shell(machine, ends).returncode == 0
    assert machine.run(["ls", "/proc/self/mountinfo", pin]).returncode == 0
    assert not lines_at(machine, str(pin))


def test_a_namespace_that_only_a_descriptor_keeps(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    kept = scenes.held_by_fd(machine)
    umount(machine, data)
    holder = only_staying(asked(machine, data)[1])
    assert holder["inode"] == kept.inode
    where = f"/proc/{kept.holder.inner}/fd/{kept.fd}"
    assert holder["held_by"] == [f"fd {where} of process {kept.holder.inner} (python)"]
    assert shell(machine, holder["remedy"]).returncode == 0
    assert asked(machine, data)[1]["holders"] == []


def test_an_overlay_keeps_the_filesystem_below_it(machine: Host, tmp_path: Path) -> None:
    with loop_device(machine, tmp_path) as (device, mounted):
        merged = tmp_path / "merged"
        merged.mkdir()

        def make() -> None:
            make_overlay(merged, mounted)
            syscalls.umount2(str(mounted), 0)

        container = machine.unshare("private", make)
        umount(machine, mounted)
        assert device_number(device) not in tables(machine, container), "no table shows it any more"
        assert machine.call(open_exclusively, device) == "Device or resource busy"
        holder = only_staying(asked(machine, mounted)[1])
        assert (holder["via"], holder["path"]) == ("overlay", str(merged))
        assert shell(machine, holder["remedy"]).returncode == 0
        assert machine.call(open_exclusively, device) != "Device or resource busy"


KINDS: tuple[Mode, ...] = ("unchanged", "slave", "private", "unbindable")


def test_what_would_stay_is_what_stays(machine: Host, tmp_path: Path) -> None:
    """Of every kind of namespace, each plain, with something mounted in its copy, and with a private parent mount."""
    data = scenes.volume(machine, tmp_path / "data")
    machine.call(os.mkdir, data / "sub")

    def occupy() -> None:
        syscalls.mount(None, str(data), None, syscalls.MS_PRIVATE)
        syscalls.mount("occupied", str(data / "sub"), "tmpfs", 0)

    def part() -> None:
        syscalls.mount(None, "/", None, syscalls.MS_PRIVATE)

    actors = [machine.unshare(kind, set_up) for kind in KINDS for set_up in (lambda: None, occupy, part)]
    binds: list[scenes.Bind] = [(data, "/volume", "rshared")]
    with (
        scenes.runc(machine, tmp_path, "web", rootfs_propagation="shared", binds=binds) as web,
        scenes.bwrap(machine) as sandbox,
    ):
        _, document = asked(machine, data)
        staying = [each for each in document["holders"] if not each["receives_host_umount"]]
        umount(machine, data)
        stayed = {
            (actor.namespace("mnt"), mount.mount_point)
            for actor in (*actors, web, sandbox)
            for mount in parse_mountinfo(machine.mountinfo(actor))
            if mount.device == document["device"]
        }
        assert {(each["inode"], each["path"]) for each in staying} == stayed
        assert len(stayed) == len(staying) > 5
        # And each goes when it is told to, also in a container that holds no program but sleep.
        for each in staying:
            shell(machine, each["remedy"]).check_returncode()
        assert asked(machine, data) == (
            0,
            {**document, "holders": [], "device": None, "devices": [], "verdict": "free"},
        )


def test_a_copy_with_many_mounts_in_it(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    inner = [data / str(number) for number in range(20)]

    def mount_all() -> None:
        for path in inner:
            path.mkdir()
            syscalls.mount("inner", str(path), "tmpfs", 0)

    machine.unshare("private", mount_all)
    umount(machine, data)
    holder = only_staying(asked(machine, data)[1])
    assert " --lazy " in holder["remedy"]
    shell(machine, holder["remedy"]).check_returncode()
    assert asked(machine, data)[0] == 0


def test_offline(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    forgotten = machine.unshare("private")
    file = tmp_path / "snapshot"
    machine.mntscope("capture", "-o", file).check_returncode()
    live = machine.mntscope("holders", data).stdout
    machine.kill(forgotten)
    offline = machine.mntscope("holders", data, "--snapshot", file).stdout
    # Only what processes have open is not in a snapshot.
    assert offline.startswith(live)
    assert "was not looked for" in offline.removeprefix(live)


def test_links_and_relative_paths_are_followed(machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(machine, tmp_path / "data")
    (tmp_path / "link").symlink_to(data)
    for name, directory in ((tmp_path / "link", "/"), ("./data", tmp_path)):
        code, document = asked_from(machine, directory, name)
        assert (code, document["wanted"], len(document["holders"])) == (0, str(data), 1)


def test_an_unprivileged_user_is_told_what_was_not_seen(open_machine: Host, tmp_path: Path) -> None:
    data = scenes.volume(open_machine, tmp_path / "data")
    open_machine.unshare("private")
    for name in (data, "/nowhere"):
        done = open_machine.mntscope("holders", name, uid=NOBODY)
        assert (done.stderr, done.returncode in (0, 1)) == ("", True)
        assert "\nNot seen\n" in done.stdout


def test_trouble(machine: Host) -> None:
    done = machine.mntscope("holders", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mntscope: nonsense: nothing of that name is mounted; give a path, ")


def asked_from(host: Host, directory: object, name: object) -> tuple[int, Any]:
    done = host.run(
        ["env", f"--chdir={directory}", sys.executable, "-m", "mntscope", "holders", name, "--format", "json"]
    )
    return done.returncode, json.loads(done.stdout)


# What is held


def overlay(host: Host, tmp_path: Path) -> tuple[Path, Any]:
    """A mounted overlay that no second one may share its directories with; and what mounts it again."""
    files, merged = tmp_path / "files", tmp_path / "merged"
    merged.mkdir()
    scenes.volume(host, files)
    host.call(make_overlay, merged, files)
    options = f"lowerdir={files}/low,upperdir={files}/up,workdir={files}/work,index=on"
    words = ["mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
    return merged, lambda: host.run(words)


def make_overlay(merged: Path, files: Path) -> None:
    for name in ("low", "up", "work"):
        (files / name).mkdir()
    options = f"lowerdir={files}/low,upperdir={files}/up,workdir={files}/work,index=on"
    syscalls.mount("overlay", str(merged), "overlay", 0, options)


@contextmanager
def loop_device(host: Host, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loop device that goes with its last user, and where the host has its filesystem mounted."""
    scenes.need("losetup", "mkfs.ext4")
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(4 << 20)
    host.run(["mkfs.ext4", "-q", image]).check_returncode()
    done = host.run(["mount", "-o", "loop", image, mounted])
    if done.returncode:
        pytest.skip(f"no loop devices here: {done.stderr.strip()}")
    listed = host.run(["losetup", "--noheadings", "--output", "NAME", "--associated", image])
    yield listed.stdout.strip(), mounted


def device_number(device: str) -> str:
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def open_exclusively(device: str) -> str:
    """What mkfs(8), mdadm(8) and the like do first: the error, if any."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        return os.strerror(error.errno or 0)
    return ""


def tables(host: Host, actor: Actor) -> str:
    return (host.mountinfo() + host.mountinfo(actor)).decode()
