"""What newcomers type: each clumsy command line, and what mntscope says, in tests/data/clumsy.txt.

``python -m tests.support.clumsy`` writes the file anew. Nothing in it depends on the machine: what is looked for is a
file of the repository, or is nowhere.
"""

from __future__ import annotations

import io
import os
import shlex
from contextlib import chdir, redirect_stderr, redirect_stdout

from mntscope.cli import main
from tests.support.repository import ROOT

FILE = ROOT / "tests/data/clumsy.txt"
_RUNC = "fixtures/runc.mntscope.json.gz"

LINES = f"""\
dif 4711
4711 diff
4711
--format json ns
diff
diff --fromat json 4711
diff /proc self
diff self proc
diff snapshot:{_RUNC}
diff {_RUNC}
diff --snapshot {_RUNC} web-shard
diff --snapshot {_RUNC} 4711
diff --snapshot {_RUNC} self
diff file:/etc
diff file:{_RUNC}
tree fixtures
tree /srv self
isolate /proc self
ns json
ns {_RUNC}
ns --columns name
ns --format jsn
ns --format yaml
ns --snapshot pyproject.toml
ns --snapshot tests/data/schemas
ns --snapshot tests/data/schemas/sarif-2.1.0.json
ns --snapshot no-such-file.json
predict mount -t proc proc /proc
predict 'mount -t proc proc /proc'
predict self
predict --snapshot {_RUNC} 48 -- mont -t proc proc /proc
predict --snapshot {_RUNC} 48 -- mount --make-privat /
explain leak
explain MNT6
audit --rule leek-to-host {_RUNC}
audit --fail-on hihg
audit {_RUNC} fixtures/sandbox.mntscope.json
capture machine.json
capture web-1
undo
undo README.md
lab difff
completion
help holder
""".splitlines()


def said(line: str) -> str:
    """The line as it is typed, and what comes of it: on standard error, and the exit code."""
    complaint = io.StringIO()
    with chdir(ROOT), redirect_stderr(complaint), redirect_stdout(io.StringIO()):
        code = main(shlex.split(line))
    told = complaint.getvalue().replace(f"{ROOT}{os.sep}", "")
    return f"$ mntscope {line}\n{told}exit code {code}\n"


if __name__ == "__main__":
    FILE.write_text("\n".join(map(said, LINES)))
