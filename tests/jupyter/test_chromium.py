"""Outputs as a browser renders them: in JupyterLab's colours, in VS Code's, exported, and on a page of no theme."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jupyter.test_display import everything, leaking
from tests.support.browser import Browser, chromium
from tests.support.sharing_worlds import hostile_world, large_world

JUPYTERLAB = """
body {{ background: var(--jp-layout-color0); color: var(--jp-content-font-color1); }}
:root {{ --jp-layout-color0: {paper}; --jp-content-font-color0: {ink}; --jp-content-font-color1: {ink}; }}
.jp-RenderedHTMLCommon table {{ margin-left: auto; margin-right: auto; font-size: 12px; }}
.jp-RenderedHTMLCommon td, .jp-RenderedHTMLCommon th {{ text-align: right; max-width: none; padding: 0.5em; }}
.jp-RenderedHTMLCommon tbody tr:nth-child(odd) {{ background: {stripe}; }}
.jp-RenderedHTMLCommon p {{ margin: 0 0 1em; }}
.jp-RenderedHTMLCommon pre, .jp-RenderedHTMLCommon code {{ background-color: {paper}; color: {ink}; }}
"""
"""The rules of JupyterLab's rendermime that meet an output."""

VSCODE = """
body {{ background: {paper}; color: {ink}; }}
:root {{ --vscode-editor-background: {paper}; --vscode-editor-foreground: {ink}; }}
code {{ color: #d7ba7d; }}
"""

LIGHT = {"paper": "white", "ink": "rgba(0, 0, 0, 0.87)", "stripe": "#f5f5f5"}
DARK = {"paper": "#111111", "ink": "rgba(255, 255, 255, 0.87)", "stripe": "#333333"}

PAGES = {
    "jupyterlab light": ('data-jp-theme-light="true"', JUPYTERLAB.format(**LIGHT), False),
    "jupyterlab light, dark preferred": ('data-jp-theme-light="true"', JUPYTERLAB.format(**LIGHT), True),
    "jupyterlab dark": ('data-jp-theme-light="false"', JUPYTERLAB.format(**DARK), False),
    "vscode light": ('class="vscode-light" data-vscode-theme-kind="vscode-light"', VSCODE.format(**LIGHT), True),
    "vscode dark": ('class="vscode-dark" data-vscode-theme-kind="vscode-dark"', VSCODE.format(**DARK), False),
    "no theme": ("", "", False),
    "no theme, dark preferred": ("", "", True),
}

CONTRASTS = """
const channel = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const parts = colour => { const n = colour.match(/[\\d.]+/g).map(Number); return n.length == 3 ? [...n, 1] : n; };
function ground(element) {
    for (let at = element; at; at = at.parentElement) {
        const rect = at.namespaceURI.endsWith("svg") ? at.querySelector("rect") : null;
        const colour = parts(rect ? getComputedStyle(rect).fill : getComputedStyle(at).backgroundColor);
        if (colour[3] == 1) return colour;
    }
    return [255, 255, 255, 1];
}
const found = [];
for (const element of document.querySelectorAll(".mntscope *")) {
    const own = [...element.childNodes].some(node => node.nodeType == 3 && node.textContent.trim());
    if (!own || ["STYLE", "title"].includes(element.tagName) || !element.getClientRects().length) continue;
    const style = getComputedStyle(element), paper = ground(element);
    const [r, g, b, a] = parts(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const ink = [r, g, b].map((c, i) => c * a + paper[i] * (1 - a));
    const [low, high] = [luminance(ink), luminance(paper)].sort((x, y) => x - y);
    found.push([(high + 0.05) / (low + 0.05), element.tagName, element.textContent.slice(0, 40)]);
}
return found;
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def page(directory: Path, name: str, outputs: list[str], around: str = "") -> Path:
    """A page with these outputs, as the named notebook has them."""
    attributes, style, _ = PAGES[name]
    cells = "".join(f'<div class="jp-RenderedHTMLCommon">{output}</div>' for output in outputs)
    file = directory / "page.html"
    file.write_text(
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><link rel="icon" href="data:,"><style>{style}</style></head>'
        f"<body {attributes}>{around}{cells}</body></html>",
        "utf-8",
    )
    return file


def htmls(objects: dict[str, Any]) -> list[str]:
    return [thing._repr_mimebundle_()["text/html"] for thing in objects.values()]


@pytest.fixture(scope="module")
def outputs() -> list[str]:
    return [output.replace("<details>", "<details open>") for output in htmls(everything(leaking()))]


@pytest.mark.parametrize("name", PAGES)
def test_everything_is_legible(browser: Browser, tmp_path: Path, outputs: list[str], name: str) -> None:
    browser.open(page(tmp_path, name, outputs), dark=PAGES[name][2])
    contrasts = browser.script(CONTRASTS)
    assert len(contrasts) > 300
    # WCAG 2.2, 1.4.3.
    assert [each for each in contrasts if each[0] < 4.5] == []
    ground = browser.script("return getComputedStyle(document.querySelector('.mntscope')).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == ("light" in name or name == "no theme")


def test_the_notebook_s_own_rules_do_not_win(browser: Browser, tmp_path: Path, outputs: list[str]) -> None:
    browser.open(page(tmp_path, "jupyterlab light", outputs))
    cell = "getComputedStyle(document.querySelector('.mntscope tbody tr:first-child td'))"
    assert browser.script(f"return {cell}.textAlign") == "left"
    row = "getComputedStyle(document.querySelector('.mntscope tbody tr:first-child'))"
    assert browser.script(f"return {row}.backgroundColor") == "rgba(0, 0, 0, 0)"


def test_an_output_changes_nothing_around_it(browser: Browser, tmp_path: Path, outputs: list[str]) -> None:
    around = (
        '<main><h2 class="title">A</h2><p class="critical">b</p><table><tr><td><code>c</code></td></tr></table>'
        '<svg class="other"><text class="title">d</text><rect width="5" height="5"/></svg><details><summary>e</summary>'
        "</details></main>"
    )
    looks = (
        "return [...document.querySelectorAll('main, main *')]"
        ".map(e => JSON.stringify([...getComputedStyle(e)].map(p => getComputedStyle(e)[p])))"
    )
    browser.open(page(tmp_path, "jupyterlab dark", [], around))
    before = browser.script(looks)
    browser.open(page(tmp_path, "jupyterlab dark", outputs, around))
    assert browser.script(looks) == before


@pytest.mark.parametrize("width", [420, 1280])
def test_an_output_is_no_wider_than_its_cell(browser: Browser, tmp_path: Path, width: int) -> None:
    made = [output.replace("<details>", "<details open>") for output in htmls(everything(hostile_world()))]
    browser.open(page(tmp_path, "jupyterlab light", made), size=(width, 900))
    assert browser.script("return document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.all(".mntscope script, .mntscope img") == []


def test_a_large_graph_scrolls_in_its_cell(browser: Browser, tmp_path: Path) -> None:
    graph = everything(large_world(500))["graph"]
    browser.open(page(tmp_path, "jupyterlab light", htmls({"graph": graph})))
    assert browser.one(".mntscope svg").is_displayed()
    assert browser.one(".mntscope").rect["height"] < 1600


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_exported_notebooks_show_outputs_in_their_theme(browser: Browser, tmp_path: Path, theme: str) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat, which writes notebooks, is not installed")
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert, which exports notebooks, is not installed")
    bundle = leaking()._repr_mimebundle_()
    output = nbformat.v4.new_output("execute_result", data=bundle, execution_count=1)
    cell = nbformat.v4.new_code_cell("snapshot", outputs=[output], execution_count=1)
    html, _ = nbconvert.HTMLExporter(theme=theme).from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    file = tmp_path / "exported.html"
    file.write_text(html, "utf-8")
    browser.open(file, dark=theme == "light", script=False)
    ground = browser.script("return getComputedStyle(document.querySelector('.mntscope')).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(17, 17, 17)"}[theme]
    assert [each for each in browser.script(CONTRASTS) if each[0] < 4.5] == []
