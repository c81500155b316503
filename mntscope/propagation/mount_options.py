"""What becomes of a mount's options, field 6 of its line, when a system call sets some."""

from __future__ import annotations

from collections.abc import Collection

from mntscope.propagation import operations as ops

ATIME = {"noatime", "nodiratime", "relatime"}
_TIMES = frozenset(("noatime", "relatime", "strictatime"))
"""MOUNT_ATTR__ATIME."""


def remounted(options: tuple[str, ...], operation: ops.Remount) -> tuple[str, ...]:
    """Field 6 after a remount: what is kept is atime, if none is given, and what it cannot set.

    fs/namespace.c, path_mount().
    """
    flags = set(operation.flags)
    if flags.isdisjoint(ATIME | {"strictatime"}):
        flags |= ATIME & {*options}
    elif "strictatime" in flags:
        flags -= {"noatime", "relatime"}
    else:
        flags = flags - {"relatime"} if "noatime" in flags else flags | {"relatime"}
    return _in_order(options, flags, ro=operation.ro)


def with_attributes(options: tuple[str, ...], attributes: tuple[str, ...]) -> tuple[str, ...]:
    """*options* with those that mount_setattr(2) sets; of atime there is one."""
    times = _TIMES if _TIMES & {*attributes} else frozenset[str]()
    flags = {*(option for option in options if option not in times), *attributes}
    # What the kernel shows of an idmapped mount (show_mnt_opts()), and no flag of a remount is.
    mapped = ("idmapped",) if "idmapped" in attributes and "idmapped" not in options else ()
    return _in_order((*options, *mapped), flags, ro="ro" in flags)


def _in_order(options: tuple[str, ...], flags: Collection[str], *, ro: bool) -> tuple[str, ...]:
    """Field 6 with these *flags*, and what else is in *options*: no call sets that."""
    others = (option for option in options if option not in (*ops.FLAGS, "ro", "rw"))
    return ("ro" if ro else "rw", *(flag for flag in ops.FLAGS if flag in flags), *others)


def with_access(options: tuple[str, ...], *, ro: bool) -> tuple[str, ...]:
    """*options* with ``ro`` or ``rw`` in the place of either."""
    return tuple(("ro" if ro else "rw") if option in ("ro", "rw") else option for option in options)
