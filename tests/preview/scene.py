"""A host with volumes and a bundle, on which a runtime starts a container; and what of the tables is compared.

To be used in a mount namespace of one's own, which is private: :func:`make` covers /srv and /run there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mntscope import Mount, Snapshot, parse_mountinfo
from mntscope.analysis.preview.manager import Host
from mntscope.analysis.preview.managers import prepare
from mntscope.analysis.preview.play import Played, play
from mntscope.analysis.preview.runtimes import profile_of
from mntscope.analysis.preview.wanted import of_host, of_rootfs
from mntscope.kernel import syscalls
from mntscope.live.files import look
from mntscope.parse.manifests.read import read_manifest
from mntscope.propagation import Simulation
from tests.preview.configurations import Config

BUNDLE = Path("/srv/bundle")
NAME = f"mntscope-preview-{os.getpid()}"
"""Of the container: of its cgroups, too, wherever it makes any."""


@dataclass(frozen=True)
class Program:
    """A runtime that is here."""

    name: str
    version: str
    path: str

    @property
    def profile(self) -> str:
        """As ``--runtime`` takes it."""
        return f"{self.name}={self.version}"

    def call(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run it, with its state where the scene has covered /run."""
        cgroups = ("--cgroup-manager=disabled",) if self.name == "crun" else ()
        argv = (self.path, "--root", f"/run/{self.name}", *cgroups, *words)
        # What it starts keeps its output, and would be waited for, were that a pipe. Its input is no /dev/null: crun
        # gives that to the root of a user namespace, and it is the machine's.
        with open("/run/said", "w+") as said:
            done = subprocess.run(argv, cwd=BUNDLE, stdin=said, stdout=said, stderr=said, timeout=60, check=False)
            said.seek(0)
            return subprocess.CompletedProcess(argv, done.returncode, said.read())


def installed(name: str, path: str | None = None) -> Program | None:
    """The runtime of that name on this machine, with its version as it tells it."""
    found = path or shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        return None
    said = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(rf"{name} version (\d+(?:\.\d+)+)", said)
    return Program(name, version[1], found) if version else None


def make() -> None:
    """Mounts of every kind below /srv, all shared but for some; nothing of a cgroup that a runtime would not take."""
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_SHARED)
    _tmpfs("/srv")
    _tmpfs("/run")
    syscalls.umount2("/sys/fs/cgroup", syscalls.MNT_DETACH)
    syscalls.mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0)
    rootfs = BUNDLE / "rootfs"
    for path in ("bin", "dev", "proc", "sys", "etc", "vol", "host", "tmp", "run", "var", "a", "b", "c"):
        (rootfs / path).mkdir(parents=True)
    (rootfs / "var/run").symlink_to("/run")
    (rootfs / "etc/hostname").touch()
    _program(rootfs, "/bin/sleep")
    for name in ("data", "data/inner", "private", "flags", "readonly", "unbindable/a", "unbindable/b", "slave"):
        os.makedirs(f"/srv/{name}", exist_ok=True)
    _tmpfs("/srv/data")
    for name in ("dir", "inner", "sub"):
        os.mkdir(f"/srv/data/{name}")
    Path("/srv/data/file").touch()
    _tmpfs("/srv/data/inner")
    _tmpfs("/srv/private")
    syscalls.mount(None, "/srv/private", None, syscalls.MS_PRIVATE)
    _tmpfs("/srv/flags", syscalls.MS_NOSUID | syscalls.MS_NODEV)
    _tmpfs("/srv/readonly", syscalls.MS_RDONLY)
    _tmpfs("/srv/unbindable/a")
    _tmpfs("/srv/unbindable/b")
    syscalls.mount(None, "/srv/unbindable/b", None, syscalls.MS_UNBINDABLE)
    syscalls.mount("/srv/data", "/srv/slave", None, syscalls.MS_BIND)
    syscalls.mount(None, "/srv/slave", None, syscalls.MS_SLAVE)
    os.symlink("/srv/data", "/srv/link")


def _tmpfs(path: str, flags: int = 0) -> None:
    syscalls.mount("none", path, "tmpfs", flags)


def _program(rootfs: Path, path: str) -> None:
    """A program, and what it is linked with."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for file in (path, *re.findall(r"(/\S+) \(0x", said)):
        target = rootfs / file.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(os.path.realpath(file), target)


Row = tuple[str, str, str, tuple[str, ...], str, object, object, object, bool]


@dataclass(frozen=True)
class Tables:
    """What a container and its host have mounted, up to numbers."""

    container: tuple[Row, ...]
    host: tuple[Row, ...]
    error: str = ""
    """What was said instead of starting it."""


def really(program: Program, config: Config) -> Tables:
    """Start it, and read both tables; the container is gone then."""
    known = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
    (BUNDLE / "config.json").write_text(json.dumps(config))
    done = program.call("run", "-d", NAME)
    try:
        if done.returncode:
            return Tables((), (), done.stdout)
        pid = json.loads(program.call("state", NAME).stdout)["pid"]
        # The program that was asked for runs once all of the runtime's work is done.
        while b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            pass
        container = parse_mountinfo(Path(f"/proc/{pid}/mountinfo").read_bytes())
        host = parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())
        return Tables(up_to_numbers(container, known), up_to_numbers(host, known))
    finally:
        program.call("delete", "--force", NAME)


def previewed(runtime: str, config: Config) -> tuple[Tables, Played]:
    """What the profile of *runtime* comes to, on the host as it is now."""
    data = Path("/proc/self/mountinfo").read_bytes()
    snapshot = Snapshot.from_mountinfo({"host": data}, kernel=os.uname().release, kernel_version=os.uname().version)
    manifest = read_manifest(json.dumps(config).encode(), str(BUNDLE / "config.json"))
    assert not manifest.remarks, manifest.remarks
    (spec,) = manifest.containers
    simulation = Simulation(snapshot)
    files = look(of_host(spec, str(BUNDLE)))
    prepared = prepare(spec, "container", Host(snapshot.host, files, str(BUNDLE)))
    rootfs_files = look(of_rootfs(spec), prepared.config.rootfs)
    played = play(prepared.config, profile_of(runtime), simulation, host="host", files=files, rootfs_files=rootfs_files)
    if played.refused is not None:
        return Tables((), (), played.refused.why), played
    known = snapshot.host.mounts
    container, host = (up_to_numbers(simulation.view(label).mounts, known) for label in ("container", "host"))
    return Tables(container, host), played


def up_to_numbers(mounts: Sequence[Mount], known: Sequence[Mount]) -> tuple[Row, ...]:
    """The mounts by mount point, with devices and peer groups that are new numbered as they come."""
    devices = {mount.device: mount.device for mount in known}
    groups: dict[int | None, object] = {
        number: number for mount in known for number in (mount.peer_group, mount.master)
    }
    groups[None] = None

    def group(number: int | None) -> object:
        return groups.setdefault(number, f"new {len(groups)}")

    return tuple(
        (
            mount.mount_point,
            mount.root,
            devices.setdefault(mount.device, f"new {len(devices)}"),
            mount.options,
            mount.fs_type,
            group(mount.peer_group),
            group(mount.master),
            group(mount.propagate_from),
            mount.unbindable,
        )
        for mount in sorted(mounts, key=lambda mount: mount.mount_point)
    )


def unlike(foreseen: Sequence[Row], real: Sequence[Row]) -> list[tuple[Row, str]]:
    """The rows that only one of the two has, each with a line that says which."""
    return [
        (row, f"{sign} {row}")
        for sign, one, other in (("previewed", foreseen, real), ("really", real, foreseen))
        for row in one
        if row not in other
    ]


def differences(config: Config, program: Program) -> list[str]:
    """A line for each row in which the two differ; nothing where the preview was right."""
    foreseen, _ = previewed(program.profile, config)
    real = really(program, config)
    if bool(foreseen.error) != bool(real.error):
        return [f"previewed {foreseen.error or 'a start'!r}, but really {real.error or 'a start'!r}"]
    return [
        f"{who} {line}"
        for who, these, those in (
            ("container", foreseen.container, real.container),
            ("host", foreseen.host, real.host),
        )
        for _, line in unlike(these, those)
    ] + ([] if len(foreseen.container) == len(real.container) else ["not as many mounts"])
