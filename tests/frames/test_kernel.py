"""Frames of a real machine of containers, held against what the kernel says and does there."""

from __future__ import annotations

from pathlib import Path

from mntscope import frames, load
from mntscope.kernel import syscalls
from tests.support import scenes
from tests.support.isolating import in_namespace_of
from tests.support.throwaway import Actor, Host, WorkerFailed


def test_what_is_mounted_in_a_container_appears_on_the_host_where_the_frame_says(machine: Host, tmp_path: Path) -> None:
    with scenes.container_host(machine, tmp_path) as scene:
        machine.mntscope("capture", "-o", tmp_path / "captured").check_returncode()
        snapshot = load(tmp_path / "captured")
        mounts, leaks = snapshot.frame(), frames.leaks(snapshot).query("direction != 'in'")
        counted = mounts.groupby("inode").size()
        for actor in (scene.private, scene.slave, scene.shared, scene.sandbox):
            inode = actor.namespace("mnt")
            assert counted[inode] == machine.mountinfo(actor).count(b"\n")
            here = mounts[(mounts.inode == inode) & ~mounts.hidden]
            for mount in here.itertuples():
                landing = leaks[(leaks.namespace == mount.namespace) & (leaks.path == mount.mount_point)]
                assert landed(machine, actor, str(mount.mount_point)) == set(landing.lands_at), mount
                assert bool(mount.leaks_out) == (len(landing) > 0)
        shared = mounts[mounts.inode == scene.shared.namespace("mnt")]
        assert shared[shared.leaks_out].mount_point.tolist() == ["/volume"]


def landed(machine: Host, actor: Actor, path: str) -> set[str]:
    """Where on the host there is something while it is mounted at a path of the actor's namespace."""
    try:
        in_namespace_of(actor.pid, lambda: syscalls.mount("probe", path, "tmpfs", 0))
    except WorkerFailed:
        # The mount point is a file: no filesystem can be mounted on it.
        assert not Path(f"/proc/{actor.pid}/root{path}").is_dir()
        return set()
    lines = machine.mountinfo().decode().splitlines()
    in_namespace_of(actor.pid, lambda: syscalls.umount2(path, syscalls.MNT_DETACH))
    return {line.split(" ")[4] for line in lines if " - tmpfs probe " in line}
