"""Whose proc belongs into a mount namespace: that of the PID namespace in which the processes there live.

``unshare --pid --fork --mount`` stays in its old PID namespace, and enters the mount namespace of the child that it has
in the new one (pid_namespaces(7): unshare(2) moves the children, not the caller); so does whoever enters a container's
mount namespace alone. A proc of such a process's own PID namespace would cover a right one with strangers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from mntscope.base.records import NamedTuple
from mntscope.errors import RefusedError
from mntscope.isolate.target import Target
from mntscope.live.procfs import Proc, namespace_link, own_pids


class Resident(NamedTuple):
    """A process that lives in a mount namespace."""

    pid: int
    pid_namespace: int
    pids: tuple[int, ...]
    """From mntscope's PID namespace down to its own (NSpid)."""

    @property
    def is_first(self) -> bool:
        """Whether it is pid 1 of its PID namespace, which ends with it."""
        return self.pids[-1] == 1


def refuse_for_strangers(proc: Proc, at: Target, *, own: bool) -> None:
    """Look whether the target lives in the PID namespace of its mount namespace's other processes.

    *own*: what is shown there is the target's proc already, which is right if somebody else there shares it.

    :raises RefusedError: it does not, or its children do not live where it does; the one to name is named.
    """
    if at.pid is None or at.pid_namespace is None:
        return
    residents = [found for pid in proc.pids() if (found := _resident(proc, pid, at.namespace.inode)) is not None]
    if own and any(it.pid_namespace == at.pid_namespace and it.pid != at.pid for it in residents):
        return
    here = next((resident for resident in residents if resident.pid == at.pid), None)
    right = rightful(residents, at.pid_namespace, len(here.pids) if here else 0)
    where = f"process {at.pid}"
    if right is not None:
        what = f"it is in another PID namespace than process {right.pid}, with which it shares its mounts"
        raise RefusedError(
            f"{what}: a proc of its own would show strangers there", where=where, hint=f"name process {right.pid}"
        )
    try:
        children: int | None = namespace_link("pid_for_children", str(at.pid), dir_fd=proc.fd)
    except FileNotFoundError:
        # No pid 1 was born there yet.
        children = None
    except OSError:
        return
    if children != at.pid_namespace:
        child = min((resident.pid for resident in residents if resident.pid_namespace == children), default=None)
        what = "its children are born in another PID namespace than its own (unshare --pid without --fork?)"
        hint = f"name process {child}" if child else "name a process that was born there, once there is one"
        raise RefusedError(f"{what}: a proc of its own would not show them", where=where, hint=hint)


def rightful(residents: Iterable[Resident], pid_namespace: int, depth: int) -> Resident | None:
    """The process to name in the place of one in *pid_namespace*; ``None`` where that one is right.

    A PID namespace is at home where its pid 1 lives. Where none is, as with a pod's that several containers share, it
    is the one that lies deepest: who comes from outside to look is less deep than who lives there. *depth* is how many
    PID namespaces see the target.
    """
    firsts = [resident for resident in residents if resident.is_first]
    if any(resident.pid_namespace == pid_namespace for resident in firsts):
        return None
    strangers = firsts or [resident for resident in residents if len(resident.pids) > depth > 0]
    others = [resident for resident in strangers if resident.pid_namespace != pid_namespace]
    # The outermost of those that have a pid 1: a process there may have made one within for itself.
    return min(others, key=lambda it: (len(it.pids) if firsts else -len(it.pids), it.pid), default=None)


def _resident(proc: Proc, pid: int, namespace: int | None) -> Resident | None:
    """A process, if it lives in the mount *namespace*; what has ended, or may not be looked at, is not known to."""
    with suppress(OSError, ValueError):
        if namespace_link("mnt", str(pid), dir_fd=proc.fd) == namespace and (pids := own_pids(proc.fd, str(pid))):
            return Resident(pid, namespace_link("pid", str(pid), dir_fd=proc.fd), tuple(pids))
    return None
