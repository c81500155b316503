"""Debian's packages of several suites beside the machine's own: looked up, downloaded, unpacked, never installed.

An apt configuration in a directory of its own names every suite, with the mirror that the machine's own sources name.
Nothing of it touches what is installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

SUITES = ("bullseye", "bookworm", "trixie", "trixie-backports", "sid")
SECURITY = ("bullseye-security", "bookworm-security", "trixie-security")

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Unavailable(Exception):
    """What is not to be had, and why; one line."""


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package."""

    name: str
    version: str
    suites: tuple[str, ...]

    def __str__(self) -> str:
        """As apt takes it."""
        return f"{self.name}={self.version}"


class Debian:
    """All suites, with lists and packages kept in *directory*."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.complaints: list[str] = []
        """What apt says of suites that it could not read."""
        self._environment = {**os.environ, "APT_CONFIG": str(directory / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def update(self) -> None:
        """Read every suite's list of packages anew.

        :raises Unavailable: there is no apt, or no mirror in the machine's sources.
        """
        if not (shutil.which("apt-get") and KEYRING.exists()):
            raise Unavailable("other kernels come from Debian's suites, through apt-get, which is not here")
        for folder in ("lists/partial", "archives/partial"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        (self.directory / "sources.list").write_text(
            _sources(mirror(), SUITES) + _sources(mirror("-security"), SECURITY)
        )
        (self.directory / "apt.conf").write_text(_CONFIGURATION.format(here=self.directory))
        done = self._apt("apt-get", "-q", "update", check=False)
        self.complaints = [line for line in done.splitlines() if line.startswith(("E:", "W:", "Err:"))]

    def packages(self, pattern: str) -> list[Package]:
        """Every version of the packages whose whole name fits *pattern*, the newest first."""
        names = sorted(filter(re.compile(pattern).fullmatch, self._cache("pkgnames").split()))
        found: dict[tuple[str, str], list[str]] = {}
        for line in self._cache("madison", *names).splitlines() if names else ():
            name, version, source = (part.strip() for part in line.split("|"))
            found.setdefault((name, version), []).append(source.split()[1].partition("/")[0])
        return newest_first(Package(name, version, tuple(suites)) for (name, version), suites in found.items())

    def package(self, name: str, suite: str) -> Package:
        """The newest version of *name* in *suite* or its security updates.

        :raises Unavailable: the suite has none.
        """
        for package in self.packages(re.escape(name)):
            if {suite, f"{suite}-security"} & set(package.suites):
                return package
        raise Unavailable(f"{suite} has no package {name}")

    def needed(self, package: Package, pattern: str) -> list[Package]:
        """The packages whose name fits *pattern* and of which *package* needs a certain version."""
        text = self._cache("show", str(package))
        depends = re.search(r"^Depends: (.*)", text, re.MULTILINE)
        exact = re.findall(r"([a-z0-9.+-]+) \(= ([^)]+)\)", depends[1] if depends else "")
        return [Package(name, version, package.suites) for name, version in exact if re.fullmatch(pattern, name)]

    def unpack(self, package: Package, target: Path) -> None:
        """Download *package* (once) and unpack it into *target*.

        :raises Unavailable: it is in the list, but not to be had.
        """
        kept = self.directory / "archives"
        file = next(kept.glob(f"{package.name}_{package.version.replace(':', '%3a')}_*.deb"), None)
        if file is None:
            self._apt("apt-get", "-q", *_KEPT, "download", str(package), folder=kept)
            file = next(kept.glob(f"{package.name}_{package.version.replace(':', '%3a')}_*.deb"))
        target.mkdir(parents=True, exist_ok=True)
        self._apt("dpkg-deb", "-x", str(file), str(target))

    def _cache(self, *argv: str) -> str:
        return self._apt("apt-cache", *_KEPT, *argv)

    def _apt(self, *argv: str, folder: Path | None = None, check: bool = True) -> str:
        done = subprocess.run(
            argv, cwd=folder, env=self._environment, capture_output=True, text=True, check=False, timeout=1200
        )
        if check and done.returncode:
            why = next((line for line in done.stderr.splitlines() if line.startswith("E:")), done.stderr.strip())
            raise Unavailable(f"{argv[0]} {argv[-1]}: {why}")
        return done.stdout + ("" if check else done.stderr)


def mirror(kind: str = "") -> str:
    """The machine's own mirror of Debian, or of its security updates (``-security``).

    :raises Unavailable: the machine's sources name none.
    """
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    environment: Mapping[str, str] = {name: value for name, value in os.environ.items() if name != "APT_CONFIG"}
    uris = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60).stdout
    for uri in uris.split():
        if uri.rstrip("/").endswith(f"/debian{kind}"):
            return uri.rstrip("/")
    raise Unavailable(f"the machine's apt sources name no mirror of debian{kind}")


def _sources(uri: str, suites: tuple[str, ...]) -> str:
    return "".join(f"deb [signed-by={KEYRING}] {uri} {suite} main\n" for suite in suites)


def newest_first(packages: Iterable[Package]) -> list[Package]:
    """Sorted by version, which is text and numbers in turn; what follows a ``~`` came before."""

    def order(package: Package) -> list[tuple[bool, str, int]]:
        parts = re.findall(r"(\D*)(\d*)", package.version)
        return [(not text.startswith("~"), text, int(number or 0)) for text, number in parts]

    return sorted(packages, key=order, reverse=True)


_KEPT = ("-o", "Dir::Cache::pkgcache=pkgcache.bin", "-o", "Dir::Cache::srcpkgcache=srcpkgcache.bin")
"""Lists are sorted once, whatever the machine's own configuration, which is read after ours, says."""

_CONFIGURATION = """\
Dir::State "{here}";
Dir::State::lists "lists";
Dir::State::status "{here}/status";
Dir::Cache "{here}";
Dir::Cache::archives "archives";
Dir::Etc::sourcelist "{here}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
Acquire::Languages "none";
"""
