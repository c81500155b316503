"""How the objects show themselves in a notebook: Jupyter, VS Code, and what is exported from them.

The last expression of a cell that is a snapshot, a view, a mount, a diff, a prediction, a finding .. is shown as a
document: who it is about, what matters of it first, and the rest folded away. It is the same document as text, as
Markdown, as HTML, and where it fits as a picture (:func:`mimebundle`); nothing in it runs, and nothing untrusted is
obeyed. Large objects are shortened and say so: ``.frame()`` has all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from mntscope.base.display import Records
from mntscope.output.document import Document
from mntscope.output.writers.markdown import as_markdown
from mntscope.output.writers.notebook import as_blocks, as_html
from mntscope.output.writers.plain import as_text
from mntscope.output.writers.told import Told

Bundle = dict[str, str]
"""Representations by media type."""


def mimebundle(thing: object, include: Collection[str] | None = None, exclude: Collection[str] | None = None) -> Bundle:
    """*thing* as ``text/plain``, ``text/markdown``, ``text/html``, and ``image/svg+xml`` where it is a picture.

    Only the types in *include*, if it is given, and none in *exclude*.

    :raises TypeError: it is nothing that shows itself.
    """
    told = _told(thing)
    made: dict[str, Callable[[Told], str]] = {"text/plain": as_text, "text/markdown": _markdown, "text/html": as_html}
    if told.picture is not None and told.picture.alone:
        made["image/svg+xml"] = _picture
    return {
        media: make(told)
        for media, make in made.items()
        if (not include or media in include) and media not in (exclude or ())
    }


def _told(thing: object) -> Told:
    tellers = _tellers()
    for kind in type(thing).__mro__:
        if kind in tellers:
            told: Told = tellers[kind](thing)
            return told
    raise TypeError(f"{type(thing).__name__} does not show itself in notebooks")


@cache
def _tellers() -> dict[type, Callable[[Any], Told]]:
    """Who tells of what; imported when something is shown first."""
    from mntscope.jupyter import records
    from mntscope.output import machines, mounts, results
    from mntscope.output.audit import findings
    from mntscope.output.graph import sharing

    modules = (findings, machines, mounts, results, sharing)
    return {kind: teller for module in modules for kind, teller in module.TELLERS.items()} | {Records: records.records}


def _markdown(told: Told) -> str:
    # A document's title is a heading, which an output must not have: this one has none.
    _, _, text = as_markdown(Document("", tuple(as_blocks(told)))).partition("\n\n")
    return text


def _picture(told: Told) -> str:
    assert told.picture is not None
    return told.picture.alone
