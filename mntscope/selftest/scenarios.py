"""Short sequences that lead to where random operations seldom come: each sets up one rule and then asks for it.

A scenario is text: operations separated by ``;``, at the places ``W`` to ``Z`` (and what is below them). ``N`` is a
new namespace, and what follows ``N:`` is done there; ``H`` is a handle.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from mntscope.propagation.operations import (
    Attach,
    Bind,
    CloneNamespace,
    CloseHandle,
    MountNew,
    Move,
    MoveBeneath,
    NewDetached,
    OpenTree,
    Operation,
    PropagationType,
    Remount,
    SetGroup,
    SetHandlePropagation,
    SetPropagation,
    Umount,
)

SCENARIOS: Mapping[str, str] = {
    "a group that does not see the place lies between two that do": (
        "mount W; shared W; bind W X; slave X; shared X; bind X/a Y; bind X Z; slave Z; umount X; mount W/b; umount W/b"
    ),
    "a directory is bound with what is mounted below it, and not beside": (
        "mount W; mount W/a/x; mount W/a/x/b; mount W/b; rbind W/a X; shared W; rbind W/a W/d; bind W/a Y"
    ),
    "a tree crosses into another user namespace": (
        "mount W; shared W; mount X; mount X/a; mount X/a/b; userns N; rbind X W/c; "
        "N: bind W/c Z; N: umount W/c/a/b; N: move W/c/a Y; N: umount W/c"
    ),
    "what is locked goes with its parent, and not alone": (
        "mount W; mount W/a; shared W; userns N; N: umount W/a; umount W/a; N: bind W Y; N: rbind W X; N: umount X"
    ),
    "what was read-only stays so": "mount W; ro W; shared W; userns N; N: rw W; N: rbind W X; N: rw X; rw W",
    "what was writable may be read-only": "mount W; shared W; userns N; N: ro W; N: rw W",
    "unbindable mounts are left behind": "mount W; mount W/b; unbindable W/b; mount W/b/c; rbind W X; bind W/b Y; ns N",
    "an unbindable mount is not moved to where copies are made": (
        "mount W; mount W/b; unbindable W/b; mount X; move W X/c; "
        "mount Y; mount Y/b; unbindable Y/b; shared X; move Y X/d"
    ),
    "beneath a mount of the same directory": "mount W; shared W; bind W/d W/d; mount X; beneath X W/d; beneath W/d W/d",
    "beneath a slave of the same directory": "mount W; shared W; bind W/d W/d; slave W/d; mount X; beneath X W/d",
    "a copy of the directory goes beneath it": "mount W; shared W; bind W/d X; mount W/d; beneath X W/d",
    "beneath in every peer": "mount W; shared W; bind W X; ns N; mount W/d; mount Y; beneath Y W/d; umount W/d",
    "a group is given to whom it may be given": (
        "mount W; shared W; bind W/a X; private X; group W X; bind W Y; private Y; group X Y; mount W/a/x"
    ),
    "a group is given with its master": (
        "mount W; shared W; bind W X; slave X; shared X; bind X Y; private Y; group X Y; mount W/b; mount X/c"
    ),
    "what is locked stays where its parent stays": (
        "mount W; shared W; mount W/a; mount W/a/b; userns N; N: mount W/a/c; detach W/a; "
        "N: umount W/a/c; N: umount W/a/b"
    ),
    "a stack goes from below a survivor": (
        "mount W; shared W; bind W X; slave X; mount W/b; mount W/b; mount X/b; detach W; umount X/b"
    ),
    "a survivor slides down": "mount W; shared W; bind W X; slave X; mount W/b; mount X/b; umount W/b; umount X/b",
    "a stack that others stand on": (
        "mount W; shared W; bind W X; slave X; mount W/b; mount X/b/c; mount W/b; umount W/b; umount W/b; umount X/b"
    ),
    "tucked below what was there": "mount W; shared W; bind W X; slave X; mount X/b; mount X/b; mount W/b; umount W/b",
    "the last of a group hands its slaves on": (
        "mount W; shared W; bind W X; slave X; shared X; bind X Y; slave Y; private X; mount W/b; "
        "shared Y; bind Y Z; slave Z; slave Y; umount W/b; unbindable Y"
    ),
    "unbindable is over with any other type": (
        "mount W; unbindable W; private W; bind W X; unbindable W; slave W; bind W Y; shared W; bind W Z"
    ),
    "a descriptor keeps the copies of its mount": (
        "mount W; shared W; ns N; N: new H; N: attach H W/b; umount W/b; N: close H; umount W/b"
    ),
    "a detached tree forwards, and receives nothing": (
        "mount W; shared W; copy W H; mount W/b; type H slave; mount W/c; attach H X; umount W/b; umount W/c"
    ),
    "what covers the root goes": "mount /; mount /; umount /; mount /a; detach /",
    "a slave outlives its masters": (
        "mount W; shared W; bind W X; slave X; shared X; bind X Y; slave Y; ns N; umount X; N: umount X; mount W/b"
    ),
}

_TYPES: tuple[PropagationType, ...] = ("shared", "slave", "private", "unbindable")

_VERBS: dict[str, Callable[..., Operation]] = {
    "bind": Bind,
    "rbind": lambda ns, source, target: Bind(ns, source, target, recursive=True),
    "move": Move,
    "beneath": MoveBeneath,
    "group": SetGroup,
    "umount": Umount,
    "detach": lambda ns, target: Umount(ns, target, lazy=True),
    "ro": lambda ns, target: Remount(ns, target, ro=True),
    "rw": lambda ns, target: Remount(ns, target, ro=False),
    "copy": lambda ns, source, handle: OpenTree(ns, source, handle, recursive=True),
    "attach": Attach,
    "type": SetHandlePropagation,
    "close": CloseHandle,
    "ns": CloneNamespace,
    "userns": lambda ns, new: CloneNamespace(ns, new, new_userns=True),
}


def script(scenario: str, ns: str, names: Mapping[str, str], new_source: Callable[[], str]) -> Iterator[Operation]:
    """What *scenario* does in the namespace *ns*; *names* are for its capital letters, *new_source* for its mounts."""
    for sentence in scenario.split(";"):
        told = re.sub("[HNW-Z]", lambda letter: names[letter[0]], sentence)
        where, _, what = told.rpartition(":")
        verb, *places = what.split()
        actor = where.strip() or ns
        if verb == "mount":
            yield MountNew(actor, fstype="tmpfs", source=new_source(), target=places[0])
        elif verb == "new":
            yield NewDetached(actor, places[0], source=new_source())
        elif verb in _TYPES:
            yield SetPropagation(actor, places[0], verb)
        else:
            yield _VERBS[verb](actor, *places)
