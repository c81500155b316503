"""podman as root, with runc and with crun, and pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.runtimes.engines import Engine
from tests.runtimes.packages import BUSYBOX, DEBIAN
from tests.runtimes.scene import VOLUME, Failed, Scene, parent, wait_until_gone
from tests.runtimes.target import Missing, Runtime, Target

# Where no cgroup controller is handed down there is none for pids.
CONFIGURATION = '[containers]\npids_limit=0\n[engine]\nruntime="runc"\n'
ROOTLESS_CONFIGURATION = f'{CONFIGURATION}cgroup_manager="cgroupfs"\n'
ALWAYS = ("--ulimit", "host", "--network", "none")
_CRUN = ("--runtime", "crun", "--cgroups", "disabled")


def start(scene: Scene) -> Iterator[Target | Missing]:
    """Every option, then what only podman has."""
    Path("/etc/containers").mkdir(exist_ok=True)
    Path("/etc/containers/containers.conf").write_text(CONFIGURATION)
    scene.volumes()
    podman = Engine(scene, "podman", ALWAYS)
    podman.load()
    yield from podman.every_option("p")
    yield podman.run("p-crun", *_CRUN, "-v", f"{VOLUME}:/vol:rshared")
    yield from _monitor(podman, {"p-default": "host", "p-crun": "host"})
    if scene.few:
        return
    yield podman.run("p-crun-default", *_CRUN)
    yield podman.run("p-crun-private", *_CRUN, "-v", f"{VOLUME}:/vol:rprivate")
    yield podman.run("p-crun-slave", *_CRUN, "-v", f"{VOLUME}:/vol:rslave")
    yield podman.run("p-privileged", "--privileged")
    yield podman.run("p-userns", "--uidmap", "0:100000:65536", "-v", f"{VOLUME}:/vol:rshared")
    yield from _monitor(podman, {"p-userns": "p-userns (conmon)"})
    yield podman.run("p-rootfs-shared", "--rootfs", *_rootfs(), "-v", f"{VOLUME}:/vol:rshared", image="/srv/tree:O")
    yield from _pod(podman)
    yield from _booted(podman)
    yield from podman.ways_to_name("p")


def _rootfs() -> tuple[str, ...]:
    from tests.runtimes.scene import unpack

    unpack(BUSYBOX, "/srv/tree")
    return ()


def _monitor(podman: Engine, names: Mapping[str, str]) -> Iterator[Target]:
    """conmon: it lives in the host's mount namespace, or where users are mapped in one of its own, called as it is."""
    for name, shown in names.items():
        pid = int(podman("inspect", "-f", "{{.State.Pid}}", name))
        yield Target(f"the conmon of {name}", parent(pid), shown=shown, names_only=True)


def _pod(podman: Engine) -> Iterator[Target | Missing]:
    try:
        podman(
            "pod",
            "create",
            "--name",
            "pod",
            "--infra-image",
            "bb",
            "--infra-command",
            "/bin/sleep 1d",
            "--network=none",
        )
    except Failed as error:
        yield Missing("--pod", str(error))
        return
    yield podman.run("p-inpod", "--pod", "pod", "-v", f"{VOLUME}:/vol:rshared")
    infra = podman("pod", "inspect", "-f", "{{.InfraContainerID}}", "pod")
    name = podman("inspect", "-f", "{{.Name}}", infra)
    yield podman.target(name, "a pod's infra container")


def _booted(podman: Engine) -> Iterator[Target | Missing]:
    podman("import", str(DEBIAN), "deb")
    yield podman.run("p-systemd", "-v", f"{VOLUME}:/vol:rslave", image="deb", command=("/lib/systemd/systemd",))


def stop(scene: Scene) -> None:
    """All containers, and the mount of podman's storage.

    podman mounts that on itself while it works, and unmounts it at its end. Of several that end at once (conmon starts
    one when a container ends) it may be that none does: so it works once more, alone.
    """
    scene.run("podman", "pod", "rm", "-fa", "-t", "0")
    scene.run("podman", "rm", "-fa", "-t", "0")
    wait_until_gone("podman", "conmon")
    scene.run("podman", "ps")
    scene.no_volumes()


PODMAN = Runtime("podman", ("podman", "runc", "crun"), start, stop, (BUSYBOX,), more_images=(DEBIAN,))


def start_rootless(scene: Scene) -> Iterator[Target | Missing]:
    """As a user: in a user namespace, with a mount namespace of podman's own around the containers'."""
    Path("/etc/containers").mkdir(exist_ok=True)
    Path("/etc/containers/containers.conf").write_text(ROOTLESS_CONFIGURATION)
    scene.volumes()
    scene.kim()
    for runtime in ("runc", "crun"):
        podman = Engine(scene, "podman", (*ALWAYS, *(_CRUN if runtime == "crun" else ())), user=True)
        if runtime == "runc":
            podman.load()
        for how in ("", "rprivate", "rslave", "rshared"):
            options = ("-v", f"{VOLUME}:/vol:{how}") if how else ()
            made = podman.run(f"r-{runtime}-{how or 'default'}", *options)
            if isinstance(made, Missing):
                yield Missing(f"{runtime} {made.option}", made.why)
            else:
                yield Target(f"{runtime} {made.option}", made.pid, made.calls)
        if scene.few:
            return


def stop_rootless(scene: Scene) -> None:
    """All containers, and the user."""
    scene.run("podman", "rm", "-fa", "-t", "0", user=True)
    scene.no_kim()
    scene.no_volumes()


ROOTLESS = Runtime(
    "podman-rootless",
    ("podman", "runc", "crun", "uidmap", "slirp4netns", "fuse-overlayfs", "dbus-user-session"),
    start_rootless,
    stop_rootless,
    (BUSYBOX,),
)
