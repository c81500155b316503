"""The running machine as a snapshot: its host, the namespaces of given processes, or all there are."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from mntscope.errors import AccessError, TargetError
from mntscope.live.containers import Container, running
from mntscope.live.namespaces import (
    Reading,
    every_namespace,
    open_namespace,
    pinned_namespaces,
    read_inside,
    read_through,
)
from mntscope.live.owners import owner_of
from mntscope.live.procfs import Proc, namespace_link, open_proc, read_process
from mntscope.model import Problem, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

HOST = "host"
"""The label of the namespace of pid 1."""

ATTEMPTS = 8
"""How often all is read again until nothing changes any more."""


def capture(
    pids: Iterable[int] | None = None,
    *,
    namespace_files: Iterable[str] = (),
    everything: bool | None = None,
    host: bool = True,
) -> Snapshot:
    """What can be seen of this machine now: every mount namespace, or the host's and those asked for.

    The host is pid 1's namespace, labelled ``host``; a namespace asked for is labelled by its pid or by its
    *namespace_files* path (``ns:PATH``), another by its lowest pid or, where it has no process, by its inode
    (``mnt:[4026532568]``). A namespace has one view, bearing the first of these labels that it earns, so look views
    up by :meth:`~mntscope.snapshot.Snapshot.view`. *everything* adds all other namespaces, as does giving no *pids*.
    Without *host*, and without *everything*, pid 1 is left alone and the first that was asked for plays the host.

    All tables are read until two consecutive readings agree; what could not be read is in ``not_seen``.

    :raises TargetError: a process or file that was asked for does not exist, or went away.
    :raises AccessError: one that was asked for may not be read.
    """
    wanted = () if pids is None else tuple(pids)
    files = tuple(namespace_files)
    everything = pids is None if everything is None else everything
    host = host or everything or 1 in wanted
    with open_proc() as proc:
        machine = _Machine(proc, wanted, files, everything=everything, host=host)
        for _ in range(ATTEMPTS):
            before = machine.tables()
            machine = _Machine(proc, wanted, files, everything=everything, host=host)
            # Namespaces may come and go meanwhile, which does not change the others.
            if all(before.get(label, table) == table for label, table in machine.tables().items()):
                break
        else:
            machine.problems.append(Problem("the mounts kept changing while they were read: this is the last reading"))
        return Snapshot(
            views=tuple(_views(proc, machine.readings)),
            host_label=machine.readings[0].label,
            kernel=os.uname().release,
            not_seen=tuple(machine.problems),
        )


class _Machine:
    """One pass over the machine: the readings, host first, and the problems met."""

    def __init__(
        self, proc: Proc, pids: tuple[int, ...], files: tuple[str, ...], *, everything: bool, host: bool
    ) -> None:
        self.proc = proc
        self.readings: list[Reading] = []
        self.problems: list[Problem] = [proc.problem] if proc.problem else []
        if host:
            self._add_host()
        for pid in pids:
            if not any(pid in reading.processes for reading in self.readings):
                self._add(self._widest(read_through(proc, pid, str(pid))))
        for path in files:
            fd = open_namespace(path)
            try:
                self._add(read_inside(proc, fd, f"ns:{path}"))
            finally:
                os.close(fd)
        if everything:
            self._add_others()

    def tables(self) -> dict[str, bytes]:
        """The mount tables read, by label."""
        return {reading.label: reading.table for reading in self.readings}

    def _add(self, reading: Reading) -> None:
        """Joins it to the reading of the same namespace if there is one; else it is one more."""
        for known in self.readings:
            if known.same_namespace(reading):
                known.processes |= reading.processes
                if known.namespace.inode is None:
                    known.namespace = reading.namespace
                return
        self.readings.append(reading)

    def _add_host(self) -> None:
        own = os.getpid()
        try:
            host = read_through(self.proc, 1, HOST, by_table=True)
        except (AccessError, TargetError) as error:
            host = read_through(self.proc, own, HOST)
            self.problems.append(Problem(f"pid 1 cannot be read ({error}): the host is mntscope's own namespace"))
        if host.namespace.inode is None:
            # What pid 1 does not show of its namespace, this process does where it lives there too.
            here = read_through(self.proc, own, HOST)
            if host.same_namespace(here):
                host.namespace, host.proc_pid_namespace = here.namespace, here.proc_pid_namespace
            else:
                self.problems.append(_unidentified(1))
        self.readings.append(self._widest(host))

    def _add_others(self) -> None:
        members, refused = self._members()
        for inode, pids in members.items():
            known = next((reading for reading in self.readings if reading.namespace.inode == inode), None)
            if known is None:
                known = self._read_one_of(pids)
            if known is not None:
                known.processes |= self._processes(pids)
        self._add_refused(refused)
        own = os.stat("self/ns/mnt", dir_fd=self.proc.fd).st_ino
        seen = {own}
        for fd in every_namespace(self.proc):
            seen.add(os.fstat(fd).st_ino)
            self._add_empty(fd)
        if seen == {own} and self.readings[0].namespace.inode == own:
            for fd in pinned_namespaces(self.readings[0].table):
                self._add_empty(fd)

    def _add_empty(self, fd: int) -> None:
        """A namespace that no process has shown so far."""
        inode = os.fstat(fd).st_ino
        if all(reading.namespace.inode != inode for reading in self.readings):
            try:
                self._add(read_inside(self.proc, fd, f"mnt:[{inode}]"))
            except AccessError as error:
                self.problems.append(Problem(str(error)))

    def _add_refused(self, pids: list[int]) -> None:
        """Processes whose namespace links may not be read: their tables tell, where those may be."""
        unreadable = []
        for pid in pids:
            try:
                reading = read_through(self.proc, pid, str(pid), by_table=True)
            except AccessError:
                unreadable.append(pid)
            except TargetError:
                continue
            else:
                self._add(reading)
                if self.readings[-1] is reading:
                    self.problems.append(_unidentified(pid))
        if unreadable:
            some = ", ".join(map(str, unreadable[:8])) + (", .." if len(unreadable) > 8 else "")
            what = f"the mounts of {len(unreadable)} processes may not be read ({some}); run mntscope as root"
            self.problems.append(Problem(what))

    def _members(self) -> tuple[dict[int, list[int]], list[int]]:
        """The processes of each mount namespace by its inode, and those that may not be asked."""
        members: defaultdict[int, list[int]] = defaultdict(list)
        refused = []
        for pid in self.proc.pids():
            try:
                members[namespace_link("mnt", str(pid), dir_fd=self.proc.fd)].append(pid)
            except PermissionError:
                refused.append(pid)
            except OSError:
                # It has ended since it was listed.
                continue
        return members, refused

    def _read_one_of(self, pids: list[int]) -> Reading | None:
        """The namespace of these processes, through one whose root directory is the namespace's if there is one."""
        for pid in sorted(pids, key=lambda pid: (self._root(pid) != "/", pid)):
            with suppress(AccessError, TargetError):
                reading = read_through(self.proc, pid, str(pids[0]))
                self._note_narrow(reading)
                self.readings.append(reading)
                return reading
        return None

    def _widest(self, reading: Reading) -> Reading:
        """The same namespace through a process that sees all of it, if the reader's root hides a part."""
        if not reading.hidden_above:
            return reading
        members, _ = self._members()
        for pid in members.get(reading.namespace.inode or 0, []):
            if self._root(pid) == "/":
                with suppress(AccessError, TargetError):
                    wider = read_through(self.proc, pid, reading.label)
                    wider.processes |= reading.processes
                    return wider
        self._note_narrow(reading)
        return reading

    def _note_narrow(self, reading: Reading) -> None:
        if reading.hidden_above:
            what = f"it was read from a root directory of {reading.hidden_above}: mounts outside are not shown"
            self.problems.append(Problem(what, where=reading.label))

    def _root(self, pid: int) -> str:
        try:
            return os.readlink(f"{pid}/root", dir_fd=self.proc.fd)
        except OSError:
            return ""

    def _processes(self, pids: list[int]) -> dict[int, Process]:
        found = {}
        for pid in pids:
            with suppress(OSError):
                directory = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.proc.fd)
                try:
                    found[pid] = read_process(self.proc, directory, pid)
                finally:
                    os.close(directory)
        return found


def _unidentified(pid: int) -> Problem:
    # A hardened machine keeps even root from looking into pid 1.
    hint = "; run mntscope as root" if os.geteuid() else ""
    what = f"its inode and owner may not be read, its table tells which it is{hint}"
    return Problem(what, where=f"the mount namespace of process {pid}")


def _views(proc: Proc, readings: list[Reading]) -> Iterator[View]:
    containers: list[Container] | None = None
    for reading in readings:
        processes = tuple(reading.processes[pid] for pid in sorted(reading.processes))
        owner = owner_of(processes[0].cgroup) if processes else None
        if owner is None and processes and reading.label != HOST:
            if containers is None:
                containers = running(proc)
            owner = next((found.owner for found in containers if found.process.pid in reading.processes), None)
        table = parse_mountinfo(reading.table, strict=False, file=reading.label)
        yield View(
            label=reading.label,
            mounts=tuple(table),
            namespace=replace(reading.namespace, processes=processes, owner=str(owner or "")),
            process=reading.reader,
            proc_pid_namespace=reading.proc_pid_namespace,
            problems=tuple(Problem(error.what, where=error.where) for error in table.problems),
        )
