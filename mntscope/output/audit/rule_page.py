"""The page of a rule: what it looks for, why that matters, and what to do about it; and all of them, as files.

``python -m mntscope.output.audit.rule_page DIRECTORY`` writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mntscope.output.audit.document import references
from mntscope.output.document import Block, Document, Heading, Paragraph, Prose, Table, Word
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.html import as_html
from mntscope.output.writers.json import json_text
from mntscope.output.writers.lines import Text
from mntscope.output.writers.markdown import as_markdown
from mntscope.output.writers.page import Page
from mntscope.rules import RULES, Rule

_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def document(rule: Rule) -> Document:
    """A rule's page."""
    blocks: list[Block] = [
        Paragraph(f"{rule.summary}."),
        Paragraph((
            "Severity: ", Word(rule.severity, rule.severity), f" at the worst. Confidence: {rule.confidence} at best."
        )),
        Heading("Why it matters"),
        Prose(rule.why),
        Heading("What to do"),
        Prose(rule.fix),
    ]  # fmt: skip
    if rule.references:
        blocks += [Heading("Read on"), *references(rule)]
    return Document(f"{rule.id} {rule.name}", tuple(blocks))


def catalogue(rules: Sequence[Rule]) -> Document:
    """The list of all rules."""
    rows = tuple((rule.id, rule.name, Word(rule.severity, rule.severity), rule.summary) for rule in rules)
    return Document("The rules of mntscope audit", (Table(("Rule", "Name", "Severity", "What it finds"), rows),))


def _index(rules: Sequence[Rule]) -> Document:
    """The same with links to the pages."""
    listed = "\n".join(f"- [{rule.id} {rule.name}]({rule.id}.md) ({rule.severity}): {rule.summary}." for rule in rules)
    said = "`mntscope explain RULE` prints a page. `python -m mntscope.output.audit.rule_page docs/rules` writes all."
    return Document("The rules of mntscope audit", (Prose(listed), Prose(said)))


def files(rules: Sequence[Rule] = RULES) -> dict[str, str]:
    """The pages by the name of their file, the list first."""
    return {"README.md": as_markdown(_index(rules))} | {f"{rule.id}.md": as_markdown(document(rule)) for rule in rules}


def rule_table(rules: Sequence[Rule], page: Page) -> str:
    """One rule in full, or several as a list."""
    from rich.markdown import Markdown

    if len(rules) != 1:
        width = max((len(f"{rule.id} {rule.name}") for rule in rules), default=0)
        lines = [
            Text(
                (rule.severity.ljust(10), _STYLES[rule.severity]),
                (f"{rule.id} {rule.name}".ljust(width), "bold"),
                f"  {visible(rule.summary)}",
                whole=not page.terminal,
            )
            for rule in rules
        ]
        return page.draw(*lines)
    (rule,) = rules
    return page.draw(
        Text((f"{rule.id} {rule.name}", "bold")),
        Text(f"{visible(rule.summary)}.\n"),
        Text("severity ", (rule.severity, _STYLES[rule.severity]), f", {rule.confidence}"),
        Text(("\nWhy it matters", "bold")),
        Markdown(rule.why, hyperlinks=False),
        Text(("\nWhat to do", "bold")),
        Markdown(rule.fix, hyperlinks=False),
        Text(("\nRead on", "bold")),
        *(Text(visible(f"{reference.title}: {reference.url}"), whole=True) for reference in rule.references),
    )


def rule_json(rules: Sequence[Rule], page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.explain/1``."""
    return json_text(
        "explain",
        {
            "rules": [
                {
                    "rule": rule.id,
                    "name": rule.name,
                    "severity": rule.severity,
                    "confidence": rule.confidence,
                    "summary": rule.summary,
                    "why": rule.why,
                    "fix": rule.fix,
                    "references": [{"title": reference.title, "url": reference.url} for reference in rule.references],
                }
                for rule in rules
            ]
        },
    )


def _documents(rules: Sequence[Rule]) -> Document:
    return document(rules[0]) if len(rules) == 1 else catalogue(rules)


FORMATS: dict[str, Format[Sequence[Rule]]] = {
    "table": rule_table,
    "json": rule_json,
    "markdown": lambda rules, page: as_markdown(_documents(rules)),  # noqa: ARG005
    "html": lambda rules, page: as_html(_documents(rules)),  # noqa: ARG005
}


def main(directory: str) -> None:
    """Write the pages of our rules into *directory*, and remove those of rules that are no more."""
    there = Path(directory)
    there.mkdir(parents=True, exist_ok=True)
    pages = files()
    for old in there.glob("*.md"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (there / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
