"""The reports of a fleet, one format a file."""

from mntscope.output.fleet.result import ADDED, DRIFTS, REPORTS

__all__ = ["ADDED", "DRIFTS", "REPORTS"]
