"""The shortest sequences on which kernels differ, or once differed from what was thought of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mntscope.propagation.operations import (
    Attach,
    Bind,
    CloneNamespace,
    MountNew,
    MoveBeneath,
    NewDetached,
    Operation,
    SetGroup,
    SetHandlePropagation,
    SetPropagation,
    Umount,
)
from mntscope.selftest.replay import Judgement
from mntscope.selftest.run import Script, observe


@dataclass(frozen=True, slots=True)
class Sequence:
    """Operations from a fresh world on: one namespace A, and in it one tmpfs with a few directories."""

    name: str
    about: str
    operations: tuple[Operation, ...]


def tmpfs(ns: str, target: str, source: str) -> MountNew:
    """A new tmpfs."""
    return MountNew(ns, "tmpfs", source, target)


SEQUENCES = (
    Sequence(
        "M1",
        "an unbindable mount in a new mount namespace",
        (tmpfs("A", "/a", "t1"), SetPropagation("A", "/a", "unbindable"), CloneNamespace("A", "B")),
    ),
    Sequence(
        "M2",
        "what is tucked beneath a locked mount takes its lock over",
        (
            tmpfs("A", "/a", "t1"),
            SetPropagation("A", "/a", "shared"),
            Bind("A", "/a", "/a/e"),
            CloneNamespace("A", "B", new_userns=True),
            CloneNamespace("B", "C", new_userns=True),
            Bind("A", "/a/e", "/a/e/e"),
            Bind("C", "/a", "/a/e/e"),
        ),
    ),
    Sequence(
        "M3",
        "a copy that is a stack itself, tucked beneath another",
        (SetPropagation("A", "/", "shared"), Bind("A", "/", "/"), Bind("A", "/", "/", recursive=True)),
    ),
    Sequence(
        "M4",
        "umount of what was attached from a handle that is still open",
        (
            NewDetached("A", "h", source="t1"),
            SetHandlePropagation("A", "h", "shared", recursive=True),
            Attach("A", "h", "/a/y"),
            Umount("A", "/a/y"),
        ),
    ),
    Sequence(
        "M5",
        "umount after a copy was tucked in across user namespaces",
        (
            tmpfs("A", "/a", "t1"),
            SetPropagation("A", "/a", "shared", recursive=True),
            CloneNamespace("A", "B", new_userns=True),
            tmpfs("B", "/a", "t3"),
            Bind("B", "/a", "/a/d", recursive=True),
            tmpfs("A", "/a", "t5"),
            Umount("B", "/a/d"),
        ),
    ),
    Sequence(
        "M6",
        "a move beneath a mount",
        (tmpfs("A", "/a", "t1"), tmpfs("A", "/b", "t2"), MoveBeneath("A", "/b", "/a")),
    ),
    Sequence(
        "M7",
        "a mount joins the group of another",
        (
            tmpfs("A", "/a", "t1"),
            SetPropagation("A", "/a", "shared"),
            Bind("A", "/a", "/b"),
            SetPropagation("A", "/b", "private"),
            SetGroup("A", "/a", "/b"),
        ),
    ),
    Sequence(
        "M8",
        "umount of what was tucked in, and again",
        (
            tmpfs("A", "/a", "t1"),
            SetPropagation("A", "/a", "shared"),
            Bind("A", "/a", "/b"),
            tmpfs("A", "/b/c", "u1"),
            tmpfs("A", "/a/c", "u2"),
            Umount("A", "/a/c"),
            Umount("A", "/b/c"),
        ),
    ),
)


def judgements(sequence: Sequence) -> Iterator[Judgement]:
    """Carry it out on this kernel; how each of its operations had been predicted, in each mode."""
    for observed in observe(Script(sequence.operations)):
        yield from observed.judgements
