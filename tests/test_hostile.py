"""What a stranger's file can be: every command ends, with an answer or one line, in the memory that it is given.

How long each takes, and how that grows, is measured by ``tests/benchmarks/hostile.py``.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from mntscope import MntscopeError, RefusedError, Snapshot, load, predict, save
from mntscope.archive import load_table
from mntscope.archive.document import from_document, to_document
from mntscope.cli.main import main
from mntscope.propagation import simulate, simulate_all
from mntscope.propagation.operations import Umount
from mntscope.propagation.reconstruct import reconstruct
from tests.support.hostile import COMMANDS, SHAPES, written
from tests.support.throwaway import in_fork

MEMORY = 2 << 30
"""Of address space, for one command: what it uses is far less."""

PATIENCE = 20
"""Seconds for it."""

TABLE = b"1 0 0:1 / / rw shared:1 - tmpfs t rw\n"


def _run(words: tuple[str, ...], file: Path) -> tuple[int, int]:
    """The exit code of a command, and how many lines it writes to standard error; in a process that may be lost."""
    signal.alarm(PATIENCE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        code = main([word.replace("{file}", str(file)) for word in words])
    return code, said.getvalue().count("\n")


class TestShapes:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_every_command_ends_with_an_answer_or_one_line(self, shape: str, tmp_path: Path) -> None:
        file = tmp_path / "hostile.json"
        file.write_bytes(written(SHAPES[shape](60)))
        asked = ("ns", "graph dot", "diff json", "rbind", "umount -R /", "holders", "audit sarif")
        ended = in_fork(lambda: {name: _run(COMMANDS[name], file) for name in asked})
        assert {name: how for name, how in ended.items() if how not in ((0, 0), (1, 0), (2, 1))} == {}

    def test_who_gets_another_master_is_told_without_a_new_world(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world = from_document(written(SHAPES["chain upside down"](600)).decode(), "x")
        monkeypatch.setattr(sys.modules["mntscope.propagation.simulation"], "MOST_REBUILT", 0)
        _, *mounts = world.view("target").mounts
        outcomes = simulate_all(world, [Umount("target", mount.mount_point) for mount in mounts])
        assert [outcome.errno for outcome in outcomes] == [None] * 300
        assert {effect.change for outcome in outcomes for effect in outcome.effects} == {"umount", "propagation"}
        assert {mount.master for mount in outcomes[-1].snapshot.host.mounts[1:]} == {*range(1, 600, 2)}

    def test_masters_that_close_a_circle_when_a_member_goes_are_cut_before(self) -> None:
        world = Snapshot.from_mountinfo(
            {
                "host": b"4 0 0:9 / / rw - t t rw\n5 4 0:1 / /mnt rw master:2 - t t rw\n",
                "a": b"10 0 0:8 / / rw - t t rw\n1 10 0:1 / /mnt rw shared:1 - t t rw\n",
                "b": b"11 0 0:7 / / rw - t t rw\n2 11 0:1 / /mnt rw shared:1 master:2 - t t rw\n",
                "c": b"12 0 0:6 / / rw - t t rw\n3 12 0:1 / /mnt rw shared:2 master:1 - t t rw\n",
            }
        )
        masters = {group.number: group.master and group.master.number for group in reconstruct(world).groups.values()}
        assert masters == {2: None, 1: 2}
        after = simulate(world, {"op": "umount", "ns": "a", "target": "/mnt", "lazy": True}).snapshot
        assert predict(after, "b", "mount -t proc proc /mnt/x").errno in (None, "ENOENT")

    def test_what_would_take_n_squared_steps_is_refused_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.propagation.world.MOST_STEPS", 10_000)
        world = from_document(written(SHAPES["children of peers"](200)).decode(), "x")
        with pytest.raises(MntscopeError, match="too many mounts receive each other's events for a prediction"):
            predict(world, "target", "umount -R /")


class TestSizes:
    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("[" + "[]," * 60 + "[]]", "more than 50 values"),
            ('["' + '","' * 300 + '"]', "more than 50 values"),
            ('{"format":"mntscope.snapshot/1","host":"' + "x" * 200 + '","views":[]}', "text as short as a kernel's"),
            ('{"format":"' + "\u20ac" * 60 + '"}', "text as short as a kernel's"),
        ],
    )
    def test_what_a_document_would_come_to_is_counted_before(
        self, text: str, why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, bound in (("MOST_VALUES", 50), ("LONGEST_LINE", 100), ("MOST_WIDE", 50)):
            monkeypatch.setattr(f"mntscope.archive.document.{name}", bound)
        with pytest.raises(MntscopeError, match=why):
            from_document(text, "x")

    def test_quotes_and_commas_in_names_are_no_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        table = b'1 0 0:1 / /a"[{,,, rw,a,b,c - t t\\134",,,,, rw\n2 1 0:1 / /b rw - t \\134" rw\n'
        world = Snapshot.from_mountinfo({"host": table})
        monkeypatch.setattr("mntscope.archive.document.MOST_VALUES", 38)
        assert from_document(json.dumps(to_document(world)), "x") == world

    @pytest.mark.parametrize("table", [b"x" * 200, TABLE * 3 + b"x" * 200 + b"\n" + TABLE])
    def test_a_line_longer_than_a_kernels_is_refused(
        self, table: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mntscope.archive.limits.LONGEST_LINE", 100)
        (tmp_path / "table").write_bytes(TABLE * 50)
        assert len(load(tmp_path / "table").host.mounts) == 50
        (tmp_path / "table").write_bytes(table)
        with pytest.raises(MntscopeError, match="it is no mount table: a line of more than"):
            load(tmp_path / "table")

    def test_what_unpacks_to_very_much_more_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.archive.packed.UNPACKED_UNASKED", 1 << 20)
        (tmp_path / "bomb").write_bytes(gzip.compress(bytes(1 << 23)))
        with pytest.raises(MntscopeError, match="larger than 2 MiB when unpacked"):
            load(tmp_path / "bomb")

    def test_streams_without_end_are_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mntscope.archive.packed.MOST_STREAMS", 100)
        (tmp_path / "table").write_bytes(gzip.compress(b"") * 99 + gzip.compress(TABLE))
        assert len(load(tmp_path / "table").host.mounts) == 1
        (tmp_path / "table").write_bytes(gzip.compress(b"") * 100 + gzip.compress(TABLE))
        with pytest.raises(MntscopeError, match="damaged"):
            load(tmp_path / "table")


class TestWaiting:
    @pytest.mark.parametrize("read", [load, lambda path: load_table(str(path), "x")])
    def test_a_pipe_that_nobody_writes_to_is_refused_at_once(self, read: object, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(MntscopeError, match="it is neither a file nor a directory"):
            read(tmp_path / "pipe")  # type: ignore[operator]

    def test_in_a_directory_it_is_told_of(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "b.mountinfo")
        (tmp_path / "a.mountinfo").write_bytes(TABLE)
        os.symlink("a.mountinfo", tmp_path / "c.mountinfo")
        assert [view.label for view in load(tmp_path).views] == ["a"]

    @pytest.mark.parametrize("word", ["file:/dev/stdin", "file:/dev/fd/0", "file:-"])
    def test_what_mntscope_was_given_is_read(self, word: str) -> None:
        words = [sys.executable, "-m", "mntscope", "tree", word, "--format", "json"]
        done = subprocess.run(words, input=TABLE, capture_output=True, check=True)
        assert b'"peer_group": 1' in done.stdout


class TestSaving:
    WORLD = Snapshot.from_mountinfo({"host": TABLE})

    @pytest.mark.parametrize("umask", [0, 0o777])
    def test_only_its_owner_reads_it(self, umask: int, tmp_path: Path) -> None:
        before = os.umask(umask)
        try:
            for force in (False, True):
                save(self.WORLD, tmp_path / "a.gz", force=force)
                assert stat.S_IMODE((tmp_path / "a.gz").stat().st_mode) == 0o600
        finally:
            os.umask(before)
        assert [path.name for path in tmp_path.iterdir()] == ["a.gz"]

    def test_what_a_kill_has_left_is_gone_with_the_next(self, tmp_path: Path) -> None:
        for name in ("a.gz", ".a.gz.mntscope", ".a.gz.mntscope-new"):
            (tmp_path / name).write_text("left")
        save(self.WORLD, tmp_path / "a.gz", force=True)
        assert load(tmp_path / "a.gz") == self.WORLD
        assert not (tmp_path / ".a.gz.mntscope-new").exists()

    def test_a_link_is_replaced_and_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "precious").write_text("precious")
        os.symlink("precious", tmp_path / "a.gz")
        with pytest.raises(RefusedError, match="it exists already"):
            save(self.WORLD, tmp_path / "a.gz")
        save(self.WORLD, tmp_path / "a.gz", force=True)
        assert (tmp_path / "precious").read_text() == "precious"
        assert load(tmp_path / "a.gz") == self.WORLD

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
    @pytest.mark.parametrize("force", [False, True])
    def test_somebody_elses_file_or_link_is_refused_where_others_make_files(self, force: bool, tmp_path: Path) -> None:
        tmp_path.chmod(0o1777)
        os.symlink("nowhere", tmp_path / "a.gz")
        os.lchown(tmp_path / "a.gz", 12345, 12345)
        with pytest.raises(RefusedError, match="it belongs to somebody else"):
            save(self.WORLD, tmp_path / "a.gz", force=force)
        assert os.readlink(tmp_path / "a.gz") == "nowhere"

    def test_what_is_no_file_is_not_replaced(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(RefusedError, match="it is no file"):
            save(self.WORLD, tmp_path / "pipe", force=True)
