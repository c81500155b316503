"""Each result is one document, and every format says the same of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from mntscope.analysis.diff import diff
from mntscope.analysis.holders import holders
from mntscope.analysis.listing import listing
from mntscope.analysis.namespaces import namespaces
from mntscope.analysis.plan import make_plan
from mntscope.analysis.predict import predict_commands
from mntscope.output import diff as diff_output
from mntscope.output import holders as holders_output
from mntscope.output import isolate as isolate_output
from mntscope.output import namespaces as namespaces_output
from mntscope.output import predict as predict_output
from mntscope.output import tree as tree_output
from mntscope.output.document import Document
from mntscope.output.formats import documents, table
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot
from tests.output.test_audit_document import Reader
from tests.support import audits

Make = Callable[[Snapshot, str, Page], Document]

MAKE: dict[str, Make] = {
    "diff": lambda snapshot, label, page: diff_output.document(diff(snapshot, label), page),
    "predict": lambda snapshot, label, page: predict_output.document(
        predict_commands(snapshot, label, "umount /srv; mount -t proc proc /proc"), page
    ),
    "ns": lambda snapshot, _, page: namespaces_output.document(namespaces(snapshot), page),
    "tree": lambda snapshot, label, page: tree_output.document(listing(snapshot, label), page),
    "holders": lambda snapshot, _, page: holders_output.document(
        holders(snapshot, snapshot.host.mounts[1].device), page
    ),
    "isolate": lambda snapshot, label, page: isolate_output.plan_document(make_plan(snapshot, label), page),
}
"""Of each command that answers about a whole machine, the document."""


def formats(make: Make) -> dict[str, Callable[[tuple[Snapshot, str], Page], str]]:
    def document(asked: tuple[Snapshot, str], page: Page) -> Document:
        return make(*asked, page)

    return {"table": table(document), **documents(document)}


def text_of(html: str) -> str:
    return re.sub(r"<style>.*?</style>|<[^>]*>", "", html, flags=re.DOTALL)


@pytest.mark.parametrize("command", MAKE)
def test_a_namespace_has_one_name_in_every_format(command: str) -> None:
    for form, write in formats(MAKE[command]).items():
        text = write((audits.machine(), "4711"), Page())
        text = text_of(text) if form == "html" else text
        assert "web-1 (docker)" in text, form
        # Neither as another report would have had it, nor as a number that is its name.
        assert not re.search(r"docker web-1|4711 \(the target|\b4711 \(sleep, ", text), form


@pytest.mark.parametrize("command", MAKE)
def test_what_could_not_be_seen_is_in_every_format(command: str) -> None:
    for form, write in formats(MAKE[command]).items():
        # A diff is told what was not seen by the command line, as it is of two views only.
        if command != "diff":
            assert "may not be read" in write((audits.machine(), "4711"), Page()), form


@pytest.mark.parametrize("command", MAKE)
def test_a_hostile_machine_is_only_read(command: str) -> None:
    snapshot = audits.hostile()
    for form, write in formats(MAKE[command]).items():
        text: Any = write((snapshot, snapshot.views[1].label), Page(everything=True))
        text.encode()
        assert {character for character in text if not character.isprintable()} <= {"\n", "\u2060"}, form
        if form == "html":
            assert {"img", "onerror"}.isdisjoint(Reader(text).tags)
            assert Reader(text).tags.count("script") == 1


def test_no_number_disagrees_with_its_noun() -> None:
    for command, make in MAKE.items():
        for form, write in formats(make).items():
            text = write((audits.machine(), "4711"), Page())
            wrong = re.search(r"\b1 (?:more )?(?:mounts|namespaces|mount namespaces|processes|paths)\b(?! of)", text)
            assert wrong is None, (command, form, wrong)
