"""An HTML page runs what was written with it and nothing else, whatever the names in it say."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from mntscope.output.document import Document, Heading, Items, Paragraph, Remedy, Table, Verdict
from mntscope.output.escape import visible
from mntscope.output.writers.colours import DARK, LIGHT, PRINT
from mntscope.output.writers.html import _environment, as_html, escape, render_page
from mntscope.output.writers.markdown import as_markdown
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import as_text
from tests.support.repository import ROOT

PACKAGE = ROOT / "mntscope/output"


class _Read(HTMLParser):
    """What a browser makes of a page: the elements, and the text of each kind."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.text[self._open[-1]] = self.text.get(self._open[-1], "") + data


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\"'&", "&quot;&#x27;&amp;"),
        ("/mnt/\x1b[2J", r"/mnt/\x1b[2J"),
        ("/mnt/\u202egnp.exe", r"/mnt/\u202egnp.exe"),
        ("/mnt/\udcff", r"/mnt/\xff"),
        ("/srv/größe", "/srv/größe"),
    ],
)
def test_text_is_inert_and_visible(raw: str, shown: str) -> None:
    assert escape(raw) == shown


@given(st.text())
def test_escaped_text_stays_text_as_content_and_as_an_attribute(text: str) -> None:
    read = _Read(f'<p title="{escape(text)}">{escape(text)}</p>')
    assert [tag for tag, _ in read.elements] == ["p"]
    assert read.elements[0][1]["title"] == read.text.get("p", "")


def test_a_page_may_load_nothing_and_runs_only_its_own_script_and_style() -> None:
    read = _Read(render_page("writers/page.html", "a < b", style="p > a { color: red; }", script="let a = 1 < 2;"))
    (policy,) = [
        attributes["content"] for tag, attributes in read.elements if "Content-Security-Policy" in attributes.values()
    ]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for name, rule in (("style", "style-src"), ("script", "script-src")):
        digest = base64.b64encode(hashlib.sha256(read.text[name].encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert read.text["title"] == "a < b"
    # Nothing that is fetched but by a word of the policy.
    assert not {tag for tag, _ in read.elements} & {"img", "iframe", "object", "embed", "base", "form"}
    assert [attributes["href"] for tag, attributes in read.elements if tag == "link"] == ["data:,"]


@pytest.mark.parametrize("bad", [{"style": "</STYLE >"}, {"script": "'</script>'"}, {"script": "'<!-- <script>'"}])
def test_a_style_or_script_that_would_end_early_is_refused(bad: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="would end its own element"):
        render_page("writers/page.html", "t", **bad)


@given(st.text())
def test_whatever_a_template_writes_is_escaped_and_visible(text: str) -> None:
    written = _environment().from_string('<p title="{{ text }}">{{ text }}</p>').render(text=text)
    assert _Read(written).elements == [("p", {"title": visible(text)})]
    assert _Read(written).text.get("p", "") == visible(text)


def test_a_template_that_asks_for_what_it_was_not_given_is_no_page() -> None:
    with pytest.raises(UndefinedError, match="blocks"):
        render_page("writers/document.html", "t", facts=())


@pytest.mark.parametrize(
    "template", sorted(PACKAGE.rglob("*.html")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_no_template_says_of_anything_that_it_is_safe(template: Path) -> None:
    assert not re.search(r"\|\s*safe|autoescape|style=|\bon\w+=", template.read_text("utf-8"))


@pytest.mark.parametrize("block", [Table(("a",), ((("x"),),) * 16), Items(("x",) * 16)])
def test_what_is_long_is_folded_unless_it_is_what_the_page_is_about(block: Table | Items) -> None:
    rows = "row" if isinstance(block, Table) else "line"
    first = as_html(Document("t", (block,)))
    assert re.findall("<details.*?<summary>.*?</summary>", first) == [f"<details open><summary>16 {rows}s</summary>"]
    second = as_html(Document("t", (Table(("a",), (("x",),)), block)))
    assert re.findall("<details.*?<summary>.*?</summary>", second) == [f"<details><summary>16 {rows}s</summary>"]
    short = Items(block.items[:15]) if isinstance(block, Items) else Table(block.columns, block.rows[:15])
    assert "<details" not in as_html(Document("t", (short,)))


def test_the_commands_that_matter_stand_above_what_is_long() -> None:
    blocks = (
        Verdict("LEAKS", "critical", "two mounts."),
        Heading("What leaks"),
        Table(("a",), (("x",),)),
        Paragraph("To stop all:"),
        Remedy(("mount --make-rslave /",)),
        Heading("To undo it"),
        Remedy(("mntscope undo j",)),
        Paragraph("The end."),
    )
    for text in (as_html(Document("t", blocks)), as_markdown(Document("t", blocks))):
        plain = re.sub("<[^>]*>", "", text.partition("<body>")[2] or text)
        order = ("two mounts", "To stop all:", "mount --make-rslave /", "To undo it:", "mntscope undo j", "What leaks")
        places = [plain.index(each) for each in (*order, "The end")]
        assert places == sorted(places)
        assert plain.count("To stop all") == plain.count("To undo it") == 1
    shown = as_text(Document("t", blocks), Page())
    assert shown.index("What leaks") < shown.index("To stop all:") < shown.index("To undo it")


def test_a_table_without_rows_is_nothing() -> None:
    assert "<table" not in as_html(Document("t", (Table(("a", "b"), ()),)))


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio."""

    def luminance(colour: str) -> float:
        channels = [int(part, 16) / 255 for part in re.findall("..", colour[1:])]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_every_colour_of_text_can_be_read(colours: dict[str, str]) -> None:
    texts = set(colours) - {"paper", "panel", "line"}
    for text, ground in product(texts, ("paper", "panel")):
        assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
