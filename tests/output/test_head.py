"""Every document that is filed begins with the machine, the moment, the kernel and the command that it is of."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path
from typing import Any

import pytest

from mntscope.archive import save
from mntscope.base.own_version import VERSION
from mntscope.base.records import replace
from mntscope.cli import main
from mntscope.model import Origin
from mntscope.output.escape import visible
from mntscope.output.head import head, this_machine
from mntscope.output.writers.page import Made, Page
from mntscope.snapshot import Snapshot
from tests.output.test_audit_document import Reader
from tests.support.tables import view

TABLE = "22 1 8:1 / / rw shared:1 - ext4 /dev/vda rw\n25 22 0:21 / /proc rw shared:2 - proc proc rw\n"
ID = "b4bf7cccae6b4bfa89c4022acb08da87"
HOSTILE = '<script>alert(1)</script>\x1b[31m`@a|b`\n# "\u202e&'

# Each command that reads a capture, and what a document of it must begin with.
ASKED = {
    "diff": ["diff", "snapshot:{file}#box"],
    "predict": ["predict", "snapshot:{file}#box", "--", "mount -t tmpfs x /proc"],
    "ns": ["ns", "--snapshot", "{file}"],
    "tree": ["tree", "snapshot:{file}#box"],
    "graph": ["graph", "--snapshot", "{file}"],
    "holders": ["holders", "/proc", "--snapshot", "{file}"],
    "audit": ["audit", "{file}"],
}


def captured(**origin: Any) -> Snapshot:
    box = TABLE.replace("22 1", "32 1").replace("25 22", "35 32")
    known: dict[str, Any] = {"host_name": "web-1", "machine_id": ID, "time": 1_767_225_600, "mntscope": VERSION}
    return replace(
        Snapshot((view("host", TABLE), view("box", box)), "host"),
        kernel="6.1.0-13-amd64",
        kernel_version="#1 SMP Debian 6.1.55-1",
        distribution="Debian GNU/Linux 12 (bookworm)",
        origin=Origin(**known | origin),
    )


def written(tmp_path: Path, name: str, words: list[str], form: str) -> str:
    file = tmp_path / "report"
    given = [word.format(file=tmp_path / name) for word in words]
    at = given.index("--") if "--" in given else len(given)
    assert main([*given[:at], "--format", form, "-o", str(file), *given[at:]]) in (0, 1)
    return file.read_text("utf-8")


NO_TEXT = ("graph", "markdown")


@pytest.mark.parametrize(
    ("command", "form"), [(each, form) for each in ASKED for form in ("html", "markdown") if (each, form) != NO_TEXT]
)
def test_a_document_of_a_capture(tmp_path: Path, command: str, form: str) -> None:
    save(captured(), tmp_path / "a.gz")
    text = written(tmp_path, "a.gz", ASKED[command], form)
    facts = {
        "Machine": "web-1, Debian GNU/Linux 12 (bookworm)",
        "Machine id": ID,
        "Captured": "2026-01-01 00:00:00 UTC",
        "Kernel": "Linux 6.1.0-13-amd64 (#1 SMP Debian 6.1.55-1)",
        "mntscope": VERSION,
    }
    if form == "html":
        shown = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text)
        found = {term: html.unescape(re.sub("<[^>]*>", "", said)) for term, said in shown}
        assert list(found)[:6] == ["Machine", "Machine id", "Captured", "Kernel", "Command", "mntscope"]
    else:
        title, _, rest = text.partition("\n\n")
        assert title.startswith("# ")
        lines = [line.removeprefix("- ").partition(": ") for line in rest.partition("\n\n")[0].split("\n")]
        found = {term: re.sub(r"[`\\]", "", said) for term, _, said in lines}
        assert list(found) == ["Machine", "Machine id", "Captured", "Kernel", "Command", "mntscope"]
    assert {term: found[term] for term in facts} == facts
    assert found["Command"].startswith(f"mntscope {command} ")
    assert f"{tmp_path}/a.gz" in found["Command"]


@pytest.mark.parametrize("words", [["diff", "self"], ["selftest", "--versions"], ["undo", "--list"]], ids=" ".join)
def test_a_document_of_this_machine(tmp_path: Path, words: list[str]) -> None:
    text = written(tmp_path, "", words, "markdown")
    assert f"- Machine: `{os.uname().nodename}`" in text
    assert re.search(r"^- Captured: 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$", text, re.MULTILINE)
    assert f"- Kernel: Linux {os.uname().release}" in text.replace("\\", "")
    assert f"- Command: `mntscope {' '.join(words)} " in text


def test_two_captures_are_told_apart(tmp_path: Path) -> None:
    save(captured(), tmp_path / "a.gz")
    save(captured(host_name="web-2", time=1_767_225_660, mntscope="0.0.1"), tmp_path / "b.gz")
    text = written(tmp_path, "", ["diff", f"snapshot:{tmp_path}/a.gz", f"snapshot:{tmp_path}/b.gz"], "markdown")
    assert "- Before: `web-1`, Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64, 2026-01-01 00:00:00 UTC\n" in text
    assert "- After: `web-2`, Debian GNU/Linux 12 (bookworm), Linux 6.1.0-13-amd64, 2026-01-01 00:01:00 UTC\n" in text
    assert f"- mntscope: {VERSION}; captured by 0.0.1\n" in text


def test_what_a_capture_does_not_tell_is_said(tmp_path: Path) -> None:
    save(Snapshot((view("host", TABLE),), "host"), tmp_path / "a.gz")
    text = written(tmp_path, "a.gz", ["ns", "--snapshot", "{file}"], "markdown")
    for term in ("Machine", "Captured", "Kernel"):
        assert f"- {term}: not recorded in the capture\n" in text


def test_no_password_is_in_the_command(tmp_path: Path) -> None:
    save(captured(), tmp_path / "a.gz")
    words = [
        "predict",
        "snapshot:{file}#box",
        "--",
        "mount",
        "-t",
        "cifs",
        "-o",
        "password=hunter2",
        "//nas/x",
        "/proc",
    ]
    text = written(tmp_path, "a.gz", words, "markdown")
    command = next(line for line in text.split("\n") if line.startswith("- Command: "))
    assert "password=***" in command
    assert "hunter2" not in command


@pytest.mark.parametrize("form", ["html", "markdown"])
def test_no_fact_is_obeyed(tmp_path: Path, form: str) -> None:
    hostile = captured(host_name=HOSTILE, mntscope=HOSTILE)
    hostile = replace(hostile, kernel=HOSTILE, kernel_version=HOSTILE, distribution=HOSTILE)
    save(hostile, tmp_path / "a.gz")
    text = written(tmp_path, "a.gz", ["ns", "--snapshot", "{file}"], form)
    assert "\x1b" not in text
    assert "\u202e" not in text
    if form == "html":
        plain = captured()
        save(plain, tmp_path / "b.gz")
        other = written(tmp_path, "b.gz", ["ns", "--snapshot", "{file}"], form)
        assert Reader(text).tags == Reader(other).tags
        assert html.escape(visible(HOSTILE)) in text
    else:
        outside_of_code = re.sub(r"(`+).*?\1", "", text)
        assert not re.search(r"(?<!\\)<script", outside_of_code)
        assert [line for line in text.split("\n") if line.startswith("#")] == ["# 2 mount namespaces"]


def test_without_a_command_line_there_is_no_head() -> None:
    assert head(Page(), [captured()]) == ()
    page = Page(made=Made("mntscope ns", this_machine(Origin("here", time=0), "6.18", "#1")))
    assert [term for term, _ in head(page)] == ["Command", "mntscope"]
    assert dict(head(page, here=True))["Captured"] == "1970-01-01 00:00:00 UTC"
    assert [term for term, _ in head(page, [captured()])][:2] == ["Machine", "Machine id"]
