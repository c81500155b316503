r"""Tables for pandas: a row for each mount, peer group, namespace, leak, change, effect or finding.

What mntscope finds has a ``.frame()``: ``snapshot.frame()``, ``snapshot.peer_groups.frame()``, ``diff.leaks.frame()``;
the functions here give the same, and say what the columns are. Columns are always there, in this order and of one
type, whatever is in them: numbers are ``Int64`` (``UInt64`` where they fill 64 bits), text is ``str`` (Arrow-backed
where pyarrow is installed), names of which there are few are ``category``. Lists (``options``, ``pids``) are written as
they are in mountinfo, separated by commas, and :func:`explode` makes rows of them. Names that are not text, or that a
terminal would obey, are written with escapes (``/caf\xe9``, :mod:`mntscope.frames.escapes`), and so can be printed and
stored.

A machine: the host, a container to which it gave ``/srv`` so that both may mount below it, and one to which it only
sends what it mounts there itself:

>>> import mntscope
>>> snapshot = mntscope.Snapshot.from_mountinfo({
...     "host": b'''1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
... 2 1 8:2 / /srv rw,nosuid shared:2 - ext4 /dev/sda2 rw
... 3 2 0:50 / /srv/nfs rw shared:3 - nfs4 server:/export rw
... 4 1 0:5 / /proc rw,nosuid shared:4 - proc proc rw
... ''',
...     "web": b'''11 9 0:60 / / rw - overlay overlay rw
... 12 11 8:2 /web /data rw shared:2 - ext4 /dev/sda2 rw
... 13 11 0:61 / /proc rw - proc proc rw
... ''',
...     "backup": b'''21 9 0:62 / / rw - overlay overlay rw
... 22 21 8:2 / /mnt ro master:2 - ext4 /dev/sda2 rw
... 23 22 0:50 / /mnt/nfs ro - nfs4 server:/export rw
... '''})
>>> mounts = snapshot.frame()

Which mounts does a namespace share with the host, so that what it mounts there appears on it?

>>> mounts[mounts.leaks_out][["namespace", "mount_point", "peer_group"]]
  namespace mount_point  peer_group
5       web       /data           2

At which paths of the host?

>>> leaks(snapshot).query("direction != 'in'")[["namespace", "path", "lands_at", "severity"]]
  namespace   path  lands_at severity
0       web  /data  /srv/web     high

Who has the filesystem 0:50 mounted, and so keeps it busy?

>>> mounts[mounts.device == "0:50"].namespace.tolist()
['host', 'backup']

Which peer groups are in more than one namespace, and how many mounts receive what is mounted there?

>>> groups = snapshot.peer_groups.frame()
>>> groups[groups.namespaces > 1][["name", "namespaces", "reached"]]
        name  namespaces  reached
1  host:/srv           2        3

What is mounted where, by type?

>>> mounts.groupby("namespace").fs_type.value_counts().unstack().loc["host"].to_dict()
{'ext4': 2, 'nfs4': 1, 'proc': 1, 'overlay': 0}

How do the namespaces stand with the host?

>>> snapshot.namespaces.frame()[["namespace", "mounts", "shared_groups", "verdict"]]
  namespace  mounts  shared_groups         verdict
0      host       4              4  same-namespace
1       web       3              1           leaks
2    backup       3              0        receives

Who would notice, and where, if something were mounted at a path?

>>> outcome = mntscope.predict(snapshot, "host", "mount -t tmpfs t /srv/web/tmp")
>>> outcome.frame()[["namespace", "path", "crosses"]]
  namespace          path  crosses
0      host  /srv/web/tmp    False
1       web     /data/tmp     True
2    backup  /mnt/web/tmp     True

What changed between two captures? (Here: what if those mounts were gone?)

>>> later = mntscope.Snapshot.from_frame(mounts[mounts.device != "0:50"])
>>> both = mounts.merge(later.frame(), how="outer", on=["namespace", "mount_point", "device"], indicator="seen")
>>> both[both.seen != "both"][["namespace", "mount_point", "seen"]]
  namespace mount_point       seen
3      host    /srv/nfs  left_only
9    backup    /mnt/nfs  left_only

A large table is sooner read without a record for each mount; its frame has the columns that a table tells by itself:

>>> from mntscope.parse.columns import parse_columns
>>> large = b"".join(b"%d 1 8:2 / /binds/%d rw shared:2 - ext4 /dev/sda2 rw\n" % (n, n) for n in range(2, 5000))
>>> table(parse_columns(large)).groupby(["device", "peer_group"]).mount_id.count().to_dict()
{('8:2', 2): 4998}

A frame of mounts and the snapshot it was made of are the same thing, and Parquet keeps it
(``pip install mntscope[parquet]``)::

    snapshot.frame().to_parquet("host.parquet")
    snapshot = mntscope.Snapshot.from_frame(pandas.read_parquet("host.parquet"))

>>> mntscope.Snapshot.from_frame(mounts) == snapshot
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from mntscope.errors import MissingLibraryError

try:
    import pandas as pd
except ModuleNotFoundError:
    raise MissingLibraryError("a data frame", "pandas") from None

from mntscope.analysis.diff import Change, Diff
from mntscope.analysis.holders import Holders
from mntscope.analysis.namespaces import NamespaceList, NamespaceStatus
from mntscope.analysis.namespaces import namespaces as namespaces_seen
from mntscope.analysis.plan import Plan
from mntscope.analysis.predict import Prediction
from mntscope.analysis.preview.findings import PreviewFinding
from mntscope.analysis.preview.preview import Preview
from mntscope.archive.recording import Recording
from mntscope.base.display import Framed, Records
from mntscope.frames import groups, results
from mntscope.frames.columns import explode
from mntscope.frames.mounts import mounts_of, mounts_of_view, snapshot_of
from mntscope.frames.recording import events_of
from mntscope.frames.table import table
from mntscope.graph import GroupNames, Leak, PeerGraph, PeerGroup, leaks_to
from mntscope.model import Mount, View
from mntscope.propagation import Effect, Outcome
from mntscope.rules import Audit, Finding
from mntscope.snapshot import Snapshot

__all__ = [
    "changes",
    "edges",
    "effects",
    "events",
    "explode",
    "findings",
    "frame",
    "holders",
    "leaks",
    "mounts",
    "namespaces",
    "peer_groups",
    "processes",
    "snapshot_of",
    "table",
]


def mounts(what: Snapshot | View) -> pd.DataFrame:
    """The mounts: a row for each mount of each view, in the order of the tables.

    ================================ ============ ======================================================================
    ``namespace``                    category     in words, unique: ``host``, ``web-1 (docker)``, ``4711 (sleep)``
    ``view``                         category     the label; differs from view to view of one namespace
    ``owner``                        category     ``docker web-1``
    ``inode``                        Int64        of the mount namespace
    ``pids``                         category     of its processes: :func:`explode`
    ``mount_id``, ``parent_id``      Int64        unique in the namespace only
    ``device``                       str          ``8:1``: mounts with the same show the same filesystem
    ``root``, ``mount_point``        str          what of it, and where
    ``options``, ``super_options``   str          ``rw,nosuid``: :func:`explode`
    ``fs_type``                      category
    ``source``                       str
    ``peer_group``, ``master``       Int64        as in :func:`peer_groups`, which is joined on ``device`` too
    ``propagate_from``               Int64
    ``unbindable``                   bool
    ``unknown_tags``                 category     separated by spaces
    ``propagation``                  category     ``private``, ``slave``, ``shared``, ``shared,slave``, ``unbindable``
    ``hidden``                       bool         no path leads into it
    ``leaks_out``, ``leaks_in``      boolean      whether its events reach the host, and the host's reach it; false for
                                                  the host's own, missing where there is no host: of a view alone, of
                                                  a detached tree
    ================================ ============ ======================================================================

    The attribute ``mntscope.snapshot`` of a snapshot's frame tells the rest (processes, what was not seen ..), so that
    :meth:`Snapshot.from_frame <mntscope.Snapshot.from_frame>` gives back the snapshot; but for what is known of locks,
    which no capture tells. pandas keeps it through selections and Parquet, and drops it where frames of different
    snapshots are joined.
    """
    return mounts_of_view(what) if isinstance(what, View) else mounts_of(what)


def peer_groups(what: Snapshot | PeerGraph) -> pd.DataFrame:
    """The peer groups: a row for each, before its slaves.

    ============================ ============ ======================================================================
    ``device``, ``peer_group``   str, Int64   what :func:`mounts` and :func:`edges` are joined on
    ``name``                     str          after its member that is known best: ``host:/srv``
    ``fs_type``                  category
    ``master``                   Int64        the group it receives from
    ``depth``                    Int64        how many groups there are above it
    ``members``, ``slaves``      Int64        mounts in it, and mounts that receive directly from it
    ``reached``                  Int64        mounts that an event in it may reach: members, slaves, and theirs
    ``namespaces``               Int64        in how many it has members
    ``of_host``                  bool         whether the host has a member
    ``external``                 bool         whether no view shows a member
    ============================ ============ ======================================================================
    """
    return groups.peer_groups_of(*_graph_and_host(what))


def edges(what: Snapshot | PeerGraph) -> pd.DataFrame:
    """Who is in which peer group, and who receives from it: a row for each mount of each group.

    ============================ ============ ======================================================================
    ``device``, ``peer_group``   str, Int64   the group
    ``name``                     str          its name: ``host:/srv``
    ``relation``                 category     ``member``, or ``slave``, which receives only
    ``namespace``, ``view``      category     whose the mount is
    ``mount_id``                 Int64
    ``root``, ``mount_point``    str
    ``own_group``                Int64        the group the mount is a member of: of a slave, the one it passes on to
    ============================ ============ ======================================================================
    """
    return groups.edges_of(*_graph_and_host(what))


def namespaces(what: Snapshot | NamespaceList) -> pd.DataFrame:
    """The mount namespaces: a row for each, the host's first, then by verdict, the worst first.

    ======================================= ========= ==============================================================
    ``namespace``, ``view``                 category  in words, and the label of the first view that shows it
    ``inode``, ``id``, ``user_namespace``   Int64     where known; the last is the owner's inode
    ``owner``, ``kind``                     category  ``docker web-1``, ``docker``
    ``container``, ``pod``                  str       the container's id in full, the pod's uid (category)
    ``processes``, ``pids``                 Int64     how many, and which (category, :func:`explode`)
    ``holds``                               Int64     what keeps it alive beside them: mounts, descriptors, threads
    ``mounts``, ``shared_groups``           Int64     how many; in how many groups the host has members as well
    ``verdict``                             category  ``same-namespace``, ``leaks``, ``receives``, ``isolated``
    ``severity``                            category  of the worst leak out of it, ordered
    ======================================= ========= ==============================================================
    """
    return groups.namespaces_of(what if isinstance(what, NamespaceList) else namespaces_seen(what))


def processes(snapshot: Snapshot) -> pd.DataFrame:
    """The processes: a row for each that lives in a mount namespace, with ``namespace`` and ``view`` (category),
    ``pid``, ``start_time`` (ticks since boot), ``comm``, ``root``, ``pid_namespace``, ``user_namespace``, ``cgroup``.
    """  # noqa: D205
    return groups.processes_of(snapshot)


def leaks(what: Snapshot | Diff) -> pd.DataFrame:
    """The leaks, of every namespace or of the one compared: a row for each leak and path of the host.

    =============================== ============ ====================================================================
    ``leak``                        Int64        its number: a leak with several landing places has as many rows
    ``namespace``                   category     whose; the label, where one was compared
    ``direction``                   category     ``out`` to the host, ``in`` from it, ``both``
    ``path``                        str          in the namespace
    ``lands_at``                    str          on the host
    ``severity``                    category     ordered: ``leaks.severity >= "high"``
    ``via``                         category     ``peer``, ``slave``
    ``device``, ``peer_group``      str, Int64   the group through which it goes
    ``mount_id``, ``mount_point``   Int64, str   the namespace's mount, with ``fs_type`` (category)
    ``hidden``, ``covered``         bool         whether the place is covered in the namespace, on the host
    ``complete``                    bool         whether all landing places are listed
    ``remedy``, ``remedy_path``     category     ``make-private``, ``make-slave``, and of what (str)
    =============================== ============ ====================================================================
    """
    if isinstance(what, Diff):
        return results.leaks_of([(what.target.label, leak) for leak in what.leaks])
    graph = PeerGraph.of(what.views)
    names = GroupNames(graph, what.host_label)
    each = leaks_to(graph, what.host_label).items()
    return results.leaks_of([(names.view(label), leak) for label, its in each for leak in its])


def changes(diff: Diff) -> pd.DataFrame:
    """What differs between two views: a row for each :class:`~mntscope.Change`, in the order of the target's paths.

    ========================================== ======== ===============================================================
    ``namespace``                              category the target's label
    ``kind``, ``path``                         category ``added``, ``removed`` .., and where (str)
    ``device``, ``root``                       str      of the mount, with ``fs_type`` (category) and ``source``
    ``host_mount_point``, ``host_options``,    str      as the host has it: missing of what is added
    ``host_super_options``
    ``host_propagation``                       category
    ``host_peer_group``, ``host_master``       Int64
    ``target_mount_point`` ..                           the same as the target has it: missing of what is removed
    ``covers``, ``covers_device``              str      the host's mount on whose root it lies in the target
    ``hidden``                                 bool     whether something is mounted over it in the target
    ========================================== ======== ===============================================================
    """
    return results.changes_of(diff.changes, diff.target.label)


def effects(what: Outcome | Prediction | Plan) -> pd.DataFrame:
    """What an operation, a command line or a plan is predicted to do: a row for each :class:`~mntscope.Effect`.

    ========================================== ======== ===============================================================
    ``step``, ``command``                      Int64    which command or action does it (str); not of a single outcome
    ``namespace``                              category the label of the view
    ``change``, ``path``                       category ``mount``, ``umount``, ``move`` .., and where (str)
    ``crosses``                                bool     whether the namespace is another than the one that acts
    ``mount_id``                               Int64    in that world, with ``device``, ``root``, ``source`` (str) and
                                                        ``fs_type`` (category)
    ``before_mount_point``, ``before_options`` str      as it was: missing of a new mount
    ``before_propagation``                     category
    ``before_peer_group``, ``before_master``   Int64
    ``after_mount_point`` ..                            the same afterwards: missing of what is unmounted
    ========================================== ======== ===============================================================
    """
    match what:
        case Outcome():
            return results.effects_of([(0, "", effect) for effect in what.effects], steps=False)
        case Prediction():
            return results.effects_of_prediction(what)
        case Plan():
            return results.effects_of_plan(what)


def findings(what: Audit | Iterable[Finding]) -> pd.DataFrame:
    """What an audit found: a row for each :class:`~mntscope.rules.Finding`, the worst first.

    ============================= ======== ==========================================================================
    ``rule``, ``name``            category ``MNT001``, ``leak-to-host``
    ``severity``, ``confidence``  category ordered, the mildest and the least sure first
    ``subject``, ``owner``        category the label of the view, and what the namespace is called in every capture
    ``path``, ``message``         str
    ``mounts``                    Int64    how many mounts are its evidence
    ``commands``, ``advice``      str      what to do: a command a line
    ``fingerprint``               str      the same in every capture as long as it is the same finding
    ============================= ======== ==========================================================================
    """
    return results.findings_of(list(what.findings if isinstance(what, Audit) else what))


def preview(what: Preview | Iterable[PreviewFinding]) -> pd.DataFrame:
    """What containers would do: a row for each :class:`~mntscope.PreviewFinding`, the worst first.

    ============================= ======== ==========================================================================
    ``kind``                      category ``mounts-on-host``, ``receives-nothing``, ``refused``, ``pins``,
                                           ``changes-host``
    ``severity``                  category ordered, the mildest first
    ``container``                 category the label of its view
    ``path``, ``at``              str      where in the container, and where on the host: a path a line
    ``file``, ``line``,           category the place in the file (Int64)
    ``column``
    ``message``, ``remedy``       str
    ``said_by``, ``said``         category who does not start it, and with which words (str)
    ============================= ======== ==========================================================================
    """
    return results.preview_of(list(what.findings if isinstance(what, Preview) else what))


def holders(what: Holders) -> pd.DataFrame:
    """Who holds a filesystem: a row for each mount of it, those first that the host's umounts do not take along.

    ===================================== ======== =================================================================
    ``namespace``, ``view``, ``pids``     category whose it is
    ``mount_id``                          Int64    with ``device``, ``root`` and ``mount_point`` (str)
    ``via``                               category what links it to the host's: ``peer``, ``slave``, ``none`` ..
    ``receives``                          bool     whether the host's umounts take it along
    ``covered``, ``occupied``, ``locked`` bool     what may keep it from being unmounted there
    ``command``                           str      what frees it, the least invasive; missing where nothing is to do
    ===================================== ======== =================================================================
    """
    return results.holders_of(what)


def events(what: Recording) -> pd.DataFrame:
    """What was told while a machine was watched: a row for each event, in the order in which they were told.

    ================================ ============ =====================================================================
    ``time``                         datetime     in UTC
    ``kind``                         category     ``mount``, ``umount``, ``move``, ``namespace-born``, ``leak`` ..
    ``namespace``, ``path``          category     where it was done (the path is a str)
    ``pid``, ``comm``, ``owner``     Int64        who did it, as far as that could be told: the others are categories
    ``also``, ``reached``            str          the places where it went beside, and how many they are (Int64)
    ``fs_type``, ``source``          category     of a mount (the source is a str)
    ``was``, ``now``                 str          of a move, a change of propagation, a remount
    ``severity``                     category     of a leak, ordered
    ``known``                        bool         whether the mount could be looked at before it was gone
    ================================ ============ =====================================================================
    """
    return events_of(what)


def frame(thing: Framed) -> pd.DataFrame:
    """The table of *thing*: what its ``.frame()`` gives."""
    if isinstance(thing, Records):
        table = _TABLES_OF_RECORDS.get(thing.kind)
        if table is not None:
            return table(thing, **thing.context)
    for kind, table in _TABLES.items():
        if isinstance(thing, kind):
            return table(thing)
    raise TypeError(f"there is no table of {type(thing).__name__}")


def _graph_and_host(what: Snapshot | PeerGraph) -> tuple[PeerGraph, str]:
    """The graph, and the label of the view that plays the host: of a graph the first."""
    if isinstance(what, PeerGraph):
        return what, what.views[0].label
    return PeerGraph.of(what.views), what.host_label


_TABLES: dict[type, Callable[[Any], pd.DataFrame]] = {
    Audit: findings,
    NamespaceList: namespaces,
    Diff: changes,
    Holders: holders,
    Outcome: effects,
    PeerGraph: peer_groups,
    Plan: effects,
    Prediction: effects,
    Preview: preview,
    Recording: events,
    Snapshot: mounts,
    View: mounts,
}

_TABLES_OF_RECORDS: dict[type, Callable[..., pd.DataFrame]] = {
    Change: lambda changes, namespace=None: results.changes_of(changes, namespace),
    Effect: lambda effects: results.effects_of([(0, "", effect) for effect in effects], steps=False),
    Finding: findings,
    Leak: lambda leaks, namespace=None: results.leaks_of([(namespace, leak) for leak in leaks]),
    Mount: lambda _, snapshot: mounts(snapshot),
    PeerGroup: lambda _, snapshot: peer_groups(snapshot),
    PreviewFinding: preview,
    NamespaceStatus: lambda _, snapshot: namespaces(snapshot),
}
