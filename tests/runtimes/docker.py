"""docker, and docker in docker."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from tests.runtimes.engines import Engine
from tests.runtimes.packages import BUSYBOX
from tests.runtimes.scene import VOLUME, Failed, Scene, parent
from tests.runtimes.target import Missing, Runtime, Target

# Instead of --privileged, which wants every capability there is: a throwaway host may lack one.
_POWERFUL = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "MKNOD", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--security-opt", "systempaths=unconfined"),
)


def daemon(scene: Scene) -> Engine:
    """docker, started, with an image."""
    scene.run("systemctl", "start", "containerd", "docker")
    docker = Engine(scene, "docker", ("--network", "none"))
    docker.load()
    return docker


def start(scene: Scene) -> Iterator[Target | Missing]:
    """Every option, then what only docker has."""
    scene.volumes()
    docker = daemon(scene)
    yield from docker.every_option("d", plain=True)
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", "d-default"))
    yield Target("the shim of d-default", parent(pid), shown="host", names_only=True)
    if scene.few:
        return
    yield docker.run("d-sock", "-v", "/var/run/docker.sock:/var/run/docker.sock")
    yield docker.run("d-var-lib", "-v", "/var/lib/docker:/var/lib/docker:rslave")
    yield docker.run("d-powerful", *_POWERFUL)
    yield docker.run("d-powerful-rshared", *_POWERFUL, "-v", f"{VOLUME}:/vol:rshared")
    yield docker.run("d-privileged", "--privileged")
    yield docker.run("d-exporter", "--pid", "host", "-v", "/:/host:ro,rslave")
    yield from docker.ways_to_name("d")


def stop(scene: Scene) -> None:
    """All containers, and the daemons."""
    scene.run("sh", "-c", "docker rm -f $(docker ps -aq)")
    scene.run("systemctl", "stop", "docker.socket", "docker", "containerd")
    scene.no_volumes()


DOCKER = Runtime("docker", ("docker.io", "containerd", "runc", "iptables"), start, stop, (BUSYBOX,))

_INNER = """\
mount -o remount,rw /sys/fs/cgroup
mkdir -p /sys/fs/cgroup/init
for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p > /sys/fs/cgroup/init/cgroup.procs; done
dockerd --iptables=false --bridge=none --storage-driver=vfs >/var/log/dockerd 2>&1 &
sleep 1d
"""


def start_inner(scene: Scene) -> Iterator[Target | Missing]:
    """A docker in a container, which shows it the host's programs; a volume is shared all the way down."""
    scene.volumes()
    docker = daemon(scene)
    tree = "/srv/outer"
    script = f"""
        mkdir -p {tree}/usr {tree}/etc {tree}/proc {tree}/sys {tree}/dev {tree}/tmp {tree}/run {tree}/var/log {tree}/vol
        for name in bin sbin lib lib64; do ln -s usr/$name {tree}/$name; done
        cp -a /etc/passwd /etc/group /etc/ssl /etc/alternatives /etc/nsswitch.conf {tree}/etc/
        tar -C {tree} -c . | docker import - outer
    """
    scene.run("sh", "-ec", script)
    shares = ("-v", "/usr:/usr:ro", "-v", f"{BUSYBOX.parent}:/images:ro", "-v", f"{VOLUME}:/vol:rshared")
    places = ("--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/var/lib/docker:exec")
    made = docker.run("outer", *_POWERFUL, *shares, *places, image="outer", command=("sh", "-c", _INNER))
    if isinstance(made, Missing):
        yield Missing("docker in docker", made.why)
        return
    yield Target("the outer container", made.pid, made.calls, made.shown)
    inner = _Within(scene)
    for _ in range(100):
        time.sleep(0.2)
        try:
            inner("info")
            break
        except Failed:
            continue
    else:
        yield Missing("the inner containers", docker("exec", "outer", "tail", "-n", "1", "/var/log/dockerd"))
        return
    inner("import", f"/images/{BUSYBOX.name}", "bb")
    for name, options in {"i-rshared": ("-v", "/vol:/vol:rshared"), "i-default": (), "web": ()}.items():
        number = inner("run", "-d", "--network", "none", "--name", name, *options, "bb", "sleep", "1d").splitlines()[-1]
        pid = _by_cgroup(number)
        shown = f"an inner container: {' '.join(options) or '(no option)'}"
        # Their names are in the outer container's files, into which nobody else looks: on the host they have ids. So
        # the one called web is no other's than the host's own docker's.
        yield Target(shown, pid, (number, number[:12]), f"{number[:12]} (docker)")
    yield docker.run("web")


class _Within(Engine):
    """The docker in the container."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene, "docker", ())

    def __call__(self, *argv: str) -> str:
        return self.scene.run("docker", "exec", "outer", "docker", *argv)


def _by_cgroup(number: str) -> int:
    """The process that is in the cgroup of this container."""
    found = subprocess.run(
        ["sh", "-c", f"cat $(find /sys/fs/cgroup -path '*{number}*/cgroup.procs') /dev/null | head -n 1"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(found.stdout or 0)


DIND = Runtime("docker-in-docker", ("docker.io", "containerd", "runc", "iptables"), start_inner, stop, (BUSYBOX,))
