"""How a machine that is watched is read: namespaces as they come and go, single mounts, and whole tables.

Nothing is held open of a namespace: what is asked for by a descriptor is asked at once. Nothing in one is opened but
mountinfo of a process that lives there, as :mod:`mntscope.live` does. What has gone meanwhile is no error.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from mntscope.analysis.owners import owner_of_namespace
from mntscope.base.records import NamedTuple, replace
from mntscope.base.redaction import redact
from mntscope.errors import AccessError, KernelError, TargetError
from mntscope.kernel import syscalls
from mntscope.kernel.mount_ids import unique_ids
from mntscope.live import statmount
from mntscope.live.containers import Runtimes
from mntscope.live.namespaces import identify, listed_namespaces, lists_all
from mntscope.live.procfs import Proc, hold, namespace_link, read, read_process
from mntscope.model import Mount, Namespace, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.watch.state import WatchedNamespace

MOST_PROCESSES = 16
"""Of one namespace no more are noted: one is enough to read its table, and to call it by."""

_LISTED = 4096
_LINES = 512


class Found(NamedTuple):
    """A mount namespace that is there now."""

    key: int
    namespace: Namespace
    """Without its processes, and without an owner."""


class Reader:
    """Reads this machine again and again, through the root directory of its proc."""

    def __init__(self, proc: Proc) -> None:
        self.proc = proc
        self.by_ids = bool(_own_id(proc)) and statmount.supported()
        """Whether single mounts of other namespaces can be asked for (Linux 6.15)."""
        self.walks = lists_all(proc)
        """Whether the kernel lists all namespaces (Linux 6.12), those without processes too."""
        self.key_of_own = _own_id(proc) if self.walks else 0
        self._lines: dict[bytes, Mount] = {}
        self._seen: dict[int, list[int]] = {}

    # Which namespaces there are

    def key(self, namespace: Namespace) -> int | None:
        """By what a namespace is known: its id where the kernel lists them by it, else its inode."""
        return namespace.id if self.walks else namespace.inode

    def namespace_keys(self) -> Iterable[int]:
        """The keys of all namespaces; where the kernel does not list them, of those with processes."""
        if not self.walks:
            return self.members().keys()
        return dict.fromkeys([self.key_of_own, *(info.mnt_ns_id for _, info in listed_namespaces(self.proc))])

    def open_namespaces(self) -> Iterator[tuple[int, int]]:
        """The key and a descriptor of each namespace; the descriptor is closed when the next is asked for."""
        own = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc.fd)
        try:
            yield syscalls.ns_get_mntns_id(own), own
        finally:
            os.close(own)
        for fd, info in listed_namespaces(self.proc):
            yield info.mnt_ns_id, fd

    def members(self) -> dict[int, list[int]]:
        """The processes of each namespace by its inode: a look at the whole of /proc."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for pid in self.proc.pids():
            with suppress(OSError):
                found[namespace_link("mnt", str(pid), dir_fd=self.proc.fd)].append(pid)
        own = os.getpid()
        self._seen = {inode: [pid for pid in pids if pid != own] or pids for inode, pids in found.items()}
        return self._seen

    def born(self, keys: Iterable[int]) -> Iterator[tuple[int, View, dict[int, Mount]]]:
        """The namespaces with these keys as they are now: who lives there, whose they are, and their mounts."""
        wanted = set(keys)
        members = self.members()
        runtimes = Runtimes(self.proc)
        if self.walks:
            for key, fd in self.open_namespaces():
                if key in wanted:
                    namespace = identify(fd)
                    yield from self._read(key, namespace, members.get(namespace.inode or 0, []), runtimes)
            return
        for inode in wanted & members.keys():
            yield from self._read(inode, Namespace(inode=inode), members[inode], runtimes)

    def named(self, namespaces: Sequence[WatchedNamespace]) -> Iterator[tuple[int, View]]:
        """These namespaces with who lives there now, and whose they are now; without their mounts."""
        if not namespaces:
            return
        members, runtimes = self.members(), Runtimes(self.proc)
        for its in namespaces:
            processes = self.processes(its.inode, members.get(its.inode, []))
            table = tuple(its.mounts.values())
            owner = runtimes.claimed(processes) or owner_of_namespace(processes, (), table, runtimes)
            namespace = replace(its.view.namespace, processes=processes, owner=owner)
            yield its.key, replace(its.view, namespace=namespace)

    def _read(
        self, key: int, namespace: Namespace, pids: list[int], runtimes: Runtimes
    ) -> Iterator[tuple[int, View, dict[int, Mount]]]:
        processes = self.processes(namespace.inode or 0, pids)
        label = str(processes[0].pid) if processes else f"mnt:[{namespace.inode}]"
        if self.by_ids:
            mounts = self.mounts(key)
        else:
            text = self.text(namespace.inode or 0, [process.pid for process in processes if process.root == "/"])
            if text is None:
                return
            mounts = {mount.mount_id: mount for mount in parsed(text)}
        owner = runtimes.claimed(processes) or owner_of_namespace(processes, (), tuple(mounts.values()), runtimes)
        process = processes[0] if processes else None
        yield key, View(label, (), replace(namespace, processes=processes, owner=owner), process), mounts

    def processes(self, inode: int, pids: Iterable[int] | None = None) -> tuple[Process, ...]:
        """Who lives in a namespace, as far as that is noted."""
        found = []
        for pid in sorted(self._seen.get(inode, ()) if pids is None else pids)[:MOST_PROCESSES]:
            with suppress(TargetError, AccessError, OSError), hold(self.proc, pid) as directory:
                process = read_process(self.proc, directory, pid)
                if namespace_link("mnt", dir_fd=directory) == inode:
                    found.append(process)
        return tuple(found)

    # Their mounts

    def numbers(self, key: int, after: int = 0) -> list[int]:
        """The unique ids of the mounts of a namespace, those after one of them; none where it has gone."""
        found: list[int] = []
        with suppress(KernelError):
            while more := syscalls.listmount(
                syscalls.LSMT_ROOT, after, mnt_ns_id=key, count=_LISTED if not after else 64
            ):
                found += more
                after = more[-1]
        return found

    def mount(self, key: int, number: int) -> Mount | None:
        """A mount by its unique id, as it is now; ``None`` where it is not in that namespace (any more)."""
        try:
            line = statmount.line_of(number, key)
        except KernelError:
            return None
        return self._parsed(line) if line else None

    def _parsed(self, line: bytes) -> Mount | None:
        """The mount of a line. The copies of one have the same but for the two ids."""
        mount_id, parent_id, rest = line.split(b" ", 2)
        known = self._lines.get(rest)
        if known is None:
            known = next(iter(parsed(line)), None)
            if known is not None:
                if len(self._lines) >= _LINES:
                    self._lines.clear()
                self._lines[rest] = known
            return known
        return replace(known, mount_id=int(mount_id), parent_id=int(parent_id))

    def mounts(self, key: int) -> dict[int, Mount]:
        """All mounts of a namespace, by their unique ids."""
        found = ((number, self.mount(key, number)) for number in self.numbers(key))
        return within_root({number: mount for number, mount in found if mount is not None})

    def table(self, namespace: WatchedNamespace) -> dict[int, Mount] | None:
        """All mounts of a namespace, by their keys, read at once; ``None`` where they could not be."""
        text = self.text(namespace.inode, namespace.readers)
        if text is None:
            if not self.by_ids:
                return None
            return self.mounts(namespace.key) or None
        return self.keyed(namespace, parsed(text))

    def keyed(self, namespace: WatchedNamespace, table: list[Mount]) -> dict[int, Mount]:
        """The mounts of a table by their keys: those of the mounts that are known, or as the kernel says."""
        if not self.by_ids:
            return {mount.mount_id: mount for mount in table}
        known = namespace.by_id
        if any(mount.mount_id not in known for mount in table) or len(table) != len(known):
            known = unique_ids(namespace.key)
        return {known[mount.mount_id]: mount for mount in table if mount.mount_id in known}

    def text(self, inode: int, pids: Iterable[int]) -> bytes | None:
        """The mount table that one of these processes shows, if that is the one of this namespace."""
        for pid in pids:
            with suppress(OSError, ValueError):
                text = read(f"{pid}/mountinfo", dir_fd=self.proc.fd)
                # Whoever has that pid: it is the namespace that counts.
                if namespace_link("mnt", str(pid), dir_fd=self.proc.fd) == inode:
                    return text
        return None


def parsed(table: bytes) -> list[Mount]:
    """The mounts of a table, without the passwords in it."""
    return parse_mountinfo(redact(table), strict=False)


def _own_id(proc: Proc) -> int:
    try:
        fd = os.open("self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc.fd)
    except OSError:
        return 0
    try:
        return syscalls.ns_get_mntns_id(fd)
    except KernelError:
        return 0
    finally:
        os.close(fd)


def within_root(mounts: Mapping[int, Mount]) -> dict[int, Mount]:
    """Without the kernel's first root filesystem, where another on it is the root directory of every process.

    An initial ramfs leaves it there. From Linux 7.2 on, where a namespace begins below it, listmount(2) lists it as one
    more ``/``; mountinfo shows it to nobody (fs/namespace.c, init_mount_tree()).
    """
    covered = {mount.parent_id for mount in mounts.values() if mount.mount_point == "/"}

    def is_first_root(mount: Mount) -> bool:
        return mount.fs_type == "rootfs" and mount.mount_point == "/" and mount.mount_id in covered

    return {key: mount for key, mount in mounts.items() if not is_first_root(mount)}
