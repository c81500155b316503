"""The JSON that every command writes about files, recorded: what other programs read must not change unnoticed.

``tests/data/json/`` has a file for each fixture and each capture, of one JSON object a line: a command line, its exit
code, and what it wrote. ``tests/test_json.py`` has the checkout write it again. Where it is meant to be different,
write the recordings anew, and look at what has changed::

    python -m tests.support.recorded_json

With ``--program MNTSCOPE`` another version's command writes them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import lzma
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import mntscope
from mntscope.cli import main
from tests.support.repository import DATA, FIXTURES, ROOT

RECORDED = DATA / "json"
SNAPSHOTS = {
    path.name.partition(".")[0]: str(path.relative_to(ROOT))
    for folder in (FIXTURES, DATA / "captures")
    for path in sorted(folder.glob("*.mntscope.json*"))
}
"""What the commands are asked about, as the path from the repository, by what the recording is called."""
MANIFEST = "tests/data/manifests/csi-node.yaml"
"""What would be started there."""
RULES = "rules"
"""The recording of what is said of the rules, which asks about no file."""

FEW = 2
"""Of how many views of a snapshot more than ``diff`` is asked."""
OPERATIONS = (
    "mount -t proc proc /proc",
    "mount --make-rslave / && mount -t tmpfs tmpfs /proc",
    "mount --bind / /proc",
    "umount -l /proc",
)


@dataclass(frozen=True)
class Answer:
    """What a command makes of its words."""

    words: tuple[str, ...]
    exit_code: int
    output: str
    """But for the time it was written at."""


Run = Callable[[Sequence[str]], tuple[int, str]]


def questions(name: str) -> Iterator[tuple[str, ...]]:
    """The words of each command of a recording."""
    if name == RULES:
        yield ("explain",)
        return
    file = SNAPSHOTS[name]
    snapshot = mntscope.load(ROOT / file)
    labels = [view.label for view in snapshot.views]
    few = labels[:: len(labels) // FEW or 1]
    last = snapshot.host.mounts[-1].mount_point
    yield ("ns", "--snapshot", file)
    yield ("graph", "--snapshot", file)
    yield ("audit", "--no-settings", file)
    yield ("preview", MANIFEST, "--snapshot", file)
    for what in ("/", "/proc", last):
        yield ("holders", what, "--snapshot", file)
    for label in labels:
        yield ("diff", f"snapshot:{file}#{label}")
    for label in few:
        target = f"snapshot:{file}#{label}"
        yield ("diff", target, "/proc")
        yield ("tree", target)
        yield ("graph", target)
        for operation in OPERATIONS:
            yield ("predict", target, "--", operation)


def answers(name: str, run: Run) -> Iterator[Answer]:
    """What the commands of a recording write now, in the words of *run*."""
    for command, *words in questions(name):
        code, output = run([command, "--format", "json", *words])
        yield Answer((command, *words), code, re.sub(r'("made": )"[^"]+"', r"\1null", output))


def recorded(name: str) -> list[Answer]:
    """What they wrote."""
    with lzma.open(RECORDED / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [Answer(tuple(one.pop("words")), **one) for one in map(json.loads, lines)]


def in_process(words: Sequence[str]) -> tuple[int, str]:
    """The command of this checkout, called in this process."""
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape")
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(output):
        code = main(words)
    output.seek(0)
    return code, output.read()


def of_program(program: Path, words: Sequence[str]) -> tuple[int, str]:
    """An installed command."""
    done = subprocess.run([program, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout


def write(run: Run = in_process) -> None:
    """All recordings, anew; what was said a megabyte ago xz still knows, and gzip does not."""
    RECORDED.mkdir(exist_ok=True)
    for name in (RULES, *SNAPSHOTS):
        lines = "".join(f"{json.dumps(asdict(answer))}\n" for answer in answers(name, run))
        (RECORDED / f"{name}.jsonl.xz").write_bytes(lzma.compress(lines.encode()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.support.recorded_json", description="write them anew")
    parser.add_argument("--program", type=Path, metavar="MNTSCOPE", help="as this one has it, not as the checkout")
    program = parser.parse_args().program
    write(partial(of_program, program.absolute()) if program else in_process)
