"""The ten fields of a line, and the record they make; both ways.

What is kept beside the facts is the spelling: a line that the kernel would write differently comes back as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

from mntscope.base.records import draft_of
from mntscope.errors import UsageError
from mntscope.model import Lock, Mount
from mntscope.parse.escapes import NAME_SPECIAL, PATH_SPECIAL, escape, split_options, unescape
from mntscope.parse.pattern import FIELDS, FORM, KEPT, LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

Fields: TypeAlias = tuple[str, ...]
"""The fields of a line as written, decoded from UTF-8 with surrogateescape: mount ID, parent ID, device, root,
mount point, options, optional fields (one text, each with the space before it), filesystem type, source, super
options."""

_SAMPLE: Fields = ("1", "1", "0:1", "/", "/", "rw", "", "none", "", "rw")
_NUMBERED = frozenset(("shared", "master", "propagate_from"))


@cache
def line_pattern() -> re.Pattern[str]:
    """Matches one line without its newline, as a kernel prints it; its groups are the :data:`Fields`."""
    return re.compile(LINE)


@cache
def _table_pattern() -> re.Pattern[str]:
    return re.compile(rf"(?m)^{LINE}(?:\n|\Z)")


@cache
def _common_pattern() -> re.Pattern[str]:
    """Matches lines as most are, of a text without backslash and NUL; its groups are the :data:`Fields`.

    It takes half as long as all of :data:`~mntscope.parse.pattern.LINE`, and a fifth to compile, since it asks of most
    characters one thing only: that they are no space. So it may match two lines that are none as one.
    """
    number = "[1-9][0-9]{0,18}+"
    tags = f"(?: shared:{number})?+(?: master:{number}(?: propagate_from:{number})?+)?+(?: unbindable)?+"
    return re.compile(
        f"(?m)^({number}) ({number}) ([0-9]{{1,19}}+:[0-9]{{1,19}}+) ([^ ]++) (/[^ ]*+) (r[ow](?:,[^ ]*+)?+)({tags})"
        r" - ([^ ]++) ([^ ]++) (r[ow](?:,.*+)?+)\n"
    )


@cache
def _numbered_pattern() -> re.Pattern[str]:
    """Matches a line that begins with the two IDs; its groups are these, and all that is behind them."""
    return re.compile(rf"(?m)^({FIELDS['mount_id']}) ({FIELDS['parent_id']}) ([^\n]*)(?:\n|\Z)")


@cache
def kept_pattern() -> re.Pattern[str]:
    """Matches what is understood, printed by a kernel or not."""
    return re.compile(KEPT)


def common_fields(text: str) -> list[Fields] | None:
    """The fields of each line of *text*; ``None`` unless all are as most are, and a kernel prints them."""
    if "\\" in text or "\0" in text or (text and not text.endswith("\n")):
        return None
    lines: list[Fields] = _common_pattern().findall(text)
    return lines if len(lines) == text.count("\n") else None


def fields_of_line(line: str) -> Fields | None:
    """The fields of *line*; ``None`` where no kernel prints it."""
    match = line_pattern().fullmatch(line)
    return match.groups() if match else None


def kept_fields_of_line(line: str) -> Fields | None:
    """The fields of *line*, which need be no kernel's; ``None`` where it is not understood either."""
    match = kept_pattern().fullmatch(line)
    return match.groups() if match else None


_MOST_REMEMBERED = 2048
"""Lines: a namespace has some hundred, and the next is likely to be a copy of one of the last."""

_LONGEST_REMEMBERED = 4096
"""Characters. Of longer lines, as overlays of many layers have, a few would take more than all others."""

_Draft = draft_of(Mount)


class RecordReader:
    """Makes records of fields, and of whole tables; it lets equal options be one object.

    One that is to *remember* is for several tables of which some are copies of others, as those of mount namespaces
    are: in a copy, a line differs in the two IDs, and perhaps in its peer group. What else it says is made once.
    """

    def __init__(self, *, remember: bool = False) -> None:
        self._plain = False
        self._options = _Options()
        self._remember = remember
        self._lines: dict[str, Mount] = {}
        """A mount of each line that was read of late, by what is behind the IDs, if the kernel would print it so."""
        self._first: tuple[str, list[Mount]] | None = None
        """The first table, as long as there is no second."""

    def table(self, text: str) -> list[Mount]:
        """The mounts of a table, as far as its lines are a kernel's: there are fewer, if one is not."""
        # Nothing in it is escaped then, or would be, which saves looking.
        self._plain = not ("\\" in text or "\t" in text or "#" in text)
        if not self._remember or text.count("\n") > _MOST_REMEMBERED:
            return self._anew(text)
        if self._first is None and not self._lines:
            # There may be no second one, and to remember this would be in vain.
            mounts = self._anew(text)
            self._first = text, mounts
            return mounts
        if self._first is not None:
            first, mounts = self._first
            self._first = None
            self._keep(_numbered_pattern().findall(first), mounts)
        return self._remembered(text)

    def _anew(self, text: str) -> list[Mount]:
        lines = common_fields(text)
        return self.mounts(map(re.Match.groups, _table_pattern().finditer(text)) if lines is None else lines)

    def _remembered(self, text: str) -> list[Mount]:
        """As :meth:`table`: what was read before is copied, and the other lines are read together."""
        known = self._lines.get
        lines = _numbered_pattern().findall(text)
        missing = [line for line in lines if line[2] not in self._lines]
        others = self._anew("".join([f"{mount_id} {parent_id} {behind}\n" for mount_id, parent_id, behind in missing]))
        if len(others) < len(missing):
            return others
        new = iter(others)
        mounts = [
            _copied(mount, int(mount_id), int(parent_id)) if (mount := known(behind)) else next(new)
            for mount_id, parent_id, behind in lines
        ]
        self._keep(missing, others)
        return mounts

    def _keep(self, lines: list[tuple[str, str, str]], mounts: list[Mount]) -> None:
        """Remember what these *lines* say, if all of them are a kernel's."""
        if len(self._lines) + len(lines) > _MOST_REMEMBERED:
            self._lines.clear()
        if len(lines) == len(mounts):
            for (_, _, behind), mount in zip(lines, mounts, strict=True):
                if mount.spelling is None and len(behind) <= _LONGEST_REMEMBERED:
                    self._lines[behind] = mount

    def mount(self, fields: Fields) -> Mount:
        """The mount that a line with these fields shows."""
        return self.mounts((fields,))[0]

    def mounts(self, lines: Iterable[Fields]) -> list[Mount]:
        """The mounts that lines with these fields show."""
        mounts: list[Mount] = []
        add = mounts.append
        new = object.__new__
        options_of = self._options
        unknown: tuple[str, ...] = ()
        lock = Lock()
        # The one loop through which every record passes: what most lines have is dealt with here, the rest is called.
        for fields in lines:
            mount_id, parent_id, device, root, mount_point, options, optional, fs_type, source, super_options = fields
            mount: Any = new(_Draft)
            mount.mount_id = int(mount_id)
            mount.parent_id = int(parent_id)
            mount.device = device
            mount.root = root
            mount.mount_point = mount_point
            mount.options = options_of[options]
            mount.fs_type = fs_type
            mount.source = source
            mount.super_options = options_of[super_options]
            mount.peer_group = mount.master = mount.propagate_from = mount.spelling = None
            mount.unbindable = False
            mount.unknown_tags = unknown
            mount.lock = lock
            as_printed = True
            if optional:
                single = optional.rfind(" ") == 0
                if single and optional.startswith(" shared:"):
                    mount.peer_group = int(optional[8:])
                elif single and optional.startswith(" master:"):
                    mount.master = int(optional[8:])
                else:
                    _set_optional_facts(mount, optional)
                    as_printed = _optional_fields_of(mount) == optional
            if not self._plain:
                as_printed = _unescape_names(mount) and as_printed
            if not as_printed:
                mount.spelling = encode(FORM % fields)
            mount.__class__ = Mount
            add(mount)
        return mounts


def _copied(known: Mount, mount_id: int, parent_id: int) -> Mount:
    """Another mount of which the table says the same: as :func:`~mntscope.base.records.replace`, in a third of it."""
    mount: Any = object.__new__(_Draft)
    mount.mount_id = mount_id
    mount.parent_id = parent_id
    mount.device = known.device
    mount.root = known.root
    mount.mount_point = known.mount_point
    mount.options = known.options
    mount.fs_type = known.fs_type
    mount.source = known.source
    mount.super_options = known.super_options
    mount.peer_group = known.peer_group
    mount.master = known.master
    mount.propagate_from = known.propagate_from
    mount.unbindable = known.unbindable
    mount.unknown_tags = known.unknown_tags
    mount.spelling = None
    mount.lock = known.lock
    mount.__class__ = Mount
    copied: Mount = mount
    return copied


class _Options(dict[str, tuple[str, ...]]):
    def __missing__(self, text: str) -> tuple[str, ...]:
        options = self[text] = split_options(text)
        return options


def _unescape_names(mount: Any) -> bool:
    """Decodes what is escaped in the names of *mount*; whether all are spelled as the kernel would."""
    names = mount.root + mount.mount_point + mount.fs_type + mount.source
    if not ("\\" in names or "\t" in names or "#" in names):
        return True
    written = mount.root, mount.mount_point, mount.fs_type, mount.source
    mount.root, mount.mount_point, mount.fs_type, mount.source = map(unescape, written)
    return written == _names_of(mount)


def _set_optional_facts(mount: Any, text: str) -> None:
    """Set what the optional fields *text* say: peer_group, master, propagate_from, unbindable and unknown_tags."""
    if text == " ":
        return
    numbers: dict[str, int] = {}
    others: list[str] = []
    for tag in text[1:].split(" "):
        name, colon, value = tag.partition(":")
        if colon and name in _NUMBERED and name not in numbers:
            numbers[name] = int(value)
        elif tag == "unbindable" and not mount.unbindable:
            mount.unbindable = True
        else:
            others.append(tag)
    mount.peer_group = numbers.get("shared")
    mount.master = numbers.get("master")
    mount.propagate_from = numbers.get("propagate_from")
    mount.unknown_tags = tuple(others)


def fields_of(mount: Mount) -> Fields:
    """The fields of the line that the kernel prints for *mount*."""
    root, mount_point, fs_type, source = _names_of(mount)
    return (
        str(mount.mount_id),
        str(mount.parent_id),
        mount.device,
        root,
        mount_point,
        ",".join(mount.options),
        _optional_fields_of(mount),
        fs_type,
        source,
        ",".join(mount.super_options),
    )


def _names_of(mount: Mount) -> tuple[str, str, str, str]:
    """The names of *mount* as the kernel prints them: root, mount point, filesystem type, source."""
    return (
        escape(mount.root, PATH_SPECIAL),
        escape(mount.mount_point, PATH_SPECIAL),
        escape(mount.fs_type, NAME_SPECIAL),
        escape(mount.source, NAME_SPECIAL),
    )


def _optional_fields_of(mount: Mount) -> str:
    """The optional fields that the kernel prints for *mount*, each with the space before it."""
    text = ""
    if mount.peer_group is not None:
        text = f" shared:{mount.peer_group}"
    if mount.master is not None:
        text += f" master:{mount.master}"
    if mount.propagate_from is not None:
        text += f" propagate_from:{mount.propagate_from}"
    if mount.unbindable:
        text += " unbindable"
    for tag in mount.unknown_tags:
        text += f" {tag}"
    return text


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
        spelled = kept_fields_of_line(decode(mount.spelling))
        if spelled and RecordReader().mount(spelled) == mount:
            return mount.spelling
    fields = fields_of(mount)
    if not _reads_back(fields):
        raise _unwritable(mount, fields)
    return encode(FORM % fields)


def _reads_back(fields: Fields) -> bool:
    try:
        return kept_fields_of_line(decode(encode(FORM % fields))) == fields
    except UnicodeEncodeError:
        return False


def _unwritable(mount: Mount, fields: Fields) -> UsageError:
    samples = {name: (*_SAMPLE[:at], fields[at], *_SAMPLE[at + 1 :]) for at, name in enumerate(FIELDS)}
    wrong = [name for name, sample in samples.items() if not _reads_back(sample)]
    return UsageError(f"no line of mountinfo can say mount {mount.mount_id}", hint=f"look at its {', '.join(wrong)}")
