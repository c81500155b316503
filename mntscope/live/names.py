"""What people call a mount namespace, or what mntscope calls it, as a process or a file by which it is found."""

from __future__ import annotations

import re

from mntscope.base.records import NamedTuple
from mntscope.errors import TargetError
from mntscope.graph.called import Called, alternatives, called, meant, similar
from mntscope.live.capture import capture
from mntscope.live.containers import Runtimes, containers, fitting, listed
from mntscope.model import View


class Found(NamedTuple):
    """One of *pid* and *path* says where the namespace is; neither: it was not found."""

    pid: int = 0
    """A process that lives in it,"""
    path: str = ""
    """or a file that keeps it, where no process does."""
    hint: str = ""
    """Where it was not found: what has a name like this, if anything has."""


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
    every = [one for one in _namespaces() if one.container and _place(one.view).pid]
    if found := meant(every, wanted, "containers are called"):
        return _place(found.view).pid
    if stopped := _stopped(wanted):
        raise TargetError(stopped, hint="a container has mounts while it runs: start it first")
    told = listed(known) if known else alternatives(every)
    hint = f"there are {told}" if told else "none is running that can be seen"
    raise TargetError(f"no running container {wanted!r}", hint=similar(every, wanted) or hint)


def find(wanted: str) -> Found:
    """The namespace that is meant by a bare word: the name of a container or unit, or whatever `mntscope ns` prints.

    A container comes first.

    :raises TargetError: there are several.
    """
    if match := re.fullmatch(r"/proc/([0-9]{1,10})(/task/[0-9]{1,10})?/ns/mnt", wanted):
        # A thread may live elsewhere than its process.
        return Found(path=wanted) if match[2] else Found(int(match[1]))
    fits = fitting(containers(), wanted)
    if len(fits) == 1:
        return Found(fits[0].process.pid)
    every = _namespaces()
    if fits and not any(wanted == one.name or wanted in one.own for one in every):
        raise TargetError(f"{len(fits)} containers are called {wanted!r}", hint=f"choose of {listed(fits)}")
    found = meant(every, wanted)
    return _place(found.view) if found else Found(hint=_stopped(wanted) or similar(every, wanted))


def _stopped(wanted: str) -> str:
    kept = Runtimes().kept(wanted)
    return f"{kept} ({kept.id[:12]}) does not run" if kept else ""


def _namespaces() -> list[Called]:
    """All of this machine."""
    snapshot = capture(everything=True)
    return called(snapshot.views, snapshot.host_label)


def _place(view: View) -> Found:
    if view.process:
        return Found(view.process.pid)
    if view.namespace.processes:
        return Found(view.namespace.processes[0].pid)
    for hold in view.namespace.holds:
        if hold.kind == "thread":
            return Found(path=f"/proc/{hold.where}/ns/mnt")
        if hold.kind == "fd" or hold.label == "host":
            return Found(path=hold.where)
    return Found(hint="no process lives in it, and no file of the host leads there")
