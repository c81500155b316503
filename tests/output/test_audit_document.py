"""A document in Markdown and HTML: what was text stays text, whatever it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mntscope.output.document import (
    Commands,
    Document,
    Heading,
    Items,
    Paragraph,
    Prose,
    Table,
    Word,
    marked,
    name,
)
from mntscope.output.escape import shortened, visible
from mntscope.output.shell import shell
from mntscope.output.writers.html import as_html
from mntscope.output.writers.markdown import as_markdown
from tests.support.audits import NASTY

DOCUMENT = Document(
    "Who holds /mnt",
    (
        Paragraph(("It is ", name("/mnt"), ", which is ", Word("busy", "strong"), ".")),
        Heading("Holders", 2),
        Table(("Namespace", "Path"), (("web-1", name("/a|b")), ("host", name("")))),
        Items(("one", ("two of ", name("`x`")))),
        Commands((shell(("umount", "/a b")),)),
        Prose("Ours, with *markup*."),
    ),
)


def test_markdown_reads_like_a_ticket() -> None:
    assert (
        as_markdown(DOCUMENT)
        == """\
# Who holds /mnt

It is `/mnt`, which is **busy**.

## Holders

| Namespace | Path |
| --- | --- |
| web-1 | `/a\\|b` |
| host |  |

- one
- two of `` `x` ``

```sh
umount '/a b'
```

Ours, with *markup*.
"""
    )


def test_html_is_one_closed_page() -> None:
    page = as_html(DOCUMENT)
    assert "<p>It is <code>/mnt</code>, which is <strong>busy</strong>.</p>" in page
    assert '<th scope="col">Namespace</th>' in page
    assert "<p>Ours, with <em>markup</em>.</p>" in page
    assert "<pre><code>umount &#x27;/a b&#x27;</code></pre>" in page


def test_names_in_a_sentence_are_set_as_such() -> None:
    sentence = "mounted at /a also is at /a/b and /ab of / (/a)"
    assert marked(sentence, ["/a", "/a/b", "/", ""]) == (
        "mounted at ", Word("/a"), " also is at ", Word("/a/b"), " and /ab of ", Word("/"), " (", Word("/a"), ")",
    )  # fmt: skip
    assert marked("nothing to mark", []) == ("nothing to mark",)


def test_what_nobody_would_read_is_cut() -> None:
    assert shortened("x" * 400) == "x" * 400
    assert len(shortened("x" * 65536)) < 450
    assert "65136 characters" in shortened("x" * 65536)


def test_a_rule_has_no_markup_of_other_kinds() -> None:
    page = as_html(
        Document("x", (Prose("<b>no</b> ![no](https://example.org/x.png) [no](javascript:x) [y](https://y.org)"),))
    )
    assert "<img" not in page
    assert "<b>" not in page
    assert re.findall('href="([^"]*)"', page)[1:] == ["https://example.org/x.png", "https://y.org"]


untrusted = st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape")) | st.sampled_from(NASTY)


def nasty(function: Callable[[str], None]) -> Callable[[], None]:
    """Each of the known bad names, before those that hypothesis makes up."""
    for text in NASTY:
        function = example(text)(function)
    return given(untrusted)(function)


def around(text: str) -> Document:
    """A document that has *text* wherever one can."""
    blocks = (
        Paragraph(text),
        Paragraph((text, " and ", name(text), Word(text, "strong"))),
        Items((text, name(text))),
        Heading((text, name(text))),
        Table((text, "b"), ((text, name(text)), (name(text), Word(text, "dim")))),
        Commands((shell(("mount", text)),)),
    )
    return Document(text, blocks)


def tokens(markdown: str) -> list[Token]:
    """As GitHub would read it: with tables, struck text, and tags, which it only filters."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    blocks = reader.parse(markdown)
    return [*blocks, *(inner for block in blocks for inner in block.children or ())]


@nasty
def test_no_text_becomes_markup_in_markdown(text: str) -> None:
    plain, told = tokens(as_markdown(around("x"))), tokens(as_markdown(around(text)))
    assert not {token.type for token in told} & {
        "link_open",
        "image",
        "html_inline",
        "html_block",
        "em_open",
        "s_open",
        "hr",
    }
    blocks = [token.type for token in plain if token.block]
    # Of nothing but blanks there is nothing to write.
    if text.strip(" "):
        assert [token.type for token in told if token.block] == blocks


@nasty
def test_a_name_in_markdown_is_the_name(text: str) -> None:
    spans = [
        token.content
        for token in tokens(as_markdown(Document("x", (Paragraph(("a ", name(text))),))))
        if token.type == "code_inline"
    ]
    assert spans == ([shortened(visible(text))] if text else [])


@nasty
def test_nobody_is_told_by_markdown(text: str) -> None:
    outside_of_code = re.sub(r"(`+).*?\1", "", as_markdown(Document("x", (Paragraph(text),))))
    assert not re.search(r"@[0-9A-Za-z]|[^\\]://|www\.", outside_of_code)


class Reader(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += [tag, *(name for name, _ in attrs)]

    def handle_data(self, data: str) -> None:
        self.text += data


@nasty
def test_no_text_becomes_markup_in_html(text: str) -> None:
    if not text:
        return
    plain, told = Reader(as_html(around("x"))), Reader(as_html(around(text)))
    assert told.tags == plain.tags
    assert shortened(visible(text.rstrip(" "))) in told.text
    assert {character for character in as_html(around(text)) if not character.isprintable()} <= {"\n"}


@pytest.mark.parametrize("write", [as_markdown, as_html])
def test_a_report_is_valid_utf_8(write: Callable[[Document], str]) -> None:
    for text in NASTY:
        write(around(text)).encode()
