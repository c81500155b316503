"""Snapshots in files, and other files a snapshot can be read from; nothing else of mntscope reads them.

All of them may come from elsewhere: nothing is unpickled, no size is taken on trust, and what is not as
described here is an error that says where it stops being so.
"""

from __future__ import annotations

from mntscope.archive.files import load, load_table, save

__all__ = ["load", "load_table", "save"]
