"""Cases of rules: a machine on which a rule must find something, and its twin on which it must not.

Each rule has a file ``tests/rules/mntNNN_name.py``, named as the rule's own, with a tuple ``CASES``::

    CASES = (
        Case("a copy that is a peer", wrong=unchanged, right=slave, live=True),
        Case("tables", wrong=lambda scene: tables(host=.., web=..), right=..),
    )

``wrong`` and ``right`` make the machine: they are given a :class:`Scene` and return a snapshot. A rule needs at least
one case that is *live*, on the running kernel in throwaway namespaces, or one of *real* tables; others may be made of
tables that the case writes itself. What more a finding must say, ``check`` asserts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mntscope.analysis.remedies import Command
from mntscope.live import capture
from mntscope.model import Process, View
from mntscope.rules import RULES, Finding, Rule
from mntscope.snapshot import Snapshot
from tests.support.repository import ROOT
from tests.support.tables import view
from tests.support.throwaway import Actor, Host

INITIAL = 4026531836
"""The inode of the initial PID namespace."""


class Scene:
    """Where a case makes its machine."""

    def __init__(self, machine: Host, path: Path, stack: ExitStack) -> None:
        self.machine = machine
        """A fresh throwaway host that is pid 1 of its own PID namespace; live cases only."""
        self.path = path
        """An empty directory, which the machine sees too."""
        self.stack = stack
        """What is entered here ends with the case: ``scene.stack.enter_context(scenes.runc(..))``."""
        self.look_again: Callable[[], Snapshot] | None = None
        """Does once more what was done last of :meth:`seen` and :meth:`seen_from_outside`."""
        self._outside = False

    def seen(self, *actors: Actor, files: tuple[str, ...] = ()) -> Snapshot:
        """The machine's host and the namespaces of *actors* and of namespace *files*: nobody else's."""
        # An actor's inner pid is that of the innermost PID namespace, which may be its own.
        pids = [actor.pids[1] for actor in actors]
        look = partial(capture, pids, namespace_files=files, everything=False)
        self.look_again = partial(self.machine.call, look)
        self._outside = False
        return self.look_again()

    def seen_from_outside(self, *actors: Actor) -> Snapshot:
        """The same, read by the tests, for a machine whose own /proc cannot be trusted: the host is a pid."""
        pids = [self.machine.pid, *(actor.pid for actor in actors)]
        self.look_again = partial(capture, pids, everything=False, host=False)
        self._outside = True
        return self.look_again()

    def run(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Runs a command of a finding where what it names is to be found, as it was seen last."""
        words = list(command)
        if command[0] == "mntscope":
            # The journal would be in the /run that the machine has of the tests'.
            words = [sys.executable, "-m", *command, "--journal", str(self.path / "journal")]
        if self._outside:
            return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
        return self.machine.run(words, cwd=ROOT)

    def namespace_of(self, actor: Actor) -> int:
        """A descriptor of its mount namespace, for setns(2); it ends with the case."""
        fd = os.open(f"/proc/{actor.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self.stack.callback(os.close, fd)
        return fd


Maker = Callable[[Scene], Snapshot]


@dataclass(frozen=True, slots=True)
class Case:
    """A machine that is wrong, and its twin that is not."""

    name: str
    wrong: Maker
    right: Maker
    live: bool = False
    """Whether it needs the running kernel: ``scene.machine`` is there in live cases only."""
    real: bool = False
    """Whether the tables are those of a real system."""
    ends: bool = True
    """Whether the commands that the findings give, if any, are enough to end them."""
    check: Callable[[list[Finding], Snapshot], None] | None = None
    """Asserts more about what the rule finds on the wrong machine."""


def module_of(rule: Rule) -> ModuleType:
    """The module with a rule's cases.

    :raises ModuleNotFoundError: it has none.
    """
    return import_module(f"tests.rules.{rule.check.__module__.rpartition('.')[2]}")


def cases() -> list[tuple[Rule, Case]]:
    """Every case of every rule of the catalogue."""
    return [(rule, case) for rule in RULES for case in module_of(rule).CASES]


def tables(_host: str | bytes, /, **others: str | bytes | View) -> Snapshot:
    """A machine of tables as :func:`.tables.view` reads them: pid 1 of the initial PID namespace, and others."""
    host = view("host", _host, process=Process(1, comm="systemd", pid_namespace=INITIAL), proc_pid_namespace=INITIAL)
    views = (table if isinstance(table, View) else view(label, table) for label, table in others.items())
    return Snapshot((host, *views), "host")


def quiet(_scene: Any) -> Snapshot:
    """A machine on which no rule may find anything: systemd's mounts, and a service that has slaves of them."""
    return tables(
        """20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
        21 20 0:5 / /proc rw,nosuid,nodev,noexec shared:2 - proc proc rw
        22 20 0:6 / /run rw,nosuid,nodev shared:3 - tmpfs tmpfs rw""",
        unit="""40 1 8:1 / / rw shared:11 master:1 - ext4 /dev/sda1 rw
        41 40 0:5 / /proc rw,nosuid,nodev,noexec shared:12 master:2 - proc proc rw
        42 40 0:6 / /run rw,nosuid,nodev shared:13 master:3 - tmpfs tmpfs rw""",
    )
