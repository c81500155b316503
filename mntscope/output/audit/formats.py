"""The formats of an audit by name."""

from __future__ import annotations

from mntscope.output.audit.result import AuditReport
from mntscope.output.formats import Format, later

FORMATS: dict[str, Format[AuditReport]] = {
    "table": later("audit.table", "as_table"),
    "json": later("audit.json", "as_json"),
    "markdown": later("audit.markdown", "as_markdown"),
    "html": later("audit.html", "as_html"),
    "sarif": later("audit.sarif", "as_sarif"),
    "junit": later("audit.junit", "as_junit"),
    "prometheus": later("audit.prometheus", "as_prometheus"),
}
