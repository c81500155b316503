"""What the hosts need beyond this machine: Debian packages, installed into a layer over its files, and images.

Nothing is installed on the machine. The layer is a directory of the tmpfs, as an overlay's upper directory needs; what
was downloaded, and the images, are kept for the next time.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.runtimes.host import BUILD, SCRATCH, Unavailable

BUSYBOX = BUILD / "busybox.tar"
"""A root directory with busybox and its applets."""

DEBIAN = BUILD / "debian.tar"
"""A small Debian with systemd."""

_ENTER = """\
set -e
mkdir -p work root
mount -t overlay -o lowerdir=/,upperdir=packages,workdir=work overlay root
mount --bind "$1" root"$1"
cd root
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
exec chroot . sh -c "$2"
"""

# Documentation and translations would be unpacked into memory for nobody to read.
_APT = (
    "-qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-unsafe-io"
    " -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--path-exclude=/usr/share/doc/*"
    " -o Dpkg::Options::=--path-exclude=/usr/share/man/* -o Dpkg::Options::=--path-exclude=/usr/share/locale/*"
)

_BUSYBOX = """\
set -e
tree=$(mktemp -d)
mkdir -p $tree/bin $tree/etc $tree/proc $tree/sys $tree/dev $tree/tmp $tree/run $tree/usr $tree/vol $tree/var/tmp
cp "$(command -v busybox)" $tree/bin/busybox
for applet in $($tree/bin/busybox --list); do [ -e $tree/bin/$applet ] || ln -s busybox $tree/bin/$applet; done
ln -s ../bin $tree/usr/bin
echo root:x:0:0:root:/:/bin/sh > $tree/etc/passwd
echo root:x:0: > $tree/etc/group
echo ID=busybox > $tree/etc/os-release
chmod 755 $tree
tar -C $tree -cf {out} .
rm -rf $tree
"""

_DEBIAN = """\
set -e
mmdebstrap -q --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io {suite} {out} {mirror}
"""


def install(packages: Iterable[str]) -> dict[str, str]:
    """Install what can be had; the packages that cannot, each with the reason.

    :raises Unavailable: there is no apt, or it installs nothing at all.
    """
    wanted = sorted(dict.fromkeys(packages))
    if not shutil.which("apt-get"):
        raise Unavailable("runtimes come from Debian packages, through apt-get, which is not here")
    (BUILD / "archives/partial").mkdir(parents=True, exist_ok=True)
    archives = shlex.quote(str(BUILD / "archives"))
    missing = {package: "apt has no such package" for package in wanted if not _known(package)}
    if missing:
        _enter("apt-get update -qq", check=False)
        missing = {package: why for package, why in missing.items() if not _known(package, inside=True)}
    had = [package for package in wanted if package not in missing]
    command = f"apt-get install {_APT} -o Dir::Cache::archives={archives} {shlex.join(had)}"
    done = _enter(f"{command} || {{ apt-get update -qq && {command}; }}", check=False)
    if done.returncode:
        raise Unavailable(f"apt-get install: {_last(done)}")
    return missing


def versions(packages: Sequence[str]) -> str:
    """Of those that are installed in the layer: ``runc 1.1.5, podman 4.3.1``."""
    if not packages:
        packages = ["systemd", "util-linux"]
    done = _enter(f"dpkg-query -W -f '${{Package}} ${{Version}}\\n' {shlex.join(packages)}", check=False)
    found = [line.split() for line in done.stdout.splitlines() if len(line.split()) == 2]
    return ", ".join(f"{package} {re.sub(r'^[0-9]+:|[+~-].*', '', version)}" for package, version in found)


def make_images(images: Sequence[Path]) -> dict[Path, str]:
    """Make those that are not there; the ones that cannot be made, each with the reason."""
    missing = {}
    for image in images:
        if image.exists():
            continue
        partial = image.with_suffix(".partial.tar")
        fields = {"out": shlex.quote(str(partial)), "suite": "bookworm", "mirror": ""}
        if image == DEBIAN:
            fields["suite"], fields["mirror"] = _suite(), _mirror()
        done = _enter((_DEBIAN if image == DEBIAN else _BUSYBOX).format(**fields), check=False)
        if done.returncode:
            missing[image] = _last(done)
        else:
            partial.rename(image)
    return missing


def _enter(script: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a shell script in the layer, with this machine's network."""
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "TMPDIR": "/tmp"}
    environment["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return subprocess.run(
        ["setpriv", "--pdeathsig", "KILL", *argv, "sh", "-c", _ENTER, "sh", str(BUILD), script],
        cwd=SCRATCH,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=check,
    )


def _known(package: str, *, inside: bool = False) -> bool:
    command = f"apt-cache policy {shlex.quote(package)}"
    done = (
        _enter(command, check=False)
        if inside
        else subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    )
    return "Candidate: " in done.stdout and "Candidate: (none)" not in done.stdout


def _suite() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    return "stable"


def _mirror() -> str:
    """The machine's own, as apt knows it: the same versions of everything."""
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    uris = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return next((uri for uri in uris if uri.rstrip("/").endswith("/debian")), "")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E:", "mount:", "chroot:"))]
    return (errors or lines or ["it says nothing"])[-1]
