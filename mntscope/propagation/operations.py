"""The operations whose propagation can be predicted, one record each, and their form as plain dicts.

Each acts for a process of the mount namespace *ns* (a view's label), and its paths are as that process sees
them. The dicts are ``{"op": NAME, "ns": LABEL, ...}`` with the fields of the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from mntscope.base.records import dataclass
from mntscope.errors import UsageError

FLAGS = ("nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime", "nosymfollow")
"""The options of a mount that a remount sets or clears, beside ro and rw; in the order of field 6."""

PropagationType = Literal["shared", "slave", "private", "unbindable"]


@dataclass(frozen=True, slots=True)
class Operation:
    """What they have in common: a name, and the namespace of the process that acts."""

    op: ClassVar[str]
    ns: str

    def to_dict(self) -> dict[str, Any]:
        """The plain dict; :func:`operation` reads it back."""
        return {"op": self.op, **{name: getattr(self, name) for name in self.__match_args__}}


@dataclass(frozen=True, slots=True)
class MountNew(Operation):
    """mount(2) of a filesystem: a new mount of a new superblock, or (*device*) of one that exists."""

    op = "mount"
    fstype: str
    source: str
    target: str
    options: tuple[str, ...] = ()
    """Field 6 in full and in the kernel's order; none: ``rw,relatime``."""
    device: str | None = None
    """The superblock it will show, where known (``proc`` of a known PID namespace); else a new one."""
    again: bool = False
    """By fsmount(2) and move_mount(2), which do not ask whether the same filesystem is mounted there already."""

    def to_dict(self) -> dict[str, Any]:
        """The plain dict; ``again`` only where it is so."""
        described = Operation.to_dict(self)
        if not self.again:
            del described["again"]
        return described


@dataclass(frozen=True, slots=True)
class Bind(Operation):
    """mount(2) with MS_BIND, *recursive* with MS_REC."""

    op = "bind"
    source: str
    target: str
    recursive: bool = False
    nsfs: str | None = None
    """Where *source* is the file of a namespace in procfs, which no mount of a table shows: which, as the link says
    (``net:[4026531840]``). One that a command makes has its view's label, or ``?``, in the place of the number."""
    attributes: tuple[str, ...] = ()
    """Options that mount_setattr(2) sets on the copy (of open_tree(2)) before move_mount(2) attaches it."""

    def to_dict(self) -> dict[str, Any]:
        """The plain dict; ``nsfs`` and ``attributes`` only where there are some."""
        described = Operation.to_dict(self)
        for name in ("nsfs", "attributes"):
            if not described[name]:
                del described[name]
        return described


@dataclass(frozen=True, slots=True)
class Move(Operation):
    """mount(2) with MS_MOVE."""

    op = "move"
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class MoveBeneath(Operation):
    """move_mount(2) with MOVE_MOUNT_BENEATH: below the top mount at *target* (since Linux 6.5)."""

    op = "move_beneath"
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Umount(Operation):
    """umount2(2), *lazy* with MNT_DETACH."""

    op = "umount"
    target: str
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class SetPropagation(Operation):
    """mount(2) with MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE, *recursive* with MS_REC."""

    op = "propagation"
    target: str
    type: PropagationType
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Remount(Operation):
    """mount(2) with MS_REMOUNT|MS_BIND: the options of one mount become those given, and no others."""

    op = "remount"
    target: str
    ro: bool
    flags: tuple[str, ...] = ()
    """Beside ``ro``: ``nosuid``, ``nodev``, ``noexec``, ``nosymfollow``, and those of atime, which are kept if none is
    given."""


@dataclass(frozen=True, slots=True)
class SetAttributes(Operation):
    """mount_setattr(2) of what is mounted at *target*, *recursive* with AT_RECURSIVE: other options are kept."""

    op = "setattr"
    target: str
    set: tuple[str, ...] = ()
    clear: tuple[str, ...] = ()
    """``ro``, and what :data:`FLAGS` has; of atime, what is set takes the place of what there was."""
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class CloneNamespace(Operation):
    """unshare(2) or clone(2) with CLONE_NEWNS, *new_userns* with CLONE_NEWUSER; *new* labels the copy."""

    op = "clone_ns"
    new: str
    new_userns: bool = False


@dataclass(frozen=True, slots=True)
class EndNamespace(Operation):
    """The last process, descriptor and bind mount of *ns* go away, and the namespace with them."""

    op = "exit_ns"


@dataclass(frozen=True, slots=True)
class SetGroup(Operation):
    """move_mount(2) with MOVE_MOUNT_SET_GROUP: *target* joins *source*'s group and master (since 5.15)."""

    op = "set_group"
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class PivotRoot(Operation):
    """pivot_root(2)."""

    op = "pivot_root"
    new_root: str
    put_old: str


@dataclass(frozen=True, slots=True)
class OpenTree(Operation):
    """open_tree(2) with OPEN_TREE_CLONE: *handle* names the detached copy."""

    op = "open_tree"
    source: str
    handle: str
    recursive: bool = False
    attributes: tuple[str, ...] = ()
    """Options that mount_setattr(2) sets on the copy, before anything else is done with it."""

    def to_dict(self) -> dict[str, Any]:
        """The plain dict; ``attributes`` only where there are some."""
        described = Operation.to_dict(self)
        if not self.attributes:
            del described["attributes"]
        return described


@dataclass(frozen=True, slots=True)
class NewDetached(Operation):
    """fsmount(2): *handle* names a detached mount of a new filesystem."""

    op = "fsmount"
    handle: str
    fstype: str = "tmpfs"
    source: str = "none"


@dataclass(frozen=True, slots=True)
class Attach(Operation):
    """move_mount(2) of what *handle* names."""

    op = "attach"
    handle: str
    target: str
    beneath: bool = False


@dataclass(frozen=True, slots=True)
class SetHandlePropagation(Operation):
    """mount_setattr(2) of the propagation type of what *handle* names."""

    op = "propagation_handle"
    handle: str
    type: PropagationType
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class CloseHandle(Operation):
    """close(2): a tree that is still detached goes away."""

    op = "close_handle"
    handle: str


OPERATIONS: dict[str, type[Operation]] = {
    kind.op: kind
    for kind in (
        MountNew,
        Bind,
        Move,
        MoveBeneath,
        Umount,
        SetPropagation,
        Remount,
        SetAttributes,
        CloneNamespace,
        EndNamespace,
        SetGroup,
        PivotRoot,
        OpenTree,
        NewDetached,
        Attach,
        SetHandlePropagation,
        CloseHandle,
    )
}


def operation(described: Operation | Mapping[str, Any]) -> Operation:
    """The record for a plain dict (a record passes through).

    :raises UsageError: an operation or a field that does not exist, or one that is missing.
    """
    if isinstance(described, Operation):
        return described
    from dataclasses import MISSING, fields

    kind = OPERATIONS.get(str(described.get("op")))
    if kind is None:
        raise UsageError(f"no operation {described.get('op')!r}", hint=f"there are {', '.join(OPERATIONS)}")
    given = {name: value for name, value in described.items() if name != "op"}
    known = {field.name: field for field in fields(kind)}
    missing = [n for n, f in known.items() if f.default is MISSING and n not in given]
    unknown = [name for name in given if name not in known]
    if missing or unknown:
        wrong = [f"{n!r} is missing" for n in missing] + [f"{n!r} is not known" for n in unknown]
        raise UsageError(f"operation {kind.op}: {', '.join(wrong)}", hint=f"it takes {', '.join(known)}")
    given |= {name: tuple(given[name]) for name in ("options", "flags", "attributes", "set", "clear") if name in given}
    return kind(**given)
