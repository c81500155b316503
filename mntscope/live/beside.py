"""Two things at once: one of them in a fork of this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def beside(theirs: Callable[[], bytes], ours: Callable[[], T]) -> tuple[T, bytes | None]:
    """What *ours* gives, and what *theirs* gives meanwhile in another process; ``None`` where it failed there."""
    reader, writer = os.pipe()
    helper = os.fork()
    if helper == 0:
        status = 1
        try:
            os.close(reader)
            with open(writer, "wb") as pipe:
                pipe.write(theirs())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    try:
        with open(reader, "rb") as pipe:
            done, said = ours(), pipe.read()
    finally:
        try:
            _, status = os.waitpid(helper, 0)
        except ChildProcessError:
            # Where SIGCHLD is ignored, nobody knows how it ended.
            status = 1
    return done, said if status == 0 else None
