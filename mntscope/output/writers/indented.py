"""JSON for people to read, made as fast as for programs."""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as encoded
from typing import Any

__all__ = ["encoded", "indented"]


def indented(value: Any, line: str = "\n") -> str:
    """What ``json.dumps(value, indent=2)`` gives; each *line* but the first begins so.

    With an indent, json encodes in Python, through a generator a level: of long lists that takes most of the time.
    """
    kind = type(value)
    if kind is str:
        return encoded(value)
    if value is None:
        return "null"
    if kind is int:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    deeper = f"{line}  "
    if kind is list:
        if not value:
            return "[]"
        return f"[{deeper}{f',{deeper}'.join([indented(item, deeper) for item in value])}{line}]"
    if kind is dict and value and all(type(key) is str for key in value):
        items = [f"{encoded(key)}: {indented(item, deeper)}" for key, item in value.items()]
        return f"{{{deeper}{f',{deeper}'.join(items)}{line}}}"
    return json.dumps(value, indent=2).replace("\n", line)
