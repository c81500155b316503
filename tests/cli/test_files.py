"""Files that a command is told to write: nobody else has a say in which, and none of them is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mntscope.cli import files
from mntscope.cli.files import read, write
from mntscope.errors import AccessError, MntscopeError, NoAnswerError, RefusedError
from mntscope.kernel import syscalls
from mntscope.kernel.worker import DEADLINE
from tests.support.repository import ROOT
from tests.support.throwaway import Scratch, error_of

ALICE = 12345


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """What is done here, in a process of root's, is done by another."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be several users")

# Directories in which another user may put something, as root sees them.
SHARED = {"sticky": (0, 0o1777), "anybody's": (0, 0o777), "group's": (0, 0o775), "hers": (ALICE, 0o755)}


def shared(tmp_path: Path, kind: str) -> Path:
    for directory in (tmp_path, *tmp_path.parents):
        # As /tmp/pytest-of-root is not.
        if directory.stat().st_mode & 0o001 == 0:
            directory.chmod(directory.stat().st_mode | 0o111)
    owner, mode = SHARED[kind]
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, owner, ALICE)
    place.chmod(mode)
    return place


def precious(tmp_path: Path) -> Path:
    file = tmp_path / "precious"
    file.write_text("precious")
    file.chmod(0o600)
    return file


def link_to_a_link(out: Path, target: Path) -> None:
    out.with_name("other").symlink_to(target)
    out.symlink_to("other")


HERS: dict[str, Callable[[Path, Path], object]] = {
    "link": lambda out, target: out.symlink_to(target),
    "dangling link": lambda out, target: out.symlink_to(target.parent / "new"),
    "link to a link": link_to_a_link,
    "link to a device": lambda out, _: out.symlink_to("/dev/null"),
    "file": lambda out, _: out.write_text("hers"),
    "pipe": lambda out, _: os.mkfifo(out, 0o666),
    "socket": lambda out, _: os.mknod(out, 0o140666),
}


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize("what", HERS)
def test_what_another_has_put_there_is_refused(tmp_path: Path, kind: str, what: str) -> None:
    out, target = shared(tmp_path, kind) / "out", precious(tmp_path)
    with as_user(ALICE):
        HERS[what](out, target)
    before = os.lstat(out)
    with pytest.raises(RefusedError, match=f"of user {ALICE} is there or on the way there") as raised:
        write(str(out), b"report")
    assert "\n" not in str(raised.value)
    assert target.read_text() == "precious"
    assert not (tmp_path / "new").exists()
    assert os.lstat(out)[:7] == before[:7]


@pytest.mark.parametrize("kind", SHARED)
def test_nor_is_a_directory_behind_anothers_link(tmp_path: Path, kind: str) -> None:
    place = shared(tmp_path, kind)
    with as_user(ALICE):
        (place / "link").symlink_to(tmp_path)
    for path in ("link/out", "link/./out", "link/place/../out", "link/place/out"):
        with pytest.raises(RefusedError, match="a link of user"):
            write(f"{place}/{path}", b"report")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", SHARED)
def test_a_new_file_in_a_directory_of_others_is_new(tmp_path: Path, kind: str) -> None:
    place = shared(tmp_path, kind)
    write(str(place / "out"), b"report")
    write(str(place / "out"), b"again")
    assert (place / "out").read_bytes() == b"again"
    assert os.listdir(place) == ["out"]


def test_a_link_that_comes_last_of_all_is_replaced_and_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the name's being taken."""
    place, target = shared(tmp_path, "sticky"), precious(tmp_path)
    found = files._place

    def late(path: str) -> tuple[bytes, list[int]]:
        answer = found(path)
        (place / "out").symlink_to(target)
        return answer

    monkeypatch.setattr(files, "_place", late)
    write(str(place / "out"), b"report")
    assert (place / "out").read_bytes() == b"report"
    assert not (place / "out").is_symlink()
    assert target.read_text() == "precious"


def test_own_links_are_followed_wherever_they_lead(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "up").symlink_to("a/b")
    (tmp_path / "a/b/file").symlink_to("../../file")
    (tmp_path / "last").symlink_to(f"{tmp_path}/up/../b/file")
    write(str(tmp_path / "last"), b"report")
    assert (tmp_path / "file").read_bytes() == b"report"
    assert (tmp_path / "last").is_symlink()


def test_as_the_kernel_would_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "stale").mkdir()
    for path, said in {
        "": "Is a directory",
        ".": "Is a directory",
        "..": "Is a directory",
        "stale/": "Is a directory",
        "new/": "No such file or directory",
        "new/file": "No such file or directory",
        "file/": "Not a directory",
        "file/below": "Not a directory",
        "round": "Too many levels of symbolic links",
        "x" * 256: "File name too long",
        "/dev/fd/999": "Bad file descriptor",
    }.items():
        with pytest.raises(AccessError, match=f"cannot write: {said}"):
            write(path, b"report")
    assert sorted(os.listdir(tmp_path)) == ["file", "round", "stale"]


def test_descriptors_are_written_to(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    (tmp_path / "link").symlink_to(f"/dev/fd/{theirs}")
    for path in (f"/dev/fd/{theirs}", f"/proc/self/fd/{theirs}", str(tmp_path / "link")):
        write(path, b"report")
        assert os.read(ours, 100) == b"report"
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        write(f"/dev/fd/{theirs}", b"report")
    os.close(theirs)


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr", "/dev/fd/1", "/proc/self/fd/2", "link"])
def test_standard_output_by_its_other_names(tmp_path: Path, path: str) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    program = f"from mntscope.cli.files import write; write({path!r}, b'report')"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, check=True, env=ENV)
    assert done.stdout + done.stderr == b"report"


ENV = {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_slow_reader_is_waited_for_and_a_missing_one_is_not(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    begin = time.monotonic()
    with pytest.raises(AccessError, match="nobody reads from it; start its reader first"):
        write(str(fifo), b"x")
    assert time.monotonic() - begin < 1
    data = os.urandom(1 << 18)
    with subprocess.Popen(["sh", "-c", 'exec < "$0"; sleep .3; cat > "$1"', fifo, tmp_path / "got"]):
        while True:
            try:
                write(str(fifo), data)
                break
            except AccessError:
                time.sleep(0.01)
    assert (tmp_path / "got").read_bytes() == data


def test_a_filesystem_that_does_not_answer(scratch: Scratch, tmp_path: Path) -> None:
    def body() -> list[tuple[type[MntscopeError], float]]:
        server = os.open("/dev/fuse", os.O_RDWR)
        syscalls.mount("server", str(tmp_path), "fuse", 0, f"fd={server},rootmode=40000,user_id=0,group_id=0")
        answers = []
        for path in (tmp_path, tmp_path / "out", tmp_path / "deep/out"):
            begin = time.monotonic()
            kind, said = error_of(write, str(path), b"report")
            assert "it did not answer" in said
            answers.append((kind, time.monotonic() - begin))
        begin = time.monotonic()
        answers.append((error_of(read, str(tmp_path / "in"), 100)[0], time.monotonic() - begin))
        return answers

    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    for kind, seconds in scratch(body):
        assert kind is NoAnswerError
        assert seconds < 1.5 * DEADLINE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_write_that_a_signal_ends(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out"
    out.write_text("before")
    # Ended as it takes the name: all is written by then.
    program = f"""
import os, signal, time
from mntscope.cli import files
def replace(*_, **__):
    os.kill({{parent}}, {int(number)})
    time.sleep(9)
parent = os.getpid()
os.replace = lambda *_, **__: (os.kill(parent, {int(number)}), time.sleep(9))
files.write({str(out)!r}, bytes(1 << 22))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=ENV, timeout=5)
    assert done.returncode == -number
    assert os.listdir(tmp_path) == ["out"]
    assert out.read_text() == "before"


def test_nor_of_one_that_fails(tmp_path: Path, scratch: Scratch) -> None:
    def body() -> tuple[tuple[type[MntscopeError], str], list[str]]:
        syscalls.mount("none", str(tmp_path), "tmpfs", 0, "size=64k")
        (tmp_path / "out").write_text("before")
        return error_of(write, str(tmp_path / "out"), bytes(1 << 20)), os.listdir(tmp_path)

    (kind, said), left = scratch(body)
    assert kind is AccessError
    assert said == f"{tmp_path}/out: cannot write: No space left on device"
    assert left == ["out"]


def test_a_pipe_that_is_read(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(AccessError, match="it is a pipe, and nobody writes to it"):
        read(str(fifo), 100)
    ours, theirs = os.pipe()
    with subprocess.Popen(["sh", "-c", "sleep .3; echo known"], stdout=theirs):
        os.close(theirs)
        assert read(f"/dev/fd/{ours}", 100) == b"known\n"
    os.close(ours)
    assert read("/dev/zero", 100) == bytes(101)
