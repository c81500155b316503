"""The ten fields of a line, and the record they make; both ways.

What is kept beside the facts is the spelling: a line that the kernel would write differently comes back as it was.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TypeAlias

from mntscope.errors import UsageError
from mntscope.model import Mount
from mntscope.parse.escapes import NAME_SPECIAL, PATH_SPECIAL, escape, split_options, unescape
from mntscope.parse.mountinfo_regex import LINE

Fields: TypeAlias = tuple[str, ...]
"""The fields of a line as written, decoded from UTF-8 with surrogateescape: mount ID, parent ID, device, root,
mount point, options, optional fields (one text, each with the space before it), filesystem type, source, super
options."""

LINE_PATTERN = re.compile(LINE)
"""Matches one line without its newline; its groups are the :data:`Fields`."""

_FORM = "%s %s %s %s %s %s%s - %s %s %s"
_SAMPLE: Fields = ("1", "1", "0:1", "/", "/", "rw", "", "none", "", "rw")
_SPECIAL = re.compile(r"[\\\t#]")
_NUMBERED = frozenset(("shared", "master", "propagate_from"))


class RecordReader:
    """Makes records of fields; one a table, as it lets equal options be one object.

    *plain*: nothing in the table is escaped or would be (no backslash, tab or ``#``), which saves looking.
    """

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain
        self._options = _Options()

    def mount(self, fields: Fields) -> Mount:
        """The mount that a line with these fields shows."""
        mount_id, parent_id, device, root, mount_point, options, optional, fs_type, source, super_options = fields
        plain = self._plain or not _SPECIAL.search(f"{root} {mount_point} {fs_type} {source}")
        if not plain:
            root, mount_point = unescape(root), unescape(mount_point)
            fs_type, source = unescape(fs_type), unescape(source)
        peer_group, master, propagate_from, unbindable, unknown_tags = _optional_facts(optional)
        mount = Mount(
            int(mount_id),
            int(parent_id),
            device,
            root,
            mount_point,
            self._options[options],
            fs_type,
            source,
            self._options[super_options],
            peer_group,
            master,
            propagate_from,
            unbindable,
            unknown_tags,
        )
        # Plain names and one optional field are spelled as the kernel would; the rest is compared.
        if (plain and optional.rfind(" ") <= 0 and optional != " ") or fields_of(mount) == fields:
            return mount
        return replace(mount, spelling=encode(_FORM % fields))


class _Options(dict[str, tuple[str, ...]]):
    def __missing__(self, text: str) -> tuple[str, ...]:
        options = self[text] = split_options(text)
        return options


def _optional_facts(text: str) -> tuple[int | None, int | None, int | None, bool, tuple[str, ...]]:
    """peer_group, master, propagate_from, unbindable and unknown_tags."""
    if text.startswith(" shared:") and text.rfind(" ") == 0:
        return int(text[8:]), None, None, False, ()
    if not text or text == " ":
        return None, None, None, False, ()
    numbers: dict[str, int] = {}
    unbindable = False
    others: list[str] = []
    for tag in text[1:].split(" "):
        name, colon, value = tag.partition(":")
        if colon and name in _NUMBERED and name not in numbers:
            numbers[name] = int(value)
        elif tag == "unbindable" and not unbindable:
            unbindable = True
        else:
            others.append(tag)
    return numbers.get("shared"), numbers.get("master"), numbers.get("propagate_from"), unbindable, tuple(others)


def fields_of(mount: Mount) -> Fields:
    """The fields of the line that the kernel prints for *mount*."""
    optional = ""
    if mount.peer_group is not None:
        optional = f" shared:{mount.peer_group}"
    if mount.master is not None:
        optional += f" master:{mount.master}"
    if mount.propagate_from is not None:
        optional += f" propagate_from:{mount.propagate_from}"
    if mount.unbindable:
        optional += " unbindable"
    for tag in mount.unknown_tags:
        optional += f" {tag}"
    return (
        str(mount.mount_id),
        str(mount.parent_id),
        mount.device,
        escape(mount.root, PATH_SPECIAL),
        escape(mount.mount_point, PATH_SPECIAL),
        ",".join(mount.options),
        optional,
        escape(mount.fs_type, NAME_SPECIAL),
        escape(mount.source, NAME_SPECIAL),
        ",".join(mount.super_options),
    )


def decode(data: bytes) -> str:
    """The text of *data*: UTF-8, and whatever is not, so that :func:`encode` gives it back."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The bytes that were decoded to *text*."""
    return text.encode("utf-8", "surrogateescape")


def line_of(mount: Mount) -> bytes:
    """The line of *mount*: its own spelling where that still says the same, else the kernel's.

    :raises UsageError: no line says this mount.
    """
    if mount.spelling is not None:
        match = LINE_PATTERN.fullmatch(decode(mount.spelling))
        if match and RecordReader().mount(match.groups()) == mount:
            return mount.spelling
    fields = fields_of(mount)
    if not _reads_back(fields):
        raise _unwritable(mount, fields)
    return encode(_FORM % fields)


def _reads_back(fields: Fields) -> bool:
    try:
        match = LINE_PATTERN.fullmatch(decode(encode(_FORM % fields)))
    except UnicodeEncodeError:
        return False
    return match is not None and match.groups() == fields


def _unwritable(mount: Mount, fields: Fields) -> UsageError:
    names = LINE_PATTERN.groupindex
    wrong = [name for name, at in names.items() if not _reads_back((*_SAMPLE[: at - 1], fields[at - 1], *_SAMPLE[at:]))]
    return UsageError(f"no line of mountinfo can say mount {mount.mount_id}", hint=f"look at its {', '.join(wrong)}")
