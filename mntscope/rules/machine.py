"""What all rules look at: a snapshot, and what follows from it, worked out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal

from mntscope.analysis.pins import Pins
from mntscope.analysis.remedies import Command, run_in
from mntscope.base.records import replace
from mntscope.errors import MntscopeError
from mntscope.graph import Leak, MountTree, PeerGraph, host_first, leaks_to
from mntscope.graph.names import THE_HOST, GroupNames
from mntscope.model import Process, View
from mntscope.propagation import Effect, Operation, Simulation, simulate, simulate_all
from mntscope.propagation.world import free_id
from mntscope.rules.alike import Predicted, likeness
from mntscope.rules.host_paths import HostPaths
from mntscope.rules.leaking_tree import LeakingTree, leaking_trees
from mntscope.rules.roles import Role, role_of
from mntscope.snapshot import Snapshot

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
INITIAL_USER_NAMESPACE = 0xEFFFFFFD
"""The inodes of the namespaces in which a kernel starts (include/linux/proc_ns.h): a machine's own, no container's."""

SIMULATED = 150_000
"""Predictions are made until the worlds they were made in hold this many mounts: evidence is not worth hours."""
MOST_EFFECTS = 20


class Machine:
    """A machine under audit. *roles* are (glob of an owner or label, role), the first that fits counts."""

    def __init__(self, snapshot: Snapshot, roles: Sequence[tuple[str, Role]] = ()) -> None:
        self.snapshot = snapshot
        self.host = snapshot.host
        self.graph = PeerGraph.of(snapshot.views)
        self._given_roles = tuple(roles)
        self._to_simulate = SIMULATED
        self._predicted: dict[Hashable, Predicted] = {}
        """For who asks for the same of a namespace that is alike."""
        self._views = {view.label: view for view in snapshot.views}

    def view(self, label: str) -> View:
        """The view with this label."""
        return self._views[label]

    @cached_property
    def others(self) -> tuple[View, ...]:
        """The views of other mount namespaces than the host's, one for each namespace."""
        return tuple(first for first, *_ in self._namespaces[1:])

    @cached_property
    def host_processes(self) -> tuple[Process, ...]:
        """The processes that are known to live in the host's mount namespace, each once."""
        known = (
            process
            for view in self._namespaces[0]
            for process in (*view.namespace.processes, *((view.process,) if view.process else ()))
        )
        return tuple(dict.fromkeys(known))

    @cached_property
    def pins(self) -> Pins:
        """What other namespaces keep of the host's."""
        return Pins(self.graph, self.host.label)

    @cached_property
    def host_paths(self) -> HostPaths:
        """Where the host has what its containers show."""
        return HostPaths(self.tree(self.host.label))

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        """What each namespace is there for, by label."""
        roles: dict[str, Role] = {view.label: self._role(view) for view in self.others}
        return {**roles, self.host.label: "host"}

    @cached_property
    def leaks(self) -> Mapping[str, tuple[Leak, ...]]:
        """What leaks between each of :attr:`others` and the host, by label, the worst first."""
        return leaks_to(self.graph, self.host.label)

    @cached_property
    def leaking_trees(self) -> Mapping[str, Sequence[LeakingTree]]:
        """The same, put together: those of a topmost mount, by label, the worst first."""
        return {label: leaking_trees(self.tree(label), leaks) for label, leaks in self.leaks.items()}

    def tree(self, label: str) -> MountTree:
        """The mount tree of a view."""
        return self.graph.tree(label)

    def name(self, label: str) -> str:
        """What the namespace is called in every capture: by its owner or its program, never by pid or inode."""
        if label == self.host.label:
            return "host"
        view = self.view(label)
        owner = view.namespace.owner
        if owner is not None:
            return f"{owner.kind} {owner.name}".strip()
        process = self.first_process(label)
        if process is not None and process.comm:
            return process.comm
        return "a namespace without processes" if label.startswith("mnt:[") else label

    def words(self, label: str) -> str:
        """The namespace in words, for people: unique in this capture. It quotes names as they are."""
        return THE_HOST if label == self.host.label else self._names.view(label)

    def first_process(self, label: str) -> Process | None:
        """The process that the namespace is best known by: the oldest that lives in it."""
        view = self.view(label)
        known = view.namespace.processes or ((view.process,) if view.process else ())
        return min(known, key=lambda process: (process.start_time or 0, process.pid), default=None)

    def own_root(self, label: str) -> bool:
        """Whether its ``/`` is another directory than the host's: it is a container, not a copy of the host."""
        return self.tree(label).has_other_root(self.tree(self.host.label))

    def residents(self, label: str) -> Iterator[Process]:
        """Its processes that are at home there: of its user namespace, as far as known, and with its own ``/`` as root.

        The others are confined on purpose, and cannot mount anything there.
        """
        namespace = self.view(label).namespace
        owner = namespace.user_namespace
        if owner is None:
            first = self.first_process(label)
            owner = first.user_namespace if first else None
        for process in namespace.processes:
            if process.root in ("", "/") and (owner is None or process.user_namespace in (None, owner)):
                yield process

    def command(self, label: str, program: Literal["mount", "umount"], *words: str) -> Command | None:
        """What makes the host's mount(8) or umount(8) work in that namespace; ``None`` where there is no way in.

        Not through nsenter(1) alone: it runs the programs of the namespace it enters, and containers may have none.
        """
        if label == self.host.label == "host":
            return (program, *words)
        return run_in(self.view(label), program, *words)

    def commands(self, label: str, program: Literal["mount", "umount"], *each: tuple[str, ...]) -> tuple[Command, ...]:
        """Several of them; none where there is no way in."""
        found = [self.command(label, program, *words) for words in each]
        return tuple(command for command in found if command is not None)

    def pid_namespaces(self, label: str) -> frozenset[int]:
        """The PID namespaces of its processes, as far as known."""
        view = self.view(label)
        processes = (*view.namespace.processes, *((view.process,) if view.process else ()))
        return frozenset(process.pid_namespace for process in processes if process.pid_namespace is not None)

    def beneath(self, pid_namespace: int | None) -> bool:
        """Whether a PID namespace is known to be another than the host's, and not the one that contains all others."""
        host = self.host_pid_namespace
        return None not in (host, pid_namespace) and pid_namespace not in (host, INITIAL_PID_NAMESPACE)

    @cached_property
    def host_pid_namespace(self) -> int | None:
        """The PID namespace of the process that plays the host; where that is not known, of most others there."""
        process = self.host.process or self.first_process(self.host.label)
        if process is None or process.pid_namespace is not None:
            return process.pid_namespace if process else None
        known = Counter(process.pid_namespace for process in self.residents(self.host.label))
        return next((number for number, _ in known.most_common(2) if number is not None), None)

    def predicted(self, operation: Operation) -> tuple[Effect, ...]:
        """What the kernel would do to other namespaces, the host first; nothing where it would fail.

        Of what happens elsewhere than on the host, the effects on the host alone are looked at. Nothing either where
        :meth:`may_simulate` says no, and no more than :data:`MOST_EFFECTS`.
        """
        if operation.ns == self.host.label:
            crossing = self._crossing(self.snapshot, operation)
            return tuple(sorted(crossing, key=lambda effect: effect.namespace != self.host.label)[:MOST_EFFECTS])
        world = self._between(operation.ns)
        if world is None:
            return ()
        alike = likeness(world, operation)
        if alike in self._predicted:
            return self._predicted[alike].elsewhere(world)
        crossing = self._crossing(world, operation)
        effects = tuple([effect for effect in crossing if effect.namespace == self.host.label][:MOST_EFFECTS])
        if alike is not None:
            self._predicted[alike] = Predicted(effects, free_id(world))
        return effects

    def _crossing(self, world: Snapshot, operation: Operation) -> list[Effect]:
        if not self.may_simulate(world):
            return []
        try:
            return [effect for effect in simulate(world, operation).effects if effect.crosses]
        except MntscopeError:
            # Tables that no kernel wrote may hold paths that no system call takes.
            return []

    def predicted_in_turn(self, *operations: Operation) -> tuple[Effect, ...]:
        """What the last of *operations*, all of one namespace, does to that and to the host, when all are carried out.

        Nothing where one fails, or :meth:`may_simulate` says no.
        """
        pair = self._host_and(operations[0].ns)
        if not self.may_simulate(pair, times=len(operations)):
            return ()
        try:
            last = simulate_all(pair, operations)[-1]
        except MntscopeError:
            # Tables that no kernel wrote may hold paths that no system call takes.
            return ()
        return () if last.errno else last.effects

    def simulation_of(self, label: str) -> Simulation | None:
        """One namespace alone, for umounts in it; ``None`` where :meth:`may_simulate` says no."""
        world = replace(self.snapshot, views=(self.view(label),), host_label=label)
        return Simulation(world) if self.may_simulate(world) else None

    def repeated(self, operation: Operation) -> Iterator[View]:
        """The namespace that an operation acts in, after each time that it is carried out there once more.

        Until it fails, or :meth:`may_simulate` says no.
        """
        pair = self._host_and(operation.ns)
        try:
            simulation = Simulation(pair)
            while self.may_simulate(pair) and simulation.carry_out(operation) is None:
                yield simulation.view(operation.ns)
        except MntscopeError:
            # As above.
            return

    def may_simulate(self, world: Snapshot | None = None, *, times: int = 1) -> bool:
        """Whether there is time for so many more predictions, which then counts as taken: :data:`SIMULATED`."""
        cost = times * (self._mounts if world is None else sum(len(view.mounts) for view in world.views))
        if cost > self._to_simulate:
            return False
        self._to_simulate -= cost
        return True

    def _host_and(self, label: str) -> Snapshot:
        """The host and one namespace: enough to see what these two do to each other."""
        return self.snapshot.with_views(view for view in self.snapshot.views if view.label in (self.host.label, label))

    def _between(self, label: str) -> Snapshot | None:
        """The host, another namespace, and what is needed of others for all chains of groups to be whole.

        ``None`` where to find that takes longer than :meth:`may_simulate` allows.
        """
        chosen = {self.host.label: self.host, label: self.view(label)}
        pending = list(chosen.values())
        seen: set[tuple[str, int]] = set()
        while pending:
            view = pending.pop()
            self._to_simulate -= len(view.mounts)
            if self._to_simulate < 0:
                return None
            for mount in view.mounts:
                key = (mount.device, mount.master or 0)
                if mount.master is None or key in seen:
                    continue
                seen.add(key)
                group = self.graph.groups.get(key)
                members = group.members if group is not None else ()
                if members and not any(member.label in chosen for member in members):
                    view = self.view(members[0].label)
                    chosen[view.label] = view
                    pending.append(view)
        # That is counted once more when it is simulated, and only then.
        self._to_simulate += sum(len(view.mounts) for view in chosen.values())
        return self.snapshot.with_views(sorted(chosen.values(), key=lambda view: self._positions[view.label]))

    @cached_property
    def _namespaces(self) -> list[list[View]]:
        """The views of each namespace, the host's first."""
        return host_first(self.host, self.snapshot.views)

    @cached_property
    def _mounts(self) -> int:
        """How many mounts the whole machine has."""
        return sum(len(view.mounts) for view in self.snapshot.views)

    @cached_property
    def _positions(self) -> dict[str, int]:
        """Of each view in the snapshot, by its label."""
        return {view.label: position for position, view in enumerate(self.snapshot.views)}

    @cached_property
    def _names(self) -> GroupNames:
        return GroupNames(self.graph, self.host.label)

    def _role(self, view: View) -> Role:
        owner = view.namespace.owner
        names = {view.label, self.name(view.label), *([str(owner), owner.name] if owner else [])}
        for glob, role in self._given_roles:
            if any(fnmatchcase(name, glob) for name in names):
                return role
        return role_of(view)
