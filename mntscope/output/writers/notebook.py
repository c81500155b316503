"""What is told, as HTML for a cell's output.

A page holds many outputs, and belongs to somebody else: each bears its own style sheet, whose every rule is confined
to it, and no headings, which would end up in the notebook's table of contents. There is no script. What is folded away
is a ``<details>``. Where style sheets are dropped (GitHub, an untrusted notebook), it still reads from top to bottom.

Notebooks do not agree on how to say that they are dark: JupyterLab and nbconvert mark the body, VS Code does it in
another way, and elsewhere only the reader's own preference is known. So the ground is drawn as well as the ink.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mntscope.output.document import Block, Heading, Paragraph, Word, Words, parts
from mntscope.output.writers.html import inline, markup
from mntscope.output.writers.markup import DARK, LIGHT, PICTURE, escape
from mntscope.output.writers.told import Picture, Told, shortened

CLASS = "mntscope"

_GROUND = {
    "paper": "var(--jp-layout-color0, var(--vscode-editor-background, {}))",
    "ink": "var(--jp-content-font-color0, var(--vscode-editor-foreground, {}))",
}
"""The notebook's own colours, where it tells them."""

_DARK = (
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast:not(.vscode-high-contrast-light)",
    'html[data-theme="dark"]',
)
_UNMARKED = "body:not([data-jp-theme-light]):not([data-vscode-theme-kind]):not(.vscode-light)"


def _colours(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {_GROUND.get(name, '{}').format(colour)};" for name, colour in colours.items())


# The name twice, so that a notebook's own rules for what it renders (.jp-RenderedHTMLCommon tbody tr:nth-child(odd)) do
# not win.
STYLE = (
    f"""\
.m {{ {_colours(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ {_UNMARKED} .m {{ {_colours(DARK)} }} }}
{", ".join(f"{dark} .m" for dark in _DARK)} {{ {_colours(DARK)} }}
@media print {{ .m {{ {_colours(LIGHT)} }} }}
"""
    """\
.m { background: var(--paper); color: var(--ink); padding: 0.25rem 0.5rem; max-width: 68rem; }
.m { text-align: left; overflow-wrap: anywhere; }
.m { font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
.m p, .m ul, .m table, .m pre, .m details { margin: 0.35rem 0; color: inherit; font-size: inherit; }
.m p { max-width: 96ch; }
.m a { color: var(--accent); }
.m ul { padding-left: 1.25rem; }
.m > .title { font-weight: 700; font-size: 1.1em; }
.m code, .m pre { font: 12px/1.5 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace; }
.m code, .m pre { color: inherit; background: none; padding: 0; border: 0; }
.m code, .m pre { white-space: pre-wrap; }
.m > .title code { font-size: 0.95em; font-weight: 700; }
.m pre { background: var(--panel); border: 1px solid var(--line); border-radius: 5px; padding: 0.4rem 0.6rem; }
.m table { border-collapse: collapse; border: 0; width: auto; min-width: 50%; table-layout: auto; font-size: 13px; }
.m tbody tr:nth-child(n), .m tbody tr:hover, .m thead tr { background: none; }
.m th, .m td { border: 0; border-bottom: 1px solid var(--line); padding: 0.2rem 1rem 0.2rem 0; color: inherit; }
.m th, .m td { text-align: left; vertical-align: top; min-width: 3.5rem; max-width: 32rem; white-space: normal; }
.m thead th { color: var(--dim); font-weight: 600; white-space: nowrap; border-bottom: 1px solid var(--line); }
.m .scroll { overflow-x: auto; }
.m .picture { overflow: auto; max-height: 36rem; }
.m .picture svg { max-width: none; height: auto; }
.m summary { cursor: pointer; font-weight: 600; }
.m details > :not(summary) { margin-left: 1rem; }
.m .dim { color: var(--dim); }
.m .critical { color: var(--critical); font-weight: 700; }
.m .high { color: var(--high); font-weight: 700; }
.m .medium { color: var(--medium); font-weight: 600; }
.m .low { color: var(--low); }
.m .good { color: var(--good); font-weight: 600; }
"""
)


def _confined(style: str) -> tuple[str, str]:
    """*style* with what it calls ``.m`` under its real name, and the picture's rules inside of it."""
    picture = re.sub(r"\.peers\b", ".m .peers", PICTURE)
    return re.sub(r"\.m\b", f".{CLASS}.{CLASS}", style), re.sub(r"\.m\b", f".{CLASS}", picture)


_WORDS, _DRAWING = _confined(STYLE)


def as_html(told: Told) -> str:
    """The whole output: one element, with its style sheet."""
    lead, sections = _sections(shortened(told))
    parts = [f'<p class="title">{inline(told.title)}</p>', markup(lead)]
    folded = [_folded(heading, blocks, opened=number == 0) for number, (heading, blocks) in enumerate(sections)]
    drawn = [_drawn(told.picture)] if told.picture is not None else []
    parts += [*folded, *drawn] if told.picture is not None and told.picture.folded else [*drawn, *folded]
    style = _WORDS if told.picture is None else _WORDS + _DRAWING
    body = "\n".join(part for part in parts if part)
    return f'<div class="{CLASS}">\n<style>\n{style}</style>\n{body}\n</div>'


def _sections(blocks: tuple[Block, ...]) -> tuple[list[Block], list[tuple[Heading, list[Block]]]]:
    """What stands before the first heading, and each heading of level 2 with what follows it."""
    lead: list[Block] = []
    sections: list[tuple[Heading, list[Block]]] = []
    for block in blocks:
        if isinstance(block, Heading) and block.level == 2:
            sections.append((block, []))
        else:
            (sections[-1][1] if sections else lead).append(_without_heading(block))
    return lead, sections


def _without_heading(block: Block) -> Block:
    return Paragraph(_strong(block.words)) if isinstance(block, Heading) else block


def _strong(words: Words) -> Words:
    """The sentence, all of it but names standing out."""
    strong: list[Word] = []
    for part in parts(words):
        if isinstance(part, Word) and part.style in ("name", "command"):
            strong.append(part)
            continue
        text = part if isinstance(part, str) else part.text
        if strong and strong[-1].style == "strong":
            text = strong.pop().text + text
        strong.append(Word(text, "strong"))
    return tuple(strong)


def _folded(heading: Heading, blocks: list[Block], *, opened: bool) -> str:
    inner = markup(blocks)
    return f"<details{' open' if opened else ''}><summary>{inline(heading.words)}</summary>\n{inner}\n</details>"


def _drawn(picture: Picture) -> str:
    drawing = f'<div class="picture">\n{picture.svg}\n</div>'
    if not picture.folded:
        return drawing
    return f"<details><summary>{escape(picture.caption)}</summary>\n{drawing}\n</details>"


def as_blocks(told: Told) -> Iterator[Block]:
    """All of it without headings, for Markdown in an output: those would be headings of the notebook."""
    yield Paragraph(_strong(told.title))
    yield from map(_without_heading, shortened(told))
