"""Whose machine collected files are of, and of when: by the names that sos(1) and proc(5) give them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mntscope.base import machine_id
from mntscope.model import Origin

# sos names the file of a command's output by the command.
_HOST_NAMES = ("sys/kernel/hostname", "sos_commands/host/hostname", "etc/hostname")
_DATES = ("sos_commands/date/date_--utc", "sos_commands/date/date", "date")
_UNAME = "sos_commands/kernel/uname_-a"
_MACHINE_ID = "etc/machine-id"
_BOOT_ID = "sys/kernel/random/boot_id"

PATHS = rf"(?:proc/)?(?:{_HOST_NAMES[0]}|{_BOOT_ID})|{'|'.join((*_HOST_NAMES[1:], *_DATES, _MACHINE_ID))}"
"""What is looked at, as an expression."""
ENDS = ("hostname", "date_--utc", "date", "machine-id", "boot_id")
"""How each of these paths ends."""

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# As date(1) prints it in the locale C, in which sos runs it; other abbreviations than UTC mean this zone or that.
_DATE = re.compile(rf"[A-Z][a-z]{{2}} ({'|'.join(_MONTHS)}) +(\d{{1,2}}) (\d\d):(\d\d):(\d\d) (?:UTC|GMT) (\d{{4}})")
_HOST_NAME = re.compile(r"[!-~]{1,253}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def origin_of(machine: Mapping[str, bytes]) -> Origin:
    """What the files of a machine, by their paths without ``proc/``, tell of it; what makes no sense tells nothing."""
    names = [_line(machine, path) for path in _HOST_NAMES]
    # Linux HOSTNAME RELEASE ..
    names += _line(machine, _UNAME).split()[1:2]
    times = (_time(_line(machine, path)) for path in _DATES)
    return Origin(
        host_name=next(filter(_HOST_NAME.fullmatch, names), None),
        machine_id=machine_id.derived(machine.get(_MACHINE_ID, b"")[: machine_id.LONGEST]),
        time=next((time for time in times if time is not None), None),
    )


def boot_id_of(machine: Mapping[str, bytes]) -> str | None:
    """The boot id of a machine, if it has the form of one."""
    text = _line(machine, _BOOT_ID)
    return text if _UUID.fullmatch(text) else None


def _line(machine: Mapping[str, bytes], path: str) -> str:
    """The first line of a file, of which a few hundred bytes are enough."""
    return machine.get(path, b"")[:512].partition(b"\n")[0].decode("utf-8", "surrogateescape").strip()


def _time(date: str) -> int | None:
    """Seconds since 1970 of what ``date --utc`` printed."""
    from datetime import UTC, datetime

    if (found := _DATE.fullmatch(date)) is None:
        return None
    month, *rest = found.groups()
    day, hour, minute, second, year = map(int, rest)
    try:
        seconds = int(datetime(year, _MONTHS.index(month) + 1, day, hour, minute, second, tzinfo=UTC).timestamp())
    except ValueError:
        return None
    return seconds if seconds >= 0 else None
