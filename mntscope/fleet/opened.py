"""A fleet, opened: its tables, and what is asked of it most."""

from __future__ import annotations

from datetime import date

from mntscope.base.display import Frame
from mntscope.fleet.dataset import COHORT, Dataset
from mntscope.fleet.drift import Drift, drift
from mntscope.fleet.found import Found
from mntscope.fleet.outliers import Outlier, outliers
from mntscope.fleet.state import findings


class Fleet(Dataset):
    """Many hosts on many days."""

    def frame(self) -> Frame:
        """What is found now, by the number of hosts that have it: a row for each finding of the report."""
        return findings(self).frame()

    def outliers(self) -> Found[Outlier]:
        """In what few hosts are different from all others of their cohort."""
        return outliers(self)

    def drift(self, before: date | str, after: date | str) -> Found[Drift]:
        """What is different between two days, on the hosts that were seen on both.

        :raises UsageError: there is no snapshot of such a day.
        """
        return drift(self, self.day(before), self.day(after))


def open(url: str, *, since: date | None = None, cohort: str = COHORT) -> Fleet:  # noqa: A001 - as it is called
    """The data set at *url*, a directory or a URL.

    With *since*, what is older does not count. *cohort* is a regular expression, whose first group, or all of it, is
    found in a host's name: hosts of which that is the same are compared with each other.

    :raises TargetError: there is none.
    :raises UsageError: *cohort* is no regular expression.
    :raises MissingLibraryError: what a fleet takes is not installed.
    """
    return Fleet(url, since=since, cohort=cohort)
