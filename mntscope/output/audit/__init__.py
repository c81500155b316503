"""The reports of an audit, one format a file."""

from mntscope.output.audit.result import FORMATS, AuditReport

__all__ = ["FORMATS", "AuditReport"]
