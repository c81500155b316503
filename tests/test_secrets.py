"""Passwords in mount options: in no report, and in a snapshot only if somebody asks for them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from mntscope.kernel import syscalls
from tests.support.throwaway import Host

TABLE = "1 0 0:1 / / rw - tmpfs t rw\n2 1 0:2 / /mnt rw - cifs //me:hunter2@nas/share rw,username=me,password=hunter2\n"


@pytest.mark.parametrize(("option", "kept"), [((), False), (("--with-secrets",), True)])
def test_a_snapshot_has_them_if_it_is_told_so(
    machine: Host, tmp_path: Path, option: tuple[str, ...], kept: bool
) -> None:
    machine.spawn(lambda: syscalls.mount("me:hunter2@nas", "/mnt", "tmpfs", 0))
    file = tmp_path / "host.json.gz"
    assert machine.mntscope("capture", *option, "-o", file).returncode == 0
    text = json.dumps(json.loads(gzip.decompress(file.read_bytes())))
    assert ("hunter2" in text) is kept
    assert "nas" in text


@pytest.mark.parametrize(
    "words",
    [
        ("tree", "file:{}"),
        ("tree", "file:{}", "--format", "json"),
        ("diff", "file:{}", "--against", "file:{}"),
        ("diff", "file:{}", "--against", "file:{}", "--format", "json"),
        ("ns", "--snapshot", "{}"),
        ("holders", "/mnt", "--snapshot", "{}"),
        ("graph", "--snapshot", "{}", "--format", "json"),
        ("audit", "{}", "--format", "json"),
        ("predict", "file:{}", "--", "umount", "/mnt"),
    ],
)
def test_no_report_has_them(host: Host, tmp_path: Path, words: tuple[str, ...]) -> None:
    table = tmp_path / "table"
    table.write_text(TABLE)
    done = host.mntscope(*(word.format(table) for word in words))
    assert done.returncode in (0, 1), done.stderr
    assert "hunter2" not in done.stdout + done.stderr
