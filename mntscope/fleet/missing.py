"""The libraries that only a fleet needs, and what is said where they are not installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mntscope.errors import MissingLibraryError


def needed(library: str, what: str, extra: str = "fleet") -> Any:
    """The module *library*, loaded now.

    :raises MissingLibraryError: it is not installed; says that *what* takes it, and which *extra* brings it.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] != library.partition(".")[0]:
            raise
        raise MissingLibraryError(what, library.partition(".")[0], extra=extra) from None
