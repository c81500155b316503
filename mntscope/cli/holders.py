"""``mntscope holders WHAT``."""

from __future__ import annotations

import argparse
import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mntscope.base.progress import note
from mntscope.base.records import NamedTuple, replace
from mntscope.cli.output_options import TARGETS, add_against, add_output_options, add_snapshot, page, write_output
from mntscope.errors import AccessError, MntscopeError, NoAnswerError, TargetError

if TYPE_CHECKING:
    from mntscope.analysis.holders import Holders
    from mntscope.model import View

HELP = "who still has a filesystem mounted, how it got there, and what frees it"

EXAMPLES = (
    ("mntscope holders /srv/volume", "why umount says that it is busy, or why its device still is"),
    (
        "mntscope holders --snapshot web-1.mntscope.json.gz",
        "what the host of a captured machine has given back, and others keep",
    ),
)

EPILOG = """\
WHAT is one of
  /srv/data            what the host has mounted there; where it has nothing, what others have on that directory
  /srv/data/file       what the mount shows in which it lies; of a file on a loop device, that device
  /dev/sda1            a device, or another source as mount(8) was given it (server:/export)
  8:1                  the major and minor number of a device
  27                   a mount ID
Without WHAT: all filesystems that the host does not have mounted any more, and that others keep.
Nothing is unmounted, and no process is stopped.
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", metavar="WHAT", nargs="?", help="a path, a device or a mount ID")
    add_snapshot(parser)
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    exit_codes = "Exit codes: 0 the host's umounts free it, 1 something would stay or is in use, 2 trouble"
    parser.epilog = f"{EPILOG}\n{TARGETS}\n{exit_codes}"


def run(arguments: argparse.Namespace) -> int:
    """Read every mount namespace, and say who has the filesystem."""
    from mntscope.output.holders import FORMATS as WRITERS

    holding = result(arguments)
    write_output(arguments, WRITERS[arguments.format](holding, page(arguments)))
    return 1 if holding.busy else 0


def result(arguments: argparse.Namespace) -> Holders:
    """The answer about the path, device, source or mount ID that was given, under whatever name a table has it."""
    from mntscope.analysis.holders import given_back, holders
    from mntscope.cli.targets import whole

    snapshot = whole(arguments.snapshot, arguments.against)
    note("looking at what processes have open" if arguments.snapshot is None else "")
    if arguments.snapshot:
        return holders(snapshot, arguments.what) if arguments.what else given_back(snapshot)
    from mntscope.live.block_devices import kernel_files
    from mntscope.live.open_files import open_on

    look = partial(_is_directory, snapshot.host)
    if not arguments.what:
        found = given_back(snapshot, is_directory=look)
        return found.used_by(open_on(frozenset(found.devices)))
    named = _names(arguments.what, snapshot.host)
    if named.device and not named.exists and (kept := open_on(frozenset({named.device}))).found:
        # Of a server or in memory, unmounted lazily: /sys has no such device.
        return holders(snapshot, named.device, exists=True).used_by(kept)
    found = holders(snapshot, named.names[0], also=named.names[1:], exists=named.exists, is_directory=look)
    if found.for_ever:
        # Every process has something of the root directory's.
        return found
    # Of a path that leads to nothing mounted, it is not known which device was.
    references = open_on(frozenset(found.devices) or None)
    return found.used_by(replace(references, files=tuple(kernel_files())))


class _Named(NamedTuple):
    """The names of a thing of this machine as tables have them, and whether it is there."""

    names: list[str]
    exists: bool
    device: str = ""
    """Where that is what was given."""


def _names(what: str, host: View) -> _Named:
    """Without links, with a device's numbers."""
    from mntscope.base.paths import normal
    from mntscope.kernel.worker import in_child
    from mntscope.live.block_devices import is_there, loops_of
    from mntscope.live.paths import absolute, real_path

    path = absolute(what) if what.startswith(".") or _is_beside(what, host) else what
    # A mount point is not looked at: its server may be gone, and whoever looks would hang.
    if not path.startswith("/") or any(mount.mount_point == path for mount in host.mounts):
        number = path if ":" in path and "/" not in path else ""
        return _Named([path], not number or is_there(number), number)
    name: str | None = path
    try:
        name = real_path(host.process.pid, path) if host.process else path
    except NoAnswerError:
        # What the tables show of the mount in which it lies; no more can be known.
        return _Named([normal(path)], exists=True)
    except (AccessError, TargetError):
        pass
    if name is None:
        return _Named([path], exists=False)
    with suppress(OSError, MntscopeError):
        if name.startswith("/dev/") and (device := in_child(partial(_block_device, name))):
            return _Named([name, path, device.decode()], exists=True)
    return _Named([next(loops_of(name), name)], exists=True)


def _is_beside(what: str, host: View) -> bool:
    """Whether it names something in the current directory, and no device, mount or source."""
    from mntscope.kernel.worker import in_child
    from mntscope.live.paths import absolute

    if what.startswith("/") or ":" in what or what.isdecimal() or any(mount.source == what for mount in host.mounts):
        return False
    path = absolute(what)
    if any(mount.mount_point == path for mount in host.mounts):
        return True
    with suppress(OSError, MntscopeError):
        return in_child(lambda: b"+" if os.path.lexists(path) else b"") == b"+"
    return False


def _block_device(path: str) -> bytes:
    """The major and minor number of a block device; nothing of what is none."""
    found = os.stat(path)
    return b"%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISBLK(found.st_mode) else b""


def _is_directory(host: View, path: str) -> bool | None:
    """Whether a directory is at a path of the host; ``None`` where that cannot be told."""
    from mntscope.kernel.worker import in_child

    if host.process is None:
        return None
    try:
        return in_child(partial(_kind, host.process.pid, path)) == b"directory"
    except (OSError, MntscopeError):
        return None


def _kind(pid: int, path: str) -> bytes:
    from mntscope.live.foreign import IN_ROOT, open_at

    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.chdir("/proc")
    place = open_at(root, path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, IN_ROOT)
    return b"directory" if stat.S_ISDIR(os.fstat(place).st_mode) else b"file"
