"""A YAML or JSON document whose every value knows where it stands.

What is not what a reader expects is an error with its place, or left out with a remark; never an exception of Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mntscope.base.records import dataclass, field
from mntscope.errors import ParseError
from mntscope.parse.manifests.containers import Where

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Node:
    """A value: of a scalar, a list or a mapping. What is asked of a value of another kind is not there."""

    value: Scalar | tuple[Node, ...] | Mapping[str, Node]
    where: Where
    key_where: Where | None = field(default=None, compare=False)
    """Of the key, for a value in a mapping."""

    def get(self, *keys: str) -> Node | None:
        """What is below these keys, one in the other; ``None`` where one of them is missing, or its value is null."""
        node: Node | None = self
        for key in keys:
            if node is None or not isinstance(node.value, Mapping):
                return None
            node = node.value.get(key)
        return node if node is not None and node.value is not None else None

    def items(self) -> Iterator[Node]:
        """The items of a list; nothing if it is none."""
        if isinstance(self.value, tuple):
            yield from self.value

    def text(self, *keys: str) -> str | None:
        """The string below these keys."""
        node = self.get(*keys)
        return node.value if node is not None and isinstance(node.value, str) else None

    def flag(self, *keys: str) -> bool:
        """Whether what is below these keys is true."""
        node = self.get(*keys)
        return node is not None and node.value is True

    def number(self, *keys: str) -> int | None:
        """The whole number below these keys."""
        node = self.get(*keys)
        return node.value if node is not None and isinstance(node.value, int) and node.value is not True else None

    def each(self, *keys: str) -> Iterator[Node]:
        """The items of the list below these keys; nothing where there is none."""
        node = self.get(*keys)
        if node is not None:
            yield from node.items()

    def wrong(self, what: str, hint: str = "") -> ParseError:
        """The error that something is wrong here."""
        return ParseError(
            what, file=self.where.file, line=self.where.line, column=self.where.column, text=b"", hint=hint
        )
