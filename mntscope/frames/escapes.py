r"""Names in frames: text that can be printed, stored and given to any library, and tells the name exactly.

Names of mounts are any bytes; pyarrow, terminals and browsers take text only, and obey some of it. What cannot be
printed is written as an escape: a byte that is not UTF-8 ``\xff``, a control character ``\x1b``, others ``\u202e``.
A backslash stands for itself, unless what follows would make an escape of it: then it is ``\x5c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ESCAPE = re.compile(
    r"\\(?:x(?P<byte>[01][0-9a-f]|5c|7f|[89a-f][0-9a-f])|u(?P<short>[0-9a-f]{4})|U(?P<long>00(?:0[0-9a-f]|10)[0-9a-f]{4}))"
)


def escape(name: str) -> str:
    r"""*name* as it is written in frames: what cannot be printed as an escape.

    >>> escape("/data"), escape("/a\x1b[2J"), escape("/caf\udce9"), escape(r"snap-core\x2d20")
    ('/data', '/a\\x1b[2J', '/caf\\xe9', 'snap-core\\x2d20')
    """
    if "\\" in name:
        name = _ESCAPE.sub(lambda found: rf"\x5c{found[0][1:]}", name)
    return name if name.isprintable() else "".join(map(_printable, name))


def unescape(text: str) -> str:
    r"""The name that is written as *text*: the inverse of :func:`escape`.

    >>> unescape("/caf\\xe9") == "/caf\udce9"
    True
    """
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def escape_all(names: Iterable[str | None]) -> list[str | None]:
    """Several names as :func:`escape` writes them, quickly where nearly all are written as they are; ``None`` stays."""
    names = list(names)
    together = "".join(filter(None, names))
    if together.isprintable() and "\\" not in together:
        return names
    return [name and escape(name) for name in names]


def _printable(character: str) -> str:
    code = ord(character)
    if character.isprintable():
        return character
    if code < 0x80 or 0xDC80 <= code <= 0xDCFF:
        return rf"\x{code & 0xFF:02x}"
    return rf"\u{code:04x}" if code < 0x10000 else rf"\U{code:08x}"


def _character(found: re.Match[str]) -> str:
    if code := found["short"] or found["long"]:
        return chr(int(code, 16))
    byte = int(found["byte"], 16)
    return chr(byte if byte < 0x80 else 0xDC00 + byte)
