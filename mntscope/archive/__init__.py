"""Snapshots in files, and other files a snapshot can be read from; nothing else of mntscope reads them.

All of them may come from elsewhere: nothing is unpickled, no size is taken on trust, and what is not as
described here is an error that says where it stops being so.
"""

from __future__ import annotations

from mntscope.archive.files import load, load_stream, load_table, opened_file
from mntscope.archive.saving import pack, save

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mntscope.archive.recording import Recording

__all__ = ["load", "load_stream", "load_table", "pack", "replay", "save"]


def replay(path: str) -> Recording:
    """What ``mntscope watch --record`` wrote to *path*: ``.at("12:04:31")`` is the machine as it was then.

    :raises MntscopeError: there is no such file, or it is no recording.
    """
    from mntscope.archive.recording import Recording

    return Recording(path, opened_file)
