"""What the grammar itself says of one line: its fields, or where it stops being mountinfo.

Slow and exact: Lark reads grammar/mountinfo.lark. Only lines that the derived expression does not match come
here, so good tables are read without importing lark.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from mntscope.errors import ParseError

if TYPE_CHECKING:
    from lark import Lark, UnexpectedInput

FIELDS = {
    "MOUNT_ID": "a mount ID (a decimal number)",
    "PARENT_ID": "the parent's mount ID (a decimal number)",
    "DEVICE": "a device (major:minor)",
    "ROOT": "the root of the mount",
    "MOUNT_POINT": "a mount point (an absolute path)",
    "OPTIONS": "the mount options ('rw' or 'ro' first)",
    "optional_fields": "an optional field or the separator ' - '",
    "FS_TYPE": "the filesystem type",
    "SOURCE": "the source",
    "SUPER_OPTIONS": "the super options ('rw' or 'ro' first)",
}
"""The fields of the grammar's ``line``, in their order, in words."""

_OPTIONAL = list(FIELDS).index("optional_fields")
_SEPARATED = _OPTIONAL + 1
_LAST = len(FIELDS) - 1
_NUMBERED = re.compile(r"(shared|master|propagate_from):")
_KNOWN = re.compile(r"(?:shared|master|propagate_from):[1-9][0-9]{0,18}|unbindable")
_ORDER = "known tags once each, in the order shared, master, propagate_from (only behind a master), unbindable"
_INSIDE = {"\\": "a backslash and three octal digits, as names are escaped", "\0": "text without NUL bytes"}
"""By a character that is not expected within a field, what is."""

_MOST_OPTIONAL_FIELDS = 4096
_MOST_SHOWN = 40
_MOST_KEPT = 4096

_TAKE = "take the text of /proc/PID/mountinfo"
_KEPT = "no kernel prints this: take the text again, or read it with strict=False, which keeps the line"
_SINGLE = "the fields must be separated by single spaces"
_HINTS = (
    (r"\Z", "mountinfo has no empty lines: remove it"),
    (r"\r", "the file has Windows line ends: remove the carriage returns"),
    (r"#", "mountinfo has no comments: remove the line"),
    (r"[^ ]+ on /[^ ]* type [^ ]+ \(", f"this is the output of mount(8): {_TAKE}"),
    (r"[^ ]+ /[^ ]* [^ ]+ [^ ]+ \d+ \d+\r?\Z", f"this is /proc/mounts, which has no propagation: {_TAKE}"),
    (r"device [^ ]+ mounted on ", f"this is /proc/PID/mountstats: {_TAKE}"),
    (r"TARGET +SOURCE|\xe2\x94", f"this is the output of findmnt(8): {_TAKE}"),
    (r"Filesystem ", f"this is the output of df(1): {_TAKE}"),
    (r"\[[\w.-]+\]\r?\Z", "this is a settings file: name a capture, or a mountinfo text"),
    (r"[{\[]", "this is JSON: name a snapshot as snapshot:PATH"),
    (r"\x1f\x8b|\x28\xb5\x2f\xfd|\xfd7zXZ|PK\x03\x04", "this is compressed: unpack it first"),
    (r"\xff\xfe|\xfe\xff|\x00.|.\x00", "this is not the text the kernel printed: save it as plain bytes"),
    (r"\xef\xbb\xbf", "the file begins with a byte order mark: remove it"),
    (r"[ \t\xa0\xc2]+\d+[ \t\xa0\xc2]", "the line is indented: remove the blanks before it"),
    (r"[^ ]+[:-]\d+ \d+ \d+:\d+ ", "the line begins as grep(1) prints it: use grep -h"),
    (r"\d+(?: \d+)?(?:\t|\xc2\xa0|\xa0|  )", _SINGLE),
)


def read_line(
    line: bytes, *, file: str, number: int, cut_off: bool = False, kind: type[ParseError] = ParseError
) -> tuple[str, ...]:
    """The fields of *line*, line *number* of *file*, in the order of :data:`FIELDS`; what is absent is empty.

    The optional fields are one text, each with the space before it. *cut_off*: the table ends within the line. *kind*
    is what the error is: that of a line that is understood all the same is of a kind of its own.

    :raises ParseError: the line is not in the language.
    """
    from lark import Token, UnexpectedInput

    text = line.decode("latin-1")
    # Lark takes its time over each optional field, and a hostile line may have millions.
    begun = text.split(" ", _MOST_OPTIONAL_FIELDS)
    endless = len(begun) > _MOST_OPTIONAL_FIELDS and "-" not in begun[_OPTIONAL:-1]
    if endless:
        text = " ".join(begun[:-1])
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        place = _Place(text, _position(error, text))
        if endless and place.at_end:
            what, expected, hint = f"found more than {_MOST_OPTIONAL_FIELDS} fields, and no separator ' - ' yet", "", ""
        else:
            what, expected = f"found {place.found}", place.expected
            hint = place.hint(cut_off=cut_off) if kind is ParseError else _KEPT
        kept = line[: place.position + _MOST_KEPT]
        raise kind(
            what, file=file, line=number, column=place.position + 1, text=kept, expected=expected, hint=hint
        ) from None
    tokens = {child.type: child for child in tree.children if isinstance(child, Token)}
    optional = "".join(token for field in tree.find_data("optional_fields") for token in field.scan_values(bool))
    fields = [optional if name == "optional_fields" else tokens.get(name, "") for name in FIELDS]
    return tuple(field.encode("latin-1").decode("utf-8", "surrogateescape") for field in fields)


@cache
def _parser() -> Lark:
    from importlib import resources

    from lark import Lark

    grammar = resources.files("mntscope.grammar").joinpath("mountinfo.lark").read_text("ascii")
    return Lark(grammar, start="line", parser="lalr", lexer="contextual", keep_all_tokens=True)


def _position(error: UnexpectedInput, text: str) -> int:
    """How many characters of *text* Lark could read before it met the *error*."""
    token = getattr(error, "token", None)
    if token is None or token.type != "$END":
        return error.pos_in_stream or 0
    return len(text)


class _Place:
    """Where a line stops being mountinfo, in words: *position* characters of *text* are, with the next it is not."""

    def __init__(self, text: str, position: int) -> None:
        start = text.rfind(" ", 0, position) + 1
        self.text = text
        self.word = text[start:].partition(" ")[0]
        self.touches_end = start + len(self.word) == len(text)
        # Up to here the line is good, so its spaces tell which field this is.
        *before, rest = text[:start].split(" ", _OPTIONAL)
        _, separator, tail = f" {rest}".partition(" - ")
        if separator and len(before) == _OPTIONAL:
            self.field = min(_SEPARATED + tail.count(" "), _LAST)
        else:
            self.field = len(before)
        self.numbered = _NUMBERED.match(self.word) if self.field == _OPTIONAL else None
        self.disordered = self.field == _OPTIONAL and start == position and bool(_KNOWN.fullmatch(self.word))
        self.inside = _INSIDE.get(text[position : position + 1], "")
        if self.disordered or self.inside:
            pass
        elif self.numbered:
            position = max(position, start + self.numbered.end())
        elif self.field == _OPTIONAL and self.word == "-":
            # The separator, cut short.
            position = len(text)
            self.field = _SEPARATED
        elif start < position == len(text) and self.field != _OPTIONAL:
            # A whole field: it is the next one that is missing.
            self.field += 1
        self.position = position
        self.at_end = position == len(text)

    @property
    def found(self) -> str:
        if self.at_end:
            return "the end of the line" if self.text else "an empty line"
        if not self.word:
            return "a space"
        # As bytes are shown: what is not printable ASCII is escaped, and harms no terminal.
        return repr(self.word[:_MOST_SHOWN].encode("latin-1"))[1:] + (".." if len(self.word) > _MOST_SHOWN else "")

    @property
    def expected(self) -> str:
        if self.disordered:
            return _ORDER
        if self.inside:
            return self.inside
        if self.numbered and not (self.at_end and self.word[self.numbered.end() :].isdecimal()):
            return f"the number of a peer group after '{self.numbered[0]}'"
        return tuple(FIELDS.values())[self.field]

    def hint(self, *, cut_off: bool) -> str:
        """What may have happened and what to do; *cut_off*: the text ends within the line."""
        for pattern, hint in _HINTS:
            if re.match(pattern, self.text):
                return hint
        if self.field == 0:
            return f"this is no mountinfo: {_TAKE}"
        if cut_off and self.touches_end:
            return "the text ends within this line: capture it again"
        if self.at_end and self.field == _OPTIONAL:
            return "the separator ' - ' before the filesystem type is missing: was the line cut off?"
        if self.at_end:
            return "the line was cut off or wrapped: capture it again"
        return "the line was altered on its way: capture it again" if self.word else _SINGLE
