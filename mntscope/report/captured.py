"""What ``mntscope capture`` wrote, in a few lines."""

from __future__ import annotations

from dataclasses import dataclass

from mntscope.report.jsons import json_text
from mntscope.report.page import Format, Page
from mntscope.report.text import visible
from mntscope.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Captured:
    """A snapshot, and the file it was written to."""

    snapshot: Snapshot
    file: str

    @property
    def mounts(self) -> int:
        """How many mounts it holds."""
        return sum(len(view.mounts) for view in self.snapshot.views)


def as_table(captured: Captured, _: Page) -> str:
    """One line on what was written, and one for each thing that was not seen."""
    views = captured.snapshot.views
    lines = [f"{visible(captured.file)}: {len(views)} mount namespaces, {captured.mounts} mounts"]
    lines += [f"not seen: {visible(str(problem))}" for problem in captured.snapshot.not_seen]
    return "".join(f"{line}\n" for line in lines)


def as_json(captured: Captured, _: Page) -> str:
    """The same for programs."""
    snapshot = captured.snapshot
    return json_text(
        "capture",
        {
            "file": captured.file,
            "host": snapshot.host_label,
            "namespaces": len(snapshot.views),
            "mounts": captured.mounts,
            "not_seen": [str(problem) for problem in snapshot.not_seen],
        },
    )


FORMATS: dict[str, Format[Captured]] = {"table": as_table, "json": as_json}
