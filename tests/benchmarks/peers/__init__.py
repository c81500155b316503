"""The peers: installed from Debian where that is possible, and built, each as a program that reads a mount table.

Each takes a DIRECTORY that holds ``mountinfo``, and ``live`` if it is to be read anew each time; see
:class:`tests.benchmarks.timing.Server`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GO, CRATES = Path("/usr/share/gocode"), Path("/usr/share/cargo/registry")

PACKAGES = {
    "util-linux": "/usr/bin/findmnt",
    "gcc": "/usr/bin/cc",
    "libc6-dev": "/usr/include/stdio.h",
    "libmount-dev": "/usr/include/libmount/libmount.h",
    "golang-go": "/usr/bin/go",
    "golang-github-moby-sys-dev": "/usr/share/gocode/src/github.com/moby/sys/mountinfo",
    "golang-github-prometheus-procfs-dev": "/usr/share/gocode/src/github.com/prometheus/procfs",
    "librust-procfs-dev": "/usr/share/cargo/registry/procfs-*",
}
"""Of Debian, and what each brings; beside them ``cargo``, where there is none."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that was built."""

    name: str
    program: str
    live: bool = True
    """Whether it can read a table anew each time."""
    memory: bool = True
    """Whether it can read one from memory, or a file in memory."""


def install() -> str:
    """Installs what is missing; what came of it, if anything is worth telling."""
    missing = [package for package, brings in PACKAGES.items() if not list(Path("/").glob(brings[1:]))]
    if shutil.which("cargo") is None:
        missing.append("cargo")
    if not missing:
        return ""
    if os.geteuid() or shutil.which("apt-get") is None:
        return f"not installed: {' '.join(missing)}"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    failed = []
    subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
    for package in missing:
        words = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", package]
        done = subprocess.run(words, check=False, env=environment, capture_output=True, text=True)
        if done.returncode:
            failed.append(package)
    return f"cannot be installed: {' '.join(failed)}" if failed else ""


def build(directory: Path) -> tuple[dict[str, Peer], list[str]]:
    """The peers by name, built in *directory*, and why others are not there."""
    directory.mkdir(parents=True, exist_ok=True)
    peers, missing = {}, []
    for name, how in _PEERS.items():
        try:
            peers[name] = how(name, directory)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (error.stderr or "").strip().splitlines() if isinstance(error, subprocess.CalledProcessError) else []
            missing.append(f"{name}: not built ({said[-1] if said else error})")
    return peers, missing


def _c(name: str, directory: Path, *libraries: str) -> str:
    program = str(directory / name)
    _run(["cc", "-O2", "-o", program, str(HERE / f"{name}.c"), *libraries], directory)
    return program


def _floor(_: str, directory: Path) -> Peer:
    return Peer("floor", _c("floor", directory), memory=False)


def _libmount(_: str, directory: Path) -> Peer:
    return Peer("libmount", _c("libmount", directory, "-lmount"))


def _go(name: str, directory: Path) -> Peer:
    """With the packages in Debian's GOPATH, and *export.go* laid over them: one keeps its reader to itself."""
    overlay = directory / "overlay.json"
    exported = GO / "src/github.com/prometheus/procfs/benchmark_export.go"
    overlay.write_text(json.dumps({"Replace": {str(exported): str(HERE / "export.go")}}))
    program = str(directory / name)
    settings = {"GO111MODULE": "off", "GOPATH": str(GO), "GOFLAGS": "", "GOCACHE": str(directory / "go-cache")}
    _run(["go", "build", "-overlay", str(overlay), "-o", program, str(HERE / f"{name}.go")], directory, settings)
    return Peer(name, program)


def _rust(name: str, directory: Path) -> Peer:
    """With the crates of Debian's registry, and no other."""
    package = directory / name
    shutil.copytree(HERE / "procfs", package, dirs_exist_ok=True)
    settings = package / ".cargo"
    settings.mkdir(exist_ok=True)
    source = f'[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "{CRATES}"\n'
    (settings / "config.toml").write_text(source)
    _run(["cargo", "build", "--release", "--offline"], package, {"CARGO_HOME": str(directory / "cargo")})
    return Peer(name, str(package / "target/release/procfs-bench"))


_PEERS: dict[str, Callable[[str, Path], Peer]] = {
    "floor": _floor,
    "libmount": _libmount,
    "moby": _go,
    "prometheus": _go,
    "procfs": _rust,
}


def _run(argv: list[str], directory: Path, settings: dict[str, str] | None = None) -> None:
    subprocess.run(argv, check=True, cwd=directory, env=os.environ | (settings or {}), capture_output=True, text=True)
