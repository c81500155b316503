"""The table of mounts, and the snapshot that it is a table of."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd

from mntscope.archive.document import from_document, to_document
from mntscope.base.records import replace
from mntscope.errors import UsageError
from mntscope.frames.columns import PROPAGATIONS, category, number, pids, text, truth
from mntscope.frames.escapes import unescape
from mntscope.graph import GroupNames, PeerGraph
from mntscope.graph.leaks import crossing_mounts
from mntscope.model import Mount, View
from mntscope.parse.escapes import split_options
from mntscope.snapshot import Snapshot

SNAPSHOT = "mntscope.snapshot"
"""The attribute of the frame that tells what its rows do not: the snapshot's document, but for its mounts."""


def mounts_of(snapshot: Snapshot) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.mounts` gives; it says what the columns are."""
    graph = PeerGraph.of(snapshot.views)
    names = GroupNames(graph, snapshot.host_label)
    crossing = crossing_mounts(graph, snapshot.host_label)
    neither = (False, False)
    crosses: list[tuple[bool | None, bool | None]] = []
    for view in snapshot.views:
        crosses += crossing.get(view.label, [(None, None) if view.detached else neither] * len(view.mounts))
    frame = _table(
        snapshot.views,
        graph,
        name=lambda view: names.view(view.label),
        leaks_out=[out for out, _ in crosses],
        leaks_in=[into for _, into in crosses],
    )
    frame.attrs[SNAPSHOT] = json.dumps(to_document(_without_mounts(snapshot)))
    return frame


def mounts_of_view(view: View) -> pd.DataFrame:
    """The frame that :func:`mntscope.frames.mounts` gives for one view: as no host is known, nor is what leaks."""
    nothing: list[bool | None] = [None] * len(view.mounts)
    return _table((view,), PeerGraph.of([view]), name=lambda view: view.label, leaks_out=nothing, leaks_in=nothing)


def _table(
    views: tuple[View, ...],
    graph: PeerGraph,
    *,
    name: Callable[[View], str],
    leaks_out: list[bool | None],
    leaks_in: list[bool | None],
) -> pd.DataFrame:
    mounts = [mount for view in views for mount in view.mounts]

    def of_view(what: Callable[[View], Any]) -> Iterator[Any]:
        return (value for view in views for value in [what(view)] for _ in view.mounts)

    hidden = [graph.tree(view.label).hidden(mount) for view in views for mount in view.mounts]
    return pd.DataFrame(
        {
            "namespace": category(of_view(name), list(dict.fromkeys(map(name, views)))),
            "view": category(of_view(lambda view: view.label), [view.label for view in views]),
            "owner": category(of_view(lambda view: view.namespace.owner and str(view.namespace.owner))),
            "inode": number(of_view(lambda view: view.namespace.inode)),
            "pids": category(of_view(lambda view: pids(view.namespace.processes))),
            "mount_id": number(mount.mount_id for mount in mounts),
            "parent_id": number(mount.parent_id for mount in mounts),
            "device": text(mount.device for mount in mounts),
            "root": text(mount.root for mount in mounts),
            "mount_point": text(mount.mount_point for mount in mounts),
            "options": text(",".join(mount.options) for mount in mounts),
            "fs_type": category(mount.fs_type for mount in mounts),
            "source": text(mount.source for mount in mounts),
            "super_options": text(",".join(mount.super_options) for mount in mounts),
            "peer_group": number(mount.peer_group for mount in mounts),
            "master": number(mount.master for mount in mounts),
            "propagate_from": number(mount.propagate_from for mount in mounts),
            "unbindable": truth(mount.unbindable for mount in mounts),
            "unknown_tags": category(" ".join(mount.unknown_tags) for mount in mounts),
            "propagation": category((mount.propagation for mount in mounts), PROPAGATIONS),
            "hidden": truth(hidden),
            "leaks_out": pd.Series(leaks_out, dtype="boolean"),
            "leaks_in": pd.Series(leaks_in, dtype="boolean"),
        }
    )


def _without_mounts(snapshot: Snapshot) -> Snapshot:
    """But for those that were written as the kernel would not write them, as columns do not tell of spelling."""
    return snapshot.with_views(
        replace(view, mounts=tuple(mount for mount in view.mounts if mount.spelling is not None))
        for view in snapshot.views
    )


def snapshot_of(frame: pd.DataFrame) -> Snapshot:
    """The snapshot of which *frame* is the table, as :meth:`mntscope.Snapshot.from_frame` gives it.

    :raises UsageError: :func:`mounts_of` did not make the frame, or it is of several snapshots.
    """
    document = frame.attrs.get(SNAPSHOT)
    if not isinstance(document, str):
        raise UsageError(
            "the frame does not tell which snapshot it is of", hint="give one that .frame() made, not several joined"
        )
    rest = from_document(document, "the frame")
    tables: dict[str, list[Mount]] = {view.label: [] for view in rest.views}
    spelled = {(view.label, mount): mount for view in rest.views for mount in view.mounts}
    for label, mount in _rows(frame):
        if label not in tables:
            raise UsageError(f"the snapshot of the frame has no view {label!r}")
        tables[label].append(spelled.get((label, mount), mount))
    return rest.with_views(replace(view, mounts=tuple(tables[view.label])) for view in rest.views)


def _rows(frame: pd.DataFrame) -> Iterator[tuple[str, Mount]]:
    missing = {"view", *_FIELDS} - set(frame.columns)
    if missing:
        raise UsageError(f"the frame lacks {', '.join(sorted(missing))}", hint="give it with all columns of .frame()")
    labels = (unescape(label) for label in frame["view"].astype("object"))
    try:
        columns = {name: read(frame[name].astype("object")) for name, read in _FIELDS.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"the frame tells of no mounts: {error}") from None
    return zip(labels, map(Mount, *(columns[field] for field in _FIELDS)), strict=True)


def _names(values: Iterable[Any]) -> list[str]:
    known: dict[str, str] = {}
    return [known[value] if value in known else known.setdefault(value, unescape(value)) for value in values]


def _numbers(values: Iterable[Any]) -> list[int]:
    return [int(value) for value in values]


def _maybe_numbers(values: Iterable[Any]) -> list[int | None]:
    return [None if value is pd.NA or value is None or value != value else int(value) for value in values]  # noqa: PLR0124


def _lists(split: Callable[[str], tuple[str, ...]]) -> Callable[[Iterable[Any]], list[tuple[str, ...]]]:
    def read(values: Iterable[Any]) -> list[tuple[str, ...]]:
        known: dict[str, tuple[str, ...]] = {"": ()}
        return [known[value] if value in known else known.setdefault(value, split(unescape(value))) for value in values]

    return read


_FIELDS: dict[str, Callable[[Any], list[Any]]] = {
    "mount_id": _numbers,
    "parent_id": _numbers,
    "device": _names,
    "root": _names,
    "mount_point": _names,
    "options": _lists(split_options),
    "fs_type": _names,
    "source": _names,
    "super_options": _lists(split_options),
    "peer_group": _maybe_numbers,
    "master": _maybe_numbers,
    "propagate_from": _maybe_numbers,
    "unbindable": lambda values: [bool(value) for value in values],
    "unknown_tags": _lists(lambda text: tuple(text.split(" "))),
}
"""The columns that are fields of :class:`~mntscope.model.Mount`, in its order, and how each is read."""
