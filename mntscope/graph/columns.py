"""Peer groups, and what crosses between namespaces, of a million mounts that were read as columns.

Nothing is defined here. In a large machine nearly all namespaces are copies of each other, and most of their groups are
far from any of the host's; what a mount's events reach depends on its group and root only. So numbers are compared in
bulk to find which mounts are the same in this regard, and :mod:`mntscope.graph.leaks` is asked about one of each.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from mntscope.errors import MissingLibraryError

try:
    import numpy as np
    import numpy.typing as npt
except ModuleNotFoundError:
    raise MissingLibraryError("peer groups as columns", "numpy") from None

from mntscope.base.records import NamedTuple
from mntscope.graph.leaks import crossing_mounts
from mntscope.graph.namespaces import first_of_namespace
from mntscope.graph.peers import PeerGraph
from mntscope.model import Namespace, View
from mntscope.parse.columns import NONE, Columns

Ints: TypeAlias = npt.NDArray[Any]
Truths: TypeAlias = npt.NDArray[np.bool_]


class GroupColumns(NamedTuple):
    """The peer groups of :attr:`~mntscope.graph.PeerGraph.groups`, by their numbers from 0, and their mounts.

    Groups of which no more is known than that mounts receive from there (``propagate_from``) are among them. Mounts are
    given by their rows; :data:`NONE` stands for no group or mount.
    """

    device_of: Ints
    """A mount that shows the group's device."""
    numbers: Ints
    """What the kernel calls the group; on another device another one may be called the same."""
    master: Ints
    """The group it receives from. Where masters go round in a circle, as no kernel has them, they do so here."""
    members: Ints
    """How many mounts are in it."""
    slaves: Ints
    """How many mounts receive directly from it."""
    group_of: Ints
    """Of each mount the group it is in."""
    master_of: Ints
    """Of each mount the group that it names as its master."""
    first: Ints
    """The first mount that is in it, or is its slave and in no group itself."""
    first_member: Ints
    """The first mount that is in it."""
    told_by: Ints
    """The mount that tells its master."""
    home: Ints
    """Of each mount the group it is in, else its master: where in the forest of groups it is."""


class Crossings(NamedTuple):
    """What crosses between the host and others, as :func:`~mntscope.graph.leaks.crossing_mounts` says."""

    groups: GroupColumns
    out: Truths
    """Of each mount, whether its events reach the host."""
    into: Truths
    """Of each mount, whether events of the host's reach it."""


def groups_of(columns: Columns) -> GroupColumns:
    """The peer groups of the mounts of one machine."""
    own, master, beyond = (columns.ids(name) for name in ("peer_group", "master", "propagate_from"))
    shared, slaves = np.flatnonzero(own != NONE), np.flatnonzero(master != NONE)
    distant = slaves[beyond[slaves] != NONE]
    rows = np.concatenate((shared, slaves, distant))
    numbers = np.concatenate((own[shared], master[slaves], beyond[distant]))
    naming, codes = _distinct(_keys(_devices(columns)[rows], numbers))
    beyond_of = codes[len(shared) + len(slaves) :]
    group_of, master_of = np.full((2, len(columns)), NONE, np.int32)
    group_of[shared], master_of[slaves] = codes[: len(shared)], codes[len(shared) :][: len(slaves)]

    first, first_member, told_by, above = np.full((4, len(naming)), NONE, np.int32)
    _first_of(first_member, group_of[shared], shared)
    home = np.where(group_of == NONE, master_of, group_of)
    having = np.flatnonzero(home != NONE)
    _first_of(first, home[having], having)
    # Of a group without members it is known from its slaves what is above it; of others, from the first that says so.
    far = master_of[distant]
    _first_of(told_by, far, distant)
    _first_of(above, far, beyond_of)
    told_by[first_member != NONE] = above[first_member != NONE] = NONE
    both = shared[master_of[shared] != NONE]
    _first_of(told_by, group_of[both], both)
    _first_of(above, group_of[both], master_of[both])

    members = np.bincount(group_of[shared], minlength=len(naming))
    alone = slaves[group_of[slaves] == NONE]
    receiving = np.bincount(master_of[alone], minlength=len(naming))
    below = above != NONE
    np.add.at(receiving, above[below], members[below])
    return GroupColumns(
        device_of=rows[naming],
        numbers=numbers[naming],
        master=above,
        members=members,
        slaves=receiving,
        group_of=group_of,
        master_of=master_of,
        home=home,
        first=first,
        first_member=first_member,
        told_by=told_by,
    )


def crossings_of(columns: Columns, tables: Ints, host: int = 0) -> Crossings:
    """The peer groups, and what crosses, of several tables of one machine, of which one is the *host*'s.

    *columns* and *tables* are as :func:`~mntscope.parse.columns.parse_tables` gives them. Tables of one namespace are
    known by their mount IDs.
    """
    groups = groups_of(columns)
    of_host = np.flatnonzero(tables == host)
    # Where there is nothing of the host's below a group, events do not go out, and come in as they do to its master.
    near = np.append(_nearest(groups.master, _upwards(groups.master, groups.home[of_host])), NONE)[groups.home]
    asked = np.flatnonzero((near != NONE) & ~np.isin(tables, _tables_of_host(columns, tables, host)))
    codes, roots = columns.coded("root")
    sends = near[asked] == groups.group_of[asked]
    first, kinds = _distinct(near[asked].astype(np.int64) << 32 | codes[asked].astype(np.int64) << 1 | sends)
    examples = asked[first]
    climbing = np.flatnonzero(np.isin(codes, [code for code, root in enumerate(roots) if root.startswith("/..")]))
    if len(climbing):
        # How far the roots of a device climb tells where all others of it are.
        climbing = climbing[_distinct(_keys(_devices(columns)[climbing], codes[climbing]))[0]]
    rows = _with_tellers(groups, np.concatenate((examples, of_host, climbing)))
    answers = _asked(columns, rows, tables[rows], host)[np.searchsorted(rows, examples)][kinds]
    out, into = np.zeros((2, len(columns)), np.bool_)
    out[asked], into[asked] = answers.T
    return Crossings(groups, out, into)


def _asked(columns: Columns, rows: Ints, tables: Ints, host: int) -> Truths:
    """What the definition says of these *rows* in a world that has no others: whether they go out, and come in."""
    mounts = columns.mounts(rows.tolist())
    begin, end = np.searchsorted(tables, [host, host + 1]).tolist()
    # What is before the host's table stays there: of what mounts tell of their groups, the first counts.
    parts = {"before": mounts[:begin], "host": mounts[begin:end], "behind": mounts[end:]}
    views = [View(label, tuple(part), Namespace(inode=number)) for number, (label, part) in enumerate(parts.items())]
    found = crossing_mounts(PeerGraph.of(views), "host")
    none = [(False, False)] * (end - begin)
    return np.array([*found["before"], *none, *found["behind"]], np.bool_).reshape(-1, 2)


def _with_tellers(groups: GroupColumns, rows: Ints) -> Ints:
    """These *rows* and those that tell how their groups hang together, in ascending order."""
    while True:
        known = np.flatnonzero(_upwards(groups.master, groups.home[rows]))
        tellers = np.concatenate((groups.first[known], groups.first_member[known], groups.told_by[known]))
        more = np.union1d(rows, tellers[tellers != NONE])
        if len(more) == len(rows):
            return more
        rows = more


def _tables_of_host(columns: Columns, tables: Ints, host: int) -> Ints:
    """The tables that show the *host*'s namespace, its own among them."""
    ids = columns.ids("mount_id")
    ordered = np.sort(ids)
    rows = np.flatnonzero(np.isin(ids, ordered[1:][ordered[1:] == ordered[:-1]]))
    numbers = sorted({host, *tables[rows].tolist()})
    bounds = np.searchsorted(tables[rows], [*numbers, len(ids) + 1])
    views = [
        View(str(number), tuple(columns.mounts(rows[begin:end].tolist())))
        for number, begin, end in zip(numbers, bounds, bounds[1:], strict=False)
    ]
    first = first_of_namespace(views)
    its = first[numbers.index(host)]
    return np.array([number for number, one in zip(numbers, first, strict=True) if one == its])


def _upwards(above: Ints, start: Ints) -> Truths:
    """Which groups are among those at the *start*, or above one of them."""
    found = np.zeros(len(above), np.bool_)
    wave = np.unique(start[start != NONE])
    while len(wave):
        found[wave] = True
        wave = np.unique(above[wave])
        wave = wave[wave != NONE]
        wave = wave[~found[wave]]
    return found


def _nearest(above: Ints, wanted: Truths) -> Ints:
    """For each group, itself or the next one above it that is *wanted*."""
    # The last place stands for no group.
    reached = np.append(np.where(wanted, np.arange(len(above), dtype=above.dtype), above), NONE)
    for _ in range(len(above).bit_length()):
        reached = reached[reached]
    return np.where(np.append(wanted, False)[reached], reached, NONE)[:-1]


def _devices(columns: Columns) -> Ints:
    """A number for the device of each mount."""
    devices = columns.devices()
    return devices if NONE not in devices else columns.coded("device")[0].astype(np.int64)


def _keys(devices: Ints, numbers: Ints) -> Ints:
    """A number for each pair of a device and a number."""
    majors, minors = devices >> 32, devices & 0xFFFFFFFF
    largest = (each.max(initial=0) >> bits for each, bits in ((majors, 12), (minors, 20), (numbers, 31)))
    if not any(largest):
        return majors << 51 | minors << 31 | numbers
    _, devices = np.unique(devices, return_inverse=True)
    values, numbers = np.unique(numbers, return_inverse=True)
    return devices * len(values) + numbers


def _distinct(keys: Ints) -> tuple[Ints, Ints]:
    """Where each different key is first, in their order; and for each key its place among the different ones."""
    order = np.argsort(keys)
    ordered = keys[order]
    new = np.ones(len(keys), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    begins = np.flatnonzero(new)
    codes = np.empty(len(keys), np.int32)
    codes[order] = np.cumsum(new, dtype=np.int32) - 1
    return np.minimum.reduceat(order, begins) if len(keys) else order, codes


def _first_of(found: Ints, places: Ints, values: Ints) -> None:
    """Puts *values* to their *places*; where there are several for one, the first."""
    # Of what is assigned several times, what comes last stays.
    found[places[::-1]] = values[::-1]
