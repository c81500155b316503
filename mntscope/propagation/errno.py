"""How an operation of the model fails: as the system call would."""

from __future__ import annotations


class Failure(Exception):
    """The system call returns *errno* (its name) and nothing changes; raised and caught inside the package."""

    def __init__(self, errno: str) -> None:
        super().__init__(errno)
        self.errno = errno
