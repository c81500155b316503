"""The kernel at hand, under the guest's Debian: for another Python, say. Nothing is booted."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_ENTER = """\
set -e
mount -t tmpfs scratch {scratch}
mkdir {scratch}/upper {scratch}/work {scratch}/root
mount -t overlay -o lowerdir={root},upperdir={scratch}/upper,workdir={scratch}/work guest {scratch}/root
cd {scratch}/root
mkdir -p out old
mount --bind {results} out
mount -t proc -o nosuid,nodev,noexec proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o nosuid,nodev,mode=755 run run
cat > run/script
pivot_root . old
umount -l /old
mount --make-rshared /
exec env -i {environment} setsid bash -c 'cd /{tree}; . /run/script' < /dev/null
"""


def enter(root: Path, tree: str, script: str, results: Path, seconds: float) -> bool:
    """Run *script* as root in namespaces of its own, in *tree* of the root directory *root*, for *seconds* at most.

    What it leaves in ``/out`` is in *results*, where ``console`` is what it prints; the rest it writes is forgotten.
    Returned is whether it ended in time.
    """
    if results.exists():
        shutil.rmtree(results)
    scratch = results / "scratch"
    scratch.mkdir(parents=True)
    environment = f"PATH=/{tree}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8"
    steps = _ENTER.format(scratch=scratch, root=root, results=results, environment=environment, tree=tree)
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "sh", "-c", steps]
    with (results / "console").open("wb", buffering=0) as console:
        try:
            subprocess.run(
                ["nice", "-n", "15", *argv],
                input=script.encode(),
                stdout=console,
                stderr=console,
                check=False,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            console.write(b"\nended, as it took more than %d s\n" % seconds)
            return False
        finally:
            scratch.rmdir()
    return True
