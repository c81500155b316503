"""mntscope shows where a Linux mount will go before it goes there.

::

    import mntscope
    snapshot = mntscope.capture()                       # the live machine, every mount namespace
    snapshot = mntscope.load("host.mntscope.json.gz")   # or one that was captured
    result = mntscope.diff(snapshot, 4711)              # against snapshot.host
    mntscope.compare(before, after)                     # two snapshots of one machine
    outcome = mntscope.predict(snapshot, 4711, "mount -t proc proc /proc")
    outcome.errno, outcome.effects, outcome.snapshot    # the world after it
    mntscope.holders(snapshot, "/srv/data")             # who still has it mounted
    mntscope.audit(snapshot).findings                   # what is wrong with the machine
    mntscope.preview(snapshot, "pod.yaml").leaks        # where its containers could mount on the host
    mntscope.replay("day.rec").at("12:04:31")           # the machine as it was then: mntscope watch --record

The words, as mount_namespaces(7) and proc_pid_mountinfo(5) use them:

mount
    One attachment of a filesystem, with a *mount ID* (reused by the kernel: it means something only with its
    namespace and the moment of capture), a *parent mount*, a *mount point* (a path), a *root* (the path inside the
    filesystem that it shows) and a *superblock* (named by major:minor).
mount namespace
    A tree of mounts that some processes see; named by its inode.
peer group
    Mounts of one superblock that exchange propagation events: what is mounted or unmounted at one of them happens
    at all. ``shared:N`` in mountinfo.
master
    The peer group from which a mount *receives* events without sending any back. ``master:N``. A *dominant peer
    group* is the nearest one, up the chain of masters, that the reader can see (``propagate_from:N``).
propagation type
    What follows: *shared* (in a peer group), *slave* (has a master), both, *private* (neither), or *unbindable*
    (private, and not to be bind mounted).
overmount
    A mount on the root of another; what lies below an overmount is *hidden*.
capture, snapshot, view
    The act of reading a machine, its result, and what one process sees in it.
leak
    An event that would be received across the boundary of a namespace.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].endswith("mntscope") and not sys.flags.safe_path:
    # While `python -m mntscope` looks for what it is to run. It looks in the current directory first, which may be
    # somebody else's: from here on nothing is loaded from there. Other programs' ways are their own.
    import os

    try:  # noqa: SIM105 - contextlib would be loaded from there
        sys.path.remove(os.getcwd())
    except (OSError, ValueError):
        # It has been deleted, so Python has not put it there.
        pass

# As typing has it, which takes longer to load than this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mntscope.analysis.diff import Change, Damage, Diff, changes, diff
    from mntscope.analysis.diff_captures import CapturesDiff, LeakChange, NamespaceChange, compare
    from mntscope.analysis.holders import Holder, Holders, holders
    from mntscope.analysis.namespaces import NamespaceList, namespaces
    from mntscope.analysis.predict import predict
    from mntscope.analysis.preview.findings import PreviewFinding
    from mntscope.analysis.preview.preview import Preview, PreviewedContainer
    from mntscope.archive import load, replay, save
    from mntscope.archive.manifests import preview
    from mntscope.errors import (
        AccessError,
        KernelError,
        MntscopeError,
        ParseError,
        RefusedError,
        TargetError,
        UsageError,
    )
    from mntscope.graph import Leak, MountTree, PeerGraph, PeerGroup, Receiver, leaks
    from mntscope.live import capture
    from mntscope.model import Hold, Mount, Namespace, Origin, Owner, Problem, Process, View
    from mntscope.parse import format_mountinfo, parse_mountinfo
    from mntscope.propagation import Effect, Outcome, simulate
    from mntscope.rules import RULES, Audit, Finding, Policy, Rule, Waiver, audit
    from mntscope.snapshot import Snapshot

    Census = NamespaceList
    Holding = Holders

_HOMES = {
    "AccessError": "errors",
    "Audit": "rules",
    "CapturesDiff": "analysis.diff_captures",
    "NamespaceList": "analysis.namespaces",
    "Change": "analysis.diff",
    "Damage": "analysis.diff",
    "Diff": "analysis.diff",
    "Effect": "propagation",
    "Finding": "rules",
    "Hold": "model",
    "Holder": "analysis.holders",
    "Holders": "analysis.holders",
    "KernelError": "errors",
    "Leak": "graph",
    "LeakChange": "analysis.diff_captures",
    "MntscopeError": "errors",
    "Mount": "model",
    "MountTree": "graph",
    "Namespace": "model",
    "NamespaceChange": "analysis.diff_captures",
    "Origin": "model",
    "Outcome": "propagation",
    "Owner": "model",
    "ParseError": "errors",
    "PeerGraph": "graph",
    "PeerGroup": "graph",
    "Policy": "rules",
    "Preview": "analysis.preview.preview",
    "PreviewFinding": "analysis.preview.findings",
    "PreviewedContainer": "analysis.preview.preview",
    "Problem": "model",
    "Process": "model",
    "RULES": "rules",
    "Receiver": "graph",
    "RefusedError": "errors",
    "Rule": "rules",
    "Snapshot": "snapshot",
    "TargetError": "errors",
    "UsageError": "errors",
    "View": "model",
    "Waiver": "rules",
    "audit": "rules",
    "capture": "live",
    "changes": "analysis.diff",
    "compare": "analysis.diff_captures",
    "diff": "analysis.diff",
    "format_mountinfo": "parse",
    "holders": "analysis.holders",
    "leaks": "graph",
    "load": "archive",
    "namespaces": "analysis.namespaces",
    "parse_mountinfo": "parse",
    "predict": "analysis.predict",
    "preview": "archive.manifests",
    "replay": "archive",
    "save": "archive",
    "simulate": "propagation",
}
"""Where each public name lives: it is imported when it is first used, so that a command loads only what it needs."""

_FORMER_NAMES = {"Census": "NamespaceList", "Holding": "Holders"}
"""What was public under another name, and is still found under it."""

__all__ = [
    "RULES",
    "AccessError",
    "Audit",
    "CapturesDiff",
    "Change",
    "Damage",
    "Diff",
    "Effect",
    "Finding",
    "Hold",
    "Holder",
    "Holders",
    "KernelError",
    "Leak",
    "LeakChange",
    "MntscopeError",
    "Mount",
    "MountTree",
    "Namespace",
    "NamespaceChange",
    "NamespaceList",
    "Origin",
    "Outcome",
    "Owner",
    "ParseError",
    "PeerGraph",
    "PeerGroup",
    "Policy",
    "Preview",
    "PreviewFinding",
    "PreviewedContainer",
    "Problem",
    "Process",
    "Receiver",
    "RefusedError",
    "Rule",
    "Snapshot",
    "TargetError",
    "UsageError",
    "View",
    "Waiver",
    "audit",
    "capture",
    "changes",
    "compare",
    "diff",
    "format_mountinfo",
    "holders",
    "leaks",
    "load",
    "namespaces",
    "parse_mountinfo",
    "predict",
    "preview",
    "replay",
    "save",
    "simulate",
]


def load_ipython_extension(ipython: Any) -> None:
    """``%load_ext mntscope`` in IPython and Jupyter: the magic ``%mntscope``."""
    from mntscope.base.search_path import without_current_directory

    with without_current_directory():
        from mntscope.jupyter import load as load_magic

        load_magic(ipython)


def __getattr__(name: str) -> Any:
    name = _FORMER_NAMES.get(name, name)
    home = _HOMES.get(name)
    if home is None:
        if name == "__version__":
            from mntscope.base.own_version import VERSION

            return VERSION
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"mntscope.{home}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
