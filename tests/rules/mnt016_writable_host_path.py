"""Containers with the host's /etc, / and a runtime's socket; and with a directory of their own, read-only ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mntscope.kernel import syscalls
from mntscope.model import Namespace, Owner, Process
from mntscope.rules import Finding
from mntscope.snapshot import Snapshot
from tests.support import scenes
from tests.support.rule_cases import Case, Scene, tables
from tests.support.tables import view


def container(scene: Scene, *binds: scenes.Bind) -> Snapshot:
    return scene.seen(scene.stack.enter_context(scenes.runc(scene.machine, scene.path, "web", binds=binds)))


def with_etc(scene: Scene) -> Snapshot:
    """`docker run -v /etc:/config`."""
    return container(scene, ("/etc", "/config", "rprivate"))


def with_data(scene: Scene) -> Snapshot:
    """`docker run -v PATH:/config`."""
    return container(scene, (scenes.volume(scene.machine, scene.path / "data"), "/config", "rprivate"))


def with_root(scene: Scene) -> Snapshot:
    """`docker run -v /:/host`."""
    return container(scene, ("/", "/host", "rprivate"))


def made_read_only(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.confidence, finding.path) == ("high", "certain", "/config")
    assert "/etc of the host" in finding.message
    (command,) = finding.commands
    assert (command[0], command[-3]) == ("mount", "-o")
    assert command[-2].startswith("remount,bind,ro")
    assert command[-1] == "/config"


def once_for_all(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert finding.path == "/host"
    assert "can write to / of the host" in finding.message


HOST = """20 1 8:1 /@root / rw - btrfs /dev/sda1 rw
    21 20 0:20 / /run rw,nosuid - tmpfs tmpfs rw
    22 20 8:1 /@root/var /srv rw - btrfs /dev/sda1 rw"""


def web(table: str) -> Snapshot:
    """A host with a container."""
    namespace = Namespace(processes=(Process(40),), owner=Owner("docker", "web", "1f" * 32))
    return tables(HOST, web=view("40", f"40 1 0:51 / / rw - overlay overlay rw\n{table}", namespace=namespace))


def sockets(_scene: Scene) -> Snapshot:
    """The socket of Docker, read-only, and the filesystem that the host's root is a subdirectory of."""
    return web("""41 40 0:20 /docker.sock /docker.sock ro - tmpfs tmpfs rw
        42 40 8:1 / /disk rw - btrfs /dev/sda1 rw""")


def others(_scene: Scene) -> Snapshot:
    """What is nobody's way to the host: other sockets, read-only programs, certificates, its own volume."""
    return web("""41 40 0:20 /x.sock /x.sock rw - tmpfs tmpfs rw
        42 40 8:1 /@root/usr /usr2 ro - btrfs /dev/sda1 rw
        43 40 8:1 /@root/lib/modules /lib/modules ro - btrfs /dev/sda1 rw
        44 40 8:1 /@root/etc/ssl /ssl rw - btrfs /dev/sda1 rw
        45 40 8:1 /@root/etc/localtime /etc/localtime ro - btrfs /dev/sda1 rw
        46 40 8:1 /@root/var/lib/docker/volumes/x/_data /data rw - btrfs /dev/sda1 rw""")


def both(findings: list[Finding], _snapshot: Snapshot) -> None:
    assert sorted(finding.message.split(" can ")[1].split(",")[0] for finding in findings) == [
        "talk to /run/docker.sock of the host",
        "write to / of the host",
    ]


def sandbox(rest: str) -> Snapshot:
    """A user's copy of the host, or what such a user has as ``/``."""
    host = replace(tables(HOST).host, namespace=Namespace(user_namespace=1))
    namespace = Namespace(user_namespace=2, processes=(Process(40),), owner=Owner("cgroup", "operator"))
    return Snapshot((host, view("40", f"40 1 8:1 {rest} rw - btrfs /dev/sda1 rw", namespace=namespace)), "host")


def someone_elses_root(_scene: Scene) -> Snapshot:
    """A directory of the filesystem that holds the host's ``/``."""
    return sandbox("/ /")


def own_copy(_scene: Scene) -> Snapshot:
    """``unshare --map-root-user --mount``."""
    return sandbox("/@root /")


def host_proc(scene: Scene) -> Snapshot:
    """`docker run -v /proc:/host/proc`."""
    return container(scene, ("/proc", "/host/proc", "rprivate"))


def proc_made_read_only(findings: list[Finding], _snapshot: Snapshot) -> None:
    (finding,) = findings
    assert (finding.severity, finding.path) == ("high", "/host/proc")
    assert "can write to /proc of the host" in finding.message
    assert finding.commands


def key(scene: Scene, *, listed: bool) -> Snapshot:
    """A single file of the host, bound writable: one of those that make root, or one that does not."""
    scene.machine.call(syscalls.mount, "etc", "/etc", "tmpfs", 0)
    path = "/etc/passwd" if listed else "/etc/motd"
    scene.machine.call(Path(path).write_text, "")
    return container(scene, (path, "/file", "rprivate"))


def passwd(scene: Scene) -> Snapshot:
    return key(scene, listed=True)


def motd(scene: Scene) -> Snapshot:
    return key(scene, listed=False)


CASES = (
    Case("/etc", with_etc, with_data, live=True, check=made_read_only),
    Case("/", with_root, with_data, live=True, check=once_for_all),
    Case("/proc", host_proc, with_data, live=True, check=proc_made_read_only),
    Case("a single file", passwd, motd, live=True),
    Case("sockets", sockets, others, check=both),
    Case("a user's own copy", someone_elses_root, own_copy),
)
