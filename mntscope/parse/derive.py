"""Derives the regular expression of mountinfo_regex.py from grammar/mountinfo.lark.

``python -m mntscope.parse.derive`` writes that file anew. The grammar is read with Lark's own grammar of grammars.
It must be regular (no rule within itself) and free of ambiguity; then putting each name's definition in its place
gives one expression of the same language.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from lark import Lark, Token, Tree

Node: TypeAlias = "Tree[Token]"

_HEAD = '''\
"""The language of one mountinfo line as a regular expression, one group a field.

Generated from grammar/mountinfo.lark by mntscope/parse/derive.py: do not edit, derive it anew.
"""

LINE = (
'''


def expression(grammar: str, start: str) -> list[str]:
    """The expression of rule *start*, in pieces; each name that *start* uses, without an underscore before it, a group.

    :raises ValueError: a construct of Lark that has no place in a regular grammar, or that is not needed yet.
    """
    reader = Lark.open_from_package("lark", "lark.lark", ["grammars"], parser="lalr", maybe_placeholders=False)
    definitions = {}
    for item in reader.parse(grammar + "\n").children:
        assert isinstance(item, Tree)
        if item.data not in ("rule", "token"):
            raise ValueError(f"no regular expression for %{item.data}")
        name, *_, definition = item.children
        definitions[str(name)] = definition
    return _Expression(definitions, start).pieces()


class _Expression:
    """The grammar's definitions, and how to write them as one expression."""

    def __init__(self, definitions: dict[str, Node | Token], start: str) -> None:
        self.definitions = definitions
        self.start = start
        self.within: list[str] = []

    def pieces(self) -> list[str]:
        definition = _tree(self.definitions[self.start])
        if definition.data == "expansions":
            raise ValueError(f"rule {self.start} is not one sequence")
        return [self.field(part) for part in (definition.children if definition.data == "expansion" else [definition])]

    def field(self, node: Node | Token) -> str:
        """A part of the start rule; the group stands outside of a possessive repetition (SystemError in CPython)."""
        names = [str(name) for tree in _tree(node).find_data("name") for name in tree.children]
        if not names or names[0].startswith("_"):
            return self.text(node)
        return f"(?P<{names[0].lower()}>{self.text(node)})"

    def text(self, node: Node | Token) -> str:
        tree = _tree(node)
        children = tree.children
        match tree.data:
            case "expansion":
                return "".join(self.text(child) for child in children)
            case "expansions":
                return f"(?:{'|'.join(self.text(child) for child in children)})"
            case "expr" if len(children) == 2 and str(children[1]) in "?*+":
                # Possessive: as the alternatives exclude each other, giving back could only cost time and memory.
                # Atomic within: before 3.11.5, CPython misses matches where a possessive group backtracks (gh-106052).
                return f"(?>{self.text(children[0])}){children[1]}+"
            case "literal":
                return _literal(str(children[0]))
            case "name":
                return self.name(str(children[0]))
            case _:
                raise ValueError(f"no regular expression for {tree.data}")

    def name(self, name: str) -> str:
        if name in self.within:
            raise ValueError(f"{name} is defined by itself: the grammar is not regular")
        self.within.append(name)
        text = self.text(self.definitions[name])
        self.within.pop()
        return text


def _tree(node: Node | Token) -> Node:
    if isinstance(node, Token):
        raise ValueError(f"no regular expression for {node}")  # noqa: TRY004
    return node


def _literal(written: str) -> str:
    if written.startswith('"') and written.endswith('"'):
        return "".join("\\" + char if char in r".^$*+?{}[]\|()" else char for char in written[1:-1])
    if written.startswith("/") and written.endswith("/"):
        pattern = written[1:-1].replace("\\/", "/")
        return f"(?:{pattern})" if "|" in pattern else pattern
    raise ValueError(f"no regular expression for the flags of {written}")


def module() -> str:
    """The source of mountinfo_regex.py."""
    grammar = resources.files("mntscope.grammar").joinpath("mountinfo.lark").read_text("ascii")
    lines = [line for piece in expression(grammar, "line") for line in re.findall(r".{1,100}(?:\||$)", piece)]
    return _HEAD + "".join(f'    r"{line}"\n' for line in lines) + ")\n"


if __name__ == "__main__":
    Path(__file__).with_name("mountinfo_regex.py").write_text(module(), "ascii")
