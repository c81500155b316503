"""The ``%`` in values of units: systemd.unit(5), "Specifiers", as far as they do not depend on the machine."""

from __future__ import annotations

import re

from mntscope.base.records import NamedTuple

_KNOWN = {
    "%": "%",
    "t": "/run",
    "S": "/var/lib",
    "C": "/var/cache",
    "L": "/var/log",
    "E": "/etc",
    "T": "/tmp",  # noqa: S108 - what systemd has there
    "V": "/var/tmp",  # noqa: S108 - as above
}
"""Those of the system's manager."""


class Expanded(NamedTuple):
    """A text with what is known of its specifiers in their place."""

    text: str
    unknown: tuple[str, ...]
    """Those that are left as they are: ``%h``, ``%i``."""


def expand(text: str, unit: str) -> Expanded:
    """*text* as the system's manager would have it for the unit of this name."""
    names = _of_name(unit)
    unknown: dict[str, None] = {}

    def known(found: re.Match[str]) -> str:
        value = _KNOWN.get(found[1], names.get(found[1]))
        if value is None:
            unknown[found[0]] = None
            return found[0]
        return value

    return Expanded(re.sub(r"%([A-Za-z%])", known, text), tuple(unknown))


def _of_name(unit: str) -> dict[str, str]:
    """The parts of a name like ``getty@tty1.service``; none if it is not a unit's."""
    found = re.fullmatch(r"([\w:.\\-]+?)(?:@([^@/]*))?\.([a-z]+)", unit)
    if found is None:
        return {}
    prefix, instance, kind = found.groups()
    known = {"p": prefix}
    if instance is None:
        known |= {"n": unit, "N": unit.removesuffix(f".{kind}"), "i": ""}
    elif instance:
        known |= {"n": unit, "N": unit.removesuffix(f".{kind}"), "i": instance}
    return known
