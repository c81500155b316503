"""``mntscope holders WHAT``."""

from __future__ import annotations

import argparse
import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from mntscope.cli.output_options import TARGETS, add_against, add_output_options, page, write_output
from mntscope.errors import AccessError, MntscopeError, NoAnswerError, TargetError

if TYPE_CHECKING:
    from mntscope.analysis.holders import Holders
    from mntscope.model import View

HELP = "who still has a filesystem mounted, how it got there, and what frees it"

EPILOG = """\
WHAT is one of
  /srv/data            what the host has mounted there; where it has nothing, what other namespaces have
  /dev/sda1            a device, or another source as mount(8) was given it (server:/export)
  8:1                  the major and minor number of a device
  27                   a mount ID
Nothing is unmounted, and no process is stopped.
"""

FORMATS = ("table", "json", "markdown", "html")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("what", metavar="WHAT", help="a mount point, a device or a mount ID")
    parser.add_argument("--snapshot", metavar="FILE", help="a captured snapshot or sosreport, not the running machine")
    add_against(parser)
    parser.add_argument("--all", action="store_true", help="show long lists in full")
    add_output_options(parser, FORMATS)
    exit_codes = "Exit codes: 0 the host's umount frees it, 1 something would stay and keep it busy, 2 trouble"
    parser.epilog = f"{EPILOG}\n{TARGETS}\n{exit_codes}"


def run(arguments: argparse.Namespace) -> int:
    """Read every mount namespace, and say who has the filesystem."""
    from mntscope.output.holders import FORMATS as WRITERS

    holding = result(arguments)
    write_output(arguments, WRITERS[arguments.format](holding, page(arguments)))
    return 1 if holding.staying else 0


def result(arguments: argparse.Namespace) -> Holders:
    """The answer about the path, device, source or mount ID that was given, under whatever name a table has it."""
    from mntscope.analysis.holders import holders
    from mntscope.cli.targets import whole

    snapshot = whole(arguments.snapshot, arguments.against)
    names = [arguments.what] if arguments.snapshot else _names(arguments.what, snapshot.host)
    return holders(snapshot, names[0], also=names[1:])


def _names(what: str, host: View) -> list[str]:
    """The names of a thing of this machine as tables have them: without links, and a device's numbers."""
    from mntscope.base.paths import normal
    from mntscope.graph import MountTree
    from mntscope.kernel.worker import in_child
    from mntscope.live.paths import absolute, real_path

    path = absolute(what) if what.startswith(".") else what
    # A mount point is not looked at: its server may be gone, and whoever looks would hang.
    if not path.startswith("/") or any(mount.mount_point == path for mount in host.mounts):
        return [path]
    name = path
    try:
        name = (real_path(host.process.pid, path) if host.process else None) or path
    except NoAnswerError:
        # What the tables show at the mount on the way to it; no more can be known.
        mount = MountTree.of(host).containing(normal(path))
        return [mount.mount_point if mount else path]
    except (AccessError, TargetError):
        pass
    with suppress(OSError, MntscopeError):
        if name.startswith("/dev/") and (device := in_child(partial(_block_device, name))):
            return [name, path, device.decode()]
    return [name]


def _block_device(path: str) -> bytes:
    """The major and minor number of a block device; nothing of what is none."""
    found = os.stat(path)
    return b"%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev)) if stat.S_ISBLK(found.st_mode) else b""
