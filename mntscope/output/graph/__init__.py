"""The peer graph of a machine, for people (a picture, a table) and for other programs."""

from __future__ import annotations

from mntscope.analysis.sharing import Sharing, of_group, of_path, of_view, whole
from mntscope.output.formats import Format, later

FORMATS: dict[str, Format[Sharing]] = {
    "table": later("graph.table", "as_table"),
    "json": later("graph.json_graphml", "as_json"),
    "dot": later("graph.dot_mermaid", "as_dot"),
    "mermaid": later("graph.dot_mermaid", "as_mermaid"),
    "graphml": later("graph.json_graphml", "as_graphml"),
    "svg": later("graph.svg", "as_svg"),
    "html": later("graph.html", "as_html"),
}

__all__ = ["FORMATS", "Sharing", "of_group", "of_path", "of_view", "whole"]
