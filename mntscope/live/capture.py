"""The running machine as a snapshot: its host, the namespaces of given processes, or all there are."""

from __future__ import annotations

import os
import resource
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from mntscope.analysis.owners import owner_of_namespace
from mntscope.base.records import replace
from mntscope.base.signals import uninterrupted
from mntscope.errors import AccessError, TargetError
from mntscope.kernel.process import reap
from mntscope.live.captures import Captures, Progress
from mntscope.live.containers import Runtimes
from mntscope.live.namespaces import (
    CapturedNamespace,
    enter,
    every_namespace,
    lists_all,
    open_namespace,
    proc_mount,
    process_of,
    read_through,
)
from mntscope.live.not_seen import NotSeen
from mntscope.live.origin import whose
from mntscope.live.procfs import Proc, boot_id, namespace_link, open_proc, read, read_process
from mntscope.model import Hold, Problem, Process, View
from mntscope.snapshot import Snapshot

HOST = "host"
"""The label of the namespace of pid 1."""

ATTEMPTS = 8
"""How often the tables are read again until none of them changes any more."""


@uninterrupted()
def capture(
    pids: Iterable[int] | None = None,
    *,
    namespace_files: Iterable[str] = (),
    everything: bool | None = None,
    host: bool = True,
    progress: Progress | None = None,
    with_secrets: bool = False,
    identify: bool | None = None,
) -> Snapshot:
    """What can be seen of this machine now: every mount namespace, or the host's and those asked for.

    The host is pid 1's namespace, labelled ``host``; a namespace asked for is labelled by its pid or by its
    *namespace_files* path (``ns:PATH``), another by its lowest pid or, where no process lives in it, by its inode
    (``mnt:[4026532568]``). A namespace has one view, bearing the first of these labels that it earns, so look views
    up by :meth:`~mntscope.snapshot.Snapshot.view`. *everything* adds all other namespaces, as does giving no *pids*:
    those of processes, of threads, and those that only a bind mount or a descriptor keeps, with what
    :attr:`~mntscope.model.Namespace.holds` them. Without *host*, and without *everything*, pid 1 is left alone and
    the first that was asked for plays the host. *progress* is called now and then.

    Passwords in mount options and sources are left out (:mod:`mntscope.base.redaction`), unless *with_secrets*.

    The :class:`~mntscope.model.Origin` always has the machine's name, and the time. What takes longer to find out, the
    machine id and mntscope's version, is added with *identify*: as a rule where no *pids* are given.

    Where others live in its namespace, this very process is left out, unless it was asked for: so two captures of
    one state are equal.

    Every table is opened once, and all of them stay open and are read until two consecutive readings of all agree:
    then they are those of one moment. (poll(2) on mountinfo would spare the second reading, were it told of
    mount(2) changing a propagation type, or of masters that end in another namespace.) What could not be read is
    in ``not_seen``.

    :raises TargetError: a process or file that was asked for does not exist, or went away.
    :raises AccessError: one that was asked for may not be read.
    """
    wanted = () if pids is None else tuple(pids)
    everything = pids is None if everything is None else everything
    not_seen = NotSeen()
    with _many_descriptors() as limit, open_proc() as proc, Captures(not_seen, limit, progress) as captures:
        captures.with_secrets = with_secrets
        machine = _Machine(proc, captures, not_seen, asked=frozenset(wanted))
        if host or everything or 1 in wanted:
            machine.add_host()
        for pid in wanted:
            machine.add_process(pid)
        for path in namespace_files:
            machine.add_file(path)
        if everything:
            machine.add_others()
        machine.settle()
        machine.look_at_procs()
        home = captures[0].namespace.inode if captures[0].label == HOST else None
        origin, distribution = whose(proc, home, identify=pids is None if identify is None else identify)
        snapshot = Snapshot(
            views=tuple(machine.views()),
            host_label=captures[0].label,
            kernel=os.uname().release,
            kernel_version=os.uname().version,
            distribution=distribution,
            not_seen=tuple(not_seen.problems()),
            mount_max=_mount_max(proc),
            boot_id=_boot_id(proc),
            origin=origin,
        )
    reap()
    return snapshot


class _Machine:
    """Finds mount namespaces: by processes, threads, bind mounts, descriptors, and the kernel's own list."""

    def __init__(self, proc: Proc, captures: Captures, not_seen: NotSeen, *, asked: frozenset[int]) -> None:
        self.proc = proc
        self.captures = captures
        self.not_seen = not_seen
        if proc.problem:
            not_seen.others.append(proc.problem)
        self.holds: defaultdict[int, list[Hold]] = defaultdict(list)
        """By the inode of the namespace."""
        self._passing = {os.getpid()} - asked
        """This process: it is no part of the machine's state, unless somebody asked for it."""

    # What to read

    def add_host(self) -> None:
        """The namespace of pid 1; where that may not be read, of this process."""
        own = os.getpid()
        try:
            host = read_through(self.proc, 1, HOST, by_table=True)
        except (AccessError, TargetError) as error:
            host = read_through(self.proc, own, HOST)
            self.not_seen.add(f"pid 1 cannot be read ({error}): the host is mntscope's own namespace")
        if host.namespace.inode is None:
            # What pid 1 does not show of its namespace, this process does where it lives there too.
            here = read_through(self.proc, own, HOST)
            here.close()
            if host.keys.isdisjoint(here.keys):
                self.not_seen.unidentified.append(1)
            else:
                # Its /proc is then asked for through this process.
                host.namespace, host.root, host.root_of = here.namespace, here.root, here.root_of
                if host.keys != here.keys or here.hidden_above:
                    what = "its root directory may not be read: if it is not /, mounts outside are not shown"
                    self.not_seen.add(what, HOST)
        self.captures.add(self._widest(host))

    def add_process(self, pid: int) -> None:
        """The namespace of a process that was asked for; its table tells it where its links may not be read."""
        if all(pid not in captured.processes for captured in self.captures):
            self._add_through(pid, str(pid))

    def _add_through(self, pid: int, label: str) -> None:
        captured = read_through(self.proc, pid, label, by_table=True)
        unidentified = captured.namespace.inode is None
        if unidentified:
            # Before it is added: from now on tables are compared.
            self.not_seen.unidentified.append(pid)
        if self.captures.add(self._widest(captured)).namespace.inode is not None and unidentified:
            self.not_seen.unidentified.remove(pid)
        if captured.reader and not captured.reader.root:
            self.not_seen.add("its root directory may not be read: if it is not /, mounts outside are not shown", label)

    def add_file(self, path: str) -> None:
        """The namespace whose file was asked for; no process need live there."""
        label = f"ns:{path}"
        try:
            fd = open_namespace(path)
            try:
                self.captures.add(enter(self.proc, fd, label))
            finally:
                os.close(fd)
        except AccessError:
            # That of a process has a table beside it, which others may read.
            pid = process_of(path)
            if pid is None:
                raise
            self._add_through(pid, label)

    def add_others(self) -> None:
        """Every namespace that can be found, with what lives in it and what else holds it."""
        reap()
        members, refused = self._members()
        self.captures.expected = len(members)
        for inode, pids in members.items():
            known = self.captures.of(inode) or self._read_one_of(pids)
            if known is not None:
                for pid in pids:
                    if pid not in known.processes and (process := self._process(pid, inode)) is not None:
                        known.processes[pid] = process
        self._add_refused(refused)
        self._add_of_threads({pid: inode for inode, pids in members.items() for pid in pids})
        for fd in every_namespace(self.proc):
            self._add_entered(fd)
        looked_through = self._add_bind_mounted(0)
        # There may be a lot of them, so they are looked through only where something may be found.
        if not lists_all(self.proc) or not all(captured.processes for captured in self.captures):
            self._add_of_descriptors(members)
            self._add_bind_mounted(looked_through)
        self.not_seen.not_entered |= self.holds.keys() - self.captures.inodes

    # How

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
        return {inode: self._staying(pids) for inode, pids in members.items()}, refused

    def _staying(self, pids: list[int]) -> list[int]:
        """Without this process, unless it is alone."""
        return [pid for pid in pids if pid not in self._passing] or pids

    def _read_one_of(self, pids: list[int]) -> CapturedNamespace | None:
        """The namespace of these processes, through one whose root directory is the namespace's if there is one."""
        refused = False
        for pid in sorted(pids, key=lambda pid: (self._root(pid) != "/", pid)):
            try:
                captured = read_through(self.proc, pid, str(pids[0]))
            except AccessError:
                refused = True
            except TargetError:
                continue
            else:
                self._note_narrow(captured)
                return self.captures.add(captured)
        if refused:
            self.not_seen.unreadable += pids
        return None

    def _widest(self, captured: CapturedNamespace) -> CapturedNamespace:
        """The same namespace through a process that sees all of it, if the reader's root hides a part."""
        if not captured.hidden_above:
            return captured
        members, _ = self._members()
        for pid in members.get(captured.namespace.inode or 0, []):
            if self._root(pid) == "/":
                with suppress(AccessError, TargetError):
                    wider = read_through(self.proc, pid, captured.label)
                    wider.processes |= captured.processes
                    captured.close()
                    return wider
        self._note_narrow(captured)
        return captured

    def _note_narrow(self, captured: CapturedNamespace) -> None:
        if captured.hidden_above:
            what = f"it was read from a root directory of {captured.hidden_above}: mounts outside are not shown"
            self.not_seen.add(what, captured.label)

    def _root(self, pid: int) -> str:
        try:
            return os.readlink(f"{pid}/root", dir_fd=self.proc.fd)
        except OSError:
            return ""

    def _process(self, pid: int, inode: int | None = None) -> Process | None:
        """A process, if it (still) lives in the mount namespace *inode*."""
        with suppress(OSError):
            directory = os.open(str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.proc.fd)
            try:
                process = read_process(self.proc, directory, pid)
                # Another process may get the pid meanwhile, but not the descriptor.
                if inode is None or namespace_link("mnt", dir_fd=directory) == inode:
                    return process
            finally:
                os.close(directory)
        return None

    def _add_refused(self, pids: list[int]) -> None:
        """Processes whose namespace links may not be read: their tables tell, where those may be."""
        for pid in pids:
            try:
                captured = read_through(self.proc, pid, str(pid), by_table=True)
            except AccessError:
                self.not_seen.unreadable.append(pid)
            except TargetError:
                continue
            else:
                if self.captures.add(captured) is captured:
                    self.not_seen.unidentified.append(pid)

    def _add_of_threads(self, inodes: dict[int, int]) -> None:
        from mntscope.live.references import threads_elsewhere

        for inode, pid, thread in threads_elsewhere(self.proc, inodes):
            with suppress(AccessError, TargetError):
                if self.captures.of(inode) is None:
                    self.captures.add(read_through(self.proc, pid, f"mnt:[{inode}]", thread=thread))
                self.holds[inode].append(Hold("thread", str(thread), process=self._process(pid)))

    def _add_entered(self, fd: int) -> None:
        """A namespace that no process has shown so far."""
        inode = os.fstat(fd).st_ino
        if self.captures.of(inode) is None and inode not in self.not_seen.not_entered:
            try:
                self.captures.add(enter(self.proc, fd, f"mnt:[{inode}]"))
            except AccessError:
                self.not_seen.not_entered.add(inode)

    def _add_all_entered(self, fds: Iterable[int]) -> None:
        for fd in fds:
            self._add_entered(fd)
            os.close(fd)

    def _add_bind_mounted(self, begin: int) -> int:
        """What is kept by bind mounts in the namespaces from *begin* on, and in those that this adds; their number."""
        from mntscope.live.references import bind_mounts, open_bind_mounts

        while begin < len(self.captures):
            captured = self.captures[begin]
            begin += 1
            empty = [mount for mount in bind_mounts(captured.table) if not self._has_processes(mount.inode)]
            for mount in empty:
                self.holds[mount.inode].append(Hold("mount", mount.mount_point, label=captured.label))
            unknown = [mount for mount in empty if self.captures.of(mount.inode) is None]
            self._add_all_entered(open_bind_mounts(self.proc, captured, unknown))
        return begin

    def _add_of_descriptors(self, members: dict[int, list[int]]) -> None:
        from mntscope.live.references import descriptors, open_descriptors

        ours = {fd for captured in self.captures for fd in captured.descriptors}
        # All of them before any is opened: that would be one more.
        every = list(descriptors(self.proc, members.keys(), ours=ours))
        first = {found.inode: found for found in reversed(every) if self.captures.of(found.inode) is None}
        self._add_all_entered(open_descriptors(self.proc, first.values()))
        for found in every:
            where = f"/proc/{found.pid}/fd/{found.fd}"
            self.holds[found.inode].append(Hold("fd", where, process=self._process(found.pid)))

    def _has_processes(self, inode: int) -> bool:
        known = self.captures.of(inode)
        return known is not None and bool(known.processes)

    # What comes of it

    def settle(self) -> None:
        """Read all tables until none of them changes any more."""
        if self.captures.agree(meanwhile=lambda: [captured.parsed() for captured in self.captures]):
            return
        for _ in range(ATTEMPTS):
            changed = sum(self._look_again(captured) for captured in self.captures)
            if not changed:
                break
        else:
            self.not_seen.add("the mounts kept changing while they were read: this is the last reading")

    def _look_again(self, captured: CapturedNamespace) -> bool:
        try:
            return captured.look_again()
        except (OSError, AccessError):
            captured.close()
            self.not_seen.read_once += 1
            return False

    def look_at_procs(self) -> None:
        """Find out which PID namespace the proc at /proc of each namespace shows."""
        unknown: list[tuple[CapturedNamespace, str, bool]] = []
        for captured in self.captures:
            found = proc_mount(captured.table, "/proc") if captured.root else None
            if found is not None and found[0] == self.proc.device:
                # The very proc that is read here.
                captured.proc_pid_namespace = self.proc.pid_namespace
            elif found is not None:
                unknown.append((captured, *found))
        if not unknown:
            return
        from mntscope.live.foreign import ProcMount, shown_pid_namespaces

        home = self.captures[0].namespace.user_namespace
        mounts = {}
        for captured, device, local in unknown:
            pid, start_time = captured.asked_through
            # What an ordinary user can make comes last, and a filesystem that has to ask somebody.
            risk = 2 * (captured.namespace.user_namespace != home) + (not local)
            mounts[ProcMount(pid, start_time, captured.namespace.inode, captured.root, "/proc", device, risk)] = (
                captured
            )
        shown = shown_pid_namespaces(self.proc, list(mounts))
        for mount, captured in mounts.items():
            captured.proc_pid_namespace = shown.get(mount)
        self.not_seen.unanswered += [captured.label for mount, captured in mounts.items() if mount not in shown]

    def views(self) -> Iterator[View]:
        """All as views: the host's first, the others by their lowest pid, those without a process by their inode."""
        runtimes = Runtimes(self.proc)
        first, *others = self.captures
        for captured in (first, *sorted(others, key=_place)):
            processes = tuple(captured.processes[pid] for pid in self._staying(sorted(captured.processes)))
            holds = tuple(self.holds.get(captured.namespace.inode or 0, ()))
            table = captured.parsed()
            owner = runtimes.claimed(processes) or owner_of_namespace(processes, holds, table, runtimes)
            yield View(
                label=captured.label,
                mounts=tuple(table),
                namespace=replace(captured.namespace, processes=processes, owner=owner, holds=holds),
                process=captured.reader,
                proc_pid_namespace=captured.proc_pid_namespace,
                problems=tuple(Problem(error.what, where=error.where) for error in table.problems),
            )
        self.not_seen.others += runtimes.not_seen


def _place(captured: CapturedNamespace) -> tuple[bool, int]:
    return not captured.processes, min(captured.processes, default=captured.namespace.inode or 0)


def _mount_max(proc: Proc) -> int | None:
    with suppress(OSError, ValueError):
        return int(read("sys/fs/mount-max", dir_fd=proc.fd))
    return None


def _boot_id(proc: Proc) -> str | None:
    with suppress(OSError):
        return boot_id(proc) or None
    return None


@contextmanager
def _many_descriptors() -> Iterator[int]:
    """As many descriptors as this process may have, for the time being: one is kept open for each namespace."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
