"""The peer graph of a machine, for people (a picture, a table) and for other programs."""

from __future__ import annotations

from mntscope.report.page import Format, later
from mntscope.report.peers.sharing import Sharing, of_group, of_path, of_view, whole

FORMATS: dict[str, Format[Sharing]] = {
    "table": later("peers.table", "as_table"),
    "json": later("peers.data", "as_json"),
    "dot": later("peers.languages", "as_dot"),
    "mermaid": later("peers.languages", "as_mermaid"),
    "graphml": later("peers.data", "as_graphml"),
    "svg": later("peers.svg", "as_svg"),
    "html": later("peers.webpage", "as_html"),
}

__all__ = ["FORMATS", "Sharing", "of_group", "of_path", "of_view", "whole"]
