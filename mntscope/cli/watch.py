"""``mntscope watch``: what changes, as it happens."""

from __future__ import annotations

import argparse
import gc
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from mntscope.cli.output_options import (
    TARGETS,
    add_against,
    add_output_options,
    page,
    write_output,
    write_standard_output,
)
from mntscope.errors import AccessError, TargetError, UsageError

if TYPE_CHECKING:
    from mntscope.output.watch import Counts
    from mntscope.watch.events import Event
    from mntscope.watch.recording import Recorder
    from mntscope.watch.service import Commands, Metrics
    from mntscope.watch.watcher import Round, Watcher

HELP = "what is mounted and unmounted, by whom, and where it goes, as it happens"

EXAMPLES = (
    (
        "mntscope watch --until-leak --for 60s 4711 && echo clean",
        "whether a process leaks within a minute",
    ),
    (
        "mntscope watch --record day.rec --for 24h --kind leak,healed",
        "tell of leaks, and record all for --snapshot day.rec@12:04",
    ),
)

KINDS = (
    "mount", "umount", "move", "propagation", "remount", "namespace-born", "namespace-gone", "leak", "healed",
    "overflow", "unpredicted",
)  # fmt: skip

ALWAYS = ("source", "overflow", "unpredicted")
"""What no filter leaves out: without it the rest would mean something else."""

METRICS_EVERY = 15.0
"""Seconds between two writings of a file of metrics."""
WATCHDOG_EVERY = 5.0
SWEEP, TRACED_SWEEP = 10.0, 60.0
"""Seconds between two readings of all tables: what they find is told at once where calls are traced."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="tell only of these namespaces (default: of all)")
    add_against(parser)
    parser.add_argument("--path", metavar="PATH", help="tell only of what happens at PATH or below it")
    parser.add_argument("--kind", metavar="KIND,..", help=f"tell only of these: {', '.join(KINDS)}")
    parser.add_argument("--until-leak", action="store_true", help="end with exit code 1 when something leaks")
    parser.add_argument("--for", dest="seconds", metavar="TIME", help="end after so long: 90, 90s, 15m, 8h")
    parser.add_argument("--record", metavar="FILE", help="record all that changes, for --snapshot FILE@12:04:31")
    parser.add_argument(
        "--record-size",
        type=int,
        metavar="MIB",
        default=64,
        help="begin another file after so many MiB (64)",
    )
    parser.add_argument(
        "--source",
        choices=("auto", "fanotify", "poll"),
        default="auto",
        help="what tells of changes (default: fanotify where the kernel has it, else poll)",
    )
    parser.add_argument(
        "--trace", action="store_true", help="trace system calls as well: tells at once who changes a propagation type"
    )
    parser.add_argument(
        "--sweep", type=float, metavar="SECONDS", help="read all tables again so often (default: 10, with --trace 60)"
    )
    parser.add_argument(
        "--mismatches", metavar="FILE", help="keep what the kernel did otherwise than predicted, for selftest --replay"
    )
    parser.add_argument("--exec", metavar="COMMAND", help="run COMMAND for each leak, the event as JSON on its input")
    parser.add_argument("--listen", type=int, metavar="PORT", help="answer HTTP requests for /metrics, on 127.0.0.1")
    add_output_options(parser, ("table", "json", "prometheus"))
    parser.epilog = (
        "With --format prometheus, -o FILE is replaced every 15 seconds; otherwise lines are added to it.\n\n"
        f"{TARGETS}\nExit codes: 0 the time was over, 1 something leaked (--until-leak), 2 trouble"
    )


def run(arguments: argparse.Namespace) -> int:
    """Watch until the time is over, something leaks, or a signal comes; the exit code."""
    # This is a command that lasts (mntscope.__main__).
    gc.set_threshold(100_000)
    from mntscope.watch.check import Prediction
    from mntscope.watch.recording import Recorder
    from mntscope.watch.service import Commands, Metrics, notify
    from mntscope.watch.watcher import Watcher

    seconds = _seconds(arguments.seconds) if arguments.seconds else None
    if arguments.sweep is None:
        arguments.sweep = TRACED_SWEEP if arguments.trace else SWEEP
    if not 0 < arguments.sweep < 1e6:
        raise UsageError(f"--sweep {arguments.sweep}: it takes a number of seconds", hint="give 10")
    if not 1 <= arguments.record_size <= 192:
        raise UsageError(f"--record-size {arguments.record_size}: it takes 1 to 192 MiB", hint="give 64")
    kinds = _kinds(arguments.kind)
    commands = Commands(arguments.exec) if arguments.exec else None
    host = None if arguments.against == "host" else _inode_of(arguments.against)
    with ExitStack() as stack:
        checker = Prediction(arguments.mismatches)
        metrics = Metrics(arguments.listen) if arguments.listen is not None else None
        if metrics:
            stack.callback(metrics.close)
        watcher = stack.enter_context(
            Watcher(by=arguments.source, trace=arguments.trace, sweep=arguments.sweep, checker=checker, host=host)
        )
        told = stack.enter_context(_Teller.of(arguments, watcher))
        wanted = _Filter(watcher, arguments.targets, arguments.path, kinds)
        recorder = None
        if arguments.record:
            largest = arguments.record_size << 20
            recorder = Recorder(arguments.record, watcher.machine, largest=largest)
            stack.callback(recorder.close)
        if commands:
            stack.callback(commands.close)
        session = _Session(watcher, told, wanted, recorder, commands, metrics)
        for note in watcher.notes:
            told.tell(note)
        notify("READY=1")
        try:
            leaked = session.go_on(seconds, until_leak=arguments.until_leak)
            session.take(watcher.finish())
        finally:
            notify("STOPPING=1")
            told.metrics(session.counts)
        return 1 if leaked else 0


class _Session:
    """A watch from its beginning to its end."""

    def __init__(
        self,
        watcher: Watcher,
        told: _Teller,
        wanted: _Filter,
        recorder: Recorder | None,
        commands: Commands | None,
        metrics: Metrics | None,
    ) -> None:
        self._watcher = watcher
        self._told = told
        self._wanted = wanted
        self._recorder = recorder
        self._commands = commands
        self._metrics = metrics
        self._kinds: Counter[str] = Counter()
        self._since = time.time()

    def go_on(self, seconds: float | None, *, until_leak: bool) -> bool:
        """Round after round; whether it was a leak that ended it."""
        from mntscope.watch.service import notify

        until = None if seconds is None else time.monotonic() + seconds
        said = 0.0
        while until is None or time.monotonic() < until:
            left = 1.0 if until is None else max(0.0, min(1.0, until - time.monotonic()))
            leaked = self.take(self._watcher.step(min(left, self._told.patience)))
            if self._metrics:
                self._answer(self._metrics)
            if self._commands:
                self._commands.reap()
            self._told.refresh(lambda: self.counts)
            if time.monotonic() - said > WATCHDOG_EVERY:
                said = time.monotonic()
                counts = self.counts
                notify(f"WATCHDOG=1\nSTATUS={counts.namespaces} namespaces, {sum(self._kinds.values())} events")
            if leaked and until_leak:
                return True
        return False

    def take(self, done: Round) -> bool:
        """Record and tell what a round came to; whether something leaked."""
        if self._recorder is not None:
            self._recorder.write(done)
        leaked = False
        for event in done.events:
            self._kinds[event.kind] += 1
            if not self._wanted(event):
                continue
            crossed = event.kind == "leak" or self._crossed(event)
            leaked = leaked or crossed
            if event.kind == "leak" and self._commands:
                self._commands.run(event)
            if self._wanted.kind(event):
                self._told.tell(event)
        return leaked

    def _crossed(self, event: Event) -> bool:
        """Whether what somebody did elsewhere has reached the host."""
        host = self._watcher.machine.name(self._watcher.machine.host)
        elsewhere = event.namespace not in ("", host)
        known = event.kind in ("mount", "umount") and event.who is not None
        return elsewhere and known and any(place.namespace == host for place in event.also)

    def _answer(self, metrics: Metrics) -> None:
        from mntscope.output.watch import as_prometheus

        metrics.answer(lambda: as_prometheus(self.counts))

    @property
    def counts(self) -> Counts:
        """What it has come to so far."""
        from mntscope.output.watch import Counts

        watcher = self._watcher
        leaking = {key: len(mounts) for key, mounts in watcher.leaks.leaking.items() if mounts}
        return Counts(
            events=self._kinds,
            namespaces=len(watcher.machine.namespaces),
            mounts=sum(len(its.mounts) for its in watcher.machine.namespaces.values()),
            leaking=sum(leaking.values()),
            leaking_namespaces=len(leaking),
            unknown=watcher.unknown,
            overflows=watcher.overflows,
            since=self._since,
        )


class _Filter:
    """What is to be told."""

    def __init__(self, watcher: Watcher, targets: list[str], path: str | None, kinds: frozenset[str]) -> None:
        from mntscope.base.paths import normal

        self._watcher = watcher
        self._keys = frozenset(_key_of(watcher, target) for target in targets)
        if path is not None and not path.startswith("/"):
            raise UsageError(f"--path {path}: it is not absolute", hint="give the path in the namespace, from /")
        self._path = None if path is None else normal(path)
        self._kinds = kinds

    def __call__(self, event: Event) -> bool:
        """By namespace and by path."""
        from mntscope.base.paths import under

        if event.kind in ALWAYS:
            return True
        places = [(event.namespace, event.path), *((place.namespace, place.path) for place in event.also)]
        if self._keys:
            # What it is called may have become known only meanwhile.
            names = {self._watcher.machine.name(key) for key in self._keys}
            owner = event.who.owner if event.who else ""
            places = [place for place in places if place[0] in names]
            if not places and owner not in names:
                return False
        if self._path is None or event.path is None:
            return True
        return any(path is not None and under(path, self._path) for _, path in places)

    def kind(self, event: Event) -> bool:
        """Whether its kind is wanted."""
        return not self._kinds or event.kind in self._kinds or event.kind in ALWAYS


class _Teller:
    """Where lines go: standard output, a file, a live view."""

    patience = 1.0
    """Seconds that may pass between two calls of :meth:`refresh`."""

    def __init__(self, arguments: argparse.Namespace, write: Callable[[str], None] = write_standard_output) -> None:
        self._arguments = arguments
        self._write = write

    @staticmethod
    @contextmanager
    def of(arguments: argparse.Namespace, watcher: Watcher) -> Iterator[_Teller]:
        """The one that is asked for."""
        plain = arguments.output in (None, "-", "/dev/stdout")
        terminal = plain and sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        if arguments.format == "table" and terminal:
            with _LiveTeller(arguments, watcher) as live:
                yield live
        elif arguments.format == "prometheus":
            yield _MetricsTeller(arguments)
        elif plain:
            yield _Teller(arguments)
        else:
            with _appended(arguments.output) as write:
                yield _Teller(arguments, write)

    def tell(self, event: Event) -> None:
        """One event."""
        from mntscope.output.watch import as_json, as_line

        self._write(as_json(event) if self._arguments.format == "json" else as_line(event))

    def refresh(self, counts: Callable[[], Counts]) -> None:
        """What is to be done now and then; *counts* gives what it has come to so far."""

    def metrics(self, counts: Counts) -> None:
        """At the end."""


class _MetricsTeller(_Teller):
    """A file of metrics, replaced now and then; on standard output once, at the end."""

    _written = 0.0

    def tell(self, event: Event) -> None:
        """Metrics count it."""

    def refresh(self, counts: Callable[[], Counts]) -> None:
        """The file, if it is time."""
        if self._arguments.output and time.monotonic() - self._written > METRICS_EVERY:
            self._written = time.monotonic()
            self.metrics(counts())

    def metrics(self, counts: Counts) -> None:
        """The file, or standard output."""
        from mntscope.output.watch import as_prometheus

        write_output(self._arguments, as_prometheus(counts))


class _LiveTeller(_Teller):
    """A picture on the terminal."""

    patience = 0.5

    def __init__(self, arguments: argparse.Namespace, watcher: Watcher) -> None:
        super().__init__(arguments)
        self._watcher = watcher

    def __enter__(self) -> Self:
        from rich.console import Console

        from mntscope.output.watch_live import LiveView

        colour = page(self._arguments).colour
        console = Console(force_jupyter=False, no_color=not colour, markup=False, emoji=False, highlight=False)
        self._view = LiveView(console)
        self._view.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._view.__exit__(None, None, None)

    def tell(self, event: Event) -> None:
        """In the next picture."""
        self._view.add(event)

    def refresh(self, counts: Callable[[], Counts]) -> None:
        """The next picture, if it is time."""
        if self._view.due:
            self.metrics(counts())

    def metrics(self, counts: Counts) -> None:
        """The picture."""
        from mntscope.output.watch_live import Standing

        leaking = self._watcher.leaks.leaking
        standings = [
            Standing(namespace.name, len(namespace.mounts), len(leaking.get(key, ())))
            for key, namespace in self._watcher.machine.namespaces.items()
        ]
        title = f"mntscope watch by {self._watcher.source}: {counts.namespaces} namespaces, {counts.mounts} mounts"
        self._view.draw(title, standings)


@contextmanager
def _appended(path: str) -> Iterator[Callable[[str], None]]:
    """What adds a line to a file of this user's."""
    from mntscope.kernel.trust import ourselves

    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o600)
        if os.fstat(fd).st_uid not in ourselves():
            raise AccessError("it belongs to somebody else", where=path, hint="choose another name")
        os.set_blocking(fd, True)
    except OSError as error:
        raise AccessError(f"cannot write: {error.strerror}", where=path) from None

    def write(text: str) -> None:
        try:
            os.write(fd, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise AccessError(f"cannot write: {error.strerror}", where=path) from None

    try:
        yield write
    finally:
        os.close(fd)


def _key_of(watcher: Watcher, target: str) -> int:
    """The key of the namespace that a TARGET names.

    :raises UsageError: it is no TARGET of this machine.
    :raises TargetError: there is no such namespace.
    """
    for key, namespace in watcher.machine.namespaces.items():
        if target == namespace.name:
            return key
    named = watcher.machine.by_inode(_inode_of(target))
    if named is None:
        raise TargetError("its namespace is not seen", where=target, hint="run mntscope as root")
    return named.key


def _inode_of(target: str) -> int:
    """The inode of the mount namespace that a TARGET names."""
    from mntscope.cli.targets import parse_target
    from mntscope.live import capture

    found = parse_target(target)
    if not found.live:
        raise UsageError(f"{target}: it is no part of this machine", hint="give a pid, host or ns:PATH")
    if found.kind == "ns":
        from mntscope.live.namespaces import open_namespace

        fd = open_namespace(found.path)
        try:
            return os.fstat(fd).st_ino
        finally:
            os.close(fd)
    snapshot = capture([found.pid] if found.kind == "process" else [], host=found.kind == "host")
    view = snapshot.host if found.kind == "host" else snapshot.view(found.pid)
    if view.namespace.inode is None:
        raise AccessError("its namespace may not be read", where=target, hint="run mntscope as root")
    return view.namespace.inode


def _kinds(text: str | None) -> frozenset[str]:
    wanted = frozenset(text.split(",")) if text else frozenset()
    if unknown := sorted(wanted - set(KINDS)):
        raise UsageError(f"--kind: no kind {unknown[0]!r}", hint=f"there are {', '.join(KINDS)}")
    return wanted


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|min|h|d|)", text)
    if not found:
        raise UsageError(f"--for {text!r:.40}: it is no time", hint="give 90, 90s, 15m or 8h")
    return float(found[1]) * {"ms": 0.001, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[found[2]]
