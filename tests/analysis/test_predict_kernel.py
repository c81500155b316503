"""Command lines are predicted, then run: this kernel's namespaces come out as predicted, all of them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mntscope import Snapshot, parse_mountinfo
from mntscope.analysis.predict import _ONE_PER_NAMESPACE, _ONLY_ONE, Prediction, predict_commands
from mntscope.kernel import syscalls
from mntscope.model import Mount
from mntscope.selftest.compare import Renaming, compare, tables
from tests.support.commands import FORMS, installed_program
from tests.support.throwaway import Actor, Host, Scratch

MORE = [
    # the paths are those of tests.support.commands; /mnt/a is mounted a second time, at /mnt/c
    "mount --rbind /mnt /mnt/b",
    "mount --rbind --make-rslave /mnt /mnt/b && mount -t tmpfs x /mnt/b/plain",
    "mount --bind /mnt/a /mnt/a && mount --move /mnt/c /mnt/b",
    "mount --make-private /mnt && mount --move /mnt/a /mnt/b",
    "mount --make-unbindable /mnt/a && mount --bind /mnt/a /mnt/b",
    "mount -t tmpfs x /mnt/a && umount /mnt/a && umount /mnt/a",
    "mount -t tmpfs one /mnt/b; mount -t tmpfs two /mnt/b; umount -l /mnt/b",
    "mount -t proc proc /proc && mount -t proc proc /proc && umount -R /proc",
    "mount --make-private /proc && mount -t proc proc /proc",
    "mount --bind /mnt/a/s /mnt/b && umount -R /mnt/a && umount /mnt/b",
    "umount -R /mnt/c /mnt/a",
    "umount -R /mnt/plain",
    "umount /mnt/a/s && mount --make-rprivate / && umount /mnt/a",
    "mount -o bind,ro /mnt/a /mnt/b && mount -o remount,bind,rw /mnt/b",
    "mount -o remount,bind,nosuid,noexec,ro /mnt/a && mount -o remount,bind,suid,rw /mnt/a",
    "mount -o remount,bind,nosuid,rw /mnt/a && mount -o bind,ro /mnt/a /mnt/b",
    "mount -o remount,bind,noatime,ro /mnt/a && mount -o remount,bind,ro none /mnt/a",
    "mount --make-rslave / && mount -t tmpfs x /mnt/b && mount --make-shared /mnt/b && mount -t tmpfs y /mnt/b",
    "mount -t debugfs d /mnt/b && mount -t debugfs d /mnt/b",
    "mount -t sysfs s /sys",
    "unshare -m --propagation unchanged mount -t tmpfs x /mnt/b",
    "unshare -m --propagation unchanged umount -R /mnt/a; mount -t tmpfs x /mnt/b",
    "unshare -m --propagation slave sh -c 'mount -t tmpfs x /mnt/b; unshare -m umount /mnt/b' && umount -l /mnt/a",
    "unshare -m --propagation shared sh -c 'mount --bind /mnt/a /mnt/b && umount /mnt/b/s /mnt/b'",
    "unshare --propagation unchanged -fp --mount-proc=/mnt/plain true",
    "unshare -fp --mount-proc=/mnt/plain true",
    "unshare -fp --mount-proc true && mount -t tmpfs x /mnt/b",
    "unshare -rm --propagation unchanged mount -t tmpfs x /mnt/b",
    "unshare -rm umount /mnt/a/s",
    "unshare -rm mount --bind /mnt/a /mnt/b",
    "unshare -rm mount --rbind /mnt/a /mnt/b",
    "umount -A /mnt/c",
    "umount -lA /mnt/a",
    "umount -RA /mnt/c",
    "mount --mkdir -t tmpfs x /mnt/new && mount -o X-mount.mkdir --bind /mnt/new /mnt/b",
    "cd /mnt && mount --bind a b; cd a && umount s && mount -t tmpfs x ./plain",
    "unshare -m sh -c 'mount --bind /mnt /mnt && cd /mnt && pivot_root . a'",
    "unshare -m sh -c 'mount --rbind /mnt /mnt && pivot_root /mnt /mnt/plain'",
    "unshare -m sh -c 'pivot_root /mnt/b /mnt/b'",
    "mount --bind /proc/self/ns/uts /mnt/file && umount /mnt/file",
    "mount --bind /proc/self/ns/uts /mnt/file && mount --bind /mnt/file /mnt/a/file",
    "mount --bind /proc/self/ns/mnt /mnt/file",
    "unshare --uts=/mnt/file true && unshare --net=/mnt/a/file true",
    "unshare --mount=/mnt/file true",
    "mount --make-private /mnt && unshare --mount=/mnt/file true; unshare --mount=/mnt/file true",
    "mount --make-private /mnt && unshare --mount=/mnt/file -n --ipc=/mnt/a/file mount -t tmpfs x /mnt/b",
    "unshare -n mount --bind /proc/self/ns/net /mnt/file",
    "unshare -m --propagation slave mount --bind /proc/self/ns/mnt /mnt/file",
]


@dataclass(frozen=True, slots=True)
class Scene:
    """A host, one that shares all of its mounts, and a slave of it."""

    host: Host
    actors: dict[str, Actor | None]

    def snapshot(self) -> Snapshot:
        found = {label: self.host.mountinfo(actor) for label, actor in self.actors.items()}
        return Snapshot.from_mountinfo(found, kernel=os.uname().release)

    def run(self, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Runs it in the namespace of the one that shares."""
        actor = self.actors["box"]
        assert actor is not None
        entered = ["nsenter", "-t", str(actor.pid), "-m", "sh", "-c", command]
        environment = {**os.environ, **environment}
        return subprocess.run(entered, cwd="/", env=environment, capture_output=True, check=False, timeout=60)

    @classmethod
    def on(cls, host: Host) -> Scene:
        """What the command lines are about, mounted on *host*."""

        def mounts() -> None:
            syscalls.mount("scene", "/mnt", "tmpfs", 0)
            for name in ("a", "b", "c", "plain"):
                os.mkdir(f"/mnt/{name}")
            syscalls.mount("x", "/mnt/a", "tmpfs", 0)
            for name in ("s", "plain"):
                os.mkdir(f"/mnt/a/{name}")
            for path in ("/mnt/file", "/mnt/a/file"):
                Path(path).touch()
            syscalls.mount("y", "/mnt/a/s", "tmpfs", 0)
            syscalls.mount("/mnt/a", "/mnt/c", None, syscalls.MS_BIND)

        host.call(mounts)
        return cls(host, {"host": None, "box": host.unshare("unchanged"), "slave": host.unshare("slave")})


@pytest.fixture
def scene(one_processor: None, host: Host) -> Scene:
    return Scene.on(host)


@pytest.mark.parametrize("command", [*(command for command, _ in FORMS), *MORE])
def test_what_is_predicted_comes_true(scene: Scene, command: str) -> None:
    before = scene.snapshot()
    prediction = predict_commands(before, "box", command, program=installed_program(os.environ["PATH"]))
    done = scene.run(command)
    differences = mismatches(before, prediction, scene.snapshot())
    # That flags other than ro change is said, and their change is not predicted.
    assert differences == []
    if ";" not in command and "\n" not in command:
        assert (prediction.failed is None) == (done.returncode == 0), done.stderr


def mismatches(before: Snapshot, prediction: Prediction, actual: Snapshot) -> list[str]:
    """How the namespaces differ from those predicted. Numbers that became free on the way may be used again."""
    after, actual = anonymous(prediction.after), anonymous(actual)
    left = {label: {mount.mount_id for mount in mounts} for label, mounts in tables(after).items()}
    stayed = {
        label: [mount for mount in mounts if mount.mount_id in left[label]] for label, mounts in tables(before).items()
    }
    _, found = compare(tables(after), tables(actual), Renaming.identity(stayed))
    return [line for mismatch in found for line in mismatch.lines()]


def anonymous(snapshot: Snapshot) -> Snapshot:
    """Without the numbers of namespaces, which are not known before they are made."""

    def without(mount: Mount) -> Mount:
        return replace(mount, root=mount.root.partition("[")[0]) if mount.fs_type == "nsfs" else mount

    # One that only its file keeps is seen by nobody here.
    kept = {f"unshare:{n}" for n in range(9) if any(m.root == f"mnt:[unshare:{n}]" for m in snapshot.mounts)}
    views = [view for view in snapshot.views if view.label not in kept]
    return snapshot.with_views(replace(view, mounts=tuple(map(without, view.mounts))) for view in views)


# Filesystems


ONE_SUPERBLOCK = (_ONLY_ONE | _ONE_PER_NAMESPACE.keys()) & set(Path("/proc/filesystems").read_text().split())


@pytest.mark.parametrize("fs_type", sorted(ONE_SUPERBLOCK))
def test_all_mounts_of_some_filesystems_show_one_superblock(scratch: Scratch, fs_type: str) -> None:
    one, other = scratch(devices_of_two_mounts, fs_type)
    assert one == other


@pytest.mark.parametrize("fs_type", ["proc", "tmpfs", "devpts", "ramfs"])
def test_every_mount_of_other_filesystems_is_a_superblock_of_its_own(scratch: Scratch, fs_type: str) -> None:
    one, other = scratch(devices_of_two_mounts, fs_type)
    assert one != other


def devices_of_two_mounts(fs_type: str) -> list[str]:
    syscalls.mount("scene", "/mnt", "tmpfs", 0)
    for name in ("a", "b"):
        os.mkdir(f"/mnt/{name}")
        syscalls.mount("x", f"/mnt/{name}", fs_type, 0)
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    return [mount.device for mount in mounts if mount.mount_point in ("/mnt/a", "/mnt/b")]


# The command line of mntscope itself


def predict(host: Host, target: Actor, *command: str) -> tuple[int, dict[str, Any]]:
    done = host.mntscope("predict", target.pid, "--against", host.pid, "--format", "json", "--", *command)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def run_in(target: Actor, command: str) -> None:
    subprocess.run(["nsenter", "-t", str(target.pid), "-m", "-p", "sh", "-c", command], check=True)


def on_the_host(document: dict[str, Any]) -> list[tuple[str, str]]:
    host = document["host"]
    return [(effect["change"], effect["path"]) for effect in document["effects"] if effect["namespace"] == host]


def test_a_proc_in_a_copied_namespace_breaks_the_hosts_and_make_private_stops_it(host: Host) -> None:
    target = host.unshare("unchanged", new_pids=True)
    code, document = predict(host, target, "mount", "-t", "proc", "proc", "/proc")
    assert code == 1
    assert on_the_host(document) == [("mount", "/proc")]
    mounts = len(parse_mountinfo(host.mountinfo()))
    run_in(target, "mount -t proc proc /proc")
    assert len(parse_mountinfo(host.mountinfo())) == mounts + 1
    run_in(target, "umount /proc")

    safe = "mount --make-private /proc && mount -t proc proc /proc"
    code, document = predict(host, target, safe)
    assert code == 0
    assert on_the_host(document) == []
    run_in(target, safe)
    assert len(parse_mountinfo(host.mountinfo())) == mounts


@pytest.mark.parametrize(("propagation", "lands"), [("unchanged", True), ("shared", True), ("private", False)])
def test_mount_proc_on_a_plain_directory_of_a_shared_mount(
    host: Host, tmp_path: Path, propagation: str, lands: bool
) -> None:
    # Only the directory is made private, and it is no mount: the mount that contains it stays as it is.
    command = ["unshare", "--propagation", propagation, "-fp", f"--mount-proc={tmp_path}", "true"]
    target = host.unshare("private")
    code, document = predict(host, host.spawn(), *command)
    assert code == int(lands)
    assert on_the_host(document) == [("mount", str(tmp_path))] * lands
    assert host.run(command).returncode == 0
    landed = [m.fs_type for m in parse_mountinfo(host.mountinfo()) if m.mount_point == str(tmp_path)]
    assert landed == ["proc"] * lands
    assert predict(host, target, *command)[0] == 0


def test_a_symbolic_link_is_followed_and_a_missing_directory_said(machine: Host, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    target = machine.unshare("unchanged")
    done = machine.mntscope(
        "predict", target.inner, "--format", "json", "--", "mount", "-t", "tmpfs", "x", tmp_path / "link"
    )
    document = json.loads(done.stdout)
    assert {effect["path"] for effect in document["effects"]} == {str(tmp_path / "real")}
    done = machine.mntscope("predict", target.inner, "--", "mount", "-t", "tmpfs", "x", tmp_path / "missing")
    assert "does not exist now" in " ".join(done.stdout.split())


# Root directories, other namespaces, exit codes


def test_what_changes_in_the_hosts_own_namespace_is_found(host: Host, tmp_path: Path) -> None:
    inside = host.spawn()
    assert predict(host, inside, "mount", "-t", "tmpfs", "x", str(tmp_path))[0] == 1
    assert predict(host, inside, "umount", str(tmp_path))[0] == 0
    # nsenter leads there, from wherever.
    target = host.unshare("private")
    code, document = predict(
        host, target, "nsenter", "-t", str(inside.pid), "-m", "mount", "-t", "tmpfs", "x", str(tmp_path)
    )
    assert (code, on_the_host(document)) == (1, [("mount", str(tmp_path))])
    assert all(effect["crosses"] for effect in document["effects"])
    assert predict(host, target, "mount", "-t", "tmpfs", "x", str(tmp_path))[0] == 0


def test_paths_are_those_of_the_process(host: Host, tmp_path: Path) -> None:
    (tmp_path / "new" / "inner").mkdir(parents=True)

    def enter() -> None:
        os.chroot(tmp_path / "new")
        os.chdir("/inner")

    jailed = host.spawn(enter)
    for path in ("/inner", "."):
        _, document = predict(host, jailed, "mount", "-t", "tmpfs", "x", path)
        assert on_the_host(document) == [("mount", str(tmp_path / "new" / "inner"))]
    outside = host.spawn()
    _, document = predict(host, outside, "chroot", str(tmp_path / "new"), "mount", "-t", "tmpfs", "x", "/inner")
    assert on_the_host(document) == [("mount", str(tmp_path / "new" / "inner"))]


def test_switch_root_takes_along_what_an_initramfs_has_mounted(host: Host, tmp_path: Path) -> None:
    def mounts() -> None:
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("new", str(tmp_path), "tmpfs", 0)
        for name in ("dev", "proc", "sys", "run"):
            (tmp_path / name).mkdir()

    target = host.unshare("private", mounts)
    code, document = predict(host, target, "switch_root", str(tmp_path), "/sbin/init")
    moved = {effect["path"] for effect in document["effects"] if effect["change"] == "move"}
    assert code == 0
    assert document["errno"] is None
    assert {"/", "/proc", "/sys"} & moved or {f"{tmp_path}/proc", f"{tmp_path}/sys"} <= moved
