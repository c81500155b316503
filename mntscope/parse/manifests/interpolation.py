"""The variables in a compose file: what is known of them without the environment.

The syntax is that of the compose specification, 12-interpolation.md. A default is taken, as it would be where nothing
is set; what has none stays as it is written. Both are told.
"""

from __future__ import annotations

import re

from mntscope.base.records import NamedTuple

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?+])|\})|(\w+))")

DEEPEST = 8
"""Defaults in defaults."""


class Interpolated(NamedTuple):
    """A text with what is known of its variables in their place."""

    text: str
    variables: tuple[str, ...]
    """The names of those in it, each once."""


def interpolate(text: str, depth: int = 0) -> Interpolated:
    """*text* with the defaults of its variables."""
    done: list[str] = []
    names: dict[str, None] = {}
    at = 0
    while (found := _VARIABLE.search(text, at)) is not None:
        done.append(text[at : found.start()])
        at = found.end()
        escaped, name, operator, bare = found.groups()
        if escaped:
            done.append("$")
            continue
        names[name or bare] = None
        if operator is None:
            done.append(found[0])
            continue
        end = _closing(text, at)
        if end is None:
            done.append(found[0])
            continue
        if operator in ("-", ":-") and depth < DEEPEST:
            default = interpolate(text[at:end], depth + 1)
            done.append(default.text)
            names.update(dict.fromkeys(default.variables))
        elif operator not in ("+", ":+"):
            done.append(f"${{{name}}}")
        at = end + 1
    done.append(text[at:])
    return Interpolated("".join(done), tuple(names))


def _closing(text: str, at: int) -> int | None:
    """Where the brace closes that is open at *at*."""
    depth = 1
    for found in re.compile(r"\$\{|\}").finditer(text, at):
        depth += 1 if found[0] == "${" else -1
        if depth == 0:
            return found.start()
        if depth > DEEPEST:
            return None
    return None
