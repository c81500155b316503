"""What a command line does: its system calls, predicted one after the other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from mntscope.analysis.acting import NAMESPACE, NAMESPACE_FILE, entered, pids_of_the_host, process_of, root_of
from mntscope.base.display import Framed, Records, Shown
from mntscope.base.paths import normal
from mntscope.base.records import dataclass, replace
from mntscope.errors import AccessError, NoAnswerError, UsageError
from mntscope.model import Mount, Process, View
from mntscope.parse.commands import Call, Step
from mntscope.parse.mount_flags import flags_after, of_a_mount
from mntscope.parse.mount_program import BEFORE_THE_NEW_CALLS, NEWEST, MountProgram
from mntscope.parse.mountcmd import parse_commands
from mntscope.propagation import BUSY, Effect, Operation, Outcome, operation, own_labels, simulate, simulate_all
from mntscope.propagation.operations import Umount
from mntscope.propagation.versions import Kernel
from mntscope.snapshot import Snapshot

Whose = Literal["the host's", "another", "an unknown"]


@dataclass(frozen=True, slots=True)
class StepPrediction:
    """What one command of a sequence does."""

    step: Step
    depth: int
    """How many programs run it: 0 for what was asked, 1 for what ``unshare`` or ``sudo`` runs."""
    outcomes: tuple[Outcome, ...] = ()
    """One for each system call that it comes to, in order. Where one step unmounts a whole tree, the snapshot of all
    these is the world after the last."""
    failed: Outcome | None = None
    """The first call whose failure makes the command fail."""
    skipped: bool = False
    """It is not run: something before it failed."""
    doubts: tuple[str, ...] = ()
    """What the command line cannot tell and the result depends on."""
    proc_of: Whose | None = None
    """Of which PID namespace the proc shows the processes that it mounts; ``None`` if it mounts none."""

    @property
    def fails(self) -> bool:
        """Whether it is run, and fails."""
        return self.failed is not None or (self.step.refused is not None and not self.skipped)

    @property
    def effects(self) -> Records[Effect]:
        """Everything it changes, call by call."""
        return Records((effect for outcome in self.outcomes for effect in outcome.effects), Effect)


@dataclass(frozen=True, slots=True)
class Prediction(Framed, Shown):
    """What a sequence of commands does."""

    command: str
    target: str
    """The label of the view in whose namespace it is run."""
    before: Snapshot
    steps: tuple[StepPrediction, ...]
    """In the order in which they run; what a program runs follows it."""
    after: Snapshot
    program: MountProgram = NEWEST
    """Whose mount(8) carries it out."""
    doubts: tuple[str, ...] = ()
    """What is not known of the command as a whole."""

    @property
    def effects(self) -> Records[Effect]:
        """Everything that changes, step by step."""
        return Records((effect for step in self.steps for effect in step.effects), Effect)

    @property
    def known(self) -> tuple[str, ...]:
        """The labels of the namespaces that exist before the command."""
        return tuple(view.label for view in self.before.views)

    @property
    def outside(self) -> Records[Effect]:
        """The effects in namespaces that exist before the command, and are not that of the process that acts.

        What ``nsenter`` leads to is another than that of the process that was asked for.
        """
        known = set(self.known)
        return Records((one for one in self.effects if one.crosses and one.namespace in known), Effect)

    @property
    def on_the_host(self) -> bool:
        """Whether the target's namespace is the host's, and anything changes there."""
        own = own_labels(self.before, self.target)
        return self.before.host_label in own and any(effect.namespace in own for effect in self.effects)

    @property
    def found(self) -> bool:
        """Whether anything changes, or may, that others see: outside of the target's namespace, or in the host's."""
        may_cross = any(outcome.may_cross for step in self.steps for outcome in step.outcomes)
        return bool(self.outside) or self.on_the_host or may_cross

    @property
    def failed(self) -> StepPrediction | None:
        """The first step that fails."""
        return next((step for step in self.steps if step.fails), None)

    @property
    def uncertain(self) -> tuple[str, ...]:
        """What is not known and the result depends on, of all steps."""
        reasons: dict[str, None] = {}
        for step in self.steps:
            reasons |= dict.fromkeys(reason for outcome in step.outcomes for reason in outcome.uncertain)
            reasons |= dict.fromkeys(step.doubts)
        reasons |= dict.fromkeys(self.doubts)
        if any(step.outcomes for step in self.steps):
            reasons |= dict.fromkeys(Kernel.of(self.before.kernel, self.before.kernel_version).caveats())
        busy = [reason for reason in reasons if reason.startswith(BUSY[0]) and reason.endswith(BUSY[1])]
        if len(busy) > 1:
            # Once for all umounts, where the first stood.
            paths = [reason.removeprefix(BUSY[0]).removesuffix(BUSY[1]) for reason in busy]
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            once = f"{BUSY[0]}{', '.join(paths[:3])}{more}{BUSY[1]}"
            further = set(busy[1:])
            others = [reason for reason in reasons if reason not in further]
            return tuple(once if reason == busy[0] else reason for reason in others)
        return tuple(reasons)

    @property
    def outcome(self) -> Outcome | None:
        """All of it as one: the operation that fails, else the last one; ``None`` where no mount is touched."""
        failed = self.failed.failed if self.failed else None
        outcomes = [outcome for step in self.steps for outcome in step.outcomes]
        if not outcomes:
            return None
        last = failed or outcomes[-1]
        return Outcome(last.operation, failed.errno if failed else None, self.effects, self.after, self.uncertain)


def predict(snapshot: Snapshot, target: str | int, command: str) -> Outcome:
    """What the kernel does if a process of *target*'s mount namespace runs *command*.

    *target* is a label or a pid of *snapshot*, *command* one or several command lines of mount(8), umount(8),
    unshare(1) and their like. Paths begin at the root directory of the process, where one is asked for. Of a sequence,
    the outcome holds the effects of all steps, the first errno and the last snapshot.

    :raises ParseError: a command line that is not understood, with its line and column.
    :raises TargetError: the snapshot has no such view.
    :raises UsageError: the command touches no mount.
    """
    outcome = predict_commands(snapshot, target, command).outcome
    if outcome is None:
        raise UsageError(f"{command!r} touches no mount", hint="give mount, umount or unshare --mount")
    return outcome


def predict_commands(
    snapshot: Snapshot,
    target: str | int,
    command: str,
    *,
    real_path: Callable[[str], str | None] | None = None,
    directory: str | None = None,
    program: str | None = None,
) -> Prediction:
    """Like :func:`predict`, step by step.

    *real_path* follows symbolic links for the process that acts, and gives ``None`` for what does not exist; without
    it, paths are taken literally. What a link in ``/proc/PID/ns`` leads to has no path: it gives ``net:[4026531840]``.
    Paths that are not absolute begin at *directory*, below the root directory of the process. *program* is the mount(8)
    that carries it out, such as ``util-linux 2.41``, if not the one that the namespace is known to have.

    :raises ParseError: a command line that is not understood, with its line and column.
    :raises TargetError: the snapshot has no such view.
    """
    view = snapshot.view(target)
    labels = [view.label for view in snapshot.views]

    def steps(carrying_out: MountProgram) -> list[Step]:
        return parse_commands(
            command,
            view.label,
            taken=labels,
            directory=directory,
            program=carrying_out,
            entered=lambda of: entered(snapshot, of),
        )

    carried_out: list[tuple[Snapshot, list[Operation], tuple[Outcome, ...]]] = []

    def done(sequence: list[Step]) -> _Run:
        run = _Run(snapshot, view, process_of(view, str(target)), real_path, carried_out)
        run.sequence(sequence, 0)
        return run

    known = MountProgram.of(program or view.namespace.mount_program)
    sequence = steps(known)
    run = done(sequence)
    doubts: tuple[str, ...] = ()
    if known.busybox:
        doubts = known.doubts(differs=True)
    elif known.version is None and (other := steps(BEFORE_THE_NEW_CALLS)) != sequence:
        doubts = known.doubts(differs=done(other).snapshot != run.snapshot)
    return Prediction(command, view.label, snapshot, tuple(run.predictions), run.snapshot, known, doubts)


class _Run:
    """A sequence being carried out, from snapshot to snapshot."""

    def __init__(
        self,
        snapshot: Snapshot,
        view: View,
        process: Process | None,
        real_path: Callable[[str], str | None] | None,
        carried_out: list[tuple[Snapshot, list[Operation], tuple[Outcome, ...]]],
    ) -> None:
        self.snapshot = snapshot
        self._carried_out = carried_out
        """What this run and others have done, and from where: another mount(8) mostly does the same."""
        self._process = process
        self._root = root_of(process, view)
        self._own = own_labels(snapshot, view.label)
        self._others = {one.label for one in snapshot.views} - self._own
        self._handles: set[str] = set()
        self._real_path = real_path
        self.predictions: list[StepPrediction] = []
        self._own_pids = process.pid_namespace if process else None
        self._host_pids = pids_of_the_host(snapshot.host, process)

    def sequence(self, steps: list[Step] | tuple[Step, ...], depth: int) -> bool:
        """Carry out the steps; whether the last that ran succeeded, as a shell sees it."""
        succeeded = True
        for number, step in enumerate(steps):
            if step.joint == "&&" and not succeeded:
                self._skip(step, depth)
                continue
            succeeded = self._step(step, depth)
            last = number == len(steps) - 1
            if (
                step.ends
                and step.ends in self._labels()
                and not (last and _goes_on(step))
                and not self._kept(step.ends)
            ):
                self._end(step.ends)
        return succeeded

    def _step(self, step: Step, depth: int) -> bool:
        outcomes: list[Outcome] = []
        doubts: list[str] = [f"what {step.unpredicted} does is not predicted"] if step.unpredicted else []
        failed: Outcome | None = None
        for call in step.calls:
            outcome = self._call(call, outcomes, doubts)
            if outcome and outcome.errno and not (call.excused and outcome.errno == "EINVAL"):
                failed = failed or outcome
                if not step.keeps_going:
                    break
        proc = next((call for call in step.calls if call.operation.get("fstype") == "proc"), None)
        self.predictions.append(
            StepPrediction(
                step,
                depth,
                tuple(outcomes),
                failed,
                doubts=tuple(doubts),
                proc_of=self._proc_of(proc) if proc else None,
            )
        )
        if failed or step.refused:
            for inside in step.inside:
                self._skip(inside, depth + 1)
            return False
        return self.sequence(step.inside, depth + 1)

    def _call(self, call: Call, outcomes: list[Outcome], doubts: list[str]) -> Outcome | None:
        """Carry out what a call comes to; the outcome of the last operation it took, ``None`` where it took none."""
        doubts += call.doubts
        call = replace(call, operation=self._followed(call, doubts))
        if call.operation["op"] in ("open_tree", "fsmount"):
            self._handles.add(call.operation["handle"])
        operations = list(self._operations(call, doubts))
        if not operations:
            return None
        if call.errno:
            done: tuple[Outcome, ...] = (Outcome(operations[0], call.errno, Records((), Effect), self.snapshot),)
        else:
            done = self._carry_out(operations)
        done = tuple(replace(outcome, effects=Records(self._seen(outcome), Effect)) for outcome in done)
        outcomes += done
        self.snapshot = done[-1].snapshot
        return done[-1]

    def _carry_out(self, operations: list[Operation]) -> tuple[Outcome, ...]:
        for before, others, done in self._carried_out:
            if before is self.snapshot and others == operations:
                return done
        done = simulate_all(self.snapshot, operations)
        self._carried_out.append((self.snapshot, operations, done))
        return done

    def _seen(self, outcome: Outcome) -> Iterator[Effect]:
        """Its effects, as the target has them: what nsenter does elsewhere crosses, and what no one sees is none."""
        for effect in outcome.effects:
            if outcome.operation.ns in self._others and effect.namespace in self._others | self._own:
                yield replace(effect, crosses=effect.namespace in self._others)
            elif effect.namespace not in self._handles:
                yield effect

    def _followed(self, call: Call, doubts: list[str]) -> Mapping[str, Any]:
        """The operation with its paths as they really lead, where that is known, from the root of the namespace on."""
        followed = dict(call.operation)
        for name in _PATHS.get(followed["op"], ("source", "target")):
            path = followed.get(name)
            if isinstance(path, str) and path.startswith("/") and not ("nsfs" in followed and name == "source"):
                real = self._real(path, call, doubts)
                file = NAMESPACE_FILE.fullmatch(path) if (followed["op"], name) == ("bind", "source") else None
                if file and real in (path, None):
                    followed["nsfs"] = self._namespace_file(file, path, doubts)
                elif real is not None and NAMESPACE.fullmatch(real):
                    followed["nsfs"] = real
                else:
                    if real is None and not (call.makes_target and name == "target"):
                        doubts.append(
                            f"{path} does not exist now: unless something makes it first, this fails with ENOENT"
                        )
                    followed[name] = normal(f"{self._root}{real or path}") if call.own_root else real or path
        return followed

    def _real(self, path: str, call: Call, doubts: list[str]) -> str | None:
        """The path without links, where that can be looked up: what nsenter leads to has another root directory."""
        if self._real_path is None or not call.own_root:
            return path
        try:
            return self._real_path(path)
        except NoAnswerError:
            doubts.append(f"{path} was not looked at, a filesystem on the way does not answer: taken literally")
        except AccessError:
            doubts.append(f"{path} may not be looked at: taken literally")
        return path

    def _namespace_file(self, file: re.Match[str], path: str, doubts: list[str]) -> str:
        """Which namespace the link leads to, as far as the snapshot tells: ``net:[?]`` where it does not."""
        pid, kind = file[1], file[2]
        for view in self.snapshot.views:
            for process in view.namespace.processes:
                if str(process.pid) == pid or (process == self._process and not pid.isdecimal()):
                    found = {"mnt": view.namespace.inode, "pid": process.pid_namespace, "user": process.user_namespace}
                    if (inode := found.get(kind)) is not None:
                        return f"{kind}:[{inode}]"
        doubts.append(f"which namespace {path} is the file of is not known: it is shown as {kind}:[?]")
        return f"{kind}:[?]"

    def _operations(self, call: Call, doubts: list[str]) -> Iterator[Operation]:
        described = call.operation
        if described["op"] == "umount":
            yield from self._umounts(described, call)
        elif call.if_mounted:
            mounted = {mount.mount_point for mount in self.snapshot.view(described["ns"]).mounts}
            if described["source"] in mounted and described["target"] in mounted:
                yield operation({"op": "umount", "ns": described["ns"], "target": described["source"], "lazy": True})
            elif described["source"] in mounted:
                yield operation(described)
        elif described["op"] == "mount":
            yield self._mount(call, doubts)
        elif call.after_shown is not None:
            shown = self._options(described["ns"], described["target"])
            added = (word for word in call.after_shown if not (call.each_once and word in shown))
            flags = flags_after((*shown, *added))
            yield operation({**described, "ro": "ro" in flags, "flags": of_a_mount(flags)})
        else:
            yield operation(described)

    def _options(self, ns: str, target: str) -> tuple[str, ...]:
        """What the table shows of the topmost mount there, as mount(8) reads it."""
        mounts = self.snapshot.view(ns).mounts
        return next((mount.options for mount in reversed(mounts) if mount.mount_point == target), ())

    def _umounts(self, described: Mapping[str, Any], call: Call) -> list[Operation]:
        """umount(8) reads the table once: for the mount points of a device, and for what is mounted below."""
        mounts = self.snapshot.view(described["ns"]).mounts
        target = described["target"]
        top = next((mount for mount in reversed(mounts) if mount.mount_point == target), None)
        top = top or next((mount for mount in reversed(mounts) if mount.source == target), None)
        named = operation(described)
        if top is None or not isinstance(named, Umount):
            return [named]
        doomed = [mount for mount in reversed(mounts) if mount.device == top.device] if call.all_targets else [top]
        if call.every_layer:
            # The lowest of each stack: the others are mounted on it.
            lowest = {mount.mount_point: mount for mount in reversed(mounts)}
            doomed = list(dict.fromkeys(lowest[mount.mount_point] for mount in doomed))
        if call.whole_tree:
            doomed = list(dict.fromkeys(mount for one in doomed for mount in _children_first(one, mounts)))
        return [replace(named, target=mount.mount_point) for mount in doomed]

    def _mount(self, call: Call, doubts: list[str]) -> Operation:
        """A new mount shows the superblock that is there already, where the filesystem has but one."""
        described = dict(call.operation)
        fs_type, source, target = described["fstype"], described["source"], described["target"]
        known = list(self._showing(fs_type, source, described["ns"], call.new_namespaces))
        devices = {mount.device for mount in known}
        if len(devices) == 1:
            described |= {"device": known[0].device, "fstype": known[0].fs_type}
        elif devices:
            doubts.append(f"{target}: which of {', '.join(sorted(devices))} this {fs_type} will be")
        elif fs_type == "auto":
            doubts.append(f"{target}: whether {source} holds a filesystem, and which (shown as auto), is not known")
        if devices and fs_type in _ONE_PER_NAMESPACE:
            doubts.append(f"{target}: whether it will be the same {fs_type} as the one mounted already")
        return operation(described)

    def _showing(self, fs_type: str, source: str, ns: str, new_namespaces: frozenset[str]) -> Iterator[Mount]:
        views = self.snapshot.views
        if fs_type in _ONE_PER_NAMESPACE:
            views = () if _ONE_PER_NAMESPACE[fs_type] in new_namespaces else (self.snapshot.view(ns),)
        for view in views:
            for mount in view.mounts:
                if fs_type in _ONE_PER_NAMESPACE or fs_type in _ONLY_ONE:
                    if mount.fs_type == fs_type:
                        yield mount
                elif source.startswith("/dev/") and mount.source == source and fs_type in ("auto", mount.fs_type):
                    yield mount

    def _proc_of(self, call: Call) -> Whose:
        if "pid" in call.new_namespaces:
            return "another"
        if self._own_pids is None or self._host_pids is None:
            return "an unknown"
        return "the host's" if self._own_pids == self._host_pids else "another"

    def _skip(self, step: Step, depth: int) -> None:
        self.predictions.append(StepPrediction(step, depth, skipped=True))
        for inside in step.inside:
            self._skip(inside, depth + 1)

    def _end(self, label: str) -> None:
        """The namespace ends; what that changes belongs to the command that made it."""
        outcome = simulate(self.snapshot, {"op": "exit_ns", "ns": label})
        self.snapshot = outcome.snapshot
        for number, done in enumerate(self.predictions):
            if done.step.ends == label:
                self.predictions[number] = replace(done, outcomes=(*done.outcomes, outcome))

    def _kept(self, label: str) -> bool:
        """Whether the file of a namespace that a command has made is mounted, as ``unshare --mount=FILE`` does."""
        return any(mount.root == f"mnt:[{label}]" for mount in self.snapshot.mounts)

    def _labels(self) -> set[str]:
        return {view.label for view in self.snapshot.views}


_PATHS = {"mount": ("target",), "pivot_root": ("new_root", "put_old")}
"""The fields of an operation that are paths, where they are others than ``source`` and ``target``."""

# Where the kernel calls get_tree_single() or get_tree_keyed(): all mounts show one superblock. Every mount of another
# filesystem without a device (tmpfs, devpts, bpf; proc since Linux 5.8) is a superblock of its own.
_ONLY_ONE = frozenset(
    (
        "cgroup2",
        "configfs",
        "debugfs",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "pstore",
        "securityfs",
        "selinuxfs",
        "tracefs",
    )
)
_ONE_PER_NAMESPACE = {"sysfs": "net", "mqueue": "ipc", "binfmt_misc": "user"}


def _goes_on(step: Step) -> bool:
    """Whether it runs something of which it is not known when it ends."""
    return step.unpredicted is not None or any(map(_goes_on, step.inside))


def _children_first(top: Mount, mounts: tuple[Mount, ...]) -> list[Mount]:
    """*top* and all below it, in umount --recursive's order: the latest child first, what is below it before it."""
    children: dict[int, list[Mount]] = {}
    for mount in mounts:
        if mount.mount_id != mount.parent_id:
            children.setdefault(mount.parent_id, []).append(mount)
    found: list[Mount] = []
    stack = [top]
    while stack:
        mount = stack.pop()
        found.append(mount)
        stack += sorted(children.pop(mount.mount_id, ()), key=lambda child: -child.mount_id)
    return found[::-1]
