"""Which functions of mntscope a command enters, in what order: ``python -m tests.support.entered -- diff PID``.

It prints how many files and functions that are; with ``--list``, each of them, as ``analysis/diff.py diff``. What a
stranger has to read to follow a command is about that. A function is a code object, in whatever process the command
forks; the bodies of modules and classes are none. The command's own output goes to standard error.

The file needs nothing beside it, so that another checkout can be measured by it, too:
``OTHER/.venv/bin/python -P tests/support/entered.py -- diff PID``.
"""

from __future__ import annotations

import mmap
import os
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_REGION = 1 << 19
_REGIONS = 32
_NOTE = struct.Struct("<QH")
_OPTIMIZED = 1
"""Of a code object that is a function's, and not a module's or the body of a class (inspect.CO_OPTIMIZED)."""


class _Notes:
    """Functions, noted when they are first entered, in memory that a forked process shares and cannot close.

    A process writes into a region of its own, which begins with how much of it is used.
    """

    def __init__(self, package: Path) -> None:
        self.package = f"{package}{os.sep}"
        self.memory = mmap.mmap(-1, _REGION * _REGIONS)
        self.seen: set[CodeType] = set()

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        """As :func:`sys.setprofile` calls it."""
        code = frame.f_code
        if event == "call" and code not in self.seen:
            self.seen.add(code)
            if code.co_flags & _OPTIMIZED and code.co_filename.startswith(self.package):
                self._note(f"{code.co_filename[len(self.package) :]} {code.co_qualname}".encode())

    def _note(self, text: bytes) -> None:
        region = os.getpid() % _REGIONS * _REGION
        (used,) = struct.unpack_from("<I", self.memory, region)
        at = region + 4 + used
        self.memory[at : at + _NOTE.size + len(text)] = _NOTE.pack(time.monotonic_ns(), len(text)) + text
        struct.pack_into("<I", self.memory, region, used + _NOTE.size + len(text))

    def read(self) -> list[str]:
        """What all processes have noted, in the order of time."""
        notes: list[tuple[int, str]] = []
        for region in range(0, len(self.memory), _REGION):
            (used,) = struct.unpack_from("<I", self.memory, region)
            at, end = region + 4, region + 4 + used
            while at < end:
                when, size = _NOTE.unpack_from(self.memory, at)
                at += _NOTE.size + size
                notes.append((when, self.memory[at - size : at].decode()))
        return list(dict.fromkeys(text for _, text in sorted(notes)))


def functions_entered(words: Sequence[str], *, cwd: Path | None = None) -> list[str]:
    """The functions that ``mntscope WORDS`` enters in a fresh process, as ``file qualname``, the first first.

    That it ends in trouble is the command's own affair; :raises CalledProcessError: it was killed.
    """
    command = [sys.executable, "-P", __file__, "--list", "--", *words]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1, 2):
        raise subprocess.CalledProcessError(result.returncode, command, result.stdout, result.stderr)
    return result.stdout.splitlines()


def _main() -> int:
    options, words = sys.argv[1:], []
    if "--" in options:
        options, words = options[: options.index("--")], options[options.index("--") + 1 :]
    if not words:
        print(__doc__, file=sys.stderr)  # noqa: T201 - it is its help
        return 2
    import mntscope
    from mntscope.cli import main

    assert mntscope.__file__
    told = os.dup(1)
    os.dup2(2, 1)
    notes = _Notes(Path(mntscope.__file__).parent)
    sys.setprofile(notes)
    try:
        code = main(words)
    finally:
        sys.setprofile(None)
    functions = notes.read()
    files = {function.partition(" ")[0] for function in functions}
    text = "\n".join(functions) if "--list" in options else f"{len(files)} files, {len(functions)} functions"
    os.write(told, f"{text}\n".encode())
    return code


if __name__ == "__main__":
    sys.exit(_main())
