"""Views written as the tables they come from, and tables that no kernel wrote."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import strategies as st

from mntscope.model import Mount, Namespace, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot


def view(label: str, table: str | bytes, *, namespace: Namespace | None = None, **given: Any) -> View:
    """The view of a table; lines may be indented, and leave out what follows the optional fields."""
    if isinstance(table, str):
        lines = [line.strip() for line in table.strip().splitlines()]
        full = [line if " - " in line else f"{line} - tmpfs none rw" for line in lines]
        table = os.fsencode("".join(f"{line}\n" for line in full))
    return View(label, tuple(parse_mountinfo(table, file=label)), namespace or Namespace(), **given)


def two(host: str | bytes, target: str | bytes) -> Snapshot:
    """A snapshot of a host and a target."""
    return Snapshot((view("host", host), view("target", target)), "host")


def process(pid_namespace: int | None) -> Process:
    return Process(pid=1, pid_namespace=pid_namespace)


def at(view: View, mount_point: str) -> Mount:
    """The first mount at a mount point."""
    return next(mount for mount in view.mounts if mount.mount_point == mount_point)


_PATHS = ("/", "/a", "/a/b", "/ab", "/a/b/c", "/proc", "/x", "a", "", "//", "/a/", "/\x01")
_ROOTS = ("/", "/a", "/a/b", "/ab", "/..", "/../x", "/../..", "/a//deleted", "mnt:[1]", "", "/\x01")
_NUMBER = st.integers(0, 6)

hostile_mounts = st.builds(
    Mount,
    mount_id=_NUMBER,
    parent_id=_NUMBER,
    device=st.sampled_from(["0:1", "0:2"]),
    root=st.sampled_from(_ROOTS),
    mount_point=st.sampled_from(_PATHS),
    options=st.just(("rw",)),
    fs_type=st.sampled_from(["proc", "tmpfs"]),
    source=st.just(""),
    super_options=st.just(("rw",)),
    peer_group=st.none() | _NUMBER,
    master=st.none() | _NUMBER,
    propagate_from=st.none() | _NUMBER,
    unbindable=st.booleans(),
)
"""Any mounts at all: circles of parents and of masters, IDs given twice, groups across devices."""


def hostile_views(label: str) -> st.SearchStrategy[View]:
    """A view of such mounts."""
    return st.lists(hostile_mounts, max_size=10).map(lambda mounts: View(label, tuple(mounts)))
