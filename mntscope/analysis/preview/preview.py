"""Starting all containers of a file on the model of their host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mntscope.analysis.preview.files import NOTHING_KNOWN, Files
from mntscope.analysis.preview.findings import FindingKind, PreviewFinding, of_container
from mntscope.analysis.preview.host import SAID, default_host
from mntscope.analysis.preview.manager import Host, Prepared, absolute
from mntscope.analysis.preview.managers import prepare
from mntscope.analysis.preview.play import Played, play
from mntscope.analysis.preview.profile import Profile
from mntscope.analysis.preview.runtimes import RUNTIMES, profile_for, profile_of
from mntscope.analysis.preview.steps import Refused, Step
from mntscope.base.display import Framed, Records, Shown
from mntscope.base.records import dataclass, replace
from mntscope.graph import PeerGraph
from mntscope.graph.severity import SEVERITIES, Severity, at_least
from mntscope.model import Mount, Namespace, Owner, View
from mntscope.parse.manifests.containers import ContainerSpec, Manifest, Remark
from mntscope.propagation import Simulation
from mntscope.propagation.operations import EndNamespace
from mntscope.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class PreviewedContainer(Shown):
    """One container, as it would be when it has started."""

    spec: ContainerSpec
    label: str
    """Of its view, in :attr:`Preview.snapshot`."""
    runtime: str
    """``runc 1.3.6``; of a unit ``systemd 252.0``."""
    view: View | None
    """Its mounts; ``None`` if it does not start."""
    steps: tuple[Step, ...]
    """The system calls, each with the function that makes it."""
    findings: tuple[PreviewFinding, ...]
    refused: Refused | None
    """Who does not start it, and why."""
    uncertain: tuple[str, ...]
    """What neither the file nor the snapshot tells, and the result depends on."""
    differences: tuple[str, ...]
    """What the other runtime would do differently; nothing where it was not asked."""


@dataclass(frozen=True, slots=True)
class Preview(Framed, Shown):
    """What the containers of some files would mount, receive and pin."""

    snapshot: Snapshot
    """The host, with the containers in it."""
    containers: tuple[PreviewedContainer, ...]
    assumed: bool
    """Whether no host was given, so that all findings are about an assumed one."""
    remarks: tuple[Remark, ...]
    """What of the files was not understood."""

    @property
    def findings(self) -> Records[PreviewFinding]:
        """All of them, the worst first."""
        found = [finding for container in self.containers for finding in container.findings]
        return Records(sorted(found, key=_worst_first), PreviewFinding)

    @property
    def leaks(self) -> Records[PreviewFinding]:
        """Where containers could mount on the host."""
        return self._of("mounts-on-host")

    @property
    def refused(self) -> Records[PreviewFinding]:
        """What runtimes and managers would not start, or say no to, each with their words."""
        return Records((finding for finding in self.findings if finding.said), PreviewFinding)

    @property
    def receives_nothing(self) -> Records[PreviewFinding]:
        """What is to exchange mounts with the host, and will not."""
        return self._of("receives-nothing")

    @property
    def pins(self) -> Records[PreviewFinding]:
        """What of the host's would stay in use."""
        return self._of("pins")

    @property
    def changes_host(self) -> Records[PreviewFinding]:
        """What is mounted on the host when a container starts."""
        return self._of("changes-host")

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What neither the files nor the snapshot tell, each once."""
        said = (SAID,) if self.assumed else ()
        return tuple(dict.fromkeys((*said, *(doubt for each in self.containers for doubt in each.uncertain))))

    def failing(self, fail_on: Severity | None = "medium") -> tuple[PreviewFinding, ...]:
        """The findings at or above a severity; nothing for ``None``."""
        return tuple(finding for finding in self.findings if at_least(finding.severity, fail_on))

    def _of(self, kind: FindingKind) -> Records[PreviewFinding]:
        return Records((finding for finding in self.findings if finding.kind == kind), PreviewFinding)


def preview(
    snapshot: Snapshot | None,
    manifests: Sequence[Manifest],
    *,
    runtime: str | None = None,
    files: Files = NOTHING_KNOWN,
    rootfs_files: Files = NOTHING_KNOWN,
    directory: str = "/",
    compare: bool = False,
) -> Preview:
    """Start the containers of *manifests* one after the other on *snapshot*, or on the host that is assumed otherwise.

    *runtime* is as for ``--runtime``: without it, each manager has its own. *files* is what is known of paths of the
    host, *rootfs_files* of paths in the containers' root filesystem, *directory* where the names of the files begin. To
    *compare*, each container is started by the other runtime as well, for :attr:`PreviewedContainer.differences`.

    :raises UsageError: a runtime that is not known.
    :raises MntscopeError: the host's tables claim more than can be followed.
    """
    asked = profile_of(runtime) if runtime is not None else None
    previewer = _Previewer(snapshot, asked, files, rootfs_files, directory, compare=compare)
    for manifest in manifests:
        for spec in manifest.containers:
            previewer.start(spec)
    remarks = tuple(remark for manifest in manifests for remark in manifest.remarks)
    return Preview(previewer.world(), tuple(previewer.containers()), snapshot is None, remarks)


@dataclass(frozen=True, slots=True)
class _Started:
    prepared: Prepared
    profile: Profile
    played: Played | None
    host: Host
    differences: tuple[str, ...]


class _Previewer:
    """The world, while containers are started in it."""

    def __init__(
        self,
        given: Snapshot | None,
        asked: Profile | None,
        files: Files,
        rootfs_files: Files,
        directory: str,
        *,
        compare: bool,
    ) -> None:
        snapshot = given or default_host()
        self._assumed = given is None
        self._snapshot = snapshot
        self._asked = asked
        self._files = files
        self._rootfs_files = rootfs_files
        self._directory = directory
        self._compare = compare
        self._simulation = Simulation(snapshot, assume_locked=None)
        self._started: list[_Started] = []
        self._labels = {view.label for view in snapshot.views}

    def start(self, spec: ContainerSpec) -> None:
        """Start one more, beside those that run already."""
        folder = absolute(spec.where.file.rpartition("/")[0] or ".", self._directory)
        host = Host(self._simulation.view(self._snapshot.host_label), self._files, folder)
        prepared = prepare(spec, self._label(spec), host)
        profile = profile_for(spec.manager, self._asked)
        played = None
        differences: tuple[str, ...] = ()
        if prepared.refused is None and "mount" in prepared.config.own:
            if self._compare:
                differences = tuple(self._differences(prepared, profile))
            played = self._play(self._simulation, prepared, profile)
            if not played.started and any(step.part == "namespace" and not step.errno for step in played.steps):
                # What it has left on the host stays; its namespace does not.
                self._simulation.carry_out(EndNamespace(prepared.config.label))
        self._started.append(_Started(prepared, profile, played, host, differences))

    def world(self) -> Snapshot:
        """The host and the containers, each with its owner."""
        snapshot = self._simulation.snapshot
        owners = {each.prepared.config.label: each for each in self._started}
        views = [
            replace(view, namespace=_owned(view.namespace, owners[view.label])) if view.label in owners else view
            for view in snapshot.views
        ]
        return snapshot.with_views(views)

    def containers(self) -> Iterator[PreviewedContainer]:
        """What became of each."""
        world = self.world()
        graph = PeerGraph.of(world.views)
        views = {view.label: view for view in world.views}
        for each in self._started:
            config, played = each.prepared.config, each.played
            started = played is not None and played.started
            doubts = [*each.prepared.doubts, *(played.uncertain if played is not None else ())]
            if "mount" not in config.own:
                doubts.append(f"{config.label} has no mount namespace of its own: all that it mounts is the host's")
            found = of_container(config, played, each.prepared.refused, each.host, graph if started else None)
            yield PreviewedContainer(
                spec=config.spec,
                label=config.label,
                runtime=str(each.profile),
                view=views[config.label] if started else None,
                steps=played.steps if played is not None else each.prepared.before,
                findings=tuple(self._conditional(found)),
                refused=each.prepared.refused or (played.refused if played is not None else None),
                uncertain=tuple(dict.fromkeys(doubts)),
                differences=each.differences,
            )

    def _conditional(self, findings: tuple[PreviewFinding, ...]) -> Iterator[PreviewFinding]:
        """The findings as sentences about the host that is there, or with an if."""
        for finding in findings:
            if self._assumed and finding.kind != "refused":
                yield replace(finding, message=f"if all mounts of the host are shared, {finding.message}")
            else:
                yield finding

    def _play(self, simulation: Simulation, prepared: Prepared, profile: Profile) -> Played:
        return play(
            prepared.config,
            profile,
            simulation,
            host=self._snapshot.host_label,
            files=self._files,
            rootfs_files=self._rootfs_files,
            before=prepared.before,
        )

    def _differences(self, prepared: Prepared, profile: Profile) -> Iterator[str]:
        """What another runtime would do with the same configuration on the same host; of a unit, there is none."""
        label, host = prepared.config.label, self._snapshot.host_label
        for name in RUNTIMES if profile.name in RUNTIMES else ():
            if name == profile.name:
                continue
            other = profile_of(name)
            worlds = []
            for each in (profile, other):
                simulation = Simulation(self._simulation.snapshot, assume_locked=None)
                played = self._play(simulation, prepared, each)
                worlds.append((played, simulation.view(label).mounts if played.started else (), simulation.view(host)))
            (mine, own, here), (its, theirs, there) = worlds
            yield from _compared(str(profile), str(other), mine, its)
            if mine.started and its.started:
                yield from _tables(str(profile), str(other), own, theirs)
                if len(here.mounts) != len(there.mounts):
                    changed = len(there.mounts) - len(here.mounts)
                    yield f"{other} leaves {abs(changed)} mounts {'more' if changed > 0 else 'less'} on the host"

    def _label(self, spec: ContainerSpec) -> str:
        """A name for its view: that of what it is part of, and its own."""
        group = spec.group.rpartition(" ")[2].rpartition("/")[2]
        name = label = f"{group}/{spec.name}" if group and group != spec.name else spec.name
        number = 1
        while label in self._labels:
            number += 1
            label = f"{name}#{number}"
        self._labels.add(label)
        return label


def _owned(namespace: Namespace, started: _Started) -> Namespace:
    kinds = {"kubelet": "containerd", "dockerd": "docker", "podman": "podman", "systemd": "unit"}
    kind = kinds.get(started.prepared.config.spec.manager, started.profile.name)
    return replace(namespace, owner=Owner(kind, started.prepared.config.label))


def _compared(one: str, other: str, mine: Played, its: Played) -> Iterator[str]:
    if mine.started != its.started:
        refused = its.refused if mine.started else mine.refused
        assert refused is not None
        starts, not_ = (one, other) if mine.started else (other, one)
        where = f" at {refused.mount.destination}" if refused.mount is not None else ""
        yield f"{starts} starts it; {not_} does not: {refused.why}{where}"


def _tables(one: str, other: str, mine: Sequence[Mount], theirs: Sequence[Mount]) -> Iterator[str]:
    """Where two tables differ: mounts that one has more of, propagation types, options."""
    differ: list[tuple[str, Callable[[Mount], str]]] = [
        ("", lambda mount: mount.propagation),
        ("", lambda mount: ",".join(mount.options)),
    ]
    tops = [{mount.mount_point: mount for mount in mounts} for mounts in (mine, theirs)]
    only = [sorted(tops[0].keys() - tops[1].keys()), sorted(tops[1].keys() - tops[0].keys())]
    for who, paths in zip((one, other), only, strict=True):
        if paths:
            yield f"only {who} mounts {', '.join(paths[:3])}" + (f" and {len(paths) - 3} more" if paths[3:] else "")
    for _, aspect in differ:
        told: dict[tuple[str, str], list[str]] = {}
        for path in sorted(tops[0].keys() & tops[1].keys()):
            a, b = aspect(tops[0][path]), aspect(tops[1][path])
            if a != b:
                told.setdefault((a, b), []).append(path)
        for (a, b), paths in told.items():
            more = f" and {len(paths) - 3} more" if paths[3:] else ""
            yield f"{', '.join(paths[:3])}{more}: {a} with {one}, {b} with {other}"


def _worst_first(finding: PreviewFinding) -> tuple[int, str, int, int]:
    return SEVERITIES.index(finding.severity), finding.where.file, finding.where.line, finding.where.column
