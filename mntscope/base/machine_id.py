"""Which machine it is, without telling its machine-id(5), which systemd wants kept to the machine.

What is told is derived from it, as sd_id128_get_machine_app_specific(3) does: the same for every capture of a machine,
of no use to any other program, and nobody can turn it back.
"""

from __future__ import annotations

import re

APPLICATION = "fab66e029260490095cc91e52c92ab74"
"""What makes it mntscope's own. It never changes: with another, every machine would be a new one."""

LONGEST = 64
"""Bytes of the file: 32 digits and a newline, and a few to see that there are more."""


def is_derived(text: str) -> bool:
    """Whether *text* has the form of what :func:`derived` gives."""
    return bool(re.fullmatch("[0-9a-f]{32}", text))


def derived(file: bytes) -> str | None:
    """The id of the machine with such an ``/etc/machine-id``, 32 digits; ``None`` if it has none (yet)."""
    import hmac

    text = file.decode("ascii", "replace").removesuffix("\n")
    # machine-id(5): 32 small digits, or "uninitialized" in an image that has not been started. systemd takes no zeros.
    if not is_derived(text) or not text.strip("0"):
        return None
    digest = bytearray(hmac.digest(bytes.fromhex(text), bytes.fromhex(APPLICATION), "sha256")[:16])
    # Version 4, variant 1: a UUID like any other (RFC 9562, 5.4).
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return digest.hex()
