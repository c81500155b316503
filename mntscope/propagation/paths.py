"""Path lookup: from a path, as a process sees it, to a mount and a place in its filesystem.

fs/namei.c. A lookup begins at the process's root directory *without* stepping onto what is mounted over it;
at every later component it crosses to the topmost mount there. So the result of ``/`` may be covered, the
result of any other path is not.
"""

from __future__ import annotations

from typing import NamedTuple

from mntscope.errors import UsageError
from mntscope.places import below, normal
from mntscope.propagation.failure import Failure
from mntscope.propagation.world import Node, Viewpoint, World


class Found(NamedTuple):
    """A looked-up path: a directory or file inside one mount."""

    node: Node
    place: str

    @property
    def is_mount_root(self) -> bool:
        """Whether it is the root of the mount: what umount and make-* ask for."""
        return self.place == self.node.root


def lookup(world: World, viewpoint: Viewpoint, path: str) -> Found:
    """What *path* names.

    :raises Failure: ENOENT, or ENOTDIR where a file is used as a directory.
    :raises UsageError: the path is not absolute (a working directory is not known).
    """
    if not path.startswith("/"):
        raise UsageError(f"{path!r} is not an absolute path", hint="the working directory is not known")
    node, place = viewpoint.root, viewpoint.directory
    for name in normal(path).split("/")[1:]:
        if not name:
            continue
        if is_file(world, place):
            raise Failure("ENOTDIR")
        place = below(place, f"/{name}")
        child = node.mounted.get(place)
        if child is None and not exists(world, place):
            raise Failure("ENOENT")
        while child is not None:
            node, place = child, child.root
            child = node.mounted.get(place)
    if node.hidden:
        world.uncertain[f"{path} lies in a mount that no view shows: whether it is shared is not known"] = None
    return Found(node, place)


def lookup_target(world: World, viewpoint: Viewpoint, path: str) -> Found:
    """What a mount, bind or move onto *path* is attached to: the top of the stack, for ``/`` too."""
    found = lookup(world, viewpoint, path)
    child = found.node.mounted.get(found.place)
    if child is None:
        return found
    top = child.top()
    return Found(top, top.root)


def exists(world: World, place: str) -> bool:
    """Whether every filesystem holds *place*; where that is not known, it is taken to."""
    skeleton = world.snapshot.skeleton
    if skeleton is None or place == "/":
        return True
    return place[1:] in skeleton.dirs or place[1:] in skeleton.files


def is_file(world: World, place: str) -> bool:
    """Whether *place* is known to be a file and not a directory."""
    skeleton = world.snapshot.skeleton
    return skeleton is not None and place[1:] in skeleton.files
