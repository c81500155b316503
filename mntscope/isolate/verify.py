"""Whether every namespace shows what was predicted: the tables, read again between one action and the next."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress

from mntscope.base.records import replace
from mntscope.base.redaction import redact
from mntscope.errors import MntscopeError
from mntscope.isolate.reach import has_ended, namespace_of
from mntscope.live.namespaces import read_inside
from mntscope.live.procfs import Proc, namespace_link, read
from mntscope.model import Mount, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

READINGS = 3
"""A table that differs is read again: a reading that a change falls into can be neither the one nor the other."""


class Verifier:
    """Reads the tables of all namespaces of a snapshot, through the processes that live there.

    *inside* is a process at the root of the *target*'s namespace. Descriptors of the namespaces without
    processes are kept until :meth:`close`, so that each is read through the one by which it was found.
    """

    def __init__(self, proc: Proc, snapshot: Snapshot, target: str, inside: int) -> None:
        self.proc = proc
        self.target = target
        self.inside = inside
        self.unread: set[str] = set()
        """Namespaces that could not be read any more."""
        self.ended: set[str] = set()
        """Those of them of which it is known that they ended."""
        self._views = {view.label: view for view in snapshot.views}
        self._before = {view.label: {mount.mount_id: mount for mount in view.mounts} for view in snapshot.views}
        self._drift: dict[str, dict[int, Mount | None]] = {}
        """How each namespace had changed by :meth:`settle`: mounts by mount ID, ``None`` for one that was gone."""
        self._parsed: dict[str, tuple[bytes, dict[int, Mount]]] = {}
        self._empty = self._without_process()

    def close(self) -> None:
        """Close the descriptors of the namespaces without processes; these may then be gone."""
        while self._empty:
            os.close(self._empty.popitem()[1])

    def settle(self) -> list[tuple[str, Mount]]:
        """Take the tables as they are now for those of the snapshot; what has changed in between, old and new."""
        drifted = []
        for label, before in self._before.items():
            now = self.table(label)
            if now is not None and now != before:
                changed = [mount_id for mount_id in {**before, **now} if before.get(mount_id) != now.get(mount_id)]
                self._drift[label] = {mount_id: now.get(mount_id) for mount_id in changed}
                drifted += [
                    (label, table[mount_id]) for mount_id in changed for table in (before, now) if mount_id in table
                ]
        return drifted

    def differences(self, expected: Snapshot) -> tuple[str, ...]:
        """Every way in which the namespaces differ from *expected*, one line each; the first few of each namespace.

        IDs and devices of mounts that are new in *expected* are the kernel's to choose.
        """
        return tuple(
            f"{view.label}: {what}"
            for view in expected.views
            if not view.detached and view.label in self._views
            for what in self._compared(view)
        )

    def table(self, label: str) -> dict[int, Mount] | None:
        """The mounts of a namespace now, by mount ID; ``None`` if it cannot be read any more."""
        data = self._read(self._views[label])
        if data is None:
            return None
        known = self._parsed.get(label)
        if known is None or known[0] != data:
            mounts = {mount.mount_id: mount for mount in parse_mountinfo(redact(data), strict=False, file=label)}
            known = self._parsed[label] = (data, mounts)
        return known[1]

    def _compared(self, view: View) -> list[str]:
        drift = self._drift.get(view.label, {})
        before = self._before[view.label]
        # The ID that was predicted for a new mount may have gone to somebody else's by now.
        new = [mount for mount in view.mounts if mount.mount_id not in before]
        known = {mount.mount_id: mount for mount in view.mounts if mount.mount_id in before.keys() - drift.keys()}
        known |= {mount_id: mount for mount_id, mount in drift.items() if mount is not None}
        wrong: list[str] = []
        for _ in range(READINGS):
            found = self.table(view.label)
            if found is None:
                self.unread.add(view.label)
                if view.label != self.target and has_ended(self.proc, self._views[view.label]):
                    self.ended.add(view.label)
                return []
            wrong = list(_differences(known, new, found))
            if not wrong:
                break
        return wrong[:4]

    def _read(self, view: View) -> bytes | None:
        if view.label == self.target:
            return self._through(self.inside, None)
        pids = dict.fromkeys(process.pid for process in (view.process, *view.namespace.processes) if process)
        for pid in pids:
            data = self._through(pid, view.namespace.inode)
            if data is not None:
                return data
        if view.label not in self._empty:
            # Who was known to live there has ended, but it may be kept by others.
            fd = namespace_of(self.proc, view, self._views)
            if fd is not None:
                self._empty[view.label] = fd
        if view.label in self._empty:
            with suppress(MntscopeError):
                return read_inside(self.proc, self._empty[view.label], view.label).table
        return None

    def _through(self, pid: int, inode: int | None) -> bytes | None:
        try:
            data = read(f"{pid}/mountinfo", dir_fd=self.proc.fd)
            with suppress(PermissionError):
                if inode is not None and namespace_link("mnt", str(pid), dir_fd=self.proc.fd) != inode:
                    return None
        except OSError:
            return None
        return data or None

    def _without_process(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for view in self._views.values():
            if view.process is None and not view.namespace.processes and view.label != self.target:
                fd = namespace_of(self.proc, view, self._views)
                if fd is not None:
                    found[view.label] = fd
        return found


def _differences(known: Mapping[int, Mount], new: list[Mount], found: Mapping[int, Mount]) -> Iterator[str]:
    unknown = [mount for mount in found.values() if mount.mount_id not in known]
    for mount_id, mount in known.items():
        there = found.get(mount_id)
        if there is None:
            yield f"the mount at {mount.mount_point} is gone"
        elif there != mount:
            yield f"the mount at {mount.mount_point} is not as predicted"
    for mount in new:
        partner = next((other for other in unknown if _like(other) == _like(mount)), None)
        if partner is None:
            yield f"the {mount.fs_type} at {mount.mount_point} is not there"
        else:
            unknown.remove(partner)
    for mount in unknown:
        yield f"there is a new {mount.fs_type} at {mount.mount_point}"


def _like(mount: Mount) -> Mount:
    """What of a new mount can be predicted."""
    return replace(mount, mount_id=0, device="", super_options=())
