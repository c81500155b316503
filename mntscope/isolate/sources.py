"""Takes the steps of :mod:`mntscope.isolate.steps`: each mount rejoins its group through another member of it.

That member may live in any namespace. What is taken of it is a detached copy, made and tried *before* anything is
changed: the kernel refuses to copy a mount in which others are locked (mount_namespaces(7)) as it refuses to let a
mount join it (``__has_locked_children``, fs/namespace.c), and a second copy, that nobody sees, joins the first one, so
that it is known whether this kernel and these user namespaces allow that.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from mntscope.base.paths import below, relative, under
from mntscope.errors import KernelError, MntscopeError, RefusedError
from mntscope.isolate.actions import Hook, let_go, start_worker
from mntscope.isolate.reach import Views, namespace_of
from mntscope.isolate.steps import Problem, Rejoin, Step, Unmount
from mntscope.isolate.target import NamespaceFds
from mntscope.kernel.channel import Worker
from mntscope.live.procfs import Proc
from mntscope.model import Mount, View
from mntscope.propagation import APART
from mntscope.propagation.versions import BESIDE_PEERS, Kernel

MOST_HELD = 200
"""Steps whose sources are kept open from the look at all of them on; those of further steps are opened again."""

_AGAIN = "`mntscope undo` with the same journal goes on from there"


@dataclass(slots=True)
class Prepared:
    """A step that can be taken, with what it takes."""

    step: Step
    fds: tuple[int, ...] = ()
    """The member that is joined; and, for a mount that is a slave now, the way back to that."""

    def close(self) -> None:
        """Close its descriptors."""
        while self.fds:
            os.close(self.fds[-1])
            self.fds = self.fds[:-1]


class Sources:
    """Finds, for the mounts of a namespace *mnt*, the members through which they rejoin their groups."""

    def __init__(self, proc: Proc, views: Views, mnt: int, hook: Hook | None = None) -> None:
        self.proc = proc
        self.views = views
        self.mnt = mnt
        self.hook = hook
        self._held = 0
        kernel = os.uname()
        self._kernel = Kernel.of(kernel.release, kernel.version)

    def prepare(self, step: Step | Problem) -> Prepared | Problem:
        """The step, ready to be taken, or why it cannot be; nothing is changed."""
        if not isinstance(step, Rejoin) or not step.members:
            return step if isinstance(step, Problem) else Prepared(step)
        fds = self._source(step)
        if isinstance(fds, Problem):
            return fds
        prepared = Prepared(step, fds)
        self._held += 1
        if self._held > MOST_HELD:
            prepared.close()
        return prepared

    def take(self, prepared: Prepared, worker: Worker) -> str | Problem:
        """Take a step: what was done, or why it could not be, and all is as it was before this step."""
        step = prepared.step
        place = step.mount.mount_point
        if isinstance(step, Unmount):
            try:
                worker.ask("unmount", path=place, mount_id=step.mount.mount_id)
            except MntscopeError as error:
                return Problem(f"the proc at {place} could not be unmounted ({error.what})", _AGAIN)
            return f"unmounted the proc at {place}"
        if step.members and not prepared.fds:
            fds = self._source(step)
            if isinstance(fds, Problem):
                return fds
            prepared.fds = fds
        try:
            self._join(step, prepared.fds)
        except MntscopeError as error:
            return Problem(f"{place} could not rejoin peer group {step.group} ({error.what})", _AGAIN)
        if not step.members:
            return f"made {place} shared again"
        if step.was.peer_group is None:
            return f"made {place} a slave of peer group {step.group} again"
        return f"returned {place} to peer group {step.group}"

    def _join(self, step: Rejoin, fds: tuple[int, ...]) -> None:
        # A worker forked now has the descriptors under the same numbers.
        worker = start_worker(NamespaceFds(self.proc.fd, self.mnt), hook=self.hook)
        source, way_back = (*fds, None, None)[:2]
        mount = step.mount
        try:
            worker.ask("join", path=mount.mount_point, mount_id=mount.mount_id, source=source, way_back=way_back)
        finally:
            let_go(worker)

    def _source(self, step: Rejoin) -> tuple[int, ...] | Problem:
        """Descriptors as in :class:`Prepared`, of a member whose root holds that of the mount."""
        place = step.mount.mount_point
        if step.was.peer_group is not None and step.was.master is not None and not self._kernel.has(BESIDE_PEERS):
            what = f"{place} cannot rejoin peer group {step.group}: {APART}"
            return Problem(what, "leave it so, and delete the journal")
        found = Problem("none that is in it shows all of it", "leave it so, and delete the journal")
        for view, member in step.members:
            if not under(step.was.root, member.root):
                continue
            fd = namespace_of(self.proc, view, self.views)
            if fd is None:
                found = Problem(f"the namespace {view.label} cannot be opened", "run mntscope as root")
                continue
            try:
                return self._copied(step, view, member, fd)
            except MntscopeError as error:
                # Covered, or in a namespace that may not be entered: another will do.
                found = _explained(error, f"{member.mount_point} of {view.label}")
            finally:
                os.close(fd)
        what = f"{place} cannot rejoin peer group {step.group} through any mount that is in it ({found.what})"
        return Problem(what, found.hint)

    def _copied(self, step: Rejoin, view: View, member: Mount, namespace: int) -> tuple[int, ...]:
        root = view.process.root if view.process else "/"
        place = below(root or "/", relative(member.mount_point, "/"))
        worker = start_worker(NamespaceFds(self.proc.fd, namespace), hook=self.hook)
        try:
            values = {"mount_id": member.mount_id, "slave": step.was.peer_group is None}
            values["way_back"] = step.mount.master == step.group and not values["slave"]
            narrow = below(place, relative(step.was.root, member.root))
            try:
                # No wider than what joins: what is locked beside it does not matter.
                return tuple(worker.ask("source", path=narrow, **values).fds)
            except (RefusedError, KernelError):
                if narrow == place:
                    raise
                # Something else is mounted there.
                return tuple(worker.ask("source", path=place, **values).fds)
        finally:
            let_go(worker)


def _explained(error: MntscopeError, where: str) -> Problem:
    """Why a mount cannot be joined, and what to do."""
    if not isinstance(error, KernelError):
        return Problem(f"{error.what}: {where}", "unmount what covers it, then try again")
    set_group = error.call == "move_mount"
    if error.errno == errno.ENOSYS or (set_group and error.errno == errno.EINVAL):
        return Problem(
            f"{error.what}: the kernel lets no mount join a peer group (MOVE_MOUNT_SET_GROUP, Linux 5.15)",
            "leave it so, and delete the journal",
        )
    if error.call == "open_tree" and error.errno == errno.EINVAL:
        return Problem(
            f"{error.what}: what is mounted in {where} is locked there (mount_namespaces(7))",
            "try again while another member of the group lives in a namespace of the parent's user namespace",
        )
    if error.errno == errno.EPERM:
        hint = "run mntscope in the user namespace that owns it, as root"
        return Problem(f"{error.what}: {where} belongs to another user namespace", hint)
    return Problem(f"{error.what}: {where}", "try again")
