"""Hypothesis strategies for mounts, tables and views, shared by every property test.

Whatever they give, a kernel could have printed: names are any bytes but NUL (decoded with surrogateescape, as in
the model), options hold no separators of their own. What no kernel prints is in :func:`bad_lines`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from mntscope.model import Mount, View

MOST_ID = 2**31 - 1
"""The kernel's mount and group ids are positive ints."""

_FLAGS = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow", "idmapped")
_TREE_NAMES = ("a", "b", "proc", "with space", "esc\\040aped", "\udcff", "ż")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _bytes(excluded: bytes = b"", *, min_size: int = 0) -> st.SearchStrategy[str]:
    """Text of any bytes but NUL and *excluded*, mostly of those that trip parsers."""
    tricky = [bytes((byte,)) for byte in b' \t\n\v\f\r\\#-:,="\x1c\x85\xa0\xff/a0' if byte not in excluded]
    some = st.sampled_from([*tricky, *(piece for piece in (b"\\040", "é".encode()) if not set(piece) & set(excluded))])
    others = st.sampled_from([bytes((byte,)) for byte in range(1, 256) if byte not in excluded])
    return st.lists(some | others, min_size=min_size, max_size=8).map(b"".join).map(_decoded)


# Made once: building a strategy costs more than drawing from it.
_COMPONENT = _bytes(b"/", min_size=1).filter(lambda name: name not in (".", ".."))
_PATH = st.lists(_COMPONENT, max_size=3).map(lambda parts: "/" + "/".join(parts))
_ROOT = st.one_of(
    _PATH,
    _PATH,
    _PATH.map(lambda path: f"{path}//deleted"),
    st.sampled_from(["/..", "/../../..", "mnt:[4026532568]", "net:[4026531993]"]),
)
_DEVICE = st.builds("{}:{}".format, st.integers(0, 4095), st.integers(0, 2**20 - 1))
_OPTIONS = st.builds(
    lambda access, flags: (access, *(flag for flag in _FLAGS if flag in flags)),
    st.sampled_from(["rw", "ro"]),
    st.sets(st.sampled_from(_FLAGS)),
)
_FS_TYPE = st.sampled_from(["proc", "tmpfs", "ext4", "overlay", "fuse.sshfs", "nfs4"]) | _bytes(min_size=1)
_SOURCE = st.sampled_from(["proc", "/dev/vda1", "", "-", "shared:1", "none"]) | _bytes()
_SUPER_OPTION = st.one_of(
    st.sampled_from(["size=4k", "path=C:\\Program Files", "a - b", "lowerdir=/l\\:1:/l2", ""]),
    _bytes(b'\n,"'),
    _bytes(b'\n,"').map('lowerdir=/a"{}'.format),
    _bytes(b'\n"').map('context="{}"'.format),
)
_SUPER_OPTIONS = st.builds(
    lambda access, others: (access, *others), st.sampled_from(["rw", "ro"]), st.lists(_SUPER_OPTION, max_size=3)
)
_GROUP = st.none() | st.integers(1, 50) | st.integers(1, MOST_ID)
_TAG = st.sampled_from(
    ["x", "shared", "sharedX:1", "mas\\040ter:1", "unbindable:1", "-x", "--", "key:value", "\udcff\r"]
)


def paths() -> st.SearchStrategy[str]:
    """Absolute, normal paths whose names are any bytes but NUL."""
    return _PATH


def roots() -> st.SearchStrategy[str]:
    """What field 4 may say: paths, deleted ones, and what is no path."""
    return _ROOT


def mounts(*, unknown_tags: bool = False, **given: Any) -> st.SearchStrategy[Mount]:
    """Any mount a kernel could print, with the *given* fields; *unknown_tags*: one to come could."""
    return _mounts(given, unknown_tags=unknown_tags)


@st.composite
def _mounts(draw: st.DrawFn, given: dict[str, Any], *, unknown_tags: bool) -> Mount:
    fields: dict[str, Any] = {
        "mount_id": draw(st.integers(1, MOST_ID)),
        "parent_id": draw(st.integers(0, MOST_ID)),
        "device": draw(_DEVICE),
        "root": draw(_ROOT),
        "mount_point": draw(_PATH),
        "options": draw(_OPTIONS),
        "fs_type": draw(_FS_TYPE),
        "source": draw(_SOURCE),
        "super_options": draw(_SUPER_OPTIONS),
        "peer_group": draw(_GROUP),
        "master": draw(_GROUP),
        "unknown_tags": tuple(draw(st.lists(_TAG, max_size=2, unique=True))) if unknown_tags else (),
    }
    if fields["master"] is not None:
        fields["propagate_from"] = draw(_GROUP)
    if fields["peer_group"] is None:
        fields["unbindable"] = draw(st.booleans())
    return Mount(**(fields | given))


def _device(group: int) -> str:
    while group % 2 == 0:
        group //= 2
    return f"0:{group}"


@st.composite
def tables(draw: st.DrawFn, *, max_size: int = 8, first_id: int = 10) -> list[Mount]:
    """The mounts of one namespace: a tree from ``/`` down, with ids from *first_id* on.

    The few names make overmounts and hidden mounts common. Peer groups are sound, in one table and across several:
    group ``2n`` has the master ``n``, an odd group has none, and a group's device is that of its odd ancestor.
    """
    table: list[Mount] = []
    for mount_id in range(first_id, first_id + draw(st.integers(1, max_size))):
        if table:
            parent = draw(st.sampled_from(table))
            below = draw(st.lists(st.sampled_from(_TREE_NAMES), max_size=2))
            parent_id = parent.mount_id
            mount_point = "/".join([parent.mount_point.rstrip("/"), *below]) or "/"
        else:
            parent_id, mount_point = 1, "/"
        group = draw(st.integers(1, 12))
        kind = draw(st.sampled_from(["shared", "slave", "private", "unbindable"]))
        master = group if kind == "slave" else group // 2 if kind == "shared" and group % 2 == 0 else None
        table.append(
            Mount(
                mount_id=mount_id,
                parent_id=parent_id,
                device=_device(group),
                root="/" + "/".join(draw(st.lists(st.sampled_from(_TREE_NAMES), max_size=2))),
                mount_point=mount_point,
                options=("rw", "relatime"),
                fs_type="tmpfs",
                source="none",
                super_options=("rw",),
                peer_group=group if kind == "shared" else None,
                master=master,
                unbindable=kind == "unbindable",
            )
        )
    return table


@st.composite
def views(draw: st.DrawFn, labels: Iterable[str] = ("host", "target"), *, max_size: int = 8) -> tuple[View, ...]:
    """A view a label, with :func:`tables` for mounts: peer groups run across them, mount ids are unique."""
    return tuple(
        View(label=label, mounts=tuple(draw(tables(max_size=max_size, first_id=10 + 1000 * index))))
        for index, label in enumerate(labels)
    )


_GOOD = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
_NO_NUMBER = [b"", b"x", b"-1", b"+1", b"01", b"1_0", b"1.0", "٣".encode(), b"9" * 20, b"1\t"]
_NO_DEVICE = [b"", b"0", b"0:", b":0", b"a:0", b"0:0x1", b"1:2:3", b"-1:0", b"0:" + b"1" * 20]


@st.composite
def bad_lines(draw: st.DrawFn) -> bytes:
    """Lines of no table, each a good line with one thing wrong (without a newline, so perhaps empty)."""
    head, _, tail = _GOOD.partition(b" - ")
    fields = head.split(b" ")
    match draw(st.sampled_from(["cut", "indented", "number", "device", "path", "tag", "separator", "empty", "other"])):
        case "cut":
            return _GOOD[: draw(st.integers(0, _GOOD.rindex(b" ")))]
        case "indented":
            return draw(st.sampled_from([b" ", b"\t", b"\r", b"# "])) + _GOOD
        case "number":
            fields[draw(st.integers(0, 1))] = draw(st.sampled_from(_NO_NUMBER))
        case "device":
            fields[2] = draw(st.sampled_from(_NO_DEVICE))
        case "path":
            fields[4] = draw(st.sampled_from([b"relative", b".", b"none"]))
        case "tag":
            tag = draw(st.sampled_from([b"shared:", b"master:", b"propagate_from:"]))
            fields.insert(draw(st.integers(6, 7)), tag + draw(st.sampled_from(_NO_NUMBER)))
        case "separator":
            return head + draw(st.sampled_from([b" ", b" -", b"- ", b" -- ", b"\t-\t"])) + tail
        case "empty":
            index = draw(st.integers(0, 7))
            fields.insert(index, b"")
        case _:
            return draw(
                st.sampled_from([b"", b"\r", b"tmpfs on /run type tmpfs (rw)", b"proc /proc proc rw 0 0", b"\0"])
            )
    return b" ".join(fields) + b" - " + tail
