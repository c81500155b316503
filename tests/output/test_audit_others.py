"""The reports of other commands as documents: diff and isolate in Markdown and HTML."""

from __future__ import annotations

from pathlib import Path

import pytest

from mntscope.analysis.diff import diff
from mntscope.analysis.plan import make_plan
from mntscope.cli import main
from mntscope.isolate import Isolation
from mntscope.output.diff import FORMATS
from mntscope.output.isolate import FORMATS as PLAN_FORMATS
from mntscope.output.isolate import Isolating
from mntscope.output.writers.page import Page
from tests.output.test_audit_document import Reader
from tests.support import audits
from tests.support.audits import NASTY
from tests.support.repository import FIXTURES

DOCUMENTS = ("markdown", "html")


def test_a_diff_is_a_ticket() -> None:
    text = FORMATS["markdown"](diff(audits.machine(), "4711"), Page())
    assert text.startswith("# Mounts of web-1 (docker) compared with the host\n\n**LEAKS**: 2 of the 3 mounts ")
    (leak,) = [line for line in text.splitlines() if line.startswith("| **critical** | `/proc` ")]
    assert leak.startswith("| **critical** | `/proc` -> `/proc` on the host, its peer in group 12 |")
    assert leak.endswith(" | `mount --namespace 4711 --make-private /proc` |")
    assert "\nThe host's mounts and umounts also reach 1 of the 3 mounts.\n" in text
    assert "```sh\nmount --namespace 4711 --make-rslave /\n```" in text


def test_each_verdict_is_said() -> None:
    same = FORMATS["markdown"](diff(audits.machine(), "host"), Page())
    assert "**SAME NAMESPACE**: the host is what it is compared with." in same


def planned() -> Isolating:
    plan = make_plan(audits.machine(), "4711", mount_proc=True)
    done = Isolation(plan=plan, applied=True, verified=True, journal="/run/x y", attempts=1, unread=())
    return Isolating("4711", done)


def test_an_isolation_is_a_ticket() -> None:
    text = PLAN_FORMATS["markdown"](planned(), Page())
    assert text.startswith("# Isolation of web-1 (docker)\n\n**ISOLATED**: what is mounted at /proc of web-1 ")
    assert "## 1. `mount --make-private /proc`" in text
    assert "| web-1 (docker) | propagation | `/proc` | shared -> private |" in text
    assert "```sh\nmntscope undo '/run/x y'\n```" in text


def test_a_refusal_is_said() -> None:
    assert "**REFUSED**: it would harm" in PLAN_FORMATS["markdown"](Isolating("4711", refused="it would harm"), Page())


@pytest.mark.parametrize("format", DOCUMENTS)
def test_a_hostile_machine_is_only_read(format: str) -> None:  # noqa: A002
    snapshot = audits.hostile()
    texts = [FORMATS[format](diff(snapshot, view.label), Page(everything=True)) for view in snapshot.views[:4]]
    texts.append(PLAN_FORMATS[format](Isolating(NASTY[0], refused=NASTY[3]), Page()))
    for text in texts:
        text.encode()
        assert {character for character in text if not character.isprintable()} <= {"\n", "\u2060"}
        if format == "html":
            assert {"img", "onerror"}.isdisjoint(Reader(text).tags)
            assert Reader(text).tags.count("script") == 1


@pytest.mark.parametrize("format", DOCUMENTS)
def test_the_command_writes_it(format: str, tmp_path: Path) -> None:  # noqa: A002
    sandbox = FIXTURES / "sandbox.mntscope.json"
    file = tmp_path / "report"
    assert main(["diff", f"snapshot:{sandbox}#4711", "--format", format, "-o", str(file)]) == 1
    assert "make-rslave" in file.read_text("utf-8")
