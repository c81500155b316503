"""The Debian package holds what the wheel does; ``.ci/debian-package`` installs it in a Debian of its own."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mntscope.cli.parser import COMMANDS
from tests.release import deb
from tests.release.contents import pure_libraries
from tests.support.repository import FIXTURES, ROOT

NOTHING: dict[str, str] = {}
BOOKWORM = {
    "python3-jinja2": "3.1.2",
    "python3-lark": "1.1.5",
    "python3-markdown-it": "2.1.0",
    "python3-markupsafe": "2.1.2",
    "python3-mdurl": "0.1.2",
    "python3-pygments": "2.14.0",
    "python3-rich": "13.3.1",
    "python3-yaml": "6.0",
    "python3-zstandard": "0.20.0",
}
TRIXIE = {
    "python3-jinja2": "3.1.6",
    "python3-lark": "1.2.2",
    "python3-markdown-it": "3.0.0",
    "python3-markupsafe": "2.1.5",
    "python3-mdurl": "0.1.2",
    "python3-pygments": "2.18.0",
    "python3-rich": "13.9.4",
    "python3-yaml": "6.0.2",
    "python3-zstandard": "0.23.0",
}
"""What two releases of Debian have."""


def offered(monkeypatch: pytest.MonkeyPatch, versions: dict[str, str]) -> deb.Libraries:
    monkeypatch.setattr(deb, "_candidates", lambda packages: versions)
    return deb.libraries()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, with every library in it, taken apart."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    folder = tmp_path_factory.mktemp("deb")
    chosen = deb.Libraries(("python3 (>= 3.11)",), (), tuple(pure_libraries()))
    package = deb.write(folder, chosen)
    first = package.read_bytes()
    before = os.umask(0o077)
    try:
        assert deb.write(folder, chosen).read_bytes() == first, "built twice it is not the same"
    finally:
        os.umask(before)
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "root"], check=True)
    return folder / "root"


def test_what_debian_has_new_enough_is_depended_on(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = offered(monkeypatch, BOOKWORM)
    assert chosen.bundled == ("lark", "markdown-it-py", "rich")
    assert {"python3 (>= 3.11)", "python3-jinja2 (>= 3.1)"} <= set(chosen.depends)
    assert chosen.recommends == ("python3-zstandard (>= 0.20)",)
    assert offered(monkeypatch, TRIXIE).bundled == ()


def test_where_debian_has_nothing_all_is_bundled(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = offered(monkeypatch, NOTHING)
    assert chosen == deb.Libraries(("python3 (>= 3.11)",), (), tuple(pure_libraries()))


def test_apt_is_understood() -> None:
    if shutil.which("apt-cache") is None:
        pytest.skip("apt-cache is not installed")
    found = deb._candidates(["dpkg", "no-such-package-as-this"])
    assert set(found) == {"dpkg"}
    assert re.fullmatch(r"1\.\d+\.\d+", found["dpkg"])


def test_it_says_what_it_is(unpacked: Path) -> None:
    control = (unpacked / "DEBIAN/control").read_text()
    assert re.search(r"^Depends: python3 \(>= 3\.11\)$", control, re.MULTILINE)
    assert "Recommends:" not in control
    assert "\n\n" not in control
    licences = (unpacked / "usr/share/doc/mntscope/copyright").read_text("utf-8")
    assert [name for name in pure_libraries() if f"---- {name} " not in licences] == []


def test_all_of_it_can_be_read_and_what_is_run_be_run(unpacked: Path) -> None:
    for path in unpacked.rglob("*"):
        runs = path.is_dir() or path.parent.name == "bin" or path.name in ("postinst", "prerm")
        assert (path.stat().st_mode & 0o777) == (0o755 if runs else 0o644), path
    for path in (unpacked / "DEBIAN/postinst", unpacked / "DEBIAN/prerm"):
        subprocess.run(["sh", "-n", path], check=True)


def test_it_holds_every_manual_page(unpacked: Path) -> None:
    pages = {path.name: gzip.decompress(path.read_bytes()) for path in (unpacked / "usr/share/man/man1").iterdir()}
    assert pages == {f"{path.name}.gz": path.read_bytes() for path in (ROOT / "docs/man").iterdir()}
    assert len(pages) == len(COMMANDS) + 1


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", "bash-completion/completions/mntscope"),
        ("zsh", "zsh/vendor-completions/_mntscope"),
        ("fish", "fish/vendor_completions.d/mntscope.fish"),
    ],
)
def test_every_shell_takes_its_completion(unpacked: Path, shell: str, file: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n", unpacked / "usr/share" / file], check=True)


def test_the_program_runs_with_nothing_else(unpacked: Path) -> None:
    text = (unpacked / "usr/bin/mntscope").read_text()
    program = text.replace("/usr/lib", f"{unpacked}/usr/lib")
    assert text.startswith("#!/usr/bin/python3 -I\n")
    assert program != text
    command = [os.path.realpath(sys.executable), "-I", "-S", "-c", program]
    words = ["audit", f"{FIXTURES}/runc.mntscope.json.gz", "--format", "html"]
    done = subprocess.run([*command, *words], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "MNT006" in done.stdout
