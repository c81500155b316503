"""BusyBox's mount(8): the system call that its options and operands come to.

It makes one mount(2) with all flags, of which the kernel heeds some: a bind ignores options and propagation, a change
of propagation goes before a new filesystem and fails beside any other flag. Seen in 1.30 to 1.38, which do the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.base.records import replace
from mntscope.parse.arguments import Argument, Arguments, Refused
from mntscope.parse.commands import Actor, Call
from mntscope.parse.mount_calls import bind_of, fs_type_of, new_filesystem, set_flags
from mntscope.parse.mount_flags import TAKES_BACK, flags_after
from mntscope.parse.shell import Text, quoted

_FLAGS = {*TAKES_BACK, *TAKES_BACK.values(), "dirsync", "nosymfollow"} - {"iversion", "noiversion", "silent", "loud"}
_PROPAGATION = tuple(f"make-{r}{kind}" for r in ("", "r") for kind in ("shared", "slave", "private", "unbindable"))
_OF_FSTAB = {"nofail", "noauto", "swap", "user", "users"}
"""Flags of BusyBox's own. Of a directory alone, mount(2) gets them too."""
_HARMLESS = {"", "defaults", "loop", "loud", "_netdev", *_OF_FSTAB}


def busybox_mount_calls(arguments: Arguments, actor: Actor) -> Iterator[Call]:
    """The call of a mount with these arguments; none of a dry run.

    :raises Refused: more operands than it takes.
    :raises ParseError: what is not predicted.
    """
    if len(arguments.operands) > 2:
        raise Refused(f"mount of {actor.program.name} takes a source and a directory, no more")
    if not arguments.operands:
        raise arguments.words[0].error("mount of nothing", hint="give a source and a directory")
    if not arguments.has("dry_run"):
        *source, target = arguments.operands
        yield _call(_words(arguments), source[0] if source else None, target, arguments, actor)


def _call(words: Sequence[Text], source: Text | None, target: Text, arguments: Arguments, actor: Actor) -> Call:
    names = [word.chars for word in words]
    path = actor.path(target)
    flag_words = tuple(name for name in names if name in _FLAGS)
    flags = flags_after(flag_words)
    propagation = [name.removeprefix("make-") for name in names if name in _PROPAGATION]
    kinds = {kind.removeprefix("r") for kind in propagation}
    binds = "bind" in names or "rbind" in names
    recursive = "rbind" in names or any(kind.startswith("r") for kind in propagation)

    if "remount" in names:
        if not binds:
            raise words[names.index("remount")].error(
                "mount: remount changes the filesystem wherever it is mounted, which is not predicted",
                hint="remount,bind changes the one mount",
            )
        call = set_flags(path, flags, actor)
        # Of what mountinfo shows it makes a list, to which it appends what is not in it yet.
        return call if source or kinds else replace(call, after_shown=flag_words, each_once=True)
    if source is None and (binds or not kinds):
        raise target.error("mount of one name reads /etc/fstab, which is not predicted", hint="give two names")
    if binds:
        assert source is not None
        return actor.does("bind", target=path, **bind_of(source, actor, recursive=recursive))
    if kinds:
        call = actor.does("propagation", target=path, type=min(kinds), recursive=recursive)
        others = flags or "move" in names or (source is None and not _OF_FSTAB.isdisjoint(names))
        return replace(call, errno=call.errno or "EINVAL") if others or len(kinds) > 1 else call
    assert source is not None
    if "move" in names:
        return actor.does("move", source=actor.path(source), target=path)
    strange = [
        Argument("of_filesystem", word.part(0, len(word.chars.partition("=")[0])), word)
        for word in words
        if word.chars not in _FLAGS | _HARMLESS and not word.chars.startswith("comment=")
    ]
    new = new_filesystem(fs_type_of(arguments, source), source.chars, path, flags, strange, actor)
    if "#" in source.chars:
        program = quoted(source.chars.partition("#")[0])
        doubt = f"{path}: whether there is a program {program}, which BusyBox would run to mount this"
        return replace(new, errno=new.errno or "ENOENT", doubts=(*new.doubts, doubt))
    return new


def _words(arguments: Arguments) -> list[Text]:
    """The words of all lists of options, in BusyBox's order: a later list brings only what is not there yet."""

    def given(name: str) -> Iterator[Argument]:
        return (option for option in arguments.options if option.name == name)

    lists = [option.value for name in ("options_first", "options") for option in given(name)]
    for name in ("ro", "rw"):
        # Of the letter, the word that it stands for.
        lists += [replace(of.text, chars=name, places=[of.text.places[0]] * (1 + len(name))) for of in given(name)]
    words: list[Text] = []
    for text in lists:
        known = {word.chars for word in words}
        words += [word for word in _split(text) if word.chars not in known]
    return words


def _split(text: Text) -> Iterator[Text]:
    start = 0
    for word in text.chars.split(","):
        yield text.part(start, start + len(word))
        start += len(word) + 1
