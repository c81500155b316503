"""An object as a bundle of its representations, of which a notebook shows the one that suits it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from typing import Any

from mntscope.notebook.plain import as_text
from mntscope.notebook.told import Told
from mntscope.notebook.webpage import as_blocks, as_html
from mntscope.report.document import Document
from mntscope.report.markdown import as_markdown
from mntscope.showing import Records

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
    from mntscope.notebook import findings, machines, mounts, records, results, sharing

    modules = (findings, machines, mounts, results, sharing)
    return {kind: teller for module in modules for kind, teller in module.TELLERS.items()} | {Records: records.records}


def _markdown(told: Told) -> str:
    # A document's title is a heading, which an output must not have: this one has none.
    _, _, text = as_markdown(Document("", tuple(as_blocks(told)))).partition("\n\n")
    return text


def _picture(told: Told) -> str:
    assert told.picture is not None
    return told.picture.alone
