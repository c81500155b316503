"""What is known of paths that no mount table shows: whether they are there, what they are, and where links lead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from mntscope.base.paths import below, normal, relative, under
from mntscope.base.records import dataclass, field

FileKind = Literal["directory", "file", "missing"]
"""``file`` is whatever is no directory: a device, a socket."""


@dataclass(frozen=True, slots=True)
class Files:
    """Paths that somebody has looked at; of all others nothing is known."""

    kinds: Mapping[str, FileKind] = field(default={})
    """By path, absolute and normal."""
    links: Mapping[str, str] = field(default={})
    """Where a path leads that has a symbolic link in it, by path."""

    def kind(self, path: str) -> FileKind | None:
        """What is at *path*; ``None`` where nobody has looked."""
        return self.kinds.get(self.real(path))

    def real(self, path: str) -> str:
        """*path* without symbolic links, as far as known."""
        path = normal(path)
        if path in self.links:
            return self.links[path]
        # What is below something that was looked at is where that is.
        outer = max((known for known in self.links if under(path, known)), key=len, default=None)
        return path if outer is None else below(self.links[outer], relative(path, outer))


NOTHING_KNOWN = Files()
