"""System calls in the words of the programs that make them: mount(8), pivot_root(8), unshare(1)."""

from __future__ import annotations

from mntscope.output.shell import shell
from mntscope.propagation import Operation
from mntscope.propagation.operations import (
    Attach,
    Bind,
    CloneNamespace,
    MountNew,
    OpenTree,
    PivotRoot,
    Remount,
    SetAttributes,
    SetHandlePropagation,
    SetPropagation,
    Umount,
)


def call(operation: Operation) -> str:
    """The command line that comes nearest to it; for what no program does, the system call."""
    match operation:
        case MountNew():
            options = ",".join(operation.options) or "rw,relatime"
            return shell(("mount", "-t", operation.fstype, "-o", options, operation.source, operation.target))
        case Bind():
            return shell(("mount", "--rbind" if operation.recursive else "--bind", operation.source, operation.target))
        case Remount():
            options = ",".join(("remount", "bind", "ro" if operation.ro else "rw", *operation.flags))
            return shell(("mount", "-o", options, operation.target))
        case SetPropagation():
            return shell(("mount", f"--make-{'r' if operation.recursive else ''}{operation.type}", operation.target))
        case SetAttributes():
            words = [*operation.set, *(f"-{word}" for word in operation.clear)]
            flags = ["AT_RECURSIVE"] if operation.recursive else []
            return shell(("mount_setattr", operation.target, ",".join(words), *flags))
        case CloneNamespace():
            return "unshare --mount --user" if operation.new_userns else "unshare --mount"
        case PivotRoot():
            return shell(("pivot_root", operation.new_root, operation.put_old))
        case Umount():
            return shell(("umount", *(("-l",) if operation.lazy else ()), operation.target))
        case OpenTree():
            words = ["OPEN_TREE_CLONE", *(["AT_RECURSIVE"] if operation.recursive else []), *operation.attributes]
            return shell(("open_tree", operation.source, *words))
        case Attach():
            return shell(("move_mount", operation.target))
        case SetHandlePropagation():
            return shell(("mount_setattr", f"{'r' if operation.recursive else ''}{operation.type}"))
        case _:
            return operation.op
