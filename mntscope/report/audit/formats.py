"""The formats of an audit by name."""

from __future__ import annotations

from mntscope.report.audit.jsons import as_json
from mntscope.report.audit.junit import as_junit
from mntscope.report.audit.markdown import as_markdown
from mntscope.report.audit.prometheus import as_prometheus
from mntscope.report.audit.sarif import as_sarif
from mntscope.report.audit.table import as_table
from mntscope.report.audit.told import Told
from mntscope.report.audit.webpage import as_html
from mntscope.report.page import Format

FORMATS: dict[str, Format[Told]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
    "html": as_html,
    "sarif": as_sarif,
    "junit": as_junit,
    "prometheus": as_prometheus,
}
