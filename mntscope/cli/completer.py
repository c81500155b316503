"""How a command may go on: commands, options, their values, and what there is to name on this machine."""

from __future__ import annotations

import os
from argparse import PARSER, SUPPRESS, Action, ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice

from mntscope.cli.parser import COMMANDS, command_parser
from mntscope.errors import MntscopeError

MOST = 500
"""No more are offered."""

FORMS = ("self", "host", "container:", "file:", "ns:", "snapshot:")
"""What a TARGET may begin with, beside a pid."""


def completions(before: Sequence[str], word: str) -> list[str]:
    """What *word*, which is behind the words *before*, may become; the words of a shell, unquoted.

    What a terminal would not print as it is, is not offered.
    """
    if not before:
        return _fitting(COMMANDS, word)
    if before[0] not in COMMANDS or "--" in before:
        return []
    parser = command_parser(before[0])
    options = {name: action for action in _actions(parser) for name in action.option_strings}
    option, equals, value = word.partition("=")
    if equals and option in options:
        return [f"{option}={found}" for found in _values(options[option], value)]
    previous = options.get(before[-1])
    if previous is not None and previous.nargs != 0 and len(before) > 1:
        return _values(previous, word)
    if word.startswith("-"):
        return _fitting((name for name in options if len(name) > 2), word)
    action = _positional(parser, options, before[1:])
    return [] if action is None else _values(action, word)


def _actions(parser: ArgumentParser) -> list[Action]:
    # argparse has no other way to say what it was told.
    return parser._actions  # noqa: SLF001


def _positional(parser: ArgumentParser, options: dict[str, Action], words: Sequence[str]) -> Action | None:
    """What the next word is that is no option; the last of them takes all that follow, if it takes several."""
    given = 0
    takes_value = False
    for word in words:
        option = options.get(word)
        if option is None and not takes_value and not word.startswith("--"):
            given += 1
        takes_value = option is not None and option.nargs != 0
    positionals = [action for action in _actions(parser) if not action.option_strings]
    if given < len(positionals):
        return positionals[given]
    return positionals[-1] if positionals and positionals[-1].nargs in ("*", "+") else None


def _values(action: Action, word: str) -> list[str]:
    if action.choices is not None:
        return _fitting(map(str, action.choices), word)
    kinds = str(action.metavar) if action.metavar not in (None, SUPPRESS) and action.nargs != PARSER else ""
    found = [each for kind, offered in _KINDS.items() if kind in kinds.split() for each in offered(word)]
    return _fitting(found, word)


def _fitting(names: Iterable[str], word: str) -> list[str]:
    fitting = (name for name in dict.fromkeys(names) if name.startswith(word) and name.isprintable())
    return list(islice(fitting, MOST))


# What there is to name


def _targets(word: str) -> Iterator[str]:
    kind, colon, rest = word.partition(":")
    if not colon:
        yield from _pids()
        yield from FORMS
    elif kind in ("file", "ns"):
        yield from (f"{kind}:{path}" for path in _files(rest))
    elif kind == "snapshot":
        file, hash_, _ = rest.partition("#")
        if hash_:
            yield from (f"snapshot:{file}#{label}" for label in _labels_of(file))
        else:
            yield from (f"snapshot:{path}{'' if path.endswith('/') else '#'}" for path in _files(rest))
    elif kind == "container":
        yield from (f"container:{name}" for name in _containers())


def _pids() -> list[str]:
    """Every process, those in another mount namespace than this one first."""
    own = _namespace("self")
    pids = (name for name in os.listdir("/proc") if name.isdecimal())
    return sorted(pids, key=lambda pid: (_namespace(pid) == own, int(pid)))


def _namespace(pid: str) -> str:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/mnt")
    return ""


def _containers() -> Iterator[str]:
    from mntscope.live.containers import running
    from mntscope.live.procfs import open_proc

    with suppress(MntscopeError, OSError), open_proc() as proc:
        yield from (container.owner.name for container in running(proc))


def _files(word: str) -> Iterator[str]:
    """The paths that begin so; directories end in a slash."""
    directory, slash, start = word.rpartition("/")
    with suppress(OSError), os.scandir(os.path.expanduser(directory) or slash or ".") as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                yield f"{directory}{slash}{entry.name}{'/' if entry.is_dir() else ''}"


def _labels_of(file: str) -> tuple[str, ...]:
    with suppress(OSError, MntscopeError):
        return _labels(file, os.stat(file).st_mtime_ns)
    return ()


@lru_cache(maxsize=4)
def _labels(file: str, _: int) -> tuple[str, ...]:
    from mntscope.archive import load

    return tuple(view.label for view in load(file).views)


def _paths(word: str) -> Iterator[str]:
    """Mount points of this process's own namespace, and directories."""
    from mntscope.parse import parse_mountinfo

    with suppress(OSError), open("/proc/self/mountinfo", "rb") as table:
        yield from (mount.mount_point for mount in parse_mountinfo(table.read(), strict=False))
    if word.startswith("/"):
        yield from (path for path in _files(word) if path.endswith("/"))


def _rules(_: str) -> Iterator[str]:
    from mntscope.rules import installed

    for rule in installed():
        yield rule.id
        yield rule.name


_KINDS: dict[str, Callable[[str], Iterable[str]]] = {
    "TARGET": _targets,
    "PATH": _paths,
    "WHAT": _paths,
    "FILE": _files,
    "SNAPSHOT": _files,
    "JOURNAL": _files,
    "RULE": _rules,
    "PID": lambda _: _pids(),
}
"""By the word that stands for it in the command's help."""
