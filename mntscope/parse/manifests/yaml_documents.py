"""The documents of a YAML file, each value with its line and column; bounded in time and memory, whatever is given.

A document ends where a line begins with ``---`` or ``...``, whatever is in it (YAML 1.2, 9.1.2). So each is read for
itself, and one that is no YAML does not hide those beside it.

PyYAML is asked for its events only. What its composer and constructor would do with them takes no end of time and
memory (an alias to an alias to an alias; a number of a million digits), and follows Python in what a scalar is, where
those who run manifests follow Go: there ``22:22`` is a string, and a key is one always.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mntscope.base.records import NamedTuple
from mntscope.errors import ParseError
from mntscope.parse.manifests.containers import Where
from mntscope.parse.manifests.nodes import Node, Scalar
from mntscope.parse.manifests.reading import Reading, shown

if TYPE_CHECKING:
    from yaml import AliasEvent, CollectionStartEvent, ScalarEvent
    from yaml._yaml import Mark as MarkOfLibyaml
    from yaml.error import Mark

LARGEST = 16 << 20
"""Bytes of one file. What a cluster takes as one object is 1.5 MB; charts with their definitions come to 5."""

MOST_DOCUMENTS = 1 << 14
"""Of one file: each takes its time, though it be empty."""

MOST_VALUES = 1 << 19
"""Of one document, what an alias stands for counted each time: what a reader may have to walk through."""

DEEPEST = 100
"""Lists and mappings in one another."""

_BOUNDARY = re.compile(rb"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVES = re.compile(r"\A(?:[%#][^\n]*(?:\n|\Z)|[ \t\r]*\n)++")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEMPLATE = re.compile(r"\{\{|\{%")


def documents(data: bytes, reading: Reading) -> Iterator[Node]:
    """The documents of *data* that are not empty; of one that is no YAML there is a remark.

    A key that is there twice has the last value, and a remark.
    """
    count = 0
    for chunk, line in _chunks(data):
        count += 1
        if count > MOST_DOCUMENTS:
            reading.error(
                f"more than {MOST_DOCUMENTS} documents: those from here on are left out", Where(reading.name, line, 1)
            )
            return
        try:
            node = _document(chunk, line, reading)
        except ParseError as error:
            reading.refused(error)
            continue
        if node is not None and node.value is not None:
            yield node


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Each document's bytes, which begin at its ``---``, and the number of their first line."""
    begin, line = 0, 1
    for boundary in _BOUNDARY.finditer(data):
        if boundary.start() > begin:
            yield data[begin : boundary.start()], line
        line += data.count(b"\n", begin, boundary.start())
        # What ends a document is no part of the next.
        begin = boundary.start() if boundary[0] == b"---" else boundary.end()
    yield data[begin:], line


def _document(chunk: bytes, line: int, reading: Reading) -> Node | None:
    """What one document is; ``None`` if it is empty.

    :raises ParseError: it is no YAML, or beyond a bound.
    """
    try:
        text = chunk.decode()
    except UnicodeDecodeError as error:
        good = chunk[: error.start].decode()
        where = _place(good, len(good), line, reading.name)
        raise _wrong(f"no UTF-8: the byte 0x{chunk[error.start]:02x}", where) from None
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        where = _place(text, unprintable.start(), line, reading.name)
        raise _wrong(f"YAML cannot hold {unprintable[0]!r} as it is", where, "write it as an escape in double quotes")
    # Of them PyYAML knows but one that matters, a short name for tags, and reads many of those slowly.
    text = _DIRECTIVES.sub(lambda head: re.sub(r"^%[^\n]*", "", head[0], flags=re.MULTILINE), text)
    if not text.strip():
        return None
    composer = _Composer(reading, line - 1)
    try:
        return composer.document(text)
    except ParseError as error:
        template = _TEMPLATE.search(text)
        if template is None or error.hint:
            raise
        where = _place(text, template.start(), line, reading.name)
        raise _wrong(
            f"a template ({template[0]}), no YAML ({error.line}:{error.column}: {error.what})",
            where,
            "render it first, as with helm template CHART | mntscope preview -",
        ) from None


def _place(text: str, at: int, line: int, name: str) -> Where:
    before = text[:at]
    return Where(name, line + before.count("\n"), at - (before.rfind("\n") + 1) + 1)


def _wrong(what: str, where: Where, hint: str = "") -> ParseError:
    return ParseError(what, file=where.file, line=where.line, column=where.column, text=b"", hint=hint)


class _Anchored(NamedTuple):
    """What an alias stands for."""

    node: Node
    size: int
    """How many values it is."""
    height: int
    """How many lists and mappings in one another."""


class _Open:
    """A list or mapping whose end is not reached."""

    __slots__ = ("anchor", "before", "height", "items", "key", "keys", "merged", "where")

    def __init__(self, where: Where, anchor: str | None, before: int, *, mapping: bool) -> None:
        self.where = where
        self.anchor = anchor
        self.before = before
        """How many values there were before it."""
        self.height = 1
        self.items: list[Node] = []
        self.keys: dict[str, Node] | None = {} if mapping else None
        self.key: tuple[str, Where] | None = None
        self.merged: list[Node] = []


class _Composer:
    """Makes of events one document."""

    def __init__(self, reading: Reading, lines_before: int) -> None:
        self.reading = reading
        self.lines_before = lines_before
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchored | None] = {}
        """``None``: it is open."""
        self.values = 0
        self.root: Node | None = None

    def document(self, text: str) -> Node | None:
        """The document that *text* is; ``None`` if nothing is in it.

        :raises ParseError: it is no YAML, or beyond a bound.
        """
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(text, Loader=loader):
                if isinstance(event, yaml.ScalarEvent):
                    self._scalar(event)
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(event)
                elif isinstance(event, yaml.CollectionStartEvent):
                    self._start(event, mapping=isinstance(event, yaml.MappingStartEvent))
                elif isinstance(event, yaml.CollectionEndEvent):
                    self._end()
                elif self.root is not None and isinstance(event, yaml.DocumentStartEvent):
                    raise _wrong("a second document without --- before it", self._where(event.start_mark))
        except yaml.MarkedYAMLError as error:
            where = self._where(error.problem_mark or error.context_mark)
            raise _wrong(f"no YAML: {error.problem or error.context}", where) from None
        except ParseError:
            raise
        except (yaml.YAMLError, ValueError) as error:
            # Of the reader, which says where in another way; and of an escape for what is no character.
            where = self._where(None)
            raise _wrong(f"no YAML: {str(error).splitlines()[0]}", where) from None
        return self.root

    def _where(self, mark: Mark | MarkOfLibyaml | None) -> Where:
        if mark is None:
            return Where(self.reading.name, self.lines_before + 1, 1)
        return Where(self.reading.name, self.lines_before + mark.line + 1, mark.column + 1)

    def _count(self, values: int, where: Where) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            raise _wrong(f"more than {MOST_VALUES} values in one document, those that aliases repeat included", where)

    # ---- events ----

    def _scalar(self, event: ScalarEvent) -> None:
        where = self._where(event.start_mark)
        self._count(1, where)
        text: str = event.value
        if _SURROGATE.search(text):
            raise _wrong("an escape for half a character (a surrogate)", where)
        top = self.open[-1] if self.open else None
        if top is not None and top.keys is not None and top.key is None:
            # A key is what is written.
            plain_merge = text == "<<" and not event.style
            self._key(top, "<<" if plain_merge else text, where, merge=plain_merge)
            if event.anchor:
                self.anchors[event.anchor] = _Anchored(Node(text, where), 1, 0)
            return
        self._value(_resolved(text, event.tag, plain=not event.style), where, event.anchor, size=1, height=0)

    def _alias(self, event: AliasEvent) -> None:
        where = self._where(event.start_mark)
        name = event.anchor or ""
        if name not in self.anchors:
            raise _wrong(f"*{name[:60]} stands for nothing: there is no &{name[:60]} before it", where)
        anchored = self.anchors[name]
        if anchored is None:
            raise _wrong(f"*{name[:60]} is inside of what it stands for", where)
        self._count(anchored.size, where)
        if len(self.open) + anchored.height > DEEPEST:
            raise _too_deep(where)
        top = self.open[-1] if self.open else None
        if top is not None and top.keys is not None and top.key is None:
            if not isinstance(anchored.node.value, str):
                raise self._no_key(where)
            self._key(top, anchored.node.value, where, merge=False)
            return
        self._put(anchored.node, where, anchored.height)

    def _start(self, event: CollectionStartEvent, *, mapping: bool) -> None:
        where = self._where(event.start_mark)
        self._count(1, where)
        top = self.open[-1] if self.open else None
        if top is not None and top.keys is not None and top.key is None:
            raise self._no_key(where)
        if len(self.open) >= DEEPEST:
            raise _too_deep(where)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.open.append(_Open(where, event.anchor, self.values - 1, mapping=mapping))

    def _end(self) -> None:
        ended = self.open.pop()
        if ended.keys is None:
            value: Scalar | tuple[Node, ...] | dict[str, Node] = tuple(ended.items)
        else:
            self._merge(ended)
            value = ended.keys
        self._value(value, ended.where, ended.anchor, size=self.values - ended.before, height=ended.height)

    # ---- what becomes of them ----

    def _no_key(self, where: Where) -> ParseError:
        return _wrong("a list or mapping as a key, which no manifest has", where)

    def _key(self, top: _Open, key: str, where: Where, *, merge: bool) -> None:
        assert top.keys is not None
        if merge:
            # No key of a document: one that is in quotes is another.
            top.key = ("\0<<", where)
            return
        before = top.keys.get(key)
        if before is not None:
            at = before.key_where or before.where
            self.reading.error(f"{shown(key)} is there a second time (the first is in line {at.line})", where)
        top.key = (key, where)

    def _value(
        self,
        value: Scalar | tuple[Node, ...] | dict[str, Node],
        where: Where,
        anchor: str | None,
        *,
        size: int,
        height: int,
    ) -> None:
        node = Node(value, where, self.open[-1].key[1] if self.open and self.open[-1].key else None)
        if anchor:
            self.anchors[anchor] = _Anchored(node, size, height)
        self._put(node, where, height)

    def _put(self, node: Node, where: Where, height: int) -> None:
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        top.height = max(top.height, height + 1)
        if top.keys is None:
            top.items.append(node)
            return
        assert top.key is not None
        (key, _), top.key = top.key, None
        if key == "\0<<":
            merged = node.value if isinstance(node.value, tuple) else (node,)
            if not all(isinstance(each.value, dict) for each in merged):
                self.reading.error("<< takes a mapping, or a list of them", where)
                return
            top.merged.extend(merged)
        else:
            top.keys[key] = node

    def _merge(self, ended: _Open) -> None:
        """Adds what ``<<`` names; what is written in the mapping itself, and what is named first, is kept."""
        assert ended.keys is not None
        for each in ended.merged:
            assert isinstance(each.value, dict)
            for key, node in each.value.items():
                ended.keys.setdefault(key, node)


def _too_deep(where: Where) -> ParseError:
    return _wrong(f"more than {DEEPEST} lists and mappings in one another", where)


_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{spelt: True for word in ("true", "yes", "on") for spelt in (word, word.capitalize(), word.upper())},
    **{spelt: False for word in ("false", "no", "off") for spelt in (word, word.capitalize(), word.upper())},
}
_NUMBER = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?\Z")
_LONGEST_NUMBER = 20
"""Digits of a number of 64 bits, and a sign; what is longer stays a string."""


def _resolved(text: str, tag: str | None, *, plain: bool) -> Scalar:
    """What a scalar is to Go's readers of YAML: a string in quotes or with a tag of its own, else by how it looks."""
    if tag == "!reset":
        # Of compose: as if nothing were there.
        return None
    if not plain or (tag is not None and not tag.startswith("tag:yaml.org,2002:")):
        return text
    if tag == "tag:yaml.org,2002:str" or len(text) > _LONGEST_NUMBER:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.match(text):
        digits = text.lower().replace("_", "")
        octal = re.fullmatch(r"([-+]?)0([0-7]+)", digits)
        try:
            return int(f"{octal[1]}0o{octal[2]}" if octal else digits, 0)
        except ValueError:
            return text
    return float(text) if _FLOAT.match(text) else text
