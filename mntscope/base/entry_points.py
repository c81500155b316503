"""What installed packages bring along, by the entry points of a group."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


def entry_points(group: str) -> Sequence[EntryPoint]:
    """Those of a *group*, by name.

    To load :mod:`importlib.metadata`, which knows them, takes as long as half the audit of a small machine; so it is
    looked first whether there may be any.
    """
    if not _may_be_any(group.encode()):
        return ()
    from importlib import metadata

    return sorted(metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value))


def _may_be_any(group: bytes) -> bool:
    """Whether a package names the *group*, or it cannot be seen that none does."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    for directory in sys.path:
        try:
            found = [name for name in os.listdir(directory or ".") if name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            if os.path.isfile(directory):
                # An archive.
                return True
            continue
        for name in found:
            with suppress(OSError), open(os.path.join(directory, name, "entry_points.txt"), "rb") as file:
                if group in file.read():
                    return True
    return False
