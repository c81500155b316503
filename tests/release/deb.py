"""A Debian package of the commands, for every architecture, built with dpkg-deb alone.

A library that Debian has new enough is depended on; what is too old there, or missing, lies with mntscope in
``/usr/lib/mntscope``, where no other program finds it. The distribution that counts is the one it is built on: a
package that was built on an older one works on a newer one as well. The Python API is the wheel's.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from mntscope.cli.completion import SCRIPTS
from tests.release.contents import COMPILED, Files, library, modules, pure_libraries, version_of, wheel
from tests.support.repository import ROOT

HERE = "usr/lib/mntscope"
DOC = "usr/share/doc/mntscope"
EPOCH = "315532800"
"""The time of every file in it, unless SOURCE_DATE_EPOCH names another: the first that zip knows."""

OPTIONAL = "zstandard"
"""The one compiled library that a command can use, and all of them do without."""

# Nothing of the caller's environment or home is loaded (-I).
PROGRAM = f"""\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/{HERE}")

from mntscope.__main__ import main

sys.exit(main())
"""

# As dh_python3 has it: code is compiled once, by root, and goes with the package.
SCRIPTS_OF_DPKG = {
    "postinst": f"""\
#!/bin/sh
set -e
if [ "$1" = configure ] && command -v py3compile >/dev/null 2>&1; then
  py3compile -p mntscope /{HERE}
fi
""",
    "prerm": """\
#!/bin/sh
set -e
if command -v py3clean >/dev/null 2>&1; then
  py3clean -p mntscope
fi
""",
}

CONTROL = """\
Package: mntscope
Version: {version}
Architecture: all
Maintainer: The mntscope authors <authors@mntscope.invalid>
Installed-Size: {size}
Depends: {depends}
Recommends: {recommends}
Section: admin
Priority: optional
Description: show, predict and undo Linux mount propagation
 mntscope shows which mounts leak between mount namespaces, why, what the kernel
 would do if a command ran, and the command that stops it: on a live machine, and
 in what was captured from one.
"""


@dataclass(frozen=True, slots=True)
class Libraries:
    """Where the libraries come from."""

    depends: tuple[str, ...]
    """Debian's packages, as in a control file."""
    recommends: tuple[str, ...]
    """Those of compiled ones, without which the commands work."""
    bundled: tuple[str, ...]
    """The names of those that lie with mntscope."""


def libraries() -> Libraries:
    """Each where it is to be had, by what apt would install on this machine."""
    pure = pure_libraries()
    offered = _candidates([_package(name) for name in (*pure, OPTIONAL)])
    from_debian = {name: _dependency(name, offered.get(_package(name))) for name in (*pure, OPTIONAL)}
    return Libraries(
        depends=("python3 (>= 3.11)", *filter(None, map(from_debian.__getitem__, pure))),
        recommends=tuple(filter(None, [from_debian[OPTIONAL]])),
        bundled=tuple(name for name in pure if not from_debian[name]),
    )


_OTHERWISE = {"markdown-it-py": "markdown-it", "pyyaml": "yaml"}


def _package(name: str) -> str:
    """What Debian calls a library."""
    return f"python3-{_OTHERWISE.get(name, name)}"


def _dependency(name: str, offered: str | None) -> str:
    """The package of a library with the least version that will do; empty where Debian's is not that new."""
    wanted = _wanted(name)
    if offered is None or not wanted.contains(offered):
        return ""
    least = [each.version for each in wanted if each.operator in (">=", "~=")]
    return f"{_package(name)} (>= {max(least, key=Version)})"


def _candidates(packages: Iterable[str]) -> dict[str, str]:
    """Which version of upstream apt would install of each; nothing where there is no apt."""
    if shutil.which("apt-cache") is None:
        return {}
    command = ["apt-cache", "policy", *packages]
    said = subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?:\d+:)?(\d[\d.]*\d)", said, re.MULTILINE)
    return dict(found)


def _wanted(name: str) -> SpecifierSet:
    """Which versions of a library will do for mntscope, and for its other libraries as they are installed here."""
    wanted = SpecifierSet()
    for who in ("mntscope", *pure_libraries()):
        for line in distribution(who).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None and requirement.name.lower().replace("_", "-") == name:
                wanted &= requirement.specifier
    return wanted


# ---- what is in it ----


def contents(built: Files, bundled: Iterable[str]) -> Files:
    """Its files, by their paths; those in ``usr/bin`` are programs."""
    files = {f"{HERE}/{name}": data for name, data in modules(built).items()}
    licences = []
    for name in bundled:
        held = library(name)
        files |= {f"{HERE}/{path}": data for path, data in held.items()}
        licences += [(f"{name} {version(name)}", data) for path, data in held.items() if _is_licence(path)]
    files["usr/bin/mntscope"] = PROGRAM.encode()
    for name, data in built.items():
        if "/share/man/man1/" in name:
            files[f"usr/share/man/man1/{name.rpartition('/')[2]}.gz"] = _packed(data)
    files[f"{DOC}/changelog.gz"] = _packed((ROOT / "CHANGELOG.md").read_bytes())
    files[f"{DOC}/copyright"] = _copyright(licences)
    return files | completions()


def completions() -> Files:
    """What the shells load by themselves when somebody completes ``mntscope``."""
    # A file that zsh loads is the body of the function, too, the first time it is called.
    zsh = f'#compdef mntscope\n{SCRIPTS["zsh"]}_mntscope "$@"\n'
    return {
        "usr/share/bash-completion/completions/mntscope": SCRIPTS["bash"].encode(),
        "usr/share/zsh/vendor-completions/_mntscope": zsh.encode(),
        "usr/share/fish/vendor_completions.d/mntscope.fish": SCRIPTS["fish"].encode(),
    }


def _is_licence(path: str) -> bool:
    return bool(re.search(r"\.dist-info/.*(LICENSE|COPYING)[^/]*$", path))


def _copyright(licences: Iterable[tuple[str, bytes]]) -> bytes:
    text = io.BytesIO()
    text.write(b"mntscope: the mntscope authors; Apache-2.0, see /usr/share/common-licenses/Apache-2.0\n")
    for name, licence in licences:
        text.write(f"\n---- {name}, in /{HERE} ----\n\n".encode() + licence)
    return text.getvalue()


def _packed(data: bytes) -> bytes:
    return gzip.compress(data, 9, mtime=0)


# ---- dpkg-deb ----


def write(directory: Path, chosen: Libraries) -> Path:
    """Build it in *directory*; its path. The same files give the same package."""
    built = wheel()
    files = contents(built, chosen.bundled)
    number = version_of(built)
    control = CONTROL.format(
        version=number,
        size=sum(-(-len(data) // 1024) for data in files.values()),
        depends=", ".join(chosen.depends),
        recommends=", ".join(chosen.recommends),
    )
    files["DEBIAN/control"] = re.sub(r"^\w+: \n", "", control, flags=re.MULTILINE).encode()
    files |= {f"DEBIAN/{name}": text.encode() for name, text in SCRIPTS_OF_DPKG.items()}
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"mntscope_{number}_all.deb"
    with tempfile.TemporaryDirectory() as root:
        _lay_out(Path(root), files)
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, str(target)]
        environment = {"SOURCE_DATE_EPOCH": EPOCH, **os.environ}
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return target


def _lay_out(root: Path, files: Files) -> None:
    """Write *files* below *root*, with the modes that they are to have, whatever the umask."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755 if name.startswith("usr/bin/") or path.name in SCRIPTS_OF_DPKG else 0o644)
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir())):
        folder.chmod(0o755)


def main() -> None:
    """Build it where the command line says, and tell what it depends on."""
    parser = argparse.ArgumentParser(prog="python -m tests.release.deb", description=main.__doc__)
    parser.add_argument("directory", type=Path)
    directory: Path = parser.parse_args().directory
    if shutil.which("dpkg-deb") is None:
        raise SystemExit("a Debian package is built by dpkg-deb, which is not here: apt install dpkg-dev")
    chosen = libraries()
    target = write(directory, chosen)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")
    print(f"from Debian: {', '.join(chosen.depends)}; recommended: {', '.join(chosen.recommends) or 'none'}")
    print(f"bundled: {', '.join(chosen.bundled) or 'none'}; left out: {', '.join(COMPILED)}")


if __name__ == "__main__":
    main()
