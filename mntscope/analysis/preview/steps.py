"""System calls that a runtime makes, each with the function of the runtime that it stands for, and what they ask."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Literal

from mntscope.analysis.preview.config import Config, ConfigMount
from mntscope.analysis.preview.files import FileKind, Files
from mntscope.base.paths import below, normal, relative, under
from mntscope.base.records import dataclass
from mntscope.graph import MountTree
from mntscope.model import Mount
from mntscope.propagation import Operation, Simulation
from mntscope.propagation.operations import Attach, Bind, MountNew, OpenTree

Part = Literal["before", "namespace", "root", "mounts", "devices", "pivot", "paths", "after"]
"""What a step is part of: what a manager does on the host; the new namespace; ``/`` and the root filesystem; the mounts
of the configuration; device nodes; pivot_root(2); masked and read-only paths; what is done last."""


@dataclass(frozen=True, slots=True)
class Step:
    """One system call, before or after it was carried out."""

    by: str
    """The program: ``runc``, ``dockerd``, ``containerd``, ``kubelet``."""
    function: str
    """Its function, as its source calls it."""
    part: Part
    operation: Operation
    mount: ConfigMount | None = None
    """For which mount of the configuration."""
    tolerated: tuple[str, ...] = ()
    """The errnos after which it goes on."""
    errno: str | None = None
    """How it fails; ``None``: it does not, or has not been tried."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The program gives up, for a reason of its own, or because a call failed: the container does not start."""

    by: str
    function: str
    why: str
    """The sentence that it says, as far as it is always the same."""
    mount: ConfigMount | None = None
    step: Step | None = None
    """The call that failed."""


Stage = Generator["Step | Refused", "str | None", None]
"""What makes steps one by one: it gets the errno of each before it makes the next. After a refusal it gets nothing."""


class Start:
    """The start of one container, as a stage sees it: what is asked for, and what the machine is like right now."""

    def __init__(
        self, config: Config, simulation: Simulation, host: str, files: Files, rootfs_files: Files, doubt: Doubt
    ) -> None:
        self.config = config
        self.simulation = simulation
        self.host = host
        self.files = files
        self.rootfs_files = rootfs_files
        self.doubt = doubt
        self.handles: set[str] = set()
        """What is open: trees of mounts, by the names that open_tree(2) gave them."""
        self.attached: set[str] = set()
        """Those of them that are mounted by now."""
        self.on_host: dict[Mount, Step] = {}
        """What has appeared on the host, and by which call."""
        self._host_mounts = simulation.mount_ids(host)

    @property
    def label(self) -> str:
        """Of the container's mount namespace."""
        return self.config.label

    def on_rootfs(self, destination: str) -> str:
        """Where a path of the container is before pivot_root(2)."""
        return below(self.config.rootfs, relative(destination, "/"))

    def containing(self, path: str) -> Mount | None:
        """The mount of the container's namespace that contains *path*, right now."""
        return MountTree(self.simulation.view(self.label)).containing(path)

    def top_at(self, path: str) -> Mount | None:
        """What is mounted at *path* in the container's namespace."""
        number = self.simulation.mounted_at(self.label, path)
        view = self.simulation.view(self.label)
        return next((mount for mount in view.mounts if mount.mount_id == number), None)

    def destination(self, path: str) -> str:
        """Where a destination is in the root filesystem, once its symbolic links are followed there."""
        return self.rootfs_files.real(path)

    def note(self, step: Step) -> None:
        """Remember what a call that succeeded has done beside what it was for."""
        operation = step.operation
        if isinstance(operation, OpenTree):
            self.handles.add(operation.handle)
        if isinstance(operation, Attach):
            self.attached.add(operation.handle)
        mounts = isinstance(operation, Bind | MountNew | Attach) and operation.ns != self.host
        if mounts and (new := self.simulation.mount_ids(self.host) - self._host_mounts):
            found = (mount for mount in self.simulation.view(self.host).mounts if mount.mount_id in new)
            self.on_host |= dict.fromkeys(found, step)
            self._host_mounts |= new

    def kind(self, path: str) -> FileKind | None:
        """What a path of the container is, through the mounts of the configuration; ``None``: not known."""
        return self._seen(path) or KERNEL.get(self._of_kernel(path))

    def saw(self, path: str) -> bool:
        """Whether somebody has looked at it, so that nothing had to be assumed."""
        return self._seen(path) is not None

    def _seen(self, path: str) -> FileKind | None:
        path = normal(path)
        mount = self._deepest(path)
        if mount is None:
            return self.rootfs_files.kind(path)
        rest = relative(path, mount.destination)
        if mount.type == "bind":
            return self.files.kind(below(mount.source, rest))
        if mount.type in ("proc", "sysfs"):
            # One kernel has one /proc and one /sys, but for what a namespace hides.
            return self.files.kind(self._of_kernel(path))
        return "directory" if not rest else "missing"

    def _of_kernel(self, path: str) -> str:
        """What a path of the container is called where the host has it, if it is in its /proc or /sys."""
        mount = self._deepest(path)
        if mount is None or mount.type not in ("proc", "sysfs"):
            return ""
        return below({"proc": "/proc", "sysfs": "/sys"}[mount.type], relative(path, mount.destination))

    def _deepest(self, path: str) -> ConfigMount | None:
        over = [mount for mount in self.config.mounts if under(path, mount.destination)]
        return max(over, key=lambda mount: len(mount.destination), default=None)


Doubt = Callable[[str], None]

KERNEL: dict[str, FileKind] = {
    "/proc/acpi": "directory",
    "/proc/asound": "directory",
    "/proc/bus": "directory",
    "/proc/fs": "directory",
    "/proc/interrupts": "file",
    "/proc/irq": "directory",
    "/proc/kcore": "file",
    "/proc/keys": "file",
    "/proc/latency_stats": "file",
    "/proc/sched_debug": "missing",
    "/proc/scsi": "directory",
    "/proc/sys": "directory",
    "/proc/sysrq-trigger": "file",
    "/proc/timer_list": "file",
    "/proc/timer_stats": "missing",
    "/sys/devices/virtual/powercap": "directory",
    "/sys/firmware": "directory",
}
"""What the paths are that runtimes mask or make read-only, on a kernel as distributions configure it: sched_debug went
to debugfs with 5.13, timer_stats with 4.11. Where nobody has looked, this is assumed, and said to be."""


def carry_out(stage: Stage, start: Start) -> tuple[list[Step], Refused | None]:
    """The steps of a stage, carried out one after the other, up to the first that it does not survive."""
    done: list[Step] = []
    errno: str | None = None
    try:
        wanted = next(stage)
        while True:
            if isinstance(wanted, Refused):
                return done, wanted
            errno = start.simulation.carry_out(wanted.operation)
            step = Step(
                wanted.by,
                wanted.function,
                wanted.part,
                wanted.operation,
                wanted.mount,
                wanted.tolerated,
                errno,
            )
            done.append(step)
            if errno is None:
                start.note(step)
            if errno is not None and errno not in wanted.tolerated:
                return done, Refused(step.by, step.function, errno, step.mount, step)
            wanted = stage.send(errno)
    except StopIteration:
        return done, None
