"""What terminals of several widths show of a captured machine: files in tests/data/terminal, to be read by people too.

``python -m tests.support.terminals`` writes them anew.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mntscope.analysis.plan import make_plan
from mntscope.archive import load
from mntscope.isolate import Isolation, Undoing
from mntscope.isolate.undo import Listed
from mntscope.output.isolate import FORMATS as ISOLATE
from mntscope.output.isolate import Isolating
from mntscope.output.undo import FORMATS as UNDO
from mntscope.output.undo import LIST_FORMATS as JOURNALS
from mntscope.output.writers.page import Page
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


def _isolated(page: Page, *paths: str, **said: Any) -> str:
    """What isolate says of a container's mounts, at *paths*; nothing is done."""
    snapshot, kind = load(str(ROOT / _NOON)), said.pop("kind", None)
    plan = make_plan(snapshot, "100", paths, mount_proc="/host/proc" in paths, kind=kind)
    refused = said.pop("refused", None)
    if refused is not None:
        return ISOLATE["table"](Isolating("backup (runc)", refused=refused, plan=plan, **said), page)
    dry_run = said.pop("dry_run", False)
    return ISOLATE["table"](Isolating("backup (runc)", Isolation(plan, **said), dry_run=dry_run), page)


_LOST = """/host/srv/volumes/data cannot rejoin peer group 43: this kernel has no MOVE_MOUNT_SET_GROUP (Linux 5.15), \
and no other mount of the group is left in the namespace"""

ISOLATING: Mapping[str, Callable[[Page], str]] = {
    "isolate-dry-run": lambda page: _isolated(page, "/host/proc", dry_run=True),
    "isolate-applied": lambda page: _isolated(
        page,
        "/host/srv/volumes/data",
        applied=True,
        verified=True,
        attempts=2,
        journal="/run/mntscope/20260101T120000-backup-4026532193.journal",
        unread=("142", "143"),
        ended=("143",),
    ),
    "isolate-refused": lambda page: _isolated(
        page,
        "/host/srv/volumes/data",
        kind="private",
        refused=f"100: undo could not put it back: {_LOST}; --force does it all the same, for good",
        irreversible=(_LOST,),
    ),
    "undo": lambda page: UNDO["table"](
        Undoing(
            "srv.journal",
            (
                "the proc at /host/proc is unmounted",
                "/host/srv/volumes/data has rejoined peer group 43, whose other members are the host and 107 (deploy)",
            ),
            ("/host/run was unmounted by somebody else meanwhile: it has no propagation type to put back",),
        ),
        page,
    ),
    "undo-list": lambda page: JOURNALS["table"](
        [
            Listed(
                "/run/mntscope/20260101T120000-backup-4026532193.journal",
                time="2026-01-01 12:00:00",
                state="applied",
                to_undo=True,
                target="backup (runc)",
                what="/host/srv/volumes/data: slave",
            ),
            Listed(
                "/run/mntscope/20260102T120000-web-4026532183.journal",
                time="2026-01-02 12:00:00",
                state="applied",
                why="its namespace has ended",
                target="web-1 (runc)",
                what="/proc: private, proc",
            ),
        ],
        page,
    ),
}
"""What a command says that has changed mounts, or would; by the name of its files. No kernel hands out the same numbers
twice: so these are the reports of made results, of a captured machine."""


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


def isolating() -> Iterator[tuple[Path, Callable[[Page], str], int]]:
    """The same of :data:`ISOLATING`: each file, what writes it, and the width."""
    for name, write in ISOLATING.items():
        for width in WIDTHS:
            yield DIRECTORY / f"{name}-{width}.txt", write, width


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for file, words, width in files():
        file.write_text(shown(words, COLUMNS=str(width), NO_COLOR="1"))
    for file, write, width in isolating():
        file.write_text(write(Page(width=width, terminal=True)))
