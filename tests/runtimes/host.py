"""A throwaway host: systemd as pid 1 of namespaces of its own, over this machine's files, every mount shared.

What is written there is in a tmpfs, which the mount namespace that made it takes with it. Whoever starts a host has
such a namespace (:func:`own_mounts`): killed in the middle, it leaves nothing but an empty cgroup, which the next run
removes.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from mntscope.kernel import syscalls
from tests.support.repository import ROOT

BUILD = ROOT / "build/runtimes"
"""What is kept for the next time: packages and images."""

SCRATCH = BUILD / "scratch"
"""Where the tmpfs is, for whoever shares our mount namespace; for others an empty directory."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONDONTWRITEBYTECODE": "1",
}

_GROUP = "mntscope-runtimes-"

# Units of this machine that have no business on a throwaway host: what looks for hardware, serves others, or waits.
_MASKED = (
    *("systemd-udevd.service", "systemd-udevd-kernel.socket", "systemd-udevd-control.socket", "udev.service"),
    *("getty@tty1.service", "getty.target", "console-getty.service", "systemd-networkd-wait-online.service"),
    *("systemd-firstboot.service", "systemd-sysctl.service", "systemd-modules-load.service", "networking.service"),
    *("apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer", "fstrim.timer", "dpkg-db-backup.timer"),
    *("snapd.service", "snapd.socket", "apparmor.service", "ssh.service", "cron.service"),
    *("avahi-daemon.service", "avahi-daemon.socket"),
    *(
        "containerd.service",
        "docker.service",
        "docker.socket",
        "lxc.service",
        "lxc-net.service",
        "lxc-monitord.service",
    ),
    *("lxd.service", "lxd.socket", "lxd-containers.service", "lxd-agent.service"),
    *("podman.service", "podman.socket", "podman-auto-update.timer", "podman-restart.service"),
)

# Those that a runtime starts: not by themselves, but they may.
_STARTED = ("containerd.service", "docker.service", "docker.socket", "lxd.service", "lxd.socket", "podman.socket")

# As root of new namespaces, in the directory of the tmpfs; $0 is the host's name.
_BOOT = """\
set -e
mkdir -p hosts/$0/upper hosts/$0/work hosts/$0/top
cd hosts/$0
mount -t overlay -o lowerdir=../../packages:/,upperdir=upper,workdir=work overlay top
for path in "$@"; do mkdir -p "top$path"; mount --bind "$path" "top$path"; done
cd top
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm dev/mqueue dev/net
mount -t devpts -o newinstance,ptmxmode=666,gid=5,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for node in null zero full random urandom tty fuse kmsg net/tun; do
  if [ -e /dev/$node ]; then cp -a /dev/$node dev/$node; fi
done
[ -e dev/fuse ] || mknod -m 666 dev/fuse c 10 229
[ -e dev/net/tun ] || mknod -m 666 dev/net/tun c 10 200
mount -t tmpfs shm dev/shm
mount -t tmpfs -o mode=755 run run
for name in docker containers containerd lxc lxd machines; do
  mkdir -p var/lib/$name
  mount -t tmpfs $name var/lib/$name
done
rm -f usr/sbin/policy-rc.d etc/machine-id etc/fstab
: > etc/machine-id
: > etc/fstab
echo $0 > etc/hostname
mkdir -p etc/tmpfiles.d etc/systemd/system
: > etc/tmpfiles.d/tmp.conf
cd etc/systemd/system
rm -rf *.wants
for unit in $MASKED; do ln -sf /dev/null $unit; done
for unit in $STARTED; do rm -f $unit; done
cd ../../..
mkdir -p .old
pivot_root . .old
umount -l /.old
rmdir /.old
mount --make-rshared /
ip link set lo up
hostname $0
exec env -i container=mntscope PATH=$PATH /lib/systemd/systemd --unit=multi-user.target --log-target=journal
"""


class Unavailable(Exception):
    """What is not to be had, and why; one line."""


class Host:
    """A throwaway host, booted; a context manager.

    :raises Unavailable: it cannot be booted here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid = 0
        """Of its systemd, as this machine has it."""
        self._group = _cgroups() / f"{_GROUP}{os.getpid()}-{name}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Boot, and wait until systemd takes jobs."""
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End it, with every process of it."""
        self.close()

    def run(self, argv: Sequence[str], seconds: float, *, loud: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a program there, as root, in the tree of the tests; *loud*: what it complains of is seen at once."""
        inner = self._group / "operator"
        inner.mkdir(exist_ok=True)
        enter = ["nsenter", "--all", f"--wdns={ROOT}", "--target", str(self.pid), "--", *argv]
        moved = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(inner / "cgroup.procs"), *_DIES_WITH_US, *enter]
        errors = SCRATCH / f"{self.name}.errors"
        with errors.open("wb") as file:
            done = subprocess.run(
                moved,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=None if loud else file,
                text=True,
                timeout=seconds,
                check=False,
            )
        return subprocess.CompletedProcess(moved, done.returncode, done.stdout, errors.read_text(errors="replace"))

    def close(self) -> None:
        """End pid 1, which ends all others, and remove what is left of them."""
        if self._process:
            if self.pid:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        _remove(self._group)
        shutil.rmtree(SCRATCH / "hosts" / self.name, ignore_errors=True)

    def _start(self) -> None:
        try:
            self._group.mkdir()
        except OSError as error:
            raise Unavailable(f"a host needs a cgroup of its own: {error}") from error
        paths = _elsewhere(ROOT, Path(sys.prefix), Path(sys.base_prefix))
        flags = [
            "--mount",
            "--pid",
            "--fork",
            "--net",
            "--ipc",
            "--uts",
            "--cgroup",
            "--kill-child",
            "--propagation=private",
        ]
        boot = ["unshare", *flags, "sh", "-c", _BOOT, self.name, *map(str, paths)]
        moved = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._group / "cgroup.procs"), *_DIES_WITH_US, *boot]
        console = SCRATCH / f"{self.name}.console"
        environment = {**ENVIRONMENT, "MASKED": " ".join(_MASKED), "STARTED": " ".join(_STARTED)}
        with console.open("wb") as output:
            self._process = subprocess.Popen(
                moved,
                cwd=SCRATCH,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while time.monotonic() < end and self._process.poll() is None:
            time.sleep(0.1)
            self.pid = self.pid or _child(self._process.pid)
            if self.pid and os.path.exists(f"/proc/{self.pid}/root/run/systemd/private"):
                return
        lines = console.read_text(errors="replace").strip().splitlines()
        raise Unavailable(
            f"systemd does not boot in namespaces of its own: {' '.join(lines[-3:]) or 'it says nothing'}"
        )


_DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


def own_mounts() -> None:
    """Give this process a mount namespace of its own, and in it the tmpfs of :data:`SCRATCH`.

    :raises Unavailable: it may not have one.
    """
    SCRATCH.mkdir(parents=True, exist_ok=True)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        syscalls.mount("scratch", str(SCRATCH), "tmpfs", 0, "mode=755")
    except OSError as error:
        raise Unavailable(f"a mount namespace of its own: {error}") from error
    for name in ("packages", "hosts"):
        (SCRATCH / name).mkdir()
    for group in _cgroups().glob(f"{_GROUP}*"):
        pid = re.sub(r"-.*", "", group.name.removeprefix(_GROUP))
        if not os.path.exists(f"/proc/{pid}"):
            _remove(group)


def _cgroups() -> Path:
    """Where cgroup2 is mounted.

    :raises Unavailable: nowhere.
    """
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            return Path(fields[4])
    raise Unavailable("cgroup2 is not mounted, and systemd as pid 1 needs it")


def _elsewhere(*paths: Path) -> list[Path]:
    """Those that are on another mount than ``/``, or below what every host has its own of."""
    root = os.stat("/").st_dev
    return [path for path in dict.fromkeys(paths) if os.stat(path).st_dev != root or path.parts[1:2] == ("run",)]


def _child(pid: int) -> int:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    return int(children[0]) if children else 0


def _remove(group: Path) -> None:
    """A cgroup, with those below it, as soon as the processes in it have gone."""
    if not group.exists():
        return
    for _ in range(50):
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        if not group.exists():
            return
        time.sleep(0.1)
