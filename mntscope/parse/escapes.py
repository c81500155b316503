"""How names and options are written: octal escapes, and options separated by commas.

The kernel escapes with seq_escape() and mangle_path(): a backslash and three octal digits stand for a byte.
"""

from __future__ import annotations

import re

PATH_SPECIAL = " \t\n\\"
"""What is escaped in roots and mount points (fs/proc_namespace.c: show_mountinfo())."""
NAME_SPECIAL = " \t\n\\#"
"""What is escaped in filesystem types and sources (fs/proc_namespace.c: mangle()); nfs and btrfs, which print their
sources themselves, leave ``#`` raw."""

# Compiled when first used: most tables need neither.
_ESCAPE = rb"\\([0-3][0-7]{2})"
_OPTION = r'(?:\A|,)([^,="]*="[^"]*"(?=,|\Z)|[^,]*)'


def escape(text: str, special: str) -> str:
    """*text* with the characters of *special* escaped."""
    if any(char in text for char in special):
        return text.translate({ord(char): f"\\{ord(char):03o}" for char in special})
    return text


def unescape(text: str) -> str:
    """*text* with every complete escape decoded, once; a backslash that begins none stands for itself."""
    if "\\" not in text:
        return text
    # On bytes: escaped and raw bytes may belong to one character.
    raw = text.encode("utf-8", "surrogateescape")
    return re.sub(_ESCAPE, lambda escaped: bytes((int(escaped[1], 8),)), raw).decode("utf-8", "surrogateescape")


def split_options(text: str) -> tuple[str, ...]:
    """The options of *text*; ``",".join`` gives it back.

    A value in double quotes keeps its commas: SELinux contexts (``context="..:c1,c2"``) are printed so. Quotes
    elsewhere, as in the paths of an overlay, mean nothing.
    """
    if '="' in text:
        return tuple(re.findall(_OPTION, text))
    return tuple(text.split(","))
