"""What a system calls itself: os-release(5)."""

from __future__ import annotations

import re

_PRETTY_NAME = re.compile(rb"""^PRETTY_NAME=(["']?)(.{1,200}?)\1$""", re.MULTILINE)


def pretty_name(os_release: bytes) -> str | None:
    """``PRETTY_NAME`` of an os-release file: a name for people, such as ``Debian GNU/Linux 12 (bookworm)``."""
    found = _PRETTY_NAME.search(os_release)
    return found[2].decode("utf-8", "surrogateescape") if found else None
