"""Two states are equal up to a renaming of the kernel's names, and in no other way."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mntscope.model import Mount
from mntscope.parse import parse_mountinfo
from mntscope.selftest.compare import MOST_MISMATCHES, Mismatch, Renaming, Tables, compare

# Two namespaces: a group over both, a slave of it that shares, a slave of that one, a stack, an unbindable mount.
A = b"""\
10 1 0:1 / / rw,relatime shared:1 - tmpfs root rw
11 10 0:2 / /a rw,relatime shared:2 - tmpfs t1 rw
12 11 0:3 / /a rw,relatime unbindable - tmpfs t2 rw
13 10 0:2 /x /b rw,relatime shared:3 master:2 - tmpfs t1 rw
"""
B = b"""\
20 2 0:1 / / rw,relatime shared:1 - tmpfs root rw
21 20 0:2 / /a rw,relatime shared:2 - tmpfs t1 rw
22 20 0:2 /x /b rw,relatime master:3 propagate_from:2 - tmpfs t1 rw
"""


def state(a: bytes = A, b: bytes = B) -> Tables:
    return {"A": parse_mountinfo(a), "B": parse_mountinfo(b)}


def differences(predicted: Tables, actual: Tables, known: Renaming | None = None) -> list[str]:
    _, mismatches = compare(predicted, actual, known if known is not None else Renaming())
    return [f"{mismatch.namespace}: {mismatch.what}" for mismatch in mismatches]


def renamed(tables: Tables, numbers: random.Random) -> Tables:
    """The same state with other mount IDs, groups and devices, and its lines in another order."""
    names: dict[tuple[str, object], int] = {}

    def new(kind: str, old: object) -> int:
        if (kind, old) not in names:
            taken = {value for (other, _), value in names.items() if other == kind}
            names[kind, old] = numbers.choice([number for number in range(100, 200) if number not in taken])
        return names[kind, old]

    def group(old: int | None) -> int | None:
        return None if old is None else new("group", old)

    def mount(old: Mount) -> Mount:
        return replace(
            old,
            mount_id=new("mount", old.mount_id),
            parent_id=new("mount", old.parent_id),
            device=f"0:{new('device', old.device)}",
            peer_group=group(old.peer_group),
            master=group(old.master),
            propagate_from=group(old.propagate_from),
        )

    return {label: numbers.sample([mount(old) for old in table], len(table)) for label, table in tables.items()}


@given(st.randoms(use_true_random=False))
def test_names_and_the_order_of_lines_do_not_matter(numbers: random.Random) -> None:
    assert differences(renamed(state(), numbers), state()) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (b"shared:3 master:2", b"shared:3", "A: master of /b"),
        (b"13 10 0:2 /x /b rw,relatime shared:3", b"13 10 0:2 /x /b rw,relatime", "A: peer group of /b"),
        (b"shared:3 master:2", b"shared:2", "A: peer group and master of /b"),
        (b"11 10 0:2 / /a rw,relatime shared:2", b"11 10 0:2 / /a rw,relatime shared:1", "A: peer group of /a"),
        (b" unbindable", b"", "A: unbindable of /a"),
        (b"0:2 /x", b"0:2 /y", "A: root of /b"),
        (b"13 10 0:2", b"13 10 0:4", "A: device of /b"),
        (b"12 11 0:3 / /a rw", b"12 11 0:3 / /a ro", "A: options of /a"),
        (b"tmpfs t2", b"ramfs t2", "A: filesystem type of /a"),
        (b"tmpfs t2", b"tmpfs t9", "A: source of /a"),
    ],
)
def test_every_fact_of_a_mount_counts(old: bytes, new: bytes, what: str) -> None:
    assert A.count(old) == 1
    assert what in differences(state(A.replace(old, new)), state())


def test_propagate_from_counts() -> None:
    assert differences(state(b=B.replace(b" propagate_from:2", b"")), state()) == ["B: propagate_from of /b"]


def test_the_options_of_the_superblock_do_not_count() -> None:
    assert differences(state(A.replace(b"t2 rw", b"t2 rw,size=4k")), state()) == []


def test_one_group_in_two_namespaces_is_not_two_groups() -> None:
    split = state(b=B.replace(b"shared:1", b"shared:7"))
    assert differences(split, state()) == ["B: peer group of /"]
    assert differences(state(), split) == ["B: peer group of /"]


def test_a_missing_mount_is_named_with_what_is_below_it() -> None:
    without = b"".join(line for line in A.splitlines(keepends=True) if b" /a " not in line)
    assert differences(state(without), state()) == ["A: the mount at /a (and 1 below it) was not predicted"]
    assert differences(state(), state(without)) == ["A: the mount at /a (and 1 below it) is not there"]


def test_a_missing_namespace_is_named() -> None:
    assert differences({"A": state()["A"]}, state()) == ["B: the namespace was not predicted"]
    assert differences(state(), {"A": state()["A"]}) == ["B: the namespace is gone, and was predicted to stay"]


def test_a_stack_in_another_order_is_another_state() -> None:
    # What lies on top differs, though both tables hold the same three mounts at the same paths.
    swapped = A.replace(b"11 10 0:2 / /a", b"11 12 0:2 / /a").replace(b"12 11 0:3 / /a", b"12 10 0:3 / /a")
    assert differences(state(swapped), state()) != []


TWINS = b"""\
10 1 0:1 / / rw - tmpfs root rw
11 10 0:1 / /a rw - tmpfs root rw
12 11 0:1 / /a rw - tmpfs root rw
"""
SWAPPED_TWINS = b"""\
10 1 0:1 / / rw - tmpfs root rw
12 10 0:1 / /a rw - tmpfs root rw
11 12 0:1 / /a rw - tmpfs root rw
"""


def test_what_existed_before_keeps_its_name() -> None:
    before = {"A": parse_mountinfo(TWINS)}
    after = {"A": parse_mountinfo(SWAPPED_TWINS)}
    # As two unrelated states they are equal; as a prediction from the state before, two mounts have changed places.
    assert differences(after, before) == []
    assert differences(after, before, Renaming.identity(before)) == ["A: identity of /a", "A: identity of /a"]


def test_a_new_group_is_not_one_that_existed() -> None:
    before = {"A": parse_mountinfo(b"10 1 0:1 / / rw shared:1 - tmpfs root rw\n11 10 0:2 / /a rw - tmpfs t rw\n")}
    retyped = {"A": [before["A"][0], replace(before["A"][1], peer_group=2)]}
    predicted = {"A": [replace(before["A"][0], peer_group=2), replace(before["A"][1], peer_group=1)]}
    assert differences(retyped, retyped, Renaming.identity(before)) == []
    assert differences(predicted, retyped, Renaming.identity(before)) != []


def test_tables_that_no_kernel_writes_are_told_apart_and_end() -> None:
    circle = parse_mountinfo(
        b"10 1 0:1 / / rw - tmpfs r rw\n11 12 0:1 / /a rw - tmpfs r rw\n12 11 0:1 / /a rw - tmpfs r rw\n"
    )
    assert differences({"A": circle}, {"A": circle[:1]}) == [
        "A: mounts that are below no root: their parents form a circle"
    ]
    twice = [circle[0], circle[0]]
    assert differences({"A": twice}, {"A": circle}) == ["A: two predicted mounts bear one ID"]


def test_a_difference_shows_both_lines() -> None:
    predicted, actual = parse_mountinfo(A)[1], parse_mountinfo(A.replace(b"shared:2 - tmpfs t1", b"- tmpfs t1"))[1]
    assert Mismatch("A", "peer group of /a", predicted, actual).lines() == [
        "A: peer group of /a",
        "- 11 10 0:2 / /a rw,relatime shared:2 - tmpfs t1 rw",
        "+ 11 10 0:2 / /a rw,relatime - tmpfs t1 rw",
    ]


def test_differences_are_many_only_up_to_a_limit() -> None:
    def many(source: str) -> Sequence[Mount]:
        lines = ["1 0 0:1 / / rw - tmpfs r rw", *(f"{n} 1 0:1 / /{n} rw - tmpfs {source} rw" for n in range(2, 99))]
        return parse_mountinfo("".join(f"{line}\n" for line in lines).encode())

    assert len(differences({"A": many("x")}, {"A": many("y")})) == MOST_MISMATCHES
