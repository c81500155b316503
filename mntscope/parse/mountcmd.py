"""Command lines of mount(8), umount(8) and unshare(1), read as the system calls they make.

The calls are those of util-linux 2.38, in its order. Since 2.39 its programs use the newer calls
(open_tree(2), move_mount(2), mount_setattr(2)) with the same effect, but for one: a bind mount that is to be
read-only becomes so before it is attached, and so do the copies it propagates.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from mntscope.base.paths import normal
from mntscope.base.records import dataclass, replace
from mntscope.parse.arguments import Argument, Arguments
from mntscope.parse.shell import Joint, Text, command_grammar, commands, quoted, where_it_ended

if TYPE_CHECKING:
    from lark import Token, Tree


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that a command would make to change mounts, and what is known of it before it is made."""

    operation: Mapping[str, Any]
    """What it does, as the dict of an operation of :mod:`mntscope.propagation`: ``{"op": "mount", "ns": ..}``."""
    whole_tree: bool = False
    """``umount --recursive``: everything mounted below the target goes before it, a call each."""
    excused: bool = False
    """The program goes on, and succeeds, where the call fails with EINVAL."""
    errno: str | None = None
    """The errno it fails with, whatever the mounts are; ``None`` where they decide."""
    but_for: frozenset[str] | None = None
    """Of a remount to which mount(8) adds the options that mountinfo shows: those it does not; ``None`` of others."""
    new_namespaces: frozenset[str] = frozenset()
    """Which new namespaces (``pid``, ``net``, ``ipc``, ``user``) the process is in that makes it."""
    doubts: tuple[str, ...] = ()
    """What the command line cannot tell and the result depends on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a sequence: the system calls it makes, or the program it runs in the end."""

    text: str
    """The command as written."""
    line: int
    column: int
    """Where it begins, in bytes; both count from 1."""
    joint: Joint
    """What joins it to the command before it: after ``&&`` it runs only where that succeeded."""
    calls: tuple[Call, ...] = ()
    """In order; one that fails ends the command."""
    keeps_going: bool = False
    """``umount`` of several: a call that fails fails the command, but does not end it."""
    inside: tuple[Step, ...] = ()
    """The commands of the program it runs in the end."""
    ends: str | None = None
    """The label of the namespace that ends with the command."""
    unpredicted: str | None = None
    """A program it runs whose doings are not predicted."""

    @property
    def operations(self) -> tuple[Mapping[str, Any], ...]:
        """What its calls do, in order, as dicts that :func:`mntscope.propagation.simulate` takes."""
        return tuple(call.operation for call in self.calls)


def parse_commands(text: str, ns: str, *, taken: Collection[str] = ()) -> list[Step]:
    """The steps of the command lines in *text*, carried out by a process of the mount namespace labelled *ns*.

    A namespace that ``unshare`` makes is labelled ``unshare:1``, ``unshare:2`` and so on, without the labels that
    are *taken*. Paths must be absolute.

    :raises ParseError: something that is not understood, with its line and column.
    :raises UsageError: a text that cannot be a command line.
    """
    whole = Text.of(text)
    labels = (label for number in itertools.count(1) if (label := f"unshare:{number}") not in taken)
    steps = _steps(whole, _Actor(ns, labels))
    if not steps:
        raise whole.error(
            "no command", hint="what follows a # is a comment" if "#" in text else "give mount, umount or unshare"
        )
    return list(steps)


@dataclass(frozen=True, slots=True)
class _Actor:
    """The process that carries a command out."""

    ns: str
    labels: Iterator[str]
    """For the namespaces to come."""
    new: frozenset[str] = frozenset()
    """The kinds of new namespaces it is in."""
    powerless: bool = False
    """It is in a new user namespace and its mount namespace is not: it may change no mount."""
    unshared: bool = False
    """It was started by unshare(1), and may be any program."""
    depth: int = 0

    def does(self, op: str, **fields: str | bool | tuple[str, ...]) -> Call:
        errno = "EPERM" if self.powerless else None
        return Call({"op": op, "ns": self.ns, **fields}, errno=errno, new_namespaces=self.new)


DEEPEST = 16
"""How many programs may run one another (``sudo unshare sudo ..``)."""

_DIRECTORIES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
_SHELLS = ("sh", "bash", "dash")


def _steps(text: Text, actor: _Actor) -> tuple[Step, ...]:
    return tuple(replace(_step(command.words, actor), joint=command.joint) for command in commands(text))


def _step(words: Sequence[Text], actor: _Actor) -> Step:
    """What the program that *words* name does."""
    if actor.depth == DEEPEST:
        raise words[0].error("too many programs run one another", hint=f"at most {DEEPEST}")
    actor = replace(actor, depth=actor.depth + 1)
    line, column = words[0].position()
    step = Step(words[0].source[words[0].span[0] : words[-1].span[1]], line, column, ";")
    directory, slash, name = words[0].chars.rpartition("/")
    if not slash or directory in _DIRECTORIES:
        if name == "mount":
            return replace(step, calls=tuple(_mount(Arguments.read("mount", words), actor)))
        if name == "umount":
            return _umount(Arguments.read("umount", words), actor, step)
        if name == "unshare":
            return _unshare(Arguments.read("unshare", words), actor, step)
        if name == "sudo":
            return replace(step, inside=(_step(Arguments.read("sudo", words).program, actor),))
        if name in _SHELLS and [word.chars for word in words[1:2]] == ["-c"]:
            (script,) = Arguments.read("sh", words).operands
            return replace(step, inside=_steps(script, actor))
        if name == "true":
            return step
    if not actor.unshared:
        raise words[0].error(f"{quoted(words[0].chars)} is not predicted", hint="mount, umount and unshare are")
    return replace(step, unpredicted=words[0].chars)


# ---- mount(8) ----

_TAKES_BACK = {
    "rw": "ro",
    "suid": "nosuid",
    "dev": "nodev",
    "exec": "noexec",
    "async": "sync",
    "nomand": "mand",
    "atime": "noatime",
    "diratime": "nodiratime",
    "norelatime": "relatime",
    "nostrictatime": "strictatime",
    "nolazytime": "lazytime",
    "noiversion": "iversion",
    "loud": "silent",
}
_BINDS = ("bind", "rbind")
_OF_A_MOUNT = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "strictatime", "nosymfollow")


def _mount(arguments: Arguments, actor: _Actor) -> Iterator[Call]:
    words = [word for option in arguments.options for word in _listed(option)]
    names = {word.name for word in words}
    source, target = _source_and_target(arguments)
    kind = _kind(arguments, words)
    flags = _flags(words)
    strange = [word for word in words if word.name == "of_filesystem"]
    if strange and kind != "new":
        raise strange[0].text.error(f"mount: option {quoted(strange[0].text.chars)} is not understood")

    if kind == "remount":
        yield _remount(words, flags, source, _path(target), actor)
    elif kind == "make" and (source is None or source.chars == "none"):
        if flags:
            raise target.error("mount --make-* of a directory takes no other options", hint="make it two commands")
    elif source is None:
        hint = "give two directories" if kind in ("bind", "move") else "give a source and a directory"
        raise target.error("mount of one name reads /etc/fstab, which is not predicted", hint=hint)
    elif kind == "bind":
        yield actor.does("bind", source=_path(source), target=_path(target), recursive="rbind" in names)
    elif kind == "move":
        yield actor.does("move", source=_path(source), target=_path(target))
    else:
        yield _new_filesystem(_fs_type(arguments, source), source.chars, _path(target), flags, strange, actor)

    yield from _propagation(words, _path(target), actor)
    if kind == "bind" and flags:
        # The kernel ignores the flags of a bind: a second call sets them, and clears the others.
        yield _set_flags(_path(target), flags, actor)


def _listed(option: Argument) -> list[Argument]:
    """The words of the list that -o gives; any other option is its own."""
    from lark.exceptions import UnexpectedInput

    if option.name != "options":
        return [option]
    text = option.value.ended()
    try:
        tree = command_grammar().parse(text.chars, start="mount_options")
    except UnexpectedInput as error:
        at = where_it_ended(error, text)
        begin = text.chars.rfind(",", 0, at) + 1
        word = text.chars[begin:].partition(",")[0].rstrip("\0")
        raise text.error(f"mount: option {quoted(word)} is not understood", begin) from None
    return [Argument.of(word, text) for word in cast("list[Tree[Token]]", tree.children)]


def _kind(arguments: Arguments, words: Sequence[Argument]) -> str:
    """Which of its operations mount(2) is to carry out: ``remount``, ``move``, ``bind``, ``make`` or ``new``."""
    names = {word.name for word in words}
    letters = [option for option in arguments.options if option.name in ("bind", "rbind", "move")]
    if len({option.name for option in letters}) > 1 or ("move" in names and not names.isdisjoint(_BINDS)):
        clash = next(word for word in reversed(words) if word.name in ("bind", "rbind", "move"))
        raise clash.text.error("mount: bind, rbind and move exclude each other")
    if letters or "move" in names:
        for option in arguments.options:
            if option.name in ("types", "source"):
                raise option.text.error(f"mount refuses --{option.name} beside --bind, --rbind and --move")
    if "remount" in names:
        return "remount"
    if "move" in names:
        return "move"
    if not names.isdisjoint(_BINDS):
        return "bind"
    return "make" if arguments.has("make") and not arguments.has("types") else "new"


def _source_and_target(arguments: Arguments) -> tuple[Text | None, Text]:
    source, target = arguments.last("source"), arguments.last("target")
    match arguments.operands:
        case ():
            pass
        case (one,) if target is None:
            target = one
        case (one,) if source is None:
            source = one
        case (one, other) if source is None and target is None:
            source, target = one, other
        case (*_, last):
            raise last.error(
                f"mount: {quoted(last.chars)} is one word too many", hint="it takes a source and a directory"
            )
    if target is None:
        raise arguments.words[0].error("mount of nothing", hint="give a source and a directory")
    return source, target


def _flags(words: Sequence[Argument]) -> frozenset[str]:
    """The flags of mount(2) that are set after all words."""
    flags: set[str] = set()
    for flag in filter(None, map(_flag, words)):
        if flag in _TAKES_BACK:
            flags.discard(_TAKES_BACK[flag])
        else:
            flags.add(flag)
    return frozenset(flags)


def _flag(word: Argument) -> str | None:
    if word.name in ("ro", "rw"):
        return word.name
    return word.value.chars if word.name == "flag" else None


def _propagation(words: Sequence[Argument], target: str, actor: _Actor) -> Iterator[Call]:
    seen: set[str] = set()
    for word in words:
        if word.name == "make":
            kind = word.value.chars.removeprefix("r")
            if kind in seen:
                raise word.text.error(f"mount: {kind} is given twice", hint="mount(8) loses one of them: give it once")
            seen.add(kind)
            yield actor.does("propagation", target=target, type=kind, recursive=kind != word.value.chars)


def _remount(words: Sequence[Argument], flags: frozenset[str], source: Text | None, target: str, actor: _Actor) -> Call:
    """``-o remount,bind``: the flags of the one mount."""
    asked = next(word for word in words if word.name == "remount")
    if not any(word.name in _BINDS for word in words):
        raise asked.text.error(
            "mount: remount changes the filesystem wherever it is mounted, which is not predicted",
            hint="remount,bind changes the one mount",
        )
    if source is None and not any(_flag(word) in ("ro", "rw") for word in words):
        # mount(8) would keep what it reads from /proc/self/mountinfo.
        raise asked.text.error("mount: remount,bind without ro or rw is not predicted", hint="say which")
    call = _set_flags(target, flags, actor)
    if source is None:
        taken_back = {_TAKES_BACK[flag] for word in words if (flag := _flag(word)) in _TAKES_BACK}
        call = replace(call, but_for=frozenset(taken_back))
    return call


def _set_flags(target: str, flags: frozenset[str], actor: _Actor) -> Call:
    # The others belong to the superblock, which a bind leaves alone.
    others = tuple(flag for flag in _OF_A_MOUNT if flag in flags)
    return actor.does("remount", target=target, ro="ro" in flags, flags=others)


def _fs_type(arguments: Arguments, source: Text) -> str:
    """The type of the filesystem; ``auto`` where the device tells it."""
    types = arguments.last("types")
    if types is None or types.chars == "auto":
        if not source.chars.startswith("/"):
            raise source.error(
                f"mount: the filesystem type of {quoted(source.chars)} is not given", hint="give it with -t"
            )
        return "auto"
    if "," in types.chars or types.chars.startswith("no") or not types.chars:
        raise types.error(f"mount: {quoted(types.chars)} is not one filesystem type")
    return types.chars


_THEIR_OPTIONS = {
    "proc": {"gid", "hidepid", "subset"},
    "tmpfs": {"gid", "huge", "inode32", "inode64", "mode", "mpol", "noswap", "nr_blocks", "nr_inodes", "size", "uid"},
}
_OF_A_NAMESPACE = {"proc": "pid", "sysfs": "net", "mqueue": "ipc"}
_FOR_EVERYONE = ("devpts", "fuse", "overlay", "ramfs", "tmpfs")


def _new_filesystem(
    fs_type: str, source: str, target: str, flags: frozenset[str], strange: Sequence[Argument], actor: _Actor
) -> Call:
    call = actor.does("mount", fstype=fs_type, source=source, target=target, options=_printed(flags))
    doubts = [
        f"{target}: what {fs_type} makes of the option {quoted(word.text.chars)}"
        for word in strange
        if word.value.chars not in _THEIR_OPTIONS.get(fs_type, ())
    ]
    if "user" in actor.new:
        shown = _OF_A_NAMESPACE.get(fs_type)
        if shown is not None and shown not in actor.new:
            # Only who owns that namespace too may mount what shows it.
            return replace(call, errno="EPERM")
        if shown is not None:
            doubts.append(f"{target}: EPERM if mounts cover parts of every {fs_type} that the new user namespace sees")
        elif fs_type not in _FOR_EVERYONE:
            doubts.append(f"{target}: EPERM if {fs_type} may not be mounted in a new user namespace")
    return replace(call, doubts=tuple(doubts))


def _printed(flags: frozenset[str]) -> tuple[str, ...]:
    """The options of a new mount as mountinfo prints them (path_mount() and show_mnt_opts() in Linux)."""
    if "strictatime" in flags:
        flags -= {"noatime", "relatime"}
    elif "noatime" in flags:
        flags -= {"relatime"}
    else:
        flags |= {"relatime"}
    order = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow")
    return ("ro" if "ro" in flags else "rw", *(name for name in order if name in flags))


# ---- umount(8) ----


def _umount(arguments: Arguments, actor: _Actor, step: Step) -> Step:
    if not arguments.operands:
        raise arguments.words[0].error("umount of nothing", hint="give a mount point")
    calls = tuple(
        replace(
            actor.does("umount", target=_path(target), lazy=arguments.has("lazy")),
            whole_tree=arguments.has("recursive"),
        )
        for target in arguments.operands
    )
    return replace(step, calls=calls, keeps_going=True)


# ---- unshare(1) ----


def _unshare(arguments: Arguments, actor: _Actor, step: Step) -> Step:
    made = {kind for kind in ("user", "net", "ipc") if arguments.has(f"new_{kind}")}
    if arguments.has("new_pid") and arguments.has("fork"):
        # Without a fork the program stays in the old one: only its children are in the new.
        made.add("pid")
    child = replace(actor, new=actor.new | made, unshared=True)
    kind = _new_propagation(arguments)
    proc = arguments.last("mount_proc")
    if proc is None and not arguments.has("new_mount"):
        child = replace(child, powerless=actor.powerless or "user" in made)
        return _with_program(step, arguments, child)

    label = next(actor.labels)
    child = replace(child, ns=label, powerless=False)
    new_owner = actor.powerless or "user" in made
    calls = [replace(actor, powerless=False).does("clone_ns", new=label, new_userns=new_owner)]
    if kind != "unchanged":
        calls.append(child.does("propagation", target="/", type=kind, recursive=True))
    if proc is not None:
        directory = _path(proc) if proc.chars else "/proc"
        if kind != "private":
            # Where the directory is no mount point this fails, and the mount that contains it stays shared.
            private = child.does("propagation", target=directory, type="private", recursive=True)
            calls.append(replace(private, excused=True))
        flags = frozenset(("nosuid", "nodev", "noexec"))
        calls.append(_new_filesystem("proc", "proc", directory, flags, (), child))
    return _with_program(replace(step, calls=tuple(calls), ends=label), arguments, child)


def _new_propagation(arguments: Arguments) -> str:
    given = arguments.last("propagation")
    if given is None:
        return "private"
    if given.chars not in ("private", "shared", "slave", "unchanged"):
        hint = "it may be private, shared, slave or unchanged"
        raise given.error(f"unshare: no propagation {quoted(given.chars)}", hint=hint)
    return given.chars


def _with_program(step: Step, arguments: Arguments, actor: _Actor) -> Step:
    if not arguments.program:
        return replace(step, unpredicted="a shell", ends=None)
    inside = _step(arguments.program, actor)
    return replace(step, inside=(inside,))


def _path(word: Text) -> str:
    if not word.chars.startswith("/"):
        hint = "the directory in which the command will run is not known: write the whole path"
        raise word.error(f"{quoted(word.chars)} is not an absolute path", hint=hint)
    return normal(word.chars)
