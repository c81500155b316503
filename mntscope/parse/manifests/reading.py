"""What the readers of one file share: the remarks so far, the bounds, and questions to a document.

A question names what is expected; something else in its place is a remark that says so, and counts as not there. So a
reader goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from mntscope.errors import ParseError
from mntscope.parse.manifests.containers import Remark, Where
from mntscope.parse.manifests.nodes import Node

T = TypeVar("T", str, bool)

MOST_REMARKS = 100
"""Of one file; that there are more is said once."""

MOST_MOUNTS = 1 << 15
"""Of one file, in all its containers: a service that extends another has the other's mounts, too."""

MOST_CONTAINERS = 1 << 13
"""Of one file."""

LONGEST_PATH = 4096
"""Bytes: PATH_MAX, with the NUL that ends it."""


class Reading:
    """One file while it is read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.remarks: list[Remark] = []
        self._mounts = 0
        self._containers = 0

    def error(self, what: str, where: Where) -> None:
        """The file is wrong at *where*."""
        self._remark(Remark(what, where, "error"))

    def left_out(self, what: str, where: Where) -> None:
        """What is at *where* is not read."""
        self._remark(Remark(what, where, "left-out"))

    def uncertain(self, what: str, where: Where) -> None:
        """What is at *where* may mean something else where it is run."""
        self._remark(Remark(what, where, "uncertain"))

    def refused(self, error: ParseError) -> None:
        """An error that was raised is a remark like others."""
        what = f"{error.what}; {error.hint}" if error.hint else error.what
        self.error(what, Where(self.name, error.line, error.column))

    def _remark(self, remark: Remark) -> None:
        # An alias leads to the same place again; and one doubt about a text is enough.
        if any(remark == other or _doubts_the_same(remark, other) for other in self.remarks[-8:]):
            return
        if len(self.remarks) < MOST_REMARKS:
            self.remarks.append(remark)
        elif len(self.remarks) == MOST_REMARKS:
            self.remarks.append(Remark("there is more to say of this file, from here on", remark.where, remark.kind))
        elif remark.kind == "error" and self.remarks[-1].kind != "error":
            self.remarks[-1] = Remark(self.remarks[-1].what, self.remarks[-1].where, "error")

    def room_for_mount(self, where: Where) -> bool:
        """Whether one more mount is read."""
        self._mounts += 1
        if self._mounts == MOST_MOUNTS + 1:
            self.error(f"more than {MOST_MOUNTS} mounts in one file: those from here on are left out", where)
        return self._mounts <= MOST_MOUNTS

    def room_for_container(self, where: Where) -> bool:
        """Whether one more container is read."""
        self._containers += 1
        if self._containers == MOST_CONTAINERS + 1:
            self.error(f"more than {MOST_CONTAINERS} containers in one file: those from here on are left out", where)
        return self._containers <= MOST_CONTAINERS

    # ---- questions to a document ----

    def mapping(self, node: Node | None, *keys: str) -> Mapping[str, Node]:
        """The mapping below these keys of *node*; an empty one where there is none."""
        found = self._below(node, keys)
        if found is None:
            return {}
        if isinstance(found.value, Mapping):
            return found.value
        self._unexpected(found, keys, "a mapping")
        return {}

    def each(self, node: Node | None, *keys: str) -> Iterator[Node]:
        """The items of the list below these keys, those that are null left out."""
        found = self._below(node, keys)
        if found is None:
            return
        if not isinstance(found.value, tuple):
            self._unexpected(found, keys, "a list")
            return
        yield from (item for item in found.value if item.value is not None)

    def mappings(self, node: Node | None, *keys: str) -> Iterator[Node]:
        """The items of the list below these keys, each a mapping."""
        for item in self.each(node, *keys):
            if isinstance(item.value, Mapping):
                yield item
            else:
                self._unexpected(item, (*keys[:-1], f"{keys[-1]}[]") if keys else (), "a mapping")

    def texts(self, node: Node | None, *keys: str) -> Iterator[tuple[str, Node]]:
        """The items of the list below these keys, each a string."""
        for item in self.each(node, *keys):
            if isinstance(item.value, str):
                yield item.value, item
            else:
                self._unexpected(item, (*keys[:-1], f"{keys[-1]}[]") if keys else (), "a string")

    def text(self, node: Node | None, *keys: str) -> str | None:
        """The string below these keys."""
        return self._scalar(node, keys, str, "a string")

    def flag(self, node: Node | None, *keys: str) -> bool | None:
        """The truth value below these keys."""
        return self._scalar(node, keys, bool, "true or false")

    def path(self, node: Node | None, *keys: str) -> str | None:
        """The string below these keys, which the kernel would take as a path."""
        found = self._below(node, keys)
        text = self.text(node, *keys)
        return text if text is None or found is None or self.is_path(text, found.where) else None

    def is_path(self, text: str, where: Where) -> bool:
        """Whether the kernel would take *text* as a path; if it would not, that is said."""
        if not text:
            self.error("an empty path", where)
        elif "\0" in text:
            self.error("a path with a NUL in it", where)
        elif len(text) > LONGEST_PATH or len(text.encode("utf-8", "surrogateescape")) >= LONGEST_PATH:
            self.error(f"a path of more than {LONGEST_PATH - 1} bytes, which is the most that Linux takes", where)
        else:
            return True
        return False

    def _scalar(self, node: Node | None, keys: tuple[str, ...], kind: type[T], expected: str) -> T | None:
        found = self._below(node, keys)
        if found is None:
            return None
        if isinstance(found.value, kind):
            return found.value
        self._unexpected(found, keys, expected)
        return None

    def _below(self, node: Node | None, keys: tuple[str, ...]) -> Node | None:
        for at, key in enumerate(keys):
            if node is None or node.value is None:
                return None
            if not isinstance(node.value, Mapping):
                self._unexpected(node, keys[:at], "a mapping")
                return None
            node = node.value.get(key)
        return None if node is None or node.value is None else node

    def _unexpected(self, node: Node, keys: tuple[str, ...], expected: str) -> None:
        name = f"{'.'.join(keys)} is" if keys else "this is"
        self.error(f"{name} {_described(node)}, and should be {expected}", node.where)


def _doubts_the_same(one: Remark, other: Remark) -> bool:
    return one.kind == other.kind == "uncertain" and one.where == other.where


def shown(text: str, most: int = 60) -> str:
    """Text of a file in a sentence: in quotes, on one line, bounded."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}.."


def _described(node: Node) -> str:
    match node.value:
        case bool():
            return "true" if node.value else "false"
        case int() | float():
            return f"the number {node.value}"
        case str():
            return f"the string {shown(node.value)}"
        case tuple():
            return "a list"
        case _:
            return "a mapping"
