"""How an operation of the model fails: as the system call would."""

from __future__ import annotations


class Errno(Exception):
    """The system call returns *name* (``EINVAL``) and nothing changes; raised and caught inside the package."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def require(condition: object, errno: str) -> None:
    """Fail with *errno* unless *condition* holds.

    :raises Errno: it does not.
    """
    if not condition:
        raise Errno(errno)
