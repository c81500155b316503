"""What ``-v``, ``--mount`` and ``--tmpfs`` say, of docker and of podman; compose and Quadlet have the first two, too.

docker-run(1), podman-run(1), and docker's opts/mount.go for what ``--mount`` takes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable

from mntscope.base.records import NamedTuple
from mntscope.parse.manifests.containers import PROPAGATIONS, IdMapping, MountKind, MountSpec, Where
from mntscope.parse.manifests.reading import Reading, shown

_VARIABLE = re.compile(r"\$(?:\{|\w)|\{\{")
_DRIVE = re.compile(r"[A-Za-z]:(?:\\|/[^:]*:/)|\\\\")


class Given(NamedTuple):
    """A word that says what is mounted, and where its characters stand."""

    text: str
    where: Where
    at: Callable[[int], Where] | None = None
    """Of the character with this offset; ``None``: all that is known is where the word begins."""

    def behind(self, begin: int) -> Given:
        """What is behind the first *begin* characters of it."""
        at = self.at
        if at is None:
            return Given(self.text[begin:], self.where)
        return Given(self.text[begin:], at(begin), lambda offset: at(begin + offset))

    def place(self, part: str) -> Where:
        """Where *part* of the word begins, as near as it is known; the last such part."""
        found = self.text.rfind(part)
        return self.where if self.at is None or found < 0 else self.at(found)


def has_variable(text: str) -> bool:
    """Whether something in *text* is known only where it is run."""
    return _VARIABLE.search(text) is not None


def is_path_of_host(source: str) -> bool:
    """Whether the source of a short form is a path, and no volume's name."""
    return source.startswith(("/", ".", "~")) or has_variable(source)


def bind_source(source: str, where: Where, reading: Reading) -> str | None:
    """The path on the host that a bind names, if this text is enough to know it."""
    if has_variable(source) or source.startswith("~"):
        what = "the home of whoever runs it" if source.startswith("~") else "what its variables are"
        reading.uncertain(f"{shown(source)} depends on {what}", where)
        return None
    return source


def propagation_of(options: Iterable[str]) -> str | None:
    """The last propagation type among *options*."""
    found = [option for option in options if option in PROPAGATIONS and option[0].islower()]
    return found[-1] if found else None


def short_volume(given: Given, reading: Reading) -> MountSpec | None:
    """``[SOURCE:]DESTINATION[:OPTIONS]``; ``None`` where it is wrong, of which there is a remark."""
    if _DRIVE.match(given.text):
        reading.left_out(f"{shown(given.text)}: a path of Windows", given.where)
        return None
    # A variable's default may have a colon in it.
    parts = re.split(r":(?![-?+=])", given.text)
    if len(parts) > 3:
        reading.error(f"{shown(given.text)}: it is [SOURCE:]DESTINATION[:OPTIONS]", given.where)
        return None
    source, destination = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    options = tuple(option for option in parts[2].split(",") if option) if len(parts) == 3 else ()
    if not _is_destination(destination, given, reading):
        return None
    read_only = any(option in ("ro", "readonly", "rro") for option in options)
    is_bind = is_path_of_host(source)
    if source and not reading.is_path(source, given.place(source)):
        return None
    propagation = propagation_of(options)
    return MountSpec(
        destination,
        given.where,
        kind="bind" if is_bind else "volume",
        source=bind_source(source, given.where, reading) if is_bind else None,
        volume="" if is_bind else source,
        options=options,
        propagation=propagation,
        propagation_where=given.place(propagation) if propagation else None,
        source_where=given.where if is_bind else None,
        read_only=read_only,
        read_only_recursive="rro" in options,
    )


_TYPES: dict[str, MountKind] = {
    "bind": "bind",
    "volume": "volume",
    "image": "image",
    "tmpfs": "filesystem",
    "ramfs": "filesystem",
    "devpts": "filesystem",
    "cluster": "claim",
    "artifact": "files",
}
_SOURCE, _TARGET = ("source", "src"), ("target", "destination", "dst")
_TRUE = ("", "1", "t", "T", "TRUE", "true", "True")


def long_mount(given: Given, reading: Reading) -> MountSpec | None:
    """``type=bind,source=/a,target=/b,..``; ``None`` where it is wrong, of which there is a remark."""
    try:
        fields = next(iter(csv.reader([given.text], strict=True)), [])
    except csv.Error as error:
        reading.error(f"{shown(given.text)}: {error}", given.where)
        return None
    said: dict[str, str] = {}
    for field in fields:
        key, _, value = field.partition("=")
        said[key.strip().lower()] = value
    kind_word = said.pop("type", "volume").lower()
    kind = _TYPES.get(kind_word)
    if kind is None:
        reading.error(f"a mount of the type {shown(kind_word)}, which is not known", given.where)
        return None
    source = next((said.pop(key) for key in _SOURCE if key in said), "")
    destination = next((said.pop(key) for key in _TARGET if key in said), "")
    if not _is_destination(destination, given, reading):
        return None
    if kind == "bind" and not source:
        reading.error(f"{shown(given.text)}: a bind takes a source", given.where)
        return None
    if source and not reading.is_path(source, given.place(source)):
        return None
    recursive = said.get("bind-recursive", "")
    read_only = any(said.get(key, "0") in _TRUE for key in ("readonly", "ro")) or "rro" in said
    propagation = said.get("bind-propagation") or propagation_of(said)
    if propagation is not None and propagation not in PROPAGATIONS:
        reading.error(f"a propagation type {shown(propagation)}, which is not known", given.place(propagation))
        propagation = None
    return MountSpec(
        destination,
        given.where,
        kind=kind,
        source=bind_source(source, given.where, reading) if kind == "bind" else None,
        volume=source if kind in ("volume", "claim", "image") else "",
        fs_type=kind_word if kind == "filesystem" else "",
        options=tuple(f"{key}={value}" if value else key for key, value in said.items()),
        propagation=propagation,
        propagation_where=given.place(propagation) if propagation else None,
        source_where=given.place(source) if kind == "bind" else None,
        read_only=read_only,
        read_only_recursive=recursive == "readonly" or "rro" in said,
        sub_path=said.get("volume-subpath") or said.get("subpath") or "",
    )


def tmpfs(given: Given, reading: Reading) -> MountSpec | None:
    """``DESTINATION[:OPTIONS]``; ``None`` where it is wrong, of which there is a remark."""
    destination, _, rest = given.text.partition(":")
    if not _is_destination(destination, given, reading):
        return None
    options = tuple(option for option in rest.split(",") if option)
    return MountSpec(
        destination,
        given.where,
        kind="filesystem",
        source="tmpfs",
        fs_type="tmpfs",
        options=options,
        propagation=propagation_of(options),
        read_only="ro" in options,
    )


def _is_destination(destination: str, given: Given, reading: Reading) -> bool:
    if not destination:
        reading.error(f"{shown(given.text)}: no path in the container", given.where)
        return False
    if not destination.startswith("/") and not has_variable(destination):
        reading.error(f"{shown(destination)}: a path in the container begins with /", given.place(destination))
        return False
    return reading.is_path(destination, given.where)


def id_mapping(given: Given, reading: Reading) -> IdMapping | None:
    """``INSIDE:OUTSIDE[:SIZE]``, as ``--uidmap`` has it; what podman takes beside numbers is uncertain."""
    found = re.fullmatch(r"(\d{1,10}):(\d{1,10})(?::(\d{1,10}))?", given.text)
    if found is None:
        reading.uncertain(f"the ids {shown(given.text)} are podman's to work out", given.where)
        return None
    return IdMapping(int(found[1]), int(found[2]), int(found[3] or 1))
