"""Where Python looks for modules: not in the current directory, which may be somebody else's.

IPython, and with it a notebook's kernel, look there first, for the sake of what their user has written beside the
notebook. What mntscope loads when it is first used is not to be found there: a ``json.py`` or a ``rich/`` would be run,
by root.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_current_directory() -> Iterator[None]:
    """Nothing is loaded from there; afterwards all is as it was, with what has been added meanwhile."""
    try:
        here = os.getcwd()
    except OSError:
        # It has been deleted, and holds nothing.
        yield
        return
    before = sys.path[:]
    kept = [entry for entry in before if os.path.abspath(entry) != here]
    sys.path[:] = kept
    try:
        yield
    finally:
        sys.path[:] = before + [entry for entry in sys.path if entry not in before]
