"""Command lines of mount(8), umount(8), unshare(1) and their like, read as the system calls they make."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from mntscope.base.paths import normal
from mntscope.base.records import replace
from mntscope.base.suggestion import did_you_mean
from mntscope.parse.arguments import Arguments, Refused
from mntscope.parse.busybox import busybox_mount_calls
from mntscope.parse.commands import Actor, Call, Entered, Step
from mntscope.parse.mount_calls import mount_calls, new_filesystem
from mntscope.parse.mount_program import EVERY_LAYER, NEWEST, PRIVATE_EXCUSED, MountProgram
from mntscope.parse.shell import Text, commands, quoted


def parse_commands(
    text: str,
    ns: str,
    *,
    taken: Collection[str] = (),
    directory: str | None = None,
    program: MountProgram = NEWEST,
    entered: Callable[[str], Entered | None] = lambda _: None,
) -> list[Step]:
    """The steps of the command lines in *text*, carried out by a process of the mount namespace labelled *ns*.

    A namespace that ``unshare`` makes is labelled ``unshare:1``, ``unshare:2`` and so on, without the labels that
    are *taken*. Paths that are not absolute begin at *directory*, where that is known. *program* is the mount(8) that
    would run. *entered* tells of a pid, or of the path of a namespace's file, where ``nsenter`` leads; ``None`` where
    that is not known.

    :raises ParseError: something that is not understood, with its line and column.
    :raises UsageError: a text that cannot be a command line.
    """
    whole = Text.of(text)
    labels = (label for number in itertools.count(1) if (label := f"unshare:{number}") not in taken)
    steps = _steps(whole, Actor(ns, labels, itertools.count(1), entered, program=program, directory=directory))
    if not steps:
        raise whole.error(
            "no command", hint="what follows a # is a comment" if "#" in text else "give mount, umount or unshare"
        )
    return list(steps)


DEEPEST = 16
"""How many programs may run one another (``sudo unshare sudo ..``)."""

_DIRECTORIES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_SHELLS = ("sh", "bash", "dash")


def _steps(text: Text, actor: Actor) -> tuple[Step, ...]:
    steps: list[Step] = []
    for command in commands(text):
        steps.append(replace(_step(command.words, actor), joint=command.joint))
        actor = _afterwards(command.words, actor)
    return tuple(steps)


def _afterwards(words: Sequence[Text], actor: Actor) -> Actor:
    """The shell after a command, if that succeeds: where it is."""
    if words[0].chars == "cd" and len(words) == 2:
        return actor.moved_to(actor.path(words[1]))
    if words[0].chars.rpartition("/")[2] == "pivot_root":
        new_root = actor.path(words[-2])
        here = actor.directory is not None and actor.path_of(actor.directory) == new_root
        return replace(actor, directory="/" if here else None, root="")
    return actor


def _step(words: Sequence[Text], actor: Actor) -> Step:
    """What the program that *words* name does."""
    line, column = words[0].position()
    step = Step(words[0].source[words[0].span[0] : words[-1].span[1]], line, column, ";")
    try:
        return _understood(words, actor, step)
    except Refused as refused:
        return replace(step, refused=str(refused))


def _understood(words: Sequence[Text], actor: Actor, step: Step) -> Step:
    if actor.depth == DEEPEST:
        raise words[0].error("too many programs run one another", hint=f"at most {DEEPEST}")
    actor = replace(actor, depth=actor.depth + 1)
    directory, slash, name = words[0].chars.rpartition("/")
    if not slash or directory in _DIRECTORIES:
        if name == "mount":
            calls = busybox_mount_calls if actor.program.busybox else mount_calls
            return replace(step, calls=tuple(calls(Arguments.read("mount", words, actor.program), actor)))
        if name == "umount":
            return _umount(Arguments.read("umount", words, actor.program), actor, step)
        if name == "unshare":
            return _unshare(Arguments.read("unshare", words, actor.program), actor, step)
        if name in _RUNNERS:
            return _RUNNERS[name](Arguments.read(name, words, actor.program), actor, step)
        if name == "pivot_root":
            new_root, put_old = map(actor.path, Arguments.read(name, words).operands)
            return replace(step, calls=(actor.does("pivot_root", new_root=new_root, put_old=put_old),))
        if name == "cd" and len(words) == 2:
            actor.path(words[1])
            return step
        if name == "sudo":
            return replace(step, inside=(_step(Arguments.read("sudo", words).program, actor),))
        if name in _SHELLS and [word.chars for word in words[1:2]] == ["-c"]:
            (script,) = Arguments.read("sh", words).operands
            return replace(step, inside=_steps(script, actor))
        if name == "true":
            return step
    if not actor.unshared:
        hint = did_you_mean(words[0].chars, _PREDICTED) or "mount, umount, unshare and nsenter are"
        raise words[0].error(f"{quoted(words[0].chars)} is not predicted", hint=hint)
    return replace(step, unpredicted=words[0].chars)


_PREDICTED = ("mount", "umount", "unshare", "nsenter", "chroot", "pivot_root", "switch_root", "sudo")


# ---- umount(8) ----


def _umount(arguments: Arguments, actor: Actor, step: Step) -> Step:
    if not arguments.operands:
        raise arguments.words[0].error("umount of nothing", hint="give a mount point")
    calls = tuple(
        replace(
            actor.does("umount", target=actor.path(target), lazy=arguments.has("lazy")),
            whole_tree=arguments.has("recursive"),
            every_layer=arguments.has("recursive") and actor.program.has(EVERY_LAYER),
            all_targets=arguments.has("all_targets"),
        )
        for target in arguments.operands
    )
    return replace(step, calls=calls, keeps_going=True)


# ---- unshare(1) ----


_KINDS = ("user", "net", "ipc", "uts", "cgroup", "time")


def _unshare(arguments: Arguments, actor: Actor, step: Step) -> Step:
    made = {kind for kind in _KINDS if arguments.has(f"new_{kind}")}
    if arguments.has("mapped"):
        made.add("user")
    if arguments.has("new_pid") and arguments.has("fork"):
        # Without a fork the program stays in the old one: only its children are in the new.
        made.add("pid")
    files = {kind: arguments.last(f"new_{kind}") for kind in (*_KINDS, "pid", "mount")}
    # They are mounted in the old mount namespace, before anything is mounted in the new.
    kept = {kind.replace("mount", "mnt"): actor.path(file) for kind, file in files.items() if file and file.chars}
    child = replace(actor, new=actor.new | made, unshared=True)
    kind = _new_propagation(arguments)
    proc, root = arguments.last("mount_proc"), arguments.last("root")
    if proc is None and not arguments.has("new_mount"):
        child = replace(child, powerless=actor.powerless or "user" in made)
        child = child.chrooted(root) if root else child
        return _with_program(replace(step, calls=tuple(_keep(kept, "?", child))), arguments, child)

    label = next(actor.labels)
    child = replace(child, ns=label, powerless=False)
    new_owner = actor.powerless or "user" in made
    calls = [replace(actor, powerless=False).does("clone_ns", new=label, new_userns=new_owner)]
    calls += _keep(kept, label, actor)
    if kind != "unchanged":
        calls.append(child.does("propagation", target=child.path_of("/"), type=kind, recursive=True))
    elif actor.program.busybox:
        # It calls mount(2) all the same, without a type.
        nothing = child.does("propagation", target=child.path_of("/"), type="private", recursive=False)
        calls.append(replace(nothing, errno="EINVAL"))
    child = child.chrooted(root) if root else child
    if proc is not None:
        directory = child.path(proc) if proc.chars else child.path_of("/proc")
        excused = actor.program.has(PRIVATE_EXCUSED)
        if kind != "private" or not (excused or root):
            # Where the directory is no mount point this fails, and the mount that contains it stays shared.
            private = child.does("propagation", target=directory, type="private", recursive=True)
            calls.append(replace(private, excused=excused))
        flags = frozenset(("nosuid", "nodev", "noexec"))
        calls.append(new_filesystem("proc", "proc", directory, flags, (), child))
    return _with_program(replace(step, calls=tuple(calls), ends=label), arguments, child)


def _keep(files: Mapping[str, str], label: str, actor: Actor) -> Iterator[Call]:
    """``unshare --mount=FILE``: the files of the new namespaces, mounted so that these stay."""
    for kind, path in files.items():
        nsfs = f"{kind}:[{label if kind == 'mnt' else '?'}]"
        yield actor.does("bind", source=f"/proc/self/ns/{kind}", target=path, recursive=False, nsfs=nsfs)


# ---- nsenter(1), chroot(8), switch_root(8) ----


def _nsenter(arguments: Arguments, actor: Actor, step: Step) -> Step:
    given = {kind: arguments.last(kind) for kind in ("mount", "target")}
    actor = replace(actor, unshared=True)
    if given["mount"] is None and not arguments.has("all"):
        return _with_program(step, arguments, actor)
    if (file := given["mount"]) is not None and file.chars:
        whose = replace(file, chars=actor.path(file), places=[file.places[0]] * (1 + len(actor.path(file))))
    elif given["target"] is not None:
        whose = given["target"]
    else:
        raise arguments.words[0].error("nsenter into what?", hint="give --target PID")
    entered = actor.entered(whose.chars)
    if entered is None:
        hint = "it must live in a mount namespace that was captured"
        raise whose.error(f"nsenter: the mount namespace of {quoted(whose.chars)} is not known", hint=hint)
    # setns(2) leaves the process at the root directory of the namespace.
    root = entered.root if arguments.has("root") and entered.root != "/" else ""
    inside = replace(
        actor, ns=entered.label, own_root=False, root=root, directory="/", powerless=False, new=frozenset()
    )
    return _with_program(step, arguments, inside)


def _chroot(arguments: Arguments, actor: Actor, step: Step) -> Step:
    return _with_program(step, arguments, replace(actor.chrooted(arguments.operands[0]), unshared=True))


_MOVED_ALONG = ("/dev", "/proc", "/sys", "/run")


def _switch_root(arguments: Arguments, actor: Actor, step: Step) -> Step:
    new_root = actor.path(arguments.operands[0])
    along = [
        replace(actor.does("move", source=actor.path_of(path), target=normal(f"{new_root}{path}")), if_mounted=True)
        for path in _MOVED_ALONG
    ]
    calls = (*along, actor.does("move", source=new_root, target=actor.path_of("/")))
    program = arguments.program[0].chars if arguments.program else "init"
    return replace(step, calls=calls, unpredicted=program)


_RUNNERS = {"nsenter": _nsenter, "chroot": _chroot, "switch_root": _switch_root}


def _new_propagation(arguments: Arguments) -> str:
    given = arguments.last("propagation")
    if given is None:
        return "private"
    if given.chars not in ("private", "shared", "slave", "unchanged"):
        hint = "it may be private, shared, slave or unchanged"
        raise given.error(f"unshare: no propagation {quoted(given.chars)}", hint=hint)
    return given.chars


def _with_program(step: Step, arguments: Arguments, actor: Actor) -> Step:
    if not arguments.program:
        return replace(step, unpredicted="a shell", ends=None)
    inside = _step(arguments.program, actor)
    return replace(step, inside=(inside,))
