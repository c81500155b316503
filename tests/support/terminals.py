"""What terminals of several widths show of a captured machine: files in tests/data/terminal, to be read by people too.

``python -m tests.support.terminals`` writes them anew.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.support.repository import ROOT

DIRECTORY = ROOT / "tests/data/terminal"
WIDTHS = (60, 80, 120, 200)
_NOON = "fixtures/container-host-2-noon.mntscope.json.gz"

COMMANDS = {
    "ns": ("ns", "--snapshot", _NOON),
    "tree": ("tree", "--snapshot", _NOON),
    "diff": ("diff", f"snapshot:{_NOON}#100"),
    "predict": ("predict", f"snapshot:{_NOON}#100", "--", "mount -t proc proc /host/proc && umount /host/run"),
    "holders": ("holders", "--snapshot", _NOON, "/srv/volumes/data"),
    "audit": ("audit", "--snapshot", _NOON, "--no-settings"),
}
"""By the name of their files."""


def shown(words: tuple[str, ...], **environment: str) -> str:
    """What mntscope with *words* writes to a terminal, in the repository."""
    leader, follower = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "mntscope", *words],
        cwd=ROOT,
        stdout=follower,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
    )
    os.close(follower)
    written = b""
    # EIO: nobody has the other side open any more.
    with program, suppress(OSError):
        while piece := os.read(leader, 1 << 16):
            written += piece
    os.close(leader)
    return written.decode().replace("\r\n", "\n")


def files() -> Iterator[tuple[Path, tuple[str, ...], int]]:
    """Each file, the command that it is of, and the width."""
    for name, words in COMMANDS.items():
        for width in WIDTHS:
            yield DIRECTORY / f"{name}-{width}.txt", words, width


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for file, words, width in files():
        file.write_text(shown(words, COLUMNS=str(width), NO_COLOR="1"))
