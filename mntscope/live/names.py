"""What people call a mount namespace, or what mntscope calls it, as a process or a file by which it is found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from mntscope.base.records import NamedTuple
from mntscope.errors import TargetError
from mntscope.graph.names import namespace_names
from mntscope.live.capture import capture
from mntscope.live.containers import SHORTEST, containers, fitting, listed
from mntscope.model import Hold, View

_NO_CONTAINERS = ("unit", "process", "cgroup", "")
"""Kinds of owners that are none."""


class Found(NamedTuple):
    """One of *pid* and *path* says where the namespace is; neither: it was not found."""

    pid: int = 0
    """A process that lives in it,"""
    path: str = ""
    """or a file that keeps it, where no process does."""
    hint: str = ""
    """Where it was not found: what has a name like this, if anything has."""


class _Named(NamedTuple):
    """A namespace, with all that it may be called."""

    found: Found
    name: str
    """As lists have it: no other is called so."""
    container: bool
    words: tuple[str, ...]
    """Other words for it, which others may bear as well: its owner's name and id, its inode."""
    files: tuple[str, ...]
    """What keeps it."""


def find_container(wanted: str) -> int:
    """The pid of a process of the container with this name or id, which may be cut to four digits.

    What a user calls his containers counts only where none of root's, or of this process's own user, is meant; what
    only the mounts of a namespace tell, where no runtime and no cgroup tells of such a container.

    :raises TargetError: there is none, or several.
    """
    known = containers()
    if fits := fitting(known, wanted):
        if len(fits) > 1:
            raise TargetError(f"{len(fits)} containers are called {wanted!r}", hint=f"choose of {listed(fits)}")
        return fits[0].process.pid
    every = [named for named in _namespaces() if named.container and named.found.pid]
    if found := _one(every, wanted, f"containers are called {wanted!r}"):
        return found.pid
    names = [named.name for named in every]
    told = listed(known) if known else ", ".join(names[:8])
    hint = f"there are {told}" if told else "none is running that can be seen"
    raise TargetError(f"no running container {wanted!r}", hint=_meant(wanted, names) or hint)


def find(wanted: str) -> Found:
    """The namespace that is meant by a bare word: the name of a container or unit, or whatever `mntscope ns` prints.

    A container comes first.

    :raises TargetError: there are several.
    """
    if match := re.fullmatch(r"/proc/([0-9]{1,10})(?:/task/[0-9]{1,10})?/ns/mnt", wanted):
        return Found(int(match[1]))
    fits = fitting(containers(), wanted)
    if len(fits) == 1:
        return Found(fits[0].process.pid)
    every = list(_namespaces())
    if exact := [named for named in every if wanted == named.name or wanted in named.files]:
        return exact[0].found
    if fits:
        raise TargetError(f"{len(fits)} containers are called {wanted!r}", hint=f"choose of {listed(fits)}")
    found = _one(every, wanted, f"mount namespaces are called {wanted!r}")
    return found or Found(hint=_meant(wanted, [word for named in every for word in (named.name, *named.words)]))


def _meant(wanted: str, names: Iterable[str]) -> str:
    close = get_close_matches(wanted, list(dict.fromkeys(names)), 3)
    return f"did you mean {', '.join(map(repr, close))}?" if close else ""


def _one(every: Iterable[_Named], wanted: str, several: str) -> Found | None:
    """That of *every* which is meant: by a whole word, by the last part of a pod's name, by the beginning of an id."""
    named = list(every)
    fits = [one for one in named if wanted == one.name or wanted in one.words]
    if not fits:
        fits = [one for one in named if any(word.endswith(f"/{wanted}") for word in one.words)]
    if not fits and len(wanted) >= SHORTEST and re.fullmatch("[0-9a-f]+", wanted):
        fits = [one for one in named if any(word.startswith(wanted) for word in one.words if len(word) == 64)]
    if len(fits) > 1:
        raise TargetError(f"{len(fits)} {several}", hint=f"choose of {', '.join(one.name for one in fits[:8])}")
    return fits[0].found if fits else None


def _namespaces() -> Iterator[_Named]:
    """All of this machine but the host's own, which has its own word."""
    snapshot = capture(everything=True)
    names = namespace_names(snapshot.views, snapshot.host_label)
    for view in snapshot.views:
        if view.label == snapshot.host_label or view.detached:
            continue
        owner, inode = view.namespace.owner, view.namespace.inode
        words = [owner.name, owner.id, str(owner)] if owner and owner.known else []
        if inode is not None:
            words += [f"mnt:[{inode}]", str(inode)]
        container = owner is not None and owner.kind not in _NO_CONTAINERS
        files = tuple(hold.where for hold in view.namespace.holds if hold.kind != "thread")
        yield _Named(_place(view), names[view.label], container, (*filter(None, words), view.label), files)


def _place(view: View) -> Found:
    if view.process:
        return Found(view.process.pid)
    if view.namespace.processes:
        return Found(view.namespace.processes[0].pid)
    holds: list[Hold] = [hold for hold in view.namespace.holds if hold.kind != "thread"]
    return Found(path=holds[0].where) if holds else Found()
