"""``%mntscope`` in IPython and Jupyter: the command line, with results that show themselves and can be kept.

::

    %load_ext mntscope
    %mntscope diff 4711                     # a Diff, shown
    found = %mntscope audit host.mntscope.json.gz
    found.findings.frame()

    %%mntscope predict {pid}
    mount --make-private /proc && mount -t proc proc /proc

The text of a cell is the last argument of the command; without a command, each line of it is one. A command that
answers a question gives the object that it would write, unless ``--format`` or ``-o`` says how. Others run as a
program of their own, whose output is shown: a notebook's kernel has many threads, and they change namespaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mntscope.jupyter.magic import completed, magic

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

IDENTIFIER = "mntscope"

__all__ = ["completed", "load", "magic"]


def load(ipython: InteractiveShell) -> None:
    """Give *ipython* the magic, for lines and for cells, and its completion."""
    ipython.register_magic_function(magic, "line_cell", "mntscope")  # type: ignore[arg-type]
    if all(matcher.matcher_identifier != IDENTIFIER for matcher in ipython.Completer.custom_matchers):
        from IPython.core.completer import context_matcher

        ipython.Completer.custom_matchers.append(context_matcher(identifier=IDENTIFIER)(completed))
