"""Bytes to :class:`~mntscope.model.Mount` and back."""

from __future__ import annotations

from mntscope.parse.mountinfo import MountTable, UnusualSpelling, format_mountinfo, parse_mountinfo

__all__ = ["MountTable", "UnusualSpelling", "format_mountinfo", "parse_mountinfo"]
