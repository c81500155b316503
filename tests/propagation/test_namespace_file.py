"""Binds of the files of namespaces: which kinds, from where to where, and of removed directories."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mntscope import Snapshot, parse_mountinfo
from mntscope.errors import KernelError
from mntscope.kernel import syscalls
from mntscope.model import Namespace, View
from mntscope.propagation import Outcome, simulate
from tests.support.features import MNTNS_ID, needs
from tests.support.throwaway import Actor, Host, Mode

KINDS = sorted(os.listdir("/proc/self/ns"))
LABELS = ("host", "old", "young")

Shown = dict[str, list[tuple[str, str, str]]]


def shown(snapshot: Snapshot) -> Shown:
    """What each namespace shows of nsfs."""
    return {
        view.label: [(m.root, m.mount_point, m.propagation) for m in view.mounts if m.fs_type == "nsfs"]
        for view in snapshot.views
    }


@dataclass(frozen=True, slots=True)
class Three:
    """A host, and two namespaces that were copied from it, one after the other."""

    host: Host
    actors: dict[str, Actor]
    path: str

    def snapshot(self) -> Snapshot:
        return Snapshot(tuple(map(self._view, LABELS)), "host", kernel=os.uname().release)

    def _view(self, label: str) -> View:
        actor = self.actors[label]
        fd = os.open(f"/proc/{actor.pid}/ns/mnt", os.O_RDONLY)
        try:
            described = Namespace(inode=actor.namespace("mnt"), id=syscalls.ns_get_mntns_id(fd))
        finally:
            os.close(fd)
        return View(label, tuple(parse_mountinfo(self.host.mountinfo(actor))), described)

    def predicted(self, by: str, of: str, kind: str) -> Outcome:
        link = f"/proc/{self.actors[of].pid}/ns/{kind}"
        operation = {"op": "bind", "ns": by, "source": link, "target": self.path, "nsfs": os.readlink(link)}
        return simulate(self.snapshot(), operation)

    def done(self, by: str, of: str, kind: str) -> str | None:
        link = f"/proc/{self.actors[of].pid}/ns/{kind}"
        return self.call(by, lambda: syscalls.mount(link, self.path, None, syscalls.MS_BIND))

    def call(self, by: str, function: Callable[[], None]) -> str | None:
        """The name of the errno with which *function* fails there."""

        def body() -> str | None:
            fd = os.open(f"/proc/{self.actors[by].pid}/ns/mnt", os.O_RDONLY)
            syscalls.setns(fd, syscalls.CLONE_NEWNS)
            try:
                function()
            except KernelError as error:
                return errno.errorcode[error.errno or 0]
            return None

        return self.host.call(body)

    def put_back(self, by: str) -> None:
        self.call(by, lambda: syscalls.umount2(self.path, 0))


def three(host: Host, path: Path, old: Mode, young: Mode) -> Three:
    path.touch()
    actors = {"host": host.spawn(), "old": host.unshare(old), "young": host.unshare(young)}
    return Three(host, actors, str(path))


@pytest.mark.parametrize(
    ("modes", "bind"),
    [
        (("unchanged", "unchanged"), set()),
        (("private", "slave"), {("old", "young")}),
        (("slave", "private"), {("old", "young")}),
        (("private", "private"), {("host", "old"), ("host", "young"), ("old", "young")}),
    ],
)
@needs(MNTNS_ID)
def test_the_file_of_a_mount_namespace_in_every_direction(
    one_processor: None, host: Host, tmp_path: Path, modes: tuple[Mode, Mode], bind: set[tuple[str, str]]
) -> None:
    machines = three(host, tmp_path / "f", *modes)
    answers: dict[tuple[str, str], str | None] = {}
    for by in LABELS:
        for of in LABELS:
            outcome = machines.predicted(by, of, "mnt")
            answers[by, of] = machines.done(by, of, "mnt")
            assert (outcome.errno, outcome.uncertain) == (answers[by, of], ()), f"{by} binds the namespace of {of}"
            assert shown(outcome.snapshot) == shown(machines.snapshot())
            if outcome.errno is None:
                machines.put_back(by)
    # Only the file of a younger one, and only where no copy of it would go anywhere.
    assert {pair for pair, answer in answers.items() if answer is None} == bind


@pytest.mark.parametrize("mode", ["unchanged", "slave", "private"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mnt"])
@needs(MNTNS_ID)
def test_every_other_kind_goes_wherever_an_event_goes(host: Host, tmp_path: Path, kind: str, mode: Mode) -> None:
    machines = three(host, tmp_path / "f", mode, "unchanged")
    for by in LABELS:
        outcome = machines.predicted(by, "young", kind)
        assert (outcome.errno, outcome.uncertain) == (machines.done(by, "young", kind), ())
        assert shown(outcome.snapshot) == shown(machines.snapshot())
        assert (machines.path in {path for _, path, _ in shown(outcome.snapshot)["host"]}) == (
            by != "old" or mode == "unchanged"
        )
        machines.put_back(by)


@needs(MNTNS_ID)
def test_a_copied_namespace_has_the_files_of_others_but_for_those_of_mount_namespaces(
    one_processor: None, host: Host, tmp_path: Path
) -> None:
    machines = three(host, tmp_path / "f", "private", "private")
    for kind, kept in (("mnt", False), ("net", True)):
        assert machines.done("old", "young", kind) is None
        outcome = simulate(machines.snapshot(), {"op": "clone_ns", "ns": "old", "new": "copy"})
        assert [path for _, path, _ in shown(outcome.snapshot)["copy"]] == [machines.path] * kept

        def seen() -> str:
            fd = os.open(f"/proc/{machines.actors['old'].pid}/ns/mnt", os.O_RDONLY)
            syscalls.setns(fd, syscalls.CLONE_NEWNS)
            syscalls.unshare(syscalls.CLONE_NEWNS)
            return Path("/proc/self/mountinfo").read_text()

        assert (machines.path in host.call(seen)) == kept
        machines.put_back("old")


def test_without_their_ages_who_binds_whom_is_uncertain() -> None:
    table = "{0}0 1 8:1 / / rw - ext4 a rw\n"
    views = [
        View(label, tuple(parse_mountinfo(table.format(number).encode())), Namespace(inode=4026530000 + number))
        for number, label in enumerate(LABELS, 1)
    ]
    machine = Snapshot(tuple(views), "host")

    def bind(by: str, of: int) -> tuple[str | None, int]:
        file = {"source": "/x", "target": "/f", "nsfs": f"mnt:[{4026530000 + of}]"}
        outcome = simulate(machine, {"op": "bind", "ns": by, **file})
        return outcome.errno, len(outcome.uncertain)

    assert bind("host", 1) == ("EINVAL", 0)
    assert bind("host", 2) == (None, 0)
    assert bind("old", 1) == ("EINVAL", 0)
    assert bind("old", 3) == (None, 1)
    assert bind("old", 4) == (None, 1)


@needs(MNTNS_ID)
def test_a_directory_that_was_removed_is_still_shown_and_good_for_nothing(host: Host, tmp_path: Path) -> None:
    machines = three(host, tmp_path / "f", "private", "private")
    names = ("gone", "shows", "other", "moved")

    def make() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0)
        syscalls.mount(None, str(tmp_path), None, syscalls.MS_PRIVATE)
        for name in names:
            (tmp_path / name).mkdir()
        syscalls.mount(str(tmp_path / "gone"), str(tmp_path / "shows"), None, syscalls.MS_BIND)
        syscalls.mount("none", str(tmp_path / "moved"), "tmpfs", 0)
        (tmp_path / "gone").rmdir()

    assert machines.call("old", make) is None
    shows, other, moved = (str(tmp_path / name) for name in names[1:])
    tried: list[tuple[dict[str, object], Callable[[], None]]] = [
        ({"op": "bind", "source": shows, "target": other}, lambda: syscalls.mount(shows, other, None, 4096)),
        ({"op": "bind", "source": other, "target": shows}, lambda: syscalls.mount(other, shows, None, 4096)),
        (
            {"op": "bind", "source": shows, "target": other, "recursive": True},
            lambda: syscalls.mount(shows, other, None, 4096 | syscalls.MS_REC),
        ),
        (
            {"op": "bind", "source": f"{shows}/x", "target": other},
            lambda: syscalls.mount(f"{shows}/x", other, None, 4096),
        ),
        (
            {"op": "mount", "fstype": "tmpfs", "source": "x", "target": shows},
            lambda: syscalls.mount("x", shows, "tmpfs", 0),
        ),
        ({"op": "move", "source": moved, "target": shows}, lambda: syscalls.mount(moved, shows, None, 8192)),
        ({"op": "move", "source": shows, "target": other}, lambda: syscalls.mount(shows, other, None, 8192)),
    ]
    for described, call in tried:
        assert simulate(machines.snapshot(), {"ns": "old", **described}).errno == machines.call("old", call) == "ENOENT"
    for kind in ("shared", "private"):
        described = {"op": "propagation", "ns": "old", "target": shows, "type": kind}
        assert simulate(machines.snapshot(), described).errno is None
    assert simulate(machines.snapshot(), {"op": "umount", "ns": "old", "target": shows, "lazy": True}).errno is None
    assert machines.call("old", lambda: syscalls.umount2(shows, 0)) is None
