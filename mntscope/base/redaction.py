r"""Passwords out of mount tables: ``password=***``, ``//user:***@host/share``.

Redacted are the values of options that are called so, in the options and in the source, and what stands between ``:``
and ``@`` before a host in the source or in an option. The same secret or another gives the same text, so equal mounts
stay equal. Limits: the kernel separates options by commas, so what follows a comma in a password is another option to
any reader; a secret that is a user name (``//TOKEN@host``) is not recognised; and ``host:a@b`` may be a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_SIGNS = (b"pass", b"pwd", b"secret", b"token", b"key", b"signature=", b"sig=", b"@", b"%")
"""One of them is in every line with a secret, in small letters."""

_KEY = (
    rb"(?:[a-z0-9]+[_-])*(?:password|passwd|passphrase|pass|pwd|secret|token"
    rb"|(?:secret|access|account|storage|api|shared|encryption)[_-]?key)[0-9]*"
)
# A comma that a filesystem has escaped in a path separates nothing; <hidden> is what the kernel shows of ceph.
_OPTION = rb'(?i)((?:^|(?<!\\134)(?<!\\),)%s=)(?!<hidden>)("[^"]*"|[^,]+)' % _KEY
_OF_REMOTE = rb"""(?i)(,%s=)("[^"]*"|'[^']*'|[^,:]+)""" % _KEY
_QUERY = rb"(?i)([?&](?:%s|(?:x-amz-)?signature|sig)=)[^&#,]+" % _KEY
_ADDRESS = rb"((?:^|[/=\043])//[^/:@,]*:|[a-z0-9+]://[^/:@,]*:)[^/]*(?=@)"
_BARE = rb"^([^/:@\[]+:)[^/]+(?=@[^/:@]+(?:[:/]|$))"
_USER = rb"((?:^|,)user(?:name)?=[^,%]*%)[^,]+"

_PATHS = (b"overlay", b"btrfs")
"""Filesystems whose options hold paths, with commas in them, and never a secret."""
_COLONS = (b"zfs",)
"""And those whose sources hold colons and snapshots: ``pool:a@daily``."""


def redact(table: bytes) -> bytes:
    """A mountinfo table without the secrets in it; the very same if there are none."""
    # Most tables have no sign of a secret, and most lines of the others none: these are passed over all at once.
    small = table.lower()
    kept: list[bytes] = []
    done = 0
    for begin in sorted({small.rfind(b"\n", 0, place) + 1 for sign in _SIGNS for place in _places(small, sign)}):
        end = table.find(b"\n", begin)
        end = end if end >= 0 else len(table)
        kept += (table[done:begin], _line(table[begin:end]))
        done = end
    return b"".join([*kept, table[done:]]) if kept else table


def _places(small: bytes, sign: bytes) -> Iterator[int]:
    """Where *sign* stands, once for each line."""
    place = small.find(sign)
    while place >= 0:
        yield place
        end = small.find(b"\n", place)
        place = small.find(sign, end) if end >= 0 else -1


def _line(line: bytes) -> bytes:
    before, separator, behind = line.partition(b" - ")
    fields = before.split(b" ")
    words = behind.split(b" ", 2)
    if not separator or len(fields) < 6 or len(words) < 3:
        # No line of a kernel's: which word is the source, and which are options, is not known.
        return b" ".join(_options(_source(word)) for word in line.split(b" "))
    fs_type, source, options = words
    fields[5] = _options(fields[5])
    source = source if fs_type in _COLONS else _source(source)
    options = options if fs_type in _PATHS else _options(options)
    return b" ".join(fields) + separator + b" ".join((fs_type, source, options))


def _options(text: bytes) -> bytes:
    if b"=" not in text:
        return text
    for pattern in (_OPTION, _QUERY, _ADDRESS, _USER):
        text = re.sub(pattern, rb"\1***", text)
    return text


def _source(text: bytes) -> bytes:
    if b"=" in text:
        text = re.sub(_OF_REMOTE if text.startswith(b":") else _OPTION, rb"\1***", text)
        text = re.sub(_QUERY, rb"\1***", text)
    if b"@" in text:
        text = re.sub(_ADDRESS, rb"\1***", text)
        text = re.sub(_BARE, rb"\1***", text) if b"//" not in text else text
    return text


# ---- a host's name ----

_OF_EVERY_SYSTEM = {
    "bin", "boot", "dev", "etc", "home", "host", "lib", "localhost", "media", "mnt", "opt", "proc", "root", "run",
    "sbin", "srv", "sys", "tmp", "usr", "var",
}  # fmt: skip
"""Words without which a table cannot be understood. A machine that is called so is not told by them."""


def without_name(host_name: str) -> Callable[[str], str]:
    r"""What puts ``***`` in the place of a host's name, and of its first label, wherever these stand as words.

    Device mapper and systemd write them in ways of their own (``/dev/mapper/web--1-root``, ``web\x2d1``), which are
    found as well; abbreviations and addresses are not.
    """
    names = {host_name, host_name.partition(".")[0]}
    written = {each.replace("-", dash) for each in names for dash in ("-", "--", "\\x2d")}
    wanted = sorted((each for each in written if each and each.lower() not in _OF_EVERY_SYSTEM), key=len, reverse=True)
    if not wanted:
        return lambda text: text
    pattern = re.compile(rf"(?i)(?<![0-9a-z])(?:{'|'.join(map(re.escape, wanted))})(?![0-9a-z])")
    return lambda text: pattern.sub("***", text)
