"""How mounts hang together: the tree of one view, and the peer groups of several."""

from __future__ import annotations

from mntscope.graph.leaks import Leak, leaks, leaks_in, leaks_to
from mntscope.graph.names import GroupNames
from mntscope.graph.namespaces import by_namespace, first_of_namespace, host_first, same_namespace
from mntscope.graph.peers import Member, PeerGraph, PeerGroup, Receiver
from mntscope.graph.severity import Remedy, Severity
from mntscope.graph.tree import MountTree, PathNode, Place, path_at, place_at

__all__ = [
    "GroupNames",
    "Leak",
    "Member",
    "MountTree",
    "PathNode",
    "PeerGraph",
    "PeerGroup",
    "Place",
    "Receiver",
    "Remedy",
    "Severity",
    "by_namespace",
    "first_of_namespace",
    "host_first",
    "leaks",
    "leaks_in",
    "leaks_to",
    "path_at",
    "place_at",
    "same_namespace",
]
