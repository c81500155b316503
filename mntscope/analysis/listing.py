"""The mounts of one namespace in the order of their tree, each with what hides it and what leaks through it.

Everything here takes time linear in the mounts, the largest tables included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import islice

from mntscope.base.display import Shown
from mntscope.base.paths import normal, under
from mntscope.base.records import NamedTuple, dataclass, field
from mntscope.graph import GroupNames, Leak, PeerGraph, leaks_in, leaks_to
from mntscope.graph.names import in_words
from mntscope.model import Mount, Problem, View
from mntscope.snapshot import Snapshot

BOUND = 100_000
"""About how many peers, and how many leaks, are listed one by one. n mounts can have n² of each."""
FEW = 3
"""No mount's share of these is smaller."""

NOWHERE = -1
"""Instead of a row's number."""


class Crossing(NamedTuple):
    """A leak, and the labels of the views it leads from and to."""

    source: str
    to: str
    leak: Leak


class Row(NamedTuple):
    """A mount of the tree: below which other it stands, what hides it, and what leaks through it."""

    mount: Mount
    parent: int
    """The row of the nearest mount above it that is shown; :data:`NOWHERE` if there is none."""
    state: str
    """``overmounted`` by a mount on its root; ``hidden`` by one on a directory above it; else empty."""
    crossings: tuple[Crossing, ...]
    """Of a mount of the host what reaches it, of another what leaves it for the host; the first of them."""
    crossing_count: int


@dataclass(frozen=True, slots=True)
class Listing(Shown):
    """The mounts of a view that were asked for, in the order of a walk of its tree."""

    view: View
    host: str
    names: GroupNames
    path: str | None
    only: tuple[str, ...]
    rows: tuple[Row, ...]
    not_seen: tuple[Problem, ...]
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)
    """What it was asked of."""

    @property
    def name(self) -> str:
        """The namespace, in words; of the host, which only plays it where it is a file, the view's label."""
        return self.host if self.view.label == self.host else self.names.view(self.view.label)

    @property
    def in_words(self) -> str:
        """The same for a sentence."""
        return in_words(self.name)


ONLY: Mapping[str, Callable[[Row], bool]] = {
    "leaking": lambda row: row.crossing_count > 0,
    "shared": lambda row: row.mount.peer_group is not None,
    "slave": lambda row: row.mount.master is not None,
    "private": lambda row: row.mount.propagation == "private",
    "unbindable": lambda row: row.mount.unbindable,
    "hidden": lambda row: bool(row.state),
}
"""The kinds of mounts that can be asked for."""


def listing(
    snapshot: Snapshot,
    label: str,
    path: str | None = None,
    only: Collection[str] = (),
) -> Listing:
    """The mounts of a view: all, or those at and below *path* and the one that contains it; *only* of these kinds."""
    graph = PeerGraph.of(snapshot.views)
    tree = graph.tree(label)
    crossings, counts = _crossings(graph, label, snapshot.host_label)
    path = None if path is None else normal(path)
    containing = None if path is None else tree.containing(path)
    rows: list[Row] = []
    # For each depth of the tree the last row that was shown at that depth or, where none was, above.
    above: list[int] = []
    for depth, mount, covered, hidden in tree.walk_states():
        del above[depth:]
        parent = above[-1] if above else NOWHERE
        state = "overmounted" if covered else "hidden" if hidden else ""
        count = counts.get(mount.mount_id, 0)
        row = Row(mount, parent, state, tuple(crossings[mount.mount_id]) if count else (), count)
        here = path is None or under(mount.mount_point, path) or mount is containing
        if here and (not only or any(ONLY[kind](row) for kind in only)):
            above.append(len(rows))
            rows.append(row)
        else:
            above.append(parent)
    view = snapshot.view(label)
    problems = [*snapshot.not_seen, *view.problems]
    if sum(counts.values()) >= BOUND:
        problems.append(Problem("there are more leaks than are listed", where=label))
    return Listing(
        view, snapshot.host_label, GroupNames(graph, snapshot.host_label), path, tuple(only), tuple(rows),
        tuple(problems), snapshot,
    )  # fmt: skip


def _crossings(graph: PeerGraph, label: str, host: str) -> tuple[Mapping[int, list[Crossing]], Mapping[int, int]]:
    """By mount ID the leaks that concern a mount of the view, as many as are its share; and how many there are."""
    if graph.same_namespace(label, host):
        pairs = (
            (mount.mount_id, Crossing(source, host, leak))
            for source, found in leaks_to(graph, host).items()
            for leak in found
            if leak.direction != "in"
            for mount in leak.host_mounts
        )
    else:
        pairs = (
            (leak.mount.mount_id, Crossing(label, host, leak))
            for leak in leaks_in(graph, label, host)
            if leak.direction != "in"
        )
    share = max(FEW, BOUND // max(1, len(graph.views[graph.number(label)].mounts)))
    crossings: defaultdict[int, list[Crossing]] = defaultdict(list)
    counts: defaultdict[int, int] = defaultdict(int)
    for mount_id, crossing in islice(pairs, BOUND):
        counts[mount_id] += 1
        if counts[mount_id] <= share:
            crossings[mount_id].append(crossing)
    return crossings, counts
