"""The commands that stop a leak, ready to be pasted into a root shell."""

from __future__ import annotations

import re

from mntscope.analysis.diff import Diff
from mntscope.analysis.remedies import Command, change_type, stop_all
from mntscope.graph import Leak
from mntscope.output.escape import shell_word


def shell(command: Command) -> str:
    """A command as one line for a shell, safe to show and to paste."""
    return " ".join(map(_word, command))


def command(leak: Leak, diff: Diff) -> str | None:
    """What stops one leak; ``None`` where no path names its mount."""
    return None if leak.remedy_path is None else shell(change_type(diff.target, leak.remedy, leak.remedy_path))


def command_for_all(diff: Diff) -> str | None:
    """What stops every leak out of the target, and lets the host's umounts in; ``None`` where ``/`` is no mount."""
    found = stop_all(diff.target)
    return None if found is None else shell(found)


def _word(word: str) -> str:
    option, equals, value = word.partition("=")
    return f"{option}={shell_word(value)}" if equals and re.fullmatch("--[a-z-]+", option) else shell_word(word)
