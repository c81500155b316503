"""Containers of one name, of several engines and users: whom the name means, and what is said where it is several."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.runtimes import docker, podman
from tests.runtimes.engines import Engine
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import Scene
from tests.runtimes.target import Missing, Runtime, Target


def start(scene: Scene) -> Iterator[Target | Missing]:
    """docker's and root's podman's are told apart; a user's podman's are found where neither of these is meant."""
    Path("/etc/containers").mkdir(exist_ok=True)
    Path("/etc/containers/containers.conf").write_text(podman.ROOTLESS_CONFIGURATION)
    dockers = docker.daemon(scene)
    roots = Engine(scene, "podman", podman.ALWAYS)
    roots.load()
    scene.kim()
    users = Engine(scene, "podman", podman.ALWAYS, user=True)
    users.load()
    both = [dockers.run("web"), roots.run("web")]
    numbers = tuple(made.calls[2] for made in both if isinstance(made, Target))
    several = ("2 containers are called 'web'", *numbers)
    told: dict[str, tuple[str, ...]] = {"web": several, "container:web": several}
    for made in both:
        yield _of(made, f"one of two called web, {made.option}", names=False, refused=told)
    yield _of(users.run("web"), "a user's, called web as two of root's", names=False)
    yield _of(dockers.run("lone"), "docker's, called as a user's", names=True)
    yield _of(users.run("lone"), "a user's, called as one of root's", names=False)
    yield _of(users.run("own"), "a user's that is called as no other", names=True)


def _of(
    made: Target | Missing, option: str, *, names: bool, refused: dict[str, tuple[str, ...]] | None = None
) -> Target | Missing:
    if isinstance(made, Missing):
        return Missing(option, made.why)
    calls = made.calls if names else made.calls[1:]
    return Target(option, made.pid, calls, names_only=True, refused=refused or {})


def stop(scene: Scene) -> None:
    """All of them."""
    scene.run("podman", "rm", "-fa", "-t", "0", user=True)
    scene.no_kim()
    scene.run("podman", "rm", "-fa", "-t", "0")
    scene.run("sh", "-c", "docker rm -f $(docker ps -aq)")
    scene.run("systemctl", "stop", "docker.socket", "docker", "containerd")


ALIKE = Runtime(
    "alike", tuple(dict.fromkeys((*docker.DOCKER.packages, *podman.ROOTLESS.packages))), start, stop, (BUSYBOX,)
)
