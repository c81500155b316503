"""What people call a mount namespace, and what mntscope calls it, finds it; on a throwaway machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mntscope.analysis.namespaces import namespaces
from mntscope.cli.targets import parse_target
from mntscope.errors import TargetError, UsageError
from mntscope.kernel import syscalls
from mntscope.live import capture
from mntscope.live.names import find_container
from tests.support.dead import dead_filesystem
from tests.support.scenes import held_by_mount
from tests.support.throwaway import Actor, Host, error_of

UNIT = "systemd-private-0123456789abcdef0123456789abcdef-web.service-Ab1/tmp"
BOX = "systemd/nspawn/propagate/box"


def bound(scratch: Path, place: str, at: str) -> Callable[[], None]:
    """A mount at *at* that shows the directory *place* of a filesystem."""

    def bind() -> None:
        syscalls.mount("none", str(scratch), "tmpfs", 0)
        (scratch / place).mkdir(parents=True)
        Path(at).mkdir(parents=True, exist_ok=True)
        syscalls.mount(str(scratch / place), at, None, syscalls.MS_BIND)

    return bind


def printed(machine: Host, actor: Actor) -> str:
    """What `ns` calls the namespace of *actor*."""

    def names() -> dict[int | None, str]:
        return {status.view.namespace.inode: status.name for status in namespaces(capture()).namespaces}

    return machine.call(names)[actor.namespace("mnt")]


def test_a_unit_is_found_by_its_name(machine: Host, tmp_path: Path) -> None:
    web = machine.unshare("private", bound(tmp_path, UNIT, "/tmp"))
    machine.unshare("private")
    assert printed(machine, web) == "web.service"
    assert machine.call(parse_target, "web.service").pid == web.inner


def test_a_container_that_only_its_mounts_name_is_found(machine: Host, tmp_path: Path) -> None:
    box = machine.unshare("private", bound(tmp_path, BOX, str(tmp_path / "run")))
    assert "nspawn" not in printed(machine, box)
    machine.call(lambda: Path("/run/host/incoming").mkdir(parents=True, exist_ok=True))
    box = machine.unshare("private", bound(tmp_path, BOX, "/run/host/incoming"))
    assert printed(machine, box) == "box (nspawn)"
    for word in ("container:box", "box", "box (nspawn)", "nspawn box"):
        assert machine.call(parse_target, word).pid == box.inner


def test_a_namespace_is_found_by_its_inode_and_by_its_file(machine: Host) -> None:
    other = machine.unshare("private")
    inode = other.namespace("mnt")
    words = (str(inode), f"mnt:[{inode}]", f"/proc/{other.inner}/ns/mnt", printed(machine, other))
    assert {machine.call(parse_target, word).pid for word in words} == {other.inner}
    assert machine.call(parse_target, "the host").kind == "host"


def test_one_that_a_bind_mount_keeps_is_found_by_what_is_printed(machine: Host, tmp_path: Path) -> None:
    kept = tmp_path / "pins" / "kept"
    inode = held_by_mount(machine, kept)
    for word in (f"mnt:[{inode}]", str(inode), str(kept)):
        assert machine.call(parse_target, word).path == str(kept)


def test_two_of_one_name_are_told_apart(machine: Host, tmp_path: Path) -> None:
    machine.call(lambda: Path("/run/host/incoming").mkdir(parents=True, exist_ok=True))
    boxes = [machine.unshare("private", bound(tmp_path, BOX, "/run/host/incoming")) for _ in range(2)]
    names = [printed(machine, box) for box in boxes]
    assert len(set(names)) == 2
    assert [machine.call(parse_target, name).pid for name in names] == [box.inner for box in boxes]
    kind, said = machine.call(error_of, parse_target, "box")
    assert kind is TargetError
    assert "2 mount namespaces are called 'box'; choose of" in said
    assert names[0] in said
    kind, said = machine.call(error_of, find_container, "box")
    assert "2 containers are called 'box'" in said


def test_a_container_that_does_not_run_is_said_not_to(machine: Host) -> None:
    number = "5a" * 32

    def stop() -> None:
        syscalls.mount("none", "/var/lib", "tmpfs", 0, "mode=755")
        place = Path("/var/lib/docker/containers") / number
        place.mkdir(parents=True)
        (place / "config.v2.json").write_text('{"Name": "/web"}')

    machine.call(stop)
    for word in ("container:web", f"container:{number[:12]}", "web", number):
        kind, said = machine.call(error_of, parse_target, word)
        assert kind is (TargetError if word.startswith("container:") else UsageError)
        assert "docker web (5a5a5a5a5a5a) does not run" in said


@pytest.mark.parametrize("word", ["web.servise", "wev.service"])
def test_a_name_with_a_slip_is_recognised(machine: Host, tmp_path: Path, word: str) -> None:
    machine.unshare("private", bound(tmp_path, UNIT, "/tmp"))
    kind, said = machine.call(error_of, parse_target, word)
    assert kind is UsageError
    assert "did you mean web.service?" in said


def test_what_is_called_like_nothing_is_no_target(machine: Host) -> None:
    for word in ("", "nothing-like-it", "a\0b", "/no/such/file"):
        kind, said = machine.call(error_of, parse_target, word)
        assert kind is UsageError
        assert "is no TARGET" in said


def test_a_name_or_a_file_of_a_namespace_may_be_followed_by_a_path(machine: Host, tmp_path: Path) -> None:
    """Two words that are no other TARGETs are two captures only where the first is a file of another kind."""
    web = machine.unshare("slave", bound(tmp_path, UNIT, "/tmp"))
    for word in ("web.service", f"/proc/{web.inner}/ns/mnt"):
        done = machine.mntscope("diff", word, "/proc", "--format", "json")
        assert (done.returncode, json.loads(done.stdout)["verdict"]) == (0, "receives"), done.stderr
    done = machine.mntscope("diff", "nothing.json", "/proc")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_first_word_on_a_dead_server_is_not_waited_for(machine: Host, tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    machine.spawn(dead_filesystem(str(tmp_path / "dead")))
    done = machine.mntscope("diff", tmp_path / "dead" / "capture.json", "/proc", timeout=20)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "does not answer" in done.stderr or "did not answer" in done.stderr
