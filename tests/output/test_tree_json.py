"""The JSON of a tree is written from a template, and that of everything else in one go: as json would write it."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.analysis.listing import BOUND, FEW, NOWHERE, Listing, Row, listing
from mntscope.model import View
from mntscope.output.tree import DEEPEST, FORMATS, PLACES
from mntscope.output.writers.json import indented, mount_json
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.support import strategies
from tests.support.tables import hostile_views, view

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=4))
VALUES = st.recursive(
    SCALARS | st.tuples(SCALARS),
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), values, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_indented_is_what_json_gives(value: Any) -> None:
    assert indented(value) == json.dumps(value, indent=2)


@pytest.mark.parametrize("value", [[], {}, (), [[]], {"a": {}}, {"\udcff": "\x1b\ud800"}, {1: [2], None: ()}, [1e999]])
def test_the_odd_ones_too(value: Any) -> None:
    assert indented(value) == json.dumps(value, indent=2)


def plain_nodes(found: Listing) -> list[dict[str, Any]]:
    """The definition: a record a mount, with its children in it as deep as they are nested."""
    top: list[dict[str, Any]] = []
    places: list[tuple[list[dict[str, Any]], int]] = []
    for row in found.rows:
        siblings, depth = (top, 0) if row.parent == NOWHERE else places[row.parent]
        siblings.append(node := plain_node(row, found))
        places.append((siblings, depth) if depth == DEEPEST else (node["children"], depth + 1))
    return top


def plain_node(row: Row, found: Listing) -> dict[str, Any]:
    label, names = found.view.label, found.names
    share = max(FEW, BOUND // len(found.view.mounts))
    return {
        **mount_json(row.mount),
        "hidden": bool(row.state),
        "overmounted": row.state == "overmounted",
        "peers": [
            {
                "namespace": peer.label,
                "name": names.view(peer.label),
                "mount_id": peer.mount.mount_id,
                "mount_point": peer.mount.mount_point,
            }
            for peer in islice(names.members(label, row.mount), share)
        ],
        "peer_count": names.member_count(label, row.mount),
        "peer_names": names.peers(label, row.mount),
        "master_name": None if row.mount.master is None else names.group((row.mount.device, row.mount.master)),
        "leaks": [
            {
                "from": crossing.source,
                "to": crossing.to,
                "path": crossing.leak.path,
                "lands_at": list(crossing.leak.lands_at[:PLACES]),
                "severity": crossing.leak.severity,
            }
            for crossing in row.crossings
        ],
        "leak_count": row.crossing_count,
        "children": [],
    }


def check(found: Listing) -> None:
    """The text is json's of the plain records."""
    text = FORMATS["json"](found, Page())
    document = json.loads(text)
    assert text == json.dumps({**document, "tree": plain_nodes(found)}, indent=2) + "\n"


@given(strategies.views(("host", "a", "b")), st.sampled_from(["host", "a"]), st.none() | st.just("/a"))
def test_the_nodes_are_those_of_the_plain_records(views: tuple[View, ...], label: str, path: str | None) -> None:
    check(listing(Snapshot(views, "host"), label, path))


@given(hostile_views("host"), hostile_views("a"), st.sampled_from(["host", "a"]), st.sets(st.just("shared")))
def test_so_they_are_of_tables_that_no_kernel_wrote(host: View, other: View, label: str, only: set[str]) -> None:
    check(listing(Snapshot((host, other), "host"), label, only=only))


@pytest.mark.parametrize("height", [1, DEEPEST, DEEPEST + 1, DEEPEST + 2, 40])
def test_so_they_are_of_a_deep_stack(height: int) -> None:
    mounts = "".join(f"{n} {n - 1} 0:5 / /mnt rw\n{1000 + n} {n} 0:6 / /mnt/x rw\n" for n in range(2, height + 1))
    check(listing(Snapshot((view("host", f"1 0 0:1 / / rw\n{mounts}9 1 0:7 / /last rw shared:1"),), "host"), "host"))
