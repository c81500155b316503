"""The pages of the rules: made from the rules, and as they are in docs/rules."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from mntscope.output.audit import rule_page
from mntscope.output.writers.page import Page
from mntscope.rules import RULES, Rule
from tests.support.audits import made_up
from tests.support.repository import ROOT

DOCS = ROOT / "docs/rules"


def test_the_documentation_is_what_the_rules_say() -> None:
    written = {file.name: file.read_text("utf-8") for file in DOCS.glob("*.md")}
    assert written == rule_page.files(), "run: python -m mntscope.output.audit.rule_page docs/rules"


def test_the_pages_are_written_and_old_ones_removed(tmp_path: Path) -> None:
    (tmp_path / "MNT000.md").write_text("gone", "utf-8")
    command = [sys.executable, "-m", "mntscope.output.audit.rule_page", str(tmp_path)]
    subprocess.run(command, check=True)
    assert {file.name for file in tmp_path.iterdir()} == set(rule_page.files())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_says_all_that_a_page_needs(rule: Rule) -> None:
    assert re.fullmatch(r"MNT\d{3}", rule.id)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.name)
    assert not rule.summary.endswith(".")
    assert "\n" not in rule.summary
    assert rule.references
    assert all(reference.url.startswith("https://") for reference in rule.references)
    for text in (rule.why, rule.fix):
        tokens = MarkdownIt("commonmark").parse(text)
        assert tokens
        assert not {token.type for token in tokens} & {"heading_open", "html_block"}


@pytest.mark.parametrize("format", rule_page.FORMATS)
def test_a_page_has_it_all_in_every_format(format: str) -> None:  # noqa: A002
    text = rule_page.FORMATS[format]([made_up()], Page())
    for said in ("X001", "made-up", "Something made up", "matters", "Very.", "true", "https://example.org/page"):
        assert said in text


@pytest.mark.parametrize("format", rule_page.FORMATS)
def test_the_catalogue_has_every_rule(format: str) -> None:  # noqa: A002
    text = rule_page.FORMATS[format](RULES, Page())
    assert [rule.id for rule in RULES if rule.id not in text] == []
