"""The colours of reports, by name, on a light and on a dark ground; and a drawing of peer groups in them.

Each colour of text has a contrast of at least 4.5 to the paper and the panel (WCAG 2.2, 1.4.3). A style sheet has them
as variables: ``var(--ink)``, ``var(--critical)``.
"""

from __future__ import annotations

from collections.abc import Mapping

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


def variables(colours: Mapping[str, str]) -> str:
    """The colours as declarations of a rule in a style sheet."""
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
