"""The command line: one thin module a command, imported only when it is asked for."""

from mntscope.cli.main import main

__all__ = ["main"]
