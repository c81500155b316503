"""The reports of an audit, one format a file."""

from mntscope.report.audit.formats import FORMATS
from mntscope.report.audit.told import Told

__all__ = ["FORMATS", "Told"]
