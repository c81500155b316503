"""Derives the regular expression of pattern.py from grammar/mountinfo.lark.

``python -m mntscope.parse.derive_pattern`` writes that file anew. The grammar is read with Lark's own grammar of
grammars. It must be regular (no rule within itself) and free of ambiguity; then putting each name's definition in its
place gives one expression of the same language.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TypeAlias

from lark import Lark, Token, Tree

Node: TypeAlias = "Tree[Token]"

_MODULE = '''\
"""The language of one mountinfo line as regular expressions: of all of it, one group a field, and of its parts.

``LINE`` is what kernels print, ``KEPT`` what is understood all the same; the parts are those of ``LINE``.
Generated from grammar/mountinfo.lark by ``python -m mntscope.parse.derive_pattern``: do not edit, derive it anew.
"""

LINE = (
{line})

KEPT = (
{kept})

FORM = "{form}"

FIELDS = {{
{fields}}}

OPTIONAL_FIELDS = {{
{optional_fields}}}
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
    """The source text of pattern.py, as the grammar has it today."""
    grammar = resources.files("mntscope.grammar").joinpath("mountinfo.lark").read_text("ascii")
    pieces = expression(grammar, "line")
    named = [re.fullmatch(r"\(\?P<(\w+)>(.*)\)", piece) for piece in pieces]
    return _MODULE.format(
        line="".join(f"    {line}\n" for piece in pieces for line in _lines(piece)),
        kept="".join(f"    {line}\n" for piece in expression(grammar, "kept") for line in _lines(piece)),
        form="".join("%s" if field else piece for field, piece in zip(named, pieces, strict=True)),
        fields=_items({field[1]: field[2] for field in named if field}),
        optional_fields=_items(parts(grammar, "optional_fields")),
    )


def parts(grammar: str, rule: str) -> dict[str, str]:
    """The expression of each of the names that *rule* uses, in the order in which they first stand there."""
    definition = re.search(rf"(?m)^{rule}:(.*)$", grammar)
    names = re.findall(r"[A-Za-z_]+", re.sub(r'"[^"]*"', "", definition[1])) if definition else []
    if not names:
        raise ValueError(f"rule {rule} uses no names")
    start = "start_of_a_part"
    return {
        name.lower(): "".join(expression(f"{grammar}\n{start}: _only\n_only: {name}\n", start))
        for name in dict.fromkeys(names)
    }


def _items(expressions: dict[str, str]) -> str:
    return "".join(
        f'    "{name}": {lines[0]},\n' if len(lines) == 1 else f'    "{name}": ({_block(lines)}    ),\n'
        for name, expression in expressions.items()
        for lines in [_lines(expression)]
    )


def _block(lines: list[str]) -> str:
    return "\n" + "".join(f"        {line}\n" for line in lines)


def _lines(expression: str) -> list[str]:
    return [f'r"{line}"' for line in re.findall(r".{1,100}(?:\||$)", expression)]


if __name__ == "__main__":
    Path(__file__).with_name("pattern.py").write_text(module(), "ascii")
