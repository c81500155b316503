"""The reports of an audit, one format a file."""

from mntscope.output.audit.formats import FORMATS
from mntscope.output.audit.result import AuditReport

__all__ = ["FORMATS", "AuditReport"]
