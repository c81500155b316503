"""Untrusted text made fit to be shown: paths, sources, options and names come from anyone who may mount."""

from __future__ import annotations

import os

# Characters that Unicode counts as printable and every terminal draws as nothing at all.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")

# What a shell takes for nothing but itself, as shlex.quote has it.
_PLAIN = frozenset("%+,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")

LONGEST = 400
"""How many characters of a name or a sentence are shown. A mount point may have thousands; a command is never cut."""


def visible(text: str) -> str:
    r"""*text* with everything a reader could not see, or a terminal would obey, shown escaped.

    Control characters, bidirectional overrides, zero-width characters, line separators, a space at the end and
    spaces other than the plain one become ``\x1b``, ``\u202e``, ``\U000e0001``; a byte that was not UTF-8 (a
    surrogate of ``surrogateescape``) becomes ``\xff``. Letters, marks, digits, punctuation and symbols of any
    script are left as they are, and so is a backslash. The result is one line.
    """
    # A blank at the end is the one blank that cannot be seen.
    text, end = (text[:-1], _escaped(" ")) if text.endswith(" ") else (text, "")
    if not (text.isprintable() and (text.isascii() or _INVISIBLE.isdisjoint(text))):
        text = "".join(
            character if character.isprintable() and character not in _INVISIBLE else _escaped(character)
            for character in text
        )
    return text + end


def shell_word(text: str) -> str:
    r"""*text* as one word of a shell command that is safe to show and to paste: ``/a``, ``'/a b'``, ``$'/a\012'``."""
    if text and _PLAIN.issuperset(text):
        return text
    if visible(text) == text:
        import shlex

        return shlex.quote(text)
    return "$'" + "".join(_shell_byte(byte) for byte in os.fsencode(text)) + "'"


def shortened(text: str, longest: int = LONGEST) -> str:
    """*text*, or its beginning and its end where it is longer than a reader would read."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} .. {len(text) - 2 * half} characters .. {text[-half:]}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _shell_byte(byte: int) -> str:
    # Three octal digits end by themselves; bash would read a hexadecimal digit that follows \xNN as part of it
    # in some versions, and dash knows only octal.
    if 0x20 <= byte < 0x7F and byte not in b"'\\":
        return chr(byte)
    return f"\\{byte:03o}"
