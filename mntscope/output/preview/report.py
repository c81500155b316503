"""A preview and its circumstances, and what an audit of the previewed machine says of its containers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mntscope.analysis.preview.findings import PreviewFinding
from mntscope.analysis.preview.preview import Preview
from mntscope.graph import Severity
from mntscope.output.formats import Format, later
from mntscope.rules import Audit


@dataclass(frozen=True)
class PreviewReport:
    """What is written."""

    preview: Preview
    audit: Audit
    """Of the host with the containers in it: its findings are about these, and do not count for the exit code."""
    subject: str
    """The files, in words."""
    when: datetime
    fail_on: Severity | None = "medium"
    steps: bool = False
    """Whether each system call is to be told."""

    @property
    def failing(self) -> tuple[PreviewFinding, ...]:
        """The findings for which the preview fails."""
        return self.preview.failing(self.fail_on)


FORMATS: dict[str, Format[PreviewReport]] = {
    "table": later("preview.document", "as_table"),
    "json": later("preview.json", "as_json"),
    "markdown": later("preview.document", "as_markdown"),
    "html": later("preview.document", "as_html"),
    "sarif": later("preview.scanning", "as_sarif"),
    "junit": later("preview.scanning", "as_junit"),
}
