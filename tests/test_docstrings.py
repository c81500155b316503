"""What a docstring says, the name does not say already."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.support.repository import ROOT

PACKAGE = ROOT / "mntscope"

IN_EVERY_SENTENCE = """
    a all an and any are as at be by each for from get gives has have how if in into is it its itself make makes many of
    on one or return returns several that the them their there these they this those to what where whether which who
    whom whose will with
"""


def documented(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Every public function, method and class with a docstring: its name and its class's, the docstring, the line."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    class_of = {child: node.name for node in classes for child in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            docstring = ast.get_docstring(node)
            if docstring:
                yield f"{class_of.get(node, '')} {node.name}".strip(), docstring, node.lineno


def words(text: str) -> set[str]:
    """The words of a sentence or of a name, in small letters and the singular; a page of the manual is one, too."""
    roles_resolved = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", text)
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", roles_resolved).lower()
    return {re.sub(r"(?<=[a-z]{2})s$", "", word) for word in re.findall(r"[a-z]+|\([2-8]\)", apart)}


def repeats(name: str, docstring: str) -> bool:
    """Whether *docstring* has no word that is neither in *name* nor in every sentence."""
    return words(docstring) <= words(name) | words(IN_EVERY_SENTENCE)


def test_no_docstring_merely_repeats_its_name() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {name}: {docstring}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, docstring, line in documented(ast.parse(path.read_bytes()))
        if repeats(name, docstring)
    ]
    assert "\n".join(found) == ""


def test_one_that_does_is_recognised() -> None:
    assert repeats("Query reached", "Those that are reached.")
    assert repeats("Snapshot peer_groups", "The :class:`~mntscope.graph.PeerGroup` of each.")
    assert not repeats("MountTree parent", "The mount in which *mount* is mounted; ``None`` for a root.")
