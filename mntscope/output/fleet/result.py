"""The formats of each report of a fleet: what was added, its state, and its drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mntscope.output.formats import Format, later

if TYPE_CHECKING:
    from mntscope.fleet import Added, FleetDrift, FleetReport

ADDED: dict[str, Format[Added]] = {
    "table": later("fleet.document", "added_table"),
    "json": later("fleet.json", "added_json"),
}
REPORTS: dict[str, Format[FleetReport]] = {
    "table": later("fleet.document", "report_table"),
    "html": later("fleet.html", "as_html"),
    "json": later("fleet.json", "report_json"),
    "sarif": later("fleet.sarif", "as_sarif"),
    "prometheus": later("fleet.prometheus", "as_prometheus"),
}
DRIFTS: dict[str, Format[FleetDrift]] = {
    "table": later("fleet.document", "drift_table"),
    "json": later("fleet.json", "drift_json"),
    "markdown": later("fleet.document", "drift_markdown"),
    "html": later("fleet.document", "drift_html"),
}
