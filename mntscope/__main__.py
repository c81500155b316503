"""``mntscope``, and ``python -m mntscope``: the program.

Python's own handler of SIGINT would show a traceback of whatever is being loaded when Ctrl-C comes. So the first thing
that the program does, before it loads anything, is to say what SIGINT and SIGTERM do: they end it, while it has nothing
to put back. Once it has loaded what knows better, :mod:`mntscope.base.signals` takes over.
"""

from __future__ import annotations

import gc

# The half of signal that is built into the interpreter: the other takes a millisecond to load.
from _signal import SIG_DFL, SIGINT, SIGTERM, default_int_handler, getsignal, signal  # type: ignore[import-not-found]
from os import _exit

COLLECTS_AT = 1_000_000
"""Objects after which garbage is collected. That is for programs that last: of what a command loads and reads nothing
becomes garbage. And what is looked through in a fork is copied, page by page."""


def main() -> int:
    """Run the command line of this process, which ends with it; its exit code."""
    for number, default in ((SIGINT, default_int_handler), (SIGTERM, SIG_DFL)):
        # Whoever started it may have it ignore them, as nohup does and a shell that runs it behind others.
        if getsignal(number) == default:
            signal(number, _end)
    gc.set_threshold(COLLECTS_AT)
    from mntscope.cli import main as run

    return run()


def _end(number: int, _: object) -> None:
    # As a shell has it, for a program that a signal ends.
    _exit(128 + number)


if __name__ == "__main__":
    import sys

    sys.exit(main())
