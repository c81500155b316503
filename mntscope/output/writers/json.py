"""JSON as other programs may rely on it: ``schema`` first, ASCII only, keys in a fixed order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mntscope.model import Mount, Problem

if TYPE_CHECKING:
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
    """One effect of a prediction."""
    return {
        "namespace": effect.namespace,
        "change": effect.change,
        "path": effect.path,
        "before": None if effect.before is None else mount_json(effect.before),
        "after": None if effect.after is None else mount_json(effect.after),
        "crosses": effect.crosses,
    }


def problems_json(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """What was not seen."""
    return [{"what": problem.what, "where": problem.where} for problem in problems]


def json_text(command: str, document: Mapping[str, Any]) -> str:
    r"""The document of ``mntscope <command>`` as text, its schema first.

    Everything outside ASCII is escaped: a byte that is not UTF-8 survives as ``\udcff`` (surrogateescape), and
    nothing in it can move a terminal.
    """
    from mntscope.output.writers.indented import indented

    return indented({"schema": f"mntscope.{command}/1", **document}) + "\n"
