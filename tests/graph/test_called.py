"""Whatever a namespace is called in a report means it."""

from __future__ import annotations

from typing import Any

import pytest

from mntscope.errors import TargetError
from mntscope.model import Hold, Namespace, Owner, Process, View
from mntscope.snapshot import Snapshot

LABELS = "it has host, 15, 20, 30, 31, 32, mnt:[7], mnt:[8], mnt:[9]"
ID = "0123456789abcdef" * 4


def view(label: str, **known: Any) -> View:
    return View(label=label, mounts=(), namespace=Namespace(**known))


def process(pid: int, comm: str) -> Process:
    return Process(pid=pid, start_time=0, comm=comm)


MACHINE = Snapshot(
    views=(
        view("host", inode=1, processes=(process(1, "systemd"),)),
        view("15", inode=2, owner=Owner("docker", "web", ID), processes=(process(15, "nginx"), process(16, "worker"))),
        view("20", inode=3, owner=Owner("containerd", "shop/cart/app", "f" * 64), processes=(process(20, "app"),)),
        view("30", inode=4, owner=Owner("unit", "udevd.service"), processes=(process(30, "udevd"),)),
        view("31", inode=5, owner=Owner("docker", "twin"), processes=(process(31, "a"),)),
        view("32", inode=6, owner=Owner("docker", "twin"), processes=(process(32, "b"),)),
        view("mnt:[7]", inode=7, holds=(Hold("mount", "/run/ns/kept", "host"),)),
        view("mnt:[8]", inode=8, holds=(Hold("thread", "41", process=process(40, "java")),)),
        view("mnt:[9]", inode=9, holds=(Hold("mount", "/run/ns/theirs", "15"), Hold("fd", "/proc/7/fd/77"))),
    ),
    host_label="host",
)


@pytest.mark.parametrize(
    ("label", "words"),
    {
        "host": (
            "host",
            "the host",
            r"the\x20host",
            "1",
            "1 (systemd)",
            "mnt:[1]",
            "/proc/1/ns/mnt",
            "ns:/proc/1/ns/mnt",
        ),
        "15": (
            "web (docker)",
            "web",
            "docker web",
            ID,
            ID[:12],
            "0123",
            "container:web",
            "16",
            "16 (worker)",
            "mnt:[2]",
        ),
        "20": ("shop/cart/app (containerd)", "shop/cart/app", "app", "cart/app", "container:app"),
        "30": ("udevd.service", r"30\x20(udevd)", "4", "/proc/30/ns/mnt"),
        "31": ("twin (docker, 31)", "31", "mnt:[5]"),
        "mnt:[7]": ("mnt:[7]", "7", "/run/ns/kept", "ns:/run/ns/kept"),
        "mnt:[8]": ("8", "41", "/proc/41/ns/mnt", "/proc/40/task/41/ns/mnt"),
        "mnt:[9]": ("9", "/proc/7/fd/77"),
    }.items(),
)
def test_each_of_its_names_means_a_namespace(label: str, words: tuple[str, ...]) -> None:
    assert {word: MACHINE.view(word).label for word in words} == dict.fromkeys(words, label)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("twin", "2 mount namespaces are called 'twin'; choose of twin (docker, 31), twin (docker, 32)"),
        ("container:twin", "2 containers are called 'twin'; choose of twin (docker, 31), twin (docker, 32)"),
        ("container:udevd.service", "the snapshot has no view 'container:udevd.service'; did you mean udevd.service?"),
        ("wbe (docker)", "the snapshot has no view 'wbe (docker)'; did you mean 'web (docker)'?"),
        ("udevd.servise", "the snapshot has no view 'udevd.servise'; did you mean udevd.service?"),
        ("99", f"the snapshot has no view '99'; {LABELS}"),
        ("012", f"the snapshot has no view '012'; {LABELS}"),
        ("/run/ns/keptt", "the snapshot has no view '/run/ns/keptt'; did you mean /run/ns/kept?"),
        ("/run/ns/theirs", f"the snapshot has no view '/run/ns/theirs'; {LABELS}"),
    ],
)
def test_what_means_none_or_several_is_said(word: str, said: str) -> None:
    with pytest.raises(TargetError) as raised:
        MACHINE.view(word)
    assert str(raised.value) == said


def test_many_labels_are_not_all_listed() -> None:
    crowd = Snapshot(tuple(view(str(number), inode=number) for number in range(1, 1000)), host_label="1")
    with pytest.raises(TargetError, match=r"it has 1, 2, 3, .*, 24 and 975 more$"):
        crowd.view("nobody")
