"""The guest: a Debian in a disk image, with this working tree installed as a developer has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.kernels.debian import Unavailable, mirror
from tests.support.repository import ROOT

PACKAGES = (
    "python3", "python3-venv", "mount", "util-linux", "util-linux-extra", "strace", "procps", "kmod", "bubblewrap",
    "runc", "busybox-static", "libcap2-bin", "e2fsprogs", "iproute2", "zsh",
)  # fmt: skip
"""What mntscope and its tests run."""

PYTHON_PACKAGES = ("pytest", "hypothesis", "jsonschema", "junitparser", "prometheus-client", "setuptools", "wheel")
"""What those tests import that want a kernel."""

OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private")
"""What is mounted in the guest's directory while it is made goes away with who has mounted it."""

TREE = "guest/mntscope"
INTERPRETER = f"{TREE}/.venv/bin/python"

_INIT = """\
#!/bin/bash
# The first process: a host such as systemd makes it, with everything shared; then the script; then off.
export PATH=/TREE/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -o remount,rw /
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid dev /dev
mkdir -p /dev/pts /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t devpts -o nosuid,noexec,gid=5,mode=620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev shm /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 /sys/fs/cgroup
mount --make-rshared /
ip link set lo up
tr -d '\\0' < /dev/vdb > /run/script
cd /TREE && setsid bash /run/script
sync
echo o > /proc/sysrq-trigger
sleep 60
""".replace("TREE", TREE)


@dataclass(frozen=True, slots=True)
class Guest:
    """A Debian suite as a directory, and as the disk that is made of it."""

    suite: str
    python: str
    """The version of its Python."""
    directory: Path

    @property
    def root(self) -> Path:
        """The root filesystem as a directory, in which a command may be run by chroot(8)."""
        return self.directory / self.suite

    @property
    def disk(self) -> Path:
        """The root filesystem as a disk."""
        return self.directory / f"{self.suite}.img"

    @property
    def busybox(self) -> Path:
        """A static one."""
        return self.root / "bin/busybox"

    def prepare(self) -> None:
        """Make the directory where there is none yet.

        :raises Unavailable: a package is not to be had.
        """
        if not (self.root / INTERPRETER).exists():
            shutil.rmtree(self.root, ignore_errors=True)
            packages = f"--include={','.join(PACKAGES)}"
            _run(*OWN_MOUNTS, "debootstrap", "--variant=minbase", packages, self.suite, self.root, mirror())
            self._install()

    def _install(self) -> None:
        """A virtual environment with this tree, and with wheels that the machine's own pip fetches for this Python."""
        wheels = self.root / "guest/wheels"
        self._copy_tree()
        pip = (sys.executable, "-m", "pip", "download", "-q", "-d", wheels, "--only-binary=:all:")
        platforms = [f"--platform={kind}_x86_64" for kind in ("manylinux_2_28", "manylinux2014", "manylinux1", "linux")]
        needed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
        _run(*pip, "--python-version", self.python, *platforms, *PYTHON_PACKAGES, *needed)
        install = (f"/{INTERPRETER}", "-m", "pip", "install", "-q", "--no-index", "--find-links=/guest/wheels")
        self.run("/usr/bin/python3", "-m", "venv", f"/{TREE}/.venv")
        self.run(*install, "-U", *PYTHON_PACKAGES)
        self.run(*install, "--no-build-isolation", "--editable", f"/{TREE}")
        shutil.rmtree(wheels)

    def write_disk(self) -> None:
        """The disk anew, with the tree as it is now, compiled: a guest compiles slowly, and forgets it."""
        self.prepare()
        self._copy_tree()
        self.run(f"/{INTERPRETER}", "-m", "compileall", "-q", f"/{TREE}/mntscope", f"/{TREE}/tests")
        init = self.root / "guest/init"
        init.write_text(_INIT)
        init.chmod(0o755)
        # systemd makes it, which is not installed.
        (self.root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        self.disk.unlink(missing_ok=True)
        # Without what kernels of 2020 cannot read, and what takes time.
        features = "^has_journal,^metadata_csum,^orphan_file"
        _run("mke2fs", "-q", "-t", "ext4", "-O", features, "-d", self.root, self.disk, "2G")

    def run(self, *argv: str) -> None:
        """Run a command in the directory, as root there, outside of any guest.

        :raises Unavailable: it failed.
        """
        _run(*OWN_MOUNTS, "chroot", self.root, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *argv)

    def _copy_tree(self) -> None:
        """What is in git, or would be; files that have gone since go too, the environment stays."""
        target = self.root / TREE
        target.mkdir(parents=True, exist_ok=True)
        for entry in target.iterdir():
            if entry.name not in (".venv", "mntscope.egg-info"):
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        for name in filter(None, os.fsdecode(listed).split("\0")):
            if (ROOT / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def _run(*argv: object) -> None:
    done = subprocess.run(
        ["nice", "-n", "15", *map(str, argv)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(map(str, argv[:6]))} ..: {' '.join(last) or done.returncode}")
