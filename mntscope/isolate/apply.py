"""``isolate``: what is to be done is planned, and done or not done; again where somebody else came in between.

What could not be undone (:mod:`mntscope.isolate.foresee`) is not done either, unless it is forced.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from mntscope.analysis.plan import Kind, Plan, make_plan
from mntscope.base import signals
from mntscope.base.records import replace
from mntscope.errors import RefusedError, UsageError
from mntscope.isolate.outcome import IrreversibleError, Isolation, RolledBackError
from mntscope.isolate.residents import refuse_for_strangers
from mntscope.isolate.target import Capture, Target, opened, resolve
from mntscope.live.procfs import Proc, open_proc
from mntscope.snapshot import Snapshot

if TYPE_CHECKING:
    from mntscope.isolate.actions import Hook
    from mntscope.isolate.journal import Journal

ATTEMPTS = 50
"""How often it is planned and tried again when somebody else changes mounts meanwhile."""


def isolate(
    target: int | str,
    paths: Sequence[str] = ("/proc",),
    *,
    capture: Capture,
    mount_proc: bool = False,
    kind: Kind | None = None,
    recursive: bool = False,
    force: bool = False,
    in_host_namespace: bool = False,
    dry_run: bool = False,
    journal: str | None = None,
    hook: Hook | None = None,
) -> Isolation:
    """Stop what is mounted at *paths* of *target* from reaching other namespaces; see :func:`make_plan`.

    *target* is a pid or the path of a namespace file, *journal* the file to write. *capture* reads the machine, once
    for each attempt. With *dry_run* it is only planned. *hook* is for tests: it is called before each system call.

    :raises RefusedError: it would harm, or undo could not put it back (:class:`IrreversibleError`).
    :raises RolledBackError: it was begun and not finished.
    :raises AccessError: no permission.
    :raises TargetError: no such process, namespace or path; or it ended meanwhile, and nothing is changed.
    """
    with _signals() as pending, open_proc() as proc, opened(proc, target) as at:
        if mount_proc and at.pid is None:
            raise RefusedError(
                "it names no process, so no PID namespace whose proc could be mounted",
                where=at.name,
                hint="name a process that lives there",
            )

        with signals.at_once():
            places = _resolved(at, paths)

        def plan() -> Plan:
            with signals.at_once():
                snapshot, label = _captured(capture, proc, at, target)
            if mount_proc:
                refuse_for_strangers(proc, at, own=all(places.values()))
            return make_plan(
                snapshot,
                label,
                tuple(places),
                mount_proc=mount_proc,
                kind=kind,
                recursive=recursive,
                force=force,
                in_host_namespace=in_host_namespace,
                own_proc={path for path, own in places.items() if own},
            )

        from mntscope.isolate.attempt import new_journal
        from mntscope.isolate.foresee import irreversible
        from mntscope.isolate.journal import default_path, locked
        from mntscope.live.paths import absolute

        def foreseen(plan: Plan) -> tuple[str, ...]:
            with signals.at_once():
                found = irreversible(proc, at, plan, new_journal(proc, at, plan, "", -1)) if plan.actions else ()
            if found and not force:
                raise IrreversibleError(plan, found, where=at.name)
            return found

        if dry_run:
            planned = plan()
            lost = foreseen(planned)
            if pending:
                raise signals.as_error(pending[0])
            return Isolation(planned, irreversible=lost)
        path = absolute(journal or default_path(at.pid))
        # Planned only when no other mntscope changes anything any more.
        with locked(path, new=True, pending=pending) as directory:

            def journal_of(plan: Plan) -> Journal:
                return new_journal(proc, at, plan, path, directory, in_host_namespace=in_host_namespace)

            return _until_undisturbed(proc, at, plan, foreseen, journal_of, path, pending, hook)


def _until_undisturbed(
    proc: Proc,
    at: Target,
    plan: Callable[[], Plan],
    foreseen: Callable[[Plan], tuple[str, ...]],
    journal_of: Callable[[Plan], Journal],
    path: str,
    pending: list[int],
    hook: Hook | None,
) -> Isolation:
    """Plan and try; again where somebody else came in between, and nothing of the attempt is left."""
    from mntscope.isolate.attempt import Attempt, DisturbedError

    number = 0
    while True:
        number += 1
        if pending:
            raise signals.as_error(pending[0])
        current = plan()
        if not current.actions:
            return Isolation(current, verified=True, journal=path if number > 1 else None, attempts=number)
        lost = foreseen(current)
        attempt = Attempt(proc, at, current, journal_of(current), pending, hook)
        try:
            attempt.run()
        except DisturbedError as error:
            if number == ATTEMPTS:
                what = f"mounts kept changing meanwhile ({error})"
                raise RolledBackError(what, path, where=at.name, plan=current, clean=True) from error
            time.sleep(random.uniform(0, 0.1 * min(number, 5)))  # noqa: S311 - spreads attempts, guards nothing
        else:
            unread, ended = (tuple(sorted(labels)) for labels in (attempt.verifier.unread, attempt.verifier.ended))
            return Isolation(current, True, not set(unread) - set(ended), path, unread, number, lost, ended)


# What comes before


def _resolved(at: Target, paths: Sequence[str]) -> dict[str, bool]:
    """Each path from the root of the namespace, links followed, and whether the target's own proc is there."""
    found: dict[str, bool] = {}
    for path in paths:
        if not path.startswith("/") or "\0" in path:
            raise UsageError(f"{path!r} is no absolute path", hint="give it as the target sees it")
        place = resolve(at, path)
        found[place.path] = place.pid_namespace is not None and place.pid_namespace == at.pid_namespace
    return found


def _captured(capture: Capture, proc: Proc, at: Target, target: int | str) -> tuple[Snapshot, str]:
    """Every namespace, the target's from its very root: a process there may see less, from a chroot."""
    whole = f"ns:/proc/{target}/ns/mnt" if isinstance(target, int) else f"ns:{target}"
    # Where /proc shows strangers, only a capture by pid finds its way.
    captured = capture(str(target) if proc.problem and isinstance(target, int) else whole)
    snapshot, label = captured.snapshot, captured.target
    if label == snapshot.host_label or label == at.name:
        return snapshot, label
    views = (replace(view, label=at.name) if view.label == label else view for view in snapshot.views)
    return snapshot.with_views(views), at.name


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects what asks for the end, so that it is heard between two steps and not within one."""
    pending: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pending
        return

    def note(number: int, _: FrameType | None) -> None:
        pending.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield pending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
