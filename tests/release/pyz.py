"""``mntscope.pyz``: one file that runs wherever there is a Python, with all that mntscope needs but compiled code.

What is built twice of the same files is the same, byte for byte: names are sorted, and no time, user or mode of the
machine goes into it. Python compiles what a command loads anew in each run; compiled code of one Python would double
the file, and be of no use to the others.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path

from tests.release.contents import Files, library, modules, pure_libraries, wheel

FIRST_LINE = b"#!/usr/bin/env python3\n"

# It is read by whatever Python there is: what is too old is to say so, and nothing else.
MAIN = b"""\
import sys

if sys.version_info < (3, 11):
    sys.exit("mntscope: it needs Python 3.11 or newer, and this is %d.%d" % sys.version_info[:2])

from mntscope.__main__ import main

sys.exit(main())
"""


def contents() -> Files:
    """All that goes into it, by name."""
    files = modules(wheel())
    for name in pure_libraries():
        files |= library(name)
    return files | {"__main__.py": MAIN}


def archive(files: Files) -> bytes:
    """*files* as a program."""
    packed = io.BytesIO()
    packed.write(FIRST_LINE)
    with zipfile.ZipFile(packed, "w") as program:
        for name, data in sorted(files.items()):
            # Without a time of its own it is the first that zip knows.
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            program.writestr(entry, data, zipfile.ZIP_DEFLATED, 9)
    return packed.getvalue()


def main() -> None:
    """Write it where the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.release.pyz", description=main.__doc__)
    parser.add_argument("file", type=Path)
    target: Path = parser.parse_args().file
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive(contents()))
    target.chmod(0o755)
    print(f"{target}: {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
