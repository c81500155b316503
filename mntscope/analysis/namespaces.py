"""Every mount namespace of a snapshot, once: whose it is, what keeps it alive, and what it shares with the host."""

from __future__ import annotations

from collections import Counter, defaultdict

from mntscope.analysis.diff import Verdict, verdict_of
from mntscope.base.display import Framed, Shown
from mntscope.base.records import dataclass, field
from mntscope.graph import GroupNames, Leak, PeerGraph, leaks_to
from mntscope.graph.severity import SEVERITIES, Severity
from mntscope.model import Problem, Process, View
from mntscope.snapshot import Snapshot

VERDICTS: tuple[Verdict, ...] = ("same-namespace", "leaks", "receives", "isolated")
"""The host's own first, then the worst."""


@dataclass(frozen=True, slots=True)
class NamespaceStatus(Shown):
    """A mount namespace, and how it stands with the host."""

    view: View
    """The first that shows it; of the host's namespace, the host."""
    name: str
    """In words, unique in the snapshot."""
    processes: tuple[Process, ...]
    """All that are known to live in it, by pid."""
    shared_groups: int
    """In how many peer groups both it and the host have members."""
    verdict: Verdict
    """As :class:`~mntscope.analysis.diff.Diff` has it; ``same-namespace`` is the host's own."""
    leaks: tuple[Leak, ...]
    """To and from the host, the worst first."""

    @property
    def severity(self) -> Severity | None:
        """That of the worst leak out of it; ``None`` where nothing leaks."""
        return next((leak.severity for leak in self.leaks if leak.direction != "in"), None)

    @property
    def roots(self) -> tuple[str, ...]:
        """The root directories of its processes: more than one where some live in a chroot."""
        return tuple(sorted({process.root for process in self.processes if process.root}))


@dataclass(frozen=True, slots=True)
class NamespaceList(Framed, Shown):
    """What :func:`namespaces` found."""

    host: str
    """The label of the view that plays the host."""
    namespaces: tuple[NamespaceStatus, ...]
    """The host's first, then by verdict, the worst first."""
    not_seen: tuple[Problem, ...]
    snapshot: Snapshot | None = field(default=None, compare=False, repr=False)
    """What it was asked of."""


def namespaces(snapshot: Snapshot) -> NamespaceList:
    """The mount namespaces of *snapshot*, each compared with the host's, in n log n steps of its mounts."""
    graph = PeerGraph.of(snapshot.views)
    names = GroupNames(graph, snapshot.host_label)
    first = graph.first
    host = first[graph.number(snapshot.host_label)]
    processes: defaultdict[int, dict[int, Process]] = defaultdict(dict)
    shared: Counter[int] = Counter()
    for members in graph.memberships:
        spaces = {first[number] for number, _ in members}
        if host in spaces:
            shared.update(spaces)
    for number, view in enumerate(snapshot.views):
        processes[first[number]].update((process.pid, process) for process in view.namespace.processes)
    leaks = leaks_to(graph, snapshot.host_label)
    found = []
    for number, view in enumerate(snapshot.views):
        if first[number] != number or view.detached:
            continue
        seen = snapshot.host if number == host else view
        its = leaks.get(view.label, ())
        found.append(
            NamespaceStatus(
                view=seen,
                name=names.view(seen.label),
                processes=tuple(process for _, process in sorted(processes[number].items())),
                shared_groups=shared[number],
                verdict="same-namespace" if number == host else verdict_of(its),
                leaks=its,
            )
        )
    problems = (*snapshot.not_seen, *(problem for view in snapshot.views for problem in view.problems))
    return NamespaceList(snapshot.host_label, tuple(sorted(found, key=_worst_first)), problems, snapshot)


def _worst_first(status: NamespaceStatus) -> tuple[int, int]:
    severity = status.severity
    return VERDICTS.index(status.verdict), SEVERITIES.index(severity) if severity else len(SEVERITIES)
