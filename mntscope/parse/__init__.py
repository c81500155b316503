"""Bytes to :class:`~mntscope.model.Mount` and back."""

from __future__ import annotations

from mntscope.parse.mountinfo import MountTable, UnusualSpelling, format_mountinfo, parse_mountinfo, read_table
from mntscope.parse.records import RecordReader

__all__ = ["MountTable", "RecordReader", "UnusualSpelling", "format_mountinfo", "parse_mountinfo", "read_table"]
