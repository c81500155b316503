"""JSON as other programs may rely on it: ``schema`` first, ASCII only, keys in a fixed order.

The standard library's json is loaded when JSON is written: every command imports this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mntscope.model import Mount, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mntscope.graph import Leak
    from mntscope.propagation import Effect


def mount_json(mount: Mount) -> dict[str, Any]:
    """One mount; fields are added over time, never renamed."""
    return {
        "mount_id": mount.mount_id,
        "parent_id": mount.parent_id,
        "device": mount.device,
        "root": mount.root,
        "mount_point": mount.mount_point,
        "options": list(mount.options),
        "peer_group": mount.peer_group,
        "master": mount.master,
        "propagate_from": mount.propagate_from,
        "unbindable": mount.unbindable,
        "fs_type": mount.fs_type,
        "source": mount.source,
        "super_options": list(mount.super_options),
        "propagation": mount.propagation,
        "unknown_tags": list(mount.unknown_tags),
    }


def effect_json(effect: Effect) -> dict[str, Any]:
    """One effect of a prediction: the mount before and after it, and whether it crosses into another namespace."""
    return {
        "namespace": effect.namespace,
        "change": effect.change,
        "path": effect.path,
        "before": None if effect.before is None else mount_json(effect.before),
        "after": None if effect.after is None else mount_json(effect.after),
        "crosses": effect.crosses,
    }


def leak_json(leak: Leak) -> dict[str, Any]:
    """What every document tells of a leak, before what it tells beside."""
    return {
        "direction": leak.direction,
        "path": leak.path,
        "lands_at": list(leak.lands_at),
        "via": leak.via,
        "peer_group": leak.peer_group,
        "severity": leak.severity,
    }


def problems_json(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """What was not seen, as every document lists it."""
    return [{"what": problem.what, "where": problem.where} for problem in problems]


def json_text(command: str, document: Mapping[str, Any]) -> str:
    r"""The document of ``mntscope <command>`` as text, its schema first.

    Everything outside ASCII is escaped: a byte that is not UTF-8 survives as ``\udcff`` (surrogateescape), and
    nothing in it can move a terminal.
    """
    return indented({"schema": f"mntscope.{command}/1", **document}) + "\n"


def encoder() -> Callable[[str], str]:
    """The function that makes JSON of a text: quoted, and all outside ASCII escaped."""
    from json.encoder import encode_basestring_ascii

    return encode_basestring_ascii


def indented(value: Any, line: str = "\n") -> str:
    """What ``json.dumps(value, indent=2)`` gives; each *line* but the first begins so.

    With an indent, json encodes in Python, through a generator a level: of long lists that takes most of the time.
    """
    return _indented(value, line, encoder())


def _indented(value: Any, line: str, encoded: Callable[[str], str]) -> str:
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
        return f"[{deeper}{f',{deeper}'.join([_indented(item, deeper, encoded) for item in value])}{line}]"
    if kind is dict and value and all(type(key) is str for key in value):
        items = [f"{encoded(key)}: {_indented(item, deeper, encoded)}" for key, item in value.items()]
        return f"{{{deeper}{f',{deeper}'.join(items)}{line}}}"
    import json

    return json.dumps(value, indent=2).replace("\n", line)
