"""A runtime of one version: the stages of its start, as data."""

from __future__ import annotations

import re
from collections.abc import Callable

from mntscope.analysis.preview.steps import Stage, Start
from mntscope.base.records import NamedTuple, dataclass
from mntscope.errors import UsageError

_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?:[-+~].*)?")


class Version(NamedTuple):
    """Major, minor and point."""

    major: int
    minor: int
    point: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}" + (f".{self.point}" if self.point else "")

    @classmethod
    def of(cls, text: str) -> Version:
        """The version that *text* begins with: ``1.3.6+ds1``.

        :raises UsageError: it is none.
        """
        found = _VERSION.fullmatch(text)
        if found is None:
            raise UsageError(f"{text!r} is no version of a runtime", hint="give one such as 1.1, 1.3.6")
        return cls(int(found[1]), int(found[2]), int(found[3] or 0))


@dataclass(frozen=True, slots=True)
class Profile:
    """What makes the mounts of a container, in the order in which it does."""

    name: str
    """``runc``, ``crun``."""
    version: Version
    stages: tuple[Callable[[Profile, Start], Stage], ...]
    """Each makes system calls, one after the other: a function of the runtime, or several."""
    caveat: str = ""
    """Why it may be wrong as a whole: nobody has compared this version."""

    def since(self, *version: int) -> bool:
        """Whether it is of this version or a later one."""
        return self.number >= version

    @property
    def number(self) -> tuple[int, ...]:
        """Its version, to be compared with tuples."""
        return tuple(self.version)

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
