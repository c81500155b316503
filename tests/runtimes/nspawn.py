"""systemd-nspawn: a command, booted, ephemeral, with a user namespace, not registered, and as a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.runtimes.packages import BUSYBOX, DEBIAN
from tests.runtimes.scene import VOLUME, Failed, Scene, children, unpack, wait_for
from tests.runtimes.target import Missing, Runtime, Target

_SLEEP = ("/bin/sleep", "1d")
_MACHINE = ("-p", "Slice=machine.slice", "-p", "Delegate=yes")


def start(scene: Scene) -> Iterator[Target | Missing]:
    """Of some both sides: what runs inside, and nspawn itself."""
    scene.volumes()
    bind = f"--bind={VOLUME}:/vol"
    keep = ("--register=no", "--keep-unit")
    yield from _one(scene, "n-command", (bind,), _SLEEP)
    yield from _one(scene, "n-unregistered", (*keep, bind), _SLEEP, unit=_MACHINE)
    yield from _one(scene, "n-user", ("-U", "--private-network", bind), _SLEEP)
    yield from _one(scene, "n-ephemeral", ("-x", "--as-pid2", f"{bind}:rbind"), _SLEEP)
    if scene.few:
        return
    yield from _one(scene, "n-volatile", ("--volatile=overlay", bind), _SLEEP)
    yield from _one(scene, "n-readonly", ("--read-only", f"{bind}:norbind"), _SLEEP)
    yield from _one(scene, "n-ro", (f"--bind-ro={VOLUME}:/vol",), _SLEEP)
    yield from _one(scene, "n-capable", ("--capability=all", bind), _SLEEP)
    yield from _one(scene, "n-boot", ("--volatile=overlay", "--boot", bind), ())
    yield from _one(scene, "n-boot-user", ("-x", "--boot", "-U", bind), ())
    yield from _service(scene)


def _one(
    scene: Scene, name: str, options: Sequence[str], command: Sequence[str], *, unit: Sequence[str] = ()
) -> Iterator[Target | Missing]:
    # A directory can be the root of one at a time.
    tree = f"/srv/{name}"
    unpack(DEBIAN if not command else BUSYBOX, tree)
    argv = ("systemd-nspawn", "-q", "-M", name, "-D", tree, *options, *command)
    scene.run("systemd-run", "-q", f"--unit={name}", *unit, *argv)
    yield from _both(scene, name, name, " ".join(options), "sleep" if command else "systemd")


def _both(scene: Scene, unit: str, name: str, shown: str, comm: str) -> Iterator[Target | Missing]:
    outer = int(scene.run("systemctl", "show", "-P", "MainPID", unit) or 0)
    if outer:
        wait_for([outer], "systemd-journal" if comm == "systemd" else comm)
    inner = next(iter(children(outer)), 0)
    if not inner:
        why = scene.run("journalctl", "-u", unit, "-n", "3", "-o", "cat", "--no-pager").splitlines()
        yield Missing(shown, " ".join(why)[-200:])
        return
    yield Target(shown, inner, (name,), f"{name} (nspawn)")
    if name in ("n-command", "n-user", "deb"):
        yield Target(f"{shown} (nspawn itself)", outer)


def _service(scene: Scene) -> Iterator[Target | Missing]:
    unpack(DEBIAN, "/var/lib/machines/deb")
    try:
        scene.run("machinectl", "start", "deb")
    except Failed as error:
        why = scene.run("journalctl", "-u", "systemd-nspawn@deb", "-n", "8", "-o", "cat", "--no-pager").splitlines()
        told = [line for line in why if "systemd-nspawn@" not in line]
        yield Missing("machinectl start", (told or [str(error)])[-1][-200:])
        return
    yield from _both(scene, "systemd-nspawn@deb", "deb", "machinectl start (systemd-nspawn@)", "systemd")


def stop(scene: Scene) -> None:
    """All of them."""
    scene.run("systemctl", "stop", "n-*.service", "systemd-nspawn@deb.service")
    scene.no_volumes()


NSPAWN = Runtime("nspawn", ("systemd-container",), start, stop, (BUSYBOX,), more_images=(DEBIAN,))
