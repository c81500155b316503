"""What somebody probably meant by a word that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 200
"""A longer word is no slip of anybody's fingers, and would take long to compare."""


def did_you_mean(word: str, known: Iterable[str], most: int = 1) -> str:
    """``did you mean leak-to-host or leak-between?``: of *known* up to *most*; empty where nothing is like *word*.

    Names that begin with the word come first, then those that have it in them, else those that differ by a slip.
    Capitals do not count. A name that a shell would take apart is quoted.
    """
    names = [name for name in dict.fromkeys(known) if len(name) <= LONGEST]
    found = _like(word.lower(), names, most) if len(word) <= LONGEST else []
    return f"did you mean {' or '.join(map(_quoted, found))}?" if found else ""


def _like(word: str, names: list[str], most: int) -> list[str]:
    folded = [name.lower() for name in names]
    at = [number for number, name in enumerate(folded) if len(word) > 1 and name.startswith(word)]
    at += [number for number, name in enumerate(folded) if len(word) > 2 and word in name and number not in at]
    if not at:
        # Loaded only for who has made a slip.
        import difflib

        at = [folded.index(name) for name in difflib.get_close_matches(word, folded, most, cutoff=0.7)]
    return [names[number] for number in dict.fromkeys(at)][:most]


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.:/@%+=,\[\]-]+", name) else repr(name)
