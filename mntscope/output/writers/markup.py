"""HTML reports: one file each, which asks no network for anything, and in which nothing untrusted is ever obeyed.

What a reader's browser may do with the file is stated in it, as a Content Security Policy (W3C CSP3): load nothing, and
run the one script and the one style sheet that were written with it, known by their hashes. A name that found a way
into the markup could still not run, and inline handlers and ``style`` attributes do not work: presentation goes into
*style*, behaviour into *script*.

The common style sheet knows the classes ``critical``, ``high``, ``medium``, ``low`` and ``good`` (of a word),
``badge`` (a word in a frame), ``dim``, ``number`` (a cell), ``scroll`` (around what may be wide) and ``noprint``, and
the colours of both themes by name (``--ink``, ``--paper``, ``--panel``, ``--line``, ``--dim``, ``--critical`` ..). Each
colour of text has a contrast of at least 4.5 to the paper and the panel (WCAG 2.2, 1.4.3).
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from typing import Any

from mntscope.output.escape import visible

LIGHT = {
    "paper": "#ffffff", "panel": "#f4f6f8", "line": "#c9d1d9", "ink": "#1b1f24", "dim": "#57606a", "accent": "#0b57d0",
    "critical": "#b00020", "high": "#a63a00", "medium": "#7a5200", "low": "#57606a", "good": "#1a6b34",
}  # fmt: skip
DARK = {
    "paper": "#0f1317", "panel": "#191f25", "line": "#3a434d", "ink": "#e6e9ec", "dim": "#a0aab4", "accent": "#82b6ff",
    "critical": "#ff8390", "high": "#ffa26b", "medium": "#e6c25c", "low": "#a0aab4", "good": "#74d192",
}  # fmt: skip
PRINT = LIGHT | {"panel": "#ffffff", "line": "#999999", "ink": "#000000", "dim": "#444444", "accent": "#000000"}

PICTURE = """\
.peers text { font: 13px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }
.peers text { fill: var(--ink); }
.peers .title { font-weight: 700; }
.peers rect { fill: var(--panel); stroke: var(--line); stroke-width: 1.5; }
.peers path { fill: none; stroke: var(--dim); stroke-width: 1.5; }
.peers .arrow { fill: var(--dim); stroke: none; }
.peers .unseen rect { stroke-dasharray: 5 4; stroke: var(--dim); }
.peers .both rect, .peers .host rect { stroke: var(--critical); stroke-width: 2.5; }
.peers .both .passes, .peers .host .passes { fill: var(--critical); font-weight: 700; }
.peers path.both, .peers path.host { stroke: var(--critical); stroke-width: 2.5; }
.peers .arrow.both, .peers .arrow.host { fill: var(--critical); stroke: none; }
.peers .one rect { stroke: var(--medium); }
.peers .one .passes { fill: var(--medium); }
.peers path.one { stroke: var(--medium); }
.peers .arrow.one { fill: var(--medium); stroke: none; }
.peers .marked rect { stroke-width: 4; }
.peers .marked .title { text-decoration: underline; }
"""
"""For a document that has pictures of peer groups: it goes into the page's own style sheet."""


def _variables(colours: Mapping[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


STYLE = f"""\
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
@media print {{ :root {{ color-scheme: light; {_variables(PRINT)} }} }}
"""
STYLE += """\
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(0.75rem, 3vw, 2.5rem); max-width: 90rem;
  background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 0.5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.25rem; }
p { margin: 0.4rem 0; max-width: 72ch; }
h1, h2, h3, p, li, td, th, summary { overflow-wrap: anywhere; }
a { color: var(--accent); }
code, pre, kbd { font: 0.9em/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
pre {
  background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem 0.8rem; margin: 0.4rem 0;
  overflow-x: auto;
}
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0; }
th, td { text-align: left; vertical-align: top; padding: 0.3rem 0.75rem 0.3rem 0; }
th, td { border-bottom: 1px solid var(--line); }
th { color: var(--dim); font-weight: 600; white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.dim { color: var(--dim); }
.critical { color: var(--critical); font-weight: 700; }
.high { color: var(--high); font-weight: 700; }
.medium { color: var(--medium); font-weight: 600; }
.low { color: var(--low); }
.good { color: var(--good); font-weight: 600; }
.badge { border: 1px solid currentColor; border-radius: 4px; padding: 0 0.4em; font-size: 0.85em; white-space: nowrap; }
details > summary { cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  .noprint { display: none !important; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  thead { display: table-header-group; }
  tr, pre, figure { break-inside: avoid; }
  h1, h2, h3 { break-after: avoid; }
}
"""


def escape(text: str) -> str:
    """Untrusted text as content, or as a quoted attribute's value: inert, and visible where it would hide."""
    return html.escape(visible(text))


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page. *title* is text; *body* is markup, all of it after :func:`escape` where it was not ours.

    *style* and *script* are ours as well: they are written into the page as they are, behind the common style sheet.

    :raises ValueError: one of them would end its own element.
    """
    sheet = f"{STYLE}{style}"
    for name, text in (("style", sheet), ("script", script)):
        if f"</{name}" in text.lower() or "<!--" in text:
            raise ValueError(f"the {name} would end its own element")
    scripts = _hash(script) if script else "'none'"
    policy = (
        f"default-src 'none'; style-src {_hash(sheet)}; script-src {scripts}; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>{sheet}</style>
</head>
<body>
{body}
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def data(identifier: str, value: Any) -> str:
    """*value* as JSON in an element that is not run, for a script to read: ``JSON.parse(element.textContent)``.

    Its text is for the script to show with ``textContent``, never as markup.
    """
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{escape(identifier)}">{text}</script>'


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
