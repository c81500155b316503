"""Path lookup: from a path, as a process sees it, to a mount and a place in its filesystem.

fs/namei.c. A lookup begins at the process's root directory *without* stepping onto what is mounted over it;
at every later component, ``..`` too, it crosses to the topmost mount there. So the result of ``/`` may be
covered, the result of any other path is not.
"""

from __future__ import annotations

from mntscope.base.paths import below
from mntscope.base.records import NamedTuple
from mntscope.errors import UsageError
from mntscope.propagation.errno import Failure
from mntscope.propagation.mounts import Node
from mntscope.propagation.world import Viewpoint, World


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
    here = Found(viewpoint.root, viewpoint.directory)
    for name in path.split("/")[1:]:
        if is_file(world, here.place):
            raise Failure("ENOTDIR")
        if name == "..":
            here = _topmost(_parent(viewpoint, here))
        elif name not in ("", "."):
            place = below(here.place, f"/{name}")
            if place not in here.node.mounted and not exists(world, place):
                raise Failure("ENOENT")
            here = _topmost(Found(here.node, place))
    if here.node.hidden:
        world.uncertain[f"{path} lies in a mount that no view shows: whether it is shared is not known"] = None
    return here


def lookup_target(world: World, viewpoint: Viewpoint, path: str) -> Found:
    """What is mounted, bound or moved onto, and what umount(2) takes: the top of the stack, for ``/`` too."""
    return _topmost(lookup(world, viewpoint, path))


def _topmost(found: Found) -> Found:
    """What is seen there: the root of the topmost mount, if anything is mounted."""
    child = found.node.mounted.get(found.place)
    if child is None:
        return found
    top = child.top()
    return Found(top, top.root)


def _parent(viewpoint: Viewpoint, found: Found) -> Found:
    """The directory ``..`` names; in the root directory, and in what covers it, the same again (follow_dotdot())."""
    root = Found(viewpoint.root, viewpoint.directory)
    step = found
    while step != root and step.is_mount_root and step.node.parent is not None:
        step = Found(step.node.parent, step.node.place)
    if step == root or step.is_mount_root:
        return found
    return Found(step.node, step.place.rpartition("/")[0] or "/")


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
