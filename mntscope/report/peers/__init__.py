"""The peer graph of a machine, for people (a picture, a table) and for other programs."""

from __future__ import annotations

from mntscope.report.page import Format
from mntscope.report.peers.data import as_graphml, as_json
from mntscope.report.peers.languages import as_dot, as_mermaid
from mntscope.report.peers.sharing import Sharing, of_group, of_path, of_view, whole
from mntscope.report.peers.svg import as_svg
from mntscope.report.peers.table import as_table
from mntscope.report.peers.webpage import as_html

FORMATS: dict[str, Format[Sharing]] = {
    "table": as_table,
    "json": as_json,
    "dot": as_dot,
    "mermaid": as_mermaid,
    "graphml": as_graphml,
    "svg": as_svg,
    "html": as_html,
}

__all__ = ["FORMATS", "Sharing", "of_group", "of_path", "of_view", "whole"]
