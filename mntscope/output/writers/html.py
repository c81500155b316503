"""A document as HTML: one file, which asks no network for anything, and in which nothing untrusted is ever obeyed.

The markup is in templates of jinja2, here (``page.html``, the frame of every page, and ``blocks.html``) and beside the
reports that have a page of their own. Whatever a template writes is made visible and escaped as it is written
(:func:`_environment`), unless it is ``Markup``: that is what this module made of text in the same way. No template and
no style sheet is ever made of anything but our own files.

What a reader's browser may do with the file is stated in it, as a Content Security Policy (W3C CSP3): load nothing, and
run the one script and the one style sheet that were written with it, known by their hashes. A name that found a way
into the markup could still not run, and inline handlers and ``style`` attributes do not work: presentation goes into
*style*, behaviour into *script*.

The common style sheet, ``page.css``, knows the classes ``critical``, ``high``, ``medium``, ``low`` and ``good`` (of a
word), ``badge`` (a word in a frame), ``dim``, ``scroll`` (around what may be wide), ``noprint``, ``about`` (the facts
that a document begins with), ``controls`` (what a reader searches and filters with) and ``command``, and the colours of
:mod:`mntscope.output.writers.colours` as variables. The common script, ``page.js``, puts a button beside each command
that copies it, and opens what is folded when it is printed; without it the page says the same.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from mntscope.base.counting import counted
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Facts,
    Heading,
    Items,
    Paragraph,
    Prose,
    Table,
    Word,
    Words,
    parts,
    readable,
    remedy_first,
)
from mntscope.output.escape import shortened, visible
from mntscope.output.writers.colours import DARK, LIGHT, PRINT, variables

LONG = 15
"""Rows of a table, or lines of a list, more than which can be folded."""

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it import MarkdownIt


def as_html(document: Document, facts: Facts = ()) -> str:
    """The whole document: its title, *facts* about it, and what it says."""
    blocks = remedy_first(document.blocks)
    return render_page("writers/document.html", document.title, facts=facts, blocks=blocks)


def render_page(template: str, title: str, *, style: str = "", script: str = "", **given: Any) -> str:
    """A page: the *template*, which extends ``writers/page.html``, with its *title* and what else it is *given*.

    *style* and *script* are our own files: they go into the page as they are, behind the common ones.

    :raises ValueError: one of them would end its own element.
    """
    sheet = "\n".join((
        f":root {{ color-scheme: light dark; {variables(LIGHT)} }}",
        f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}",
        f"@media print {{ :root {{ color-scheme: light; {variables(PRINT)} }} }}",
        f"{resource('writers/page.css')}{style}",
    ))  # fmt: skip
    script = resource("writers/page.js") + script
    for name, text in (("style", sheet), ("script", script)):
        if f"</{name}" in text.lower() or "<!--" in text:
            raise ValueError(f"the {name} would end its own element")
    # Their text is no markup, in which "<" could be written in another way; what would end it was refused above.
    ours = {"style": Markup(sheet), "script": Markup(script)}  # noqa: S704
    return f"{_environment().get_template(template).render(title=title, **ours, **given)}\n"


def resource(name: str) -> str:
    """The text of a file of ours: ``audit/page.css``."""
    from importlib.resources import files

    return files("mntscope.output").joinpath(name).read_text("utf-8")


# ---- the pieces of a page ----


def escape(text: str) -> str:
    """Untrusted text as content, or as a quoted attribute's value: inert, and visible where it would hide."""
    return html.escape(visible(text))


def inline(words: Words) -> Markup:
    """A sentence as markup."""
    return Markup(_sentence(words))  # noqa: S704 - each piece of it was escaped


def table_rows(rows: Iterable[Iterable[Words]]) -> Markup:
    """The rows of a table.

    This and what it calls are plain code, not a template: a mount table has a million rows, and for 50,000 of five
    cells a template takes 2.3 seconds, and this 0.9.
    """
    body = "\n".join(f"<tr>{''.join(f'<td>{_sentence(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return Markup(body)  # noqa: S704 - the same


def _sentence(words: Words) -> str:
    return "".join(map(_word, parts(words)))


_COMMAND = ' class="command"'


def _word(part: str | Word) -> str:
    if isinstance(part, str):
        return html.escape(readable(part))
    text = escape(part.text if part.style == "command" else shortened(part.text))
    if part.style in ("name", "command"):
        return f"<code{_COMMAND if part.style == 'command' else ''}>{text}</code>" if text else ""
    return f"<strong>{text}</strong>" if part.style == "strong" else f'<span class="{part.style}">{text}</span>'


def markup(blocks: Iterable[Block], *, fold: bool = False) -> Markup:
    """The blocks as markup; with *fold* what is long can be folded, and is, unless it is the first table."""
    return Markup("\n").join(_blocks(blocks, fold=fold))


def _blocks(blocks: Iterable[Block], *, fold: bool) -> Iterator[Markup]:
    folded = False
    for block in blocks:
        made = _block(block)
        if fold and isinstance(block, Table | Items):
            count = len(block.rows if isinstance(block, Table) else block.items)
            if count > LONG:
                what = "row" if isinstance(block, Table) else "line"
                made = _macros().folded(made, counted(count, what), folded)
            folded = True
        yield made


def _macros() -> Any:
    return _environment().get_template("writers/blocks.html").module


def _block(block: Block) -> Markup:
    macros = _macros()
    made: Markup
    match block:
        case Heading(words, level):
            made = macros.heading(words, level)
        case Paragraph(words):
            made = macros.paragraph(words)
        case Items(items):
            made = macros.bullets(items)
        case Table(columns, rows):
            made = macros.table(columns, rows, isinstance(block, Entries))
        case Commands(lines):
            made = macros.commands(lines)
        case Prose(text):
            made = prose(text)
    return made


def escape_lines(lines: Iterable[str]) -> Markup:
    """Each line escaped by itself: a command must not be cut, nor end another way than it does."""
    return Markup("\n".join(map(escape, lines)))  # noqa: S704 - which they are


def prose(markdown: str) -> Markup:
    """A rule's text as markup. Tags in it are text, and of links only those to web pages lead anywhere."""
    # Markdown's own markup, and that alone: the reader takes whatever else looks like it for text.
    return Markup(_reader().render(markdown).strip())  # noqa: S704


@cache
def _reader() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # No images: a page that is opened must not ask another machine for anything.
    return MarkdownIt("commonmark", {"html": False}).disable("image").enable("table")


@cache
def _environment() -> Environment:
    """What reads our templates. It is made, and jinja2 loaded, when the first page is written."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(resource),
        autoescape=True,
        finalize=_written,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "digest": _digest,
        "escape_lines": escape_lines,
        "inline": inline,
        "markup": markup,
        "prose": prose,
        "shortened": shortened,
        "table_rows": table_rows,
    }
    return environment


def _written(value: object) -> object:
    """What a template writes, before it is escaped: text that hides nothing; or what is markup already."""
    return value if isinstance(value, Markup) else visible(str(value))


def _digest(text: str) -> str:
    """The hash of a script or a style sheet, as a policy has it."""
    import base64
    import hashlib

    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
