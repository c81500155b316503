"""mount(8): the system calls that its options and operands come to.

The calls are those of util-linux, in its order; where its versions differ, :mod:`mntscope.parse.mount_program` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from mntscope.base.records import replace
from mntscope.parse.arguments import Argument, Arguments
from mntscope.parse.commands import Actor, Call
from mntscope.parse.mount_flags import flags_after, of_a_mount, printed
from mntscope.parse.mount_program import (
    FLAGS_BEFORE_ATTACHING,
    FLAGS_BEFORE_MOVING,
    LATEST_ATIME_WINS,
    SAME_TWICE,
)
from mntscope.parse.shell import Text, command_grammar, quoted, where_it_ended

if TYPE_CHECKING:
    from lark import Token, Tree

_BINDS = ("bind", "rbind")


def mount_calls(arguments: Arguments, actor: Actor) -> Iterator[Call]:
    """The calls of a mount(8) with these arguments, in order."""
    words = [word for option in arguments.options for word in _listed(option)]
    names = {word.name for word in words}
    source, target = _source_and_target(arguments)
    kind = _kind(arguments, words)
    last_atime = actor.program.has(LATEST_ATIME_WINS) and kind != "remount"
    flags = flags_after(filter(None, map(_flag, words)), last_atime=last_atime)
    strange = [word for word in words if word.name == "of_filesystem"]
    beneath = arguments.has("beneath")
    if beneath and kind in ("remount", "make"):
        raise arguments.words[0].error("mount: --beneath is for what is mounted", hint="with --move, --bind or -t")
    makes = arguments.has("mkdir") or "mkdir" in names
    if strange and kind != "new":
        raise strange[0].text.error(f"mount: option {quoted(strange[0].text.chars)} is not understood")

    if kind == "remount":
        yield _remount(words, flags, source, actor.path(target), actor)
    elif kind == "make" and (source is None or source.chars == "none"):
        if flags:
            raise target.error("mount --make-* of a directory takes no other options", hint="make it two commands")
    elif source is None:
        hint = "give two directories" if kind in ("bind", "move") else "give a source and a directory"
        raise target.error("mount of one name reads /etc/fstab, which is not predicted", hint=hint)
    elif kind == "bind":
        described = bind_of(source, actor, recursive="rbind" in names)
        if flags and actor.program.has(FLAGS_BEFORE_ATTACHING):
            described["attributes"] = (*(["ro"] if "ro" in flags else []), *of_a_mount(flags))
        if beneath:
            handle = f"detached:{next(actor.numbers)}"
            yield actor.does("open_tree", source=described["source"], recursive=described["recursive"], handle=handle)
            yield actor.does("attach", handle=handle, target=actor.path(target), beneath=True)
        else:
            yield replace(actor.does("bind", target=actor.path(target), **described), makes_target=makes)
    elif kind == "move":
        op = "move_beneath" if beneath else "move"
        if flags and actor.program.has(FLAGS_BEFORE_MOVING):
            # Beside what it has: nothing is cleared.
            yield replace(set_flags(actor.path(source), flags, actor), after_shown=tuple(sorted(flags)))
        yield replace(actor.does(op, source=actor.path(source), target=actor.path(target)), makes_target=makes)
    else:
        fs_type = fs_type_of(arguments, source)
        new = new_filesystem(fs_type, source.chars, actor.path(target), flags, strange, actor)
        if beneath:
            handle = f"detached:{next(actor.numbers)}"
            yield replace(actor.does("fsmount", handle=handle, fstype=fs_type, source=source.chars), doubts=new.doubts)
            yield actor.does("attach", handle=handle, target=actor.path(target), beneath=True)
        else:
            yield replace(new, makes_target=makes)

    yield from _propagation(words, actor.path(target), actor)
    if kind == "bind" and flags and not actor.program.has(FLAGS_BEFORE_ATTACHING):
        # The kernel ignores the flags of a bind: a second call sets them, and clears the others.
        yield set_flags(actor.path(target), flags, actor)


_NAMESPACE_FILE = re.compile(r"/proc/(?:self|thread-self)/ns/(\w+?)(?:_for_children)?")


def bind_of(source: Text, actor: Actor, *, recursive: bool) -> dict[str, Any]:
    """What a bind of *source* is about: of the file of a namespace that the command itself is in, which."""
    path = actor.path(source)
    own = _NAMESPACE_FILE.fullmatch(path)
    described: dict[str, Any] = {"source": path, "recursive": recursive}
    if own and own[1] == "mnt":
        described["nsfs"] = f"mnt:[{actor.ns}]"
    elif own and own[1] in actor.new:
        described["nsfs"] = f"{own[1]}:[?]"
    return described


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


def _flag(word: Argument) -> str | None:
    if word.name in ("ro", "rw"):
        return word.name
    return word.value.chars if word.name == "flag" else None


def _propagation(words: Sequence[Argument], target: str, actor: Actor) -> Iterator[Call]:
    seen: set[str] = set()
    for word in words:
        if word.name == "make":
            kind = word.value.chars.removeprefix("r")
            if kind in seen:
                raise word.text.error(f"mount: {kind} is given twice", hint="mount(8) loses one of them: give it once")
            seen.add(kind)
            yield actor.does("propagation", target=target, type=kind, recursive=kind != word.value.chars)


def _remount(words: Sequence[Argument], flags: frozenset[str], source: Text | None, target: str, actor: Actor) -> Call:
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
    call = set_flags(target, flags, actor)
    if source is None:
        call = replace(call, after_shown=tuple(filter(None, map(_flag, words))))
    return call


def set_flags(target: str, flags: frozenset[str], actor: Actor) -> Call:
    """The call that gives the one mount at *target* these flags, and no others."""
    return actor.does("remount", target=target, ro="ro" in flags, flags=of_a_mount(flags))


def fs_type_of(arguments: Arguments, source: Text) -> str:
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


_OF_EVERY_FILESYSTEM = {"source", "context", "defcontext", "fscontext", "rootcontext"}
_THEIR_OPTIONS = {
    "proc": {*_OF_EVERY_FILESYSTEM, "gid", "hidepid", "subset", "pidns"},
    "tmpfs": {
        *_OF_EVERY_FILESYSTEM,
        *("gid", "huge", "inode32", "inode64", "mode", "mpol", "noswap", "nr_blocks", "nr_inodes", "size", "uid"),
        *("quota", "usrquota", "grpquota", "usrquota_block_hardlimit", "usrquota_inode_hardlimit"),
        *("grpquota_block_hardlimit", "grpquota_inode_hardlimit", "casefold", "strict_encoding"),
    },
}
"""Those that a filesystem has in some version of Linux: it fails with EINVAL where it is given another."""
_OF_A_NAMESPACE = {"proc": "pid", "sysfs": "net", "mqueue": "ipc"}
_FOR_EVERYONE = ("devpts", "fuse", "overlay", "ramfs", "tmpfs")


def new_filesystem(
    fs_type: str, source: str, target: str, flags: frozenset[str], strange: Sequence[Argument], actor: Actor
) -> Call:
    """The call that mounts a filesystem; *strange* are the options that it is given itself."""
    call = actor.does("mount", fstype=fs_type, source=source, target=target, options=printed(flags))
    if actor.program.has(SAME_TWICE):
        call = replace(call, operation={**call.operation, "again": True})
    unknown = [word for word in strange if word.value.chars not in _THEIR_OPTIONS.get(fs_type, ())]
    doubts = [f"{target}: what {fs_type} makes of the option {quoted(word.text.chars)}" for word in unknown]
    if unknown and fs_type in _THEIR_OPTIONS:
        call = replace(call, errno=call.errno or "EINVAL")
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
