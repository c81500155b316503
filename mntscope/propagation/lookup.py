"""Path lookup: from a path, as a process sees it, to a mount and a dentry of its filesystem.

fs/namei.c, path_lookupat() (Linux 6.18). A lookup begins at the process's root directory *without* stepping onto what
is mounted over it; at every later component, ``..`` too, it crosses to the topmost mount there. So the result of ``/``
may be covered, the result of any other path is not.
"""

from __future__ import annotations

from mntscope.errors import UsageError
from mntscope.propagation.errno import Errno
from mntscope.propagation.mounts import FsRoot, Path
from mntscope.propagation.world import World


def lookup(world: World, root: FsRoot, path: str) -> Path:
    """What *path* names for a process with this root directory.

    :raises Errno: ENOENT, or ENOTDIR where a file is used as a directory.
    :raises UsageError: the path is not absolute (a working directory is not known).
    """
    if not path.startswith("/"):
        raise UsageError(f"{path!r} is not an absolute path", hint="the working directory is not known")
    mount, dentry = root.path
    # A path may have as many components as there are mounts: no more is made of each than is needed.
    for name in path.split("/")[1:]:
        if is_file(world, dentry):
            raise Errno("ENOTDIR")
        if name == "..":
            mount, dentry = traverse_mounts(follow_dotdot(root, Path(mount, dentry)))
        elif name not in ("", "."):
            there = f"/{name}" if dentry == "/" else f"{dentry}/{name}"
            child = mount.mounted.get(there)
            if child is not None:
                mount = child.topmost_overmount()
                dentry = mount.root
            elif is_deleted(Path(mount, dentry)) or not exists(world, there):
                raise Errno("ENOENT")
            else:
                dentry = there
    if mount.hidden:
        world.uncertain[f"{path} lies in a mount that no view shows: whether it is shared is not known"] = None
    return Path(mount, dentry)


def lookup_target(world: World, root: FsRoot, path: str) -> Path:
    """What is mounted, bound or moved onto, and what umount(2) takes: the top of the stack, for ``/`` too.

    fs/namespace.c, do_lock_mount(), and for umount(2) fs/namei.c, handle_lookup_down().
    """
    return traverse_mounts(lookup(world, root, path))


def traverse_mounts(path: Path) -> Path:
    """What is seen there: the root of the topmost mount, if anything is mounted (fs/namei.c, traverse_mounts())."""
    child = path.mount.mounted.get(path.dentry)
    if child is None:
        return path
    top = child.topmost_overmount()
    return Path(top, top.root)


def follow_dotdot(root: FsRoot, path: Path) -> Path:
    """The directory ``..`` names; in the root directory, and in what covers it, the same again.

    fs/namei.c, follow_dotdot() and choose_mountpoint().
    """
    step = path
    while step != root.path and step.is_mount_root and step.mount.parent is not None:
        step = Path(step.mount.parent, step.mount.mountpoint)
    if step == root.path or step.is_mount_root:
        return path
    return Path(step.mount, step.dentry.rpartition("/")[0] or "/")


def exists(world: World, dentry: str) -> bool:
    """Whether every filesystem holds *dentry*; where that is not known, it is taken to."""
    skeleton = world.snapshot.skeleton
    if skeleton is None or dentry == "/":
        return True
    return dentry[1:] in skeleton.dirs or dentry[1:] in skeleton.files


def is_deleted(path: Path) -> bool:
    """Whether it is known to be a directory or file that was removed while a mount shows it.

    Nothing can be mounted on it or found in it (d_set_mounted() in fs/dcache.c), and no bind be made of it. Two slashes
    are in no other root that the kernel prints (prepend_path() in fs/d_path.c).
    """
    return path.is_mount_root and path.mount.record.root.endswith("//deleted")


def may_be_mounted_on(place: Path) -> bool:
    """Whether it is a directory or file that is still there, of a mount that is.

    The root of a process may be neither, once it was unmounted lazily: ENOENT, as seen on Linux 6.18.
    """
    return not is_deleted(place) and place.mount.namespace is not None


def is_file(world: World, dentry: str) -> bool:
    """Whether *dentry* is known to be a file and not a directory."""
    skeleton = world.snapshot.skeleton
    return skeleton is not None and dentry[1:] in skeleton.files
