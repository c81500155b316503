"""The peer graph for programs: every group, with every member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from mntscope.analysis.folding import Crossing, crossings
from mntscope.analysis.sharing import Sharing
from mntscope.graph import Member
from mntscope.graph.peers import GroupKey
from mntscope.model import View
from mntscope.output.escape import visible
from mntscope.output.writers.json import json_text, problems_json
from mntscope.output.writers.page import Page


def as_json(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.graph/1``: each group before those that receive from it."""
    ways = crossings(sharing.folded)
    return json_text(
        "graph",
        {
            "host": sharing.host,
            "about": sharing.about or None,
            "namespaces": [_namespace_json(view, sharing) for view in sharing.namespaces],
            "groups": [_group_json(key, ways.get(key, ""), sharing) for key in sharing.groups],
            "not_seen": problems_json(sharing.not_seen),
        },
    )


def _namespace_json(view: View, sharing: Sharing) -> dict[str, Any]:
    return {
        "label": view.label,
        "name": sharing.names.view(view.label),
        "inode": view.namespace.inode,
        "owner": str(view.namespace.owner) if view.namespace.owner else None,
        "mounts": len(view.mounts),
    }


def _group_json(key: GroupKey, way: Crossing, sharing: Sharing) -> dict[str, Any]:
    group = sharing.graph.groups[key]
    links = sharing.links
    return {
        "peer_group": group.number,
        "device": group.device,
        "name": sharing.names.group(key),
        "master": group.master,
        "depth": group.depth,
        "seen": not group.external,
        "crosses": way or None,
        "marked": key in sharing.marked,
        "namespaces": [links.label(namespace) for namespace in links.namespaces(group.members)],
        "members": [_member_json(member, sharing) for member in group.members],
        # A slave that is in a group of its own is a member there.
        "slaves": [_member_json(slave, sharing) for slave in group.slaves if slave.mount.peer_group is None],
    }


def _member_json(member: Member, sharing: Sharing) -> dict[str, Any]:
    mount = member.mount
    return {
        "namespace": sharing.links.label(sharing.links.namespace(member.label)),
        "view": member.label,
        "mount_id": mount.mount_id,
        "mount_point": mount.mount_point,
        "root": mount.root,
        "fs_type": mount.fs_type,
        "source": mount.source,
    }


_KEYS = (
    ("node", "kind", "string"),
    ("node", "label", "string"),
    ("node", "peer_group", "long"),
    ("node", "device", "string"),
    ("node", "crosses", "string"),
    ("node", "mounts", "int"),
    ("edge", "relation", "string"),
    ("edge", "at", "string"),
)


def as_graphml(sharing: Sharing, page: Page) -> str:  # noqa: ARG001
    """GraphML (graphml.graphdrawing.org): nodes are namespaces and groups.

    Edges are from a namespace to a group of which it has a ``member``, from a group to a namespace that has a ``slave``
    of it, and from a group to one whose ``master`` it is. Text is made visible, as XML cannot hold all that names can.
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">',
        *(f'<key id="{of}-{name}" for="{of}" attr.name="{name}" attr.type="{kind}"/>' for of, name, kind in _KEYS),
        '<graph id="peers" edgedefault="directed">',
        *_nodes_and_edges(sharing),
        "</graph>",
        "</graphml>",
    ]
    return "\n".join(lines) + "\n"


def _nodes_and_edges(sharing: Sharing) -> Iterator[str]:
    ways = crossings(sharing.folded)
    groups, links = sharing.graph.groups, sharing.links
    for view in sharing.namespaces:
        kept = {"kind": "namespace", "label": sharing.names.view(view.label), "mounts": len(view.mounts)}
        yield _element("node", {"id": f"n{links.namespace(view.label)}"}, kept)
    for key in sharing.groups:
        kept = {
            "kind": "group" if groups[key].members else "unseen group",
            "label": sharing.names.group(key),
            "peer_group": key[1],
            "device": key[0],
            "crosses": ways.get(key, ""),
            "mounts": len(groups[key].members),
        }
        yield _element("node", {"id": _id(key)}, kept)
    drawn = set(sharing.groups)
    for key in sharing.groups:
        group = groups[key]
        for namespace, at in _places(group.members, sharing):
            yield _element("edge", {"source": f"n{namespace}", "target": _id(key)}, {"relation": "member", "at": at})
        lone = [slave for slave in group.slaves if slave.mount.peer_group is None]
        for namespace, at in _places(lone, sharing):
            yield _element("edge", {"source": _id(key), "target": f"n{namespace}"}, {"relation": "slave", "at": at})
        if group.master is not None and (key[0], group.master) in drawn:
            yield _element("edge", {"source": _id((key[0], group.master)), "target": _id(key)}, {"relation": "master"})


def _id(key: GroupKey) -> str:
    return f"g{visible(key[0])}-{key[1]}"


def _places(members: Iterable[Member], sharing: Sharing) -> Iterator[tuple[int, str]]:
    """A namespace and where it has one of the mounts; each mount of it once."""
    found = {
        (sharing.links.namespace(member.label), member.mount.mount_id): member.mount.mount_point for member in members
    }
    return ((namespace, at) for (namespace, _), at in found.items())


def _element(name: str, attributes: dict[str, str], data: dict[str, Any]) -> str:
    # Looked up only here: it brings along all that Python knows of the network.
    from xml.sax.saxutils import escape, quoteattr

    head = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    inside = "".join(
        f'<data key="{name}-{key}">{escape(visible(str(value)))}</data>' for key, value in data.items() if value != ""
    )
    return f"<{name}{head}>{inside}</{name}>"
