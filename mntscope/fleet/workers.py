"""Who makes the parts: processes of this machine, or the workers of a Dask cluster.

Both are asked in the same way, and of both a worker may die with what it was doing: it was killed, or what it read was
more than the machine has memory for. That is no error but an answer, ``None``, and
:func:`mntscope.fleet.adding.add` decides what it means.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from mntscope.errors import AccessError
from mntscope.fleet.missing import needed
from mntscope.fleet.parts import Made, Part, make
from mntscope.fleet.places import why
from mntscope.kernel.process import dies_with

SECONDS = 30
"""For a scheduler to answer, and its first worker to be there."""


class Workers(Protocol):
    """Those that make parts."""

    @property
    def count(self) -> int:
        """How many parts are made at a time."""
        ...

    def ask(self, part: Part) -> None:
        """Have a part made, some time."""

    def answer(self) -> tuple[Part, Made | None]:
        """Wait for one of the parts that were asked for; ``None`` where the worker died with it.

        :raises MntscopeError: the worker said so.
        """
        ...

    def end(self) -> None:
        """No more is asked of them. What they are doing is left undone."""


class Pool:
    """Processes of this machine. None of them outlives this one."""

    def __init__(self, count: int | None = None) -> None:
        """*count* of them, by default as many as there are processors for this process."""
        self._count = count or len(os.sched_getaffinity(0))
        self._pool: ProcessPoolExecutor | None = None
        self._asked: dict[Future[Made], tuple[Part, ProcessPoolExecutor]] = {}

    @property
    def count(self) -> int:
        """As :class:`Workers` has it."""
        return self._count

    def ask(self, part: Part) -> None:
        """As :class:`Workers` has it."""
        if self._pool is None:
            # A fork of a process that has threads, as Arrow starts them, may stand still for ever.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._count, context, _begin, (os.getpid(),))
        try:
            future = self._pool.submit(make, part)
        except BrokenProcessPool as error:
            future = Future()
            future.set_exception(error)
        self._asked[future] = part, self._pool

    def answer(self) -> tuple[Part, Made | None]:
        """As :class:`Workers` has it."""
        future = next(iter(wait(self._asked, return_when=FIRST_COMPLETED).done))
        part, pool = self._asked.pop(future)
        try:
            return part, future.result()
        except BrokenProcessPool:
            # With one worker the others are gone as well, and what all of them were doing.
            pool.shutdown(wait=False, cancel_futures=True)
            if pool is self._pool:
                self._pool = None
            return part, None

    def end(self) -> None:
        """As :class:`Workers` has it."""
        if self._pool is not None:
            if self._asked:
                # Python 3.14 has kill_workers() for this.
                for process in (self._pool._processes or {}).values():  # noqa: SLF001
                    process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int) -> None:
    """In a new worker: who presses Ctrl-C means the command, which ends it; and so does the command's own end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    dies_with(parent)


class Cluster:
    """The workers of a Dask cluster: what it does about one that is gone is what :mod:`distributed` does."""

    def __init__(self, scheduler: str) -> None:
        """*scheduler* is its address, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; certificates are in Dask's settings.

        :raises AccessError: it does not answer, or has no workers.
        """
        distributed = needed("distributed", "--scheduler", "fleet-dask")
        self._killed: type[Exception] = distributed.scheduler.KilledWorker
        try:
            self._client = distributed.Client(scheduler, timeout=SECONDS, set_as_default=False)
            self._client.wait_for_workers(1, timeout=SECONDS)
        except (OSError, ValueError, TimeoutError, ImportError, TypeError) as error:
            hint = "start one with `dask scheduler`, and on each machine `dask worker`"
            raise AccessError(f"no cluster answers there ({why(error)})", where=scheduler, hint=hint) from None
        self._done = distributed.as_completed(loop=self._client.loop)
        self._asked: dict[Any, Part] = {}

    @property
    def count(self) -> int:
        """How many parts its workers make at a time, now."""
        return sum(self._client.nthreads().values()) or 1

    def ask(self, part: Part) -> None:
        """As :class:`Workers` has it."""
        # It is not to take the answer of another command for this one's.
        future = self._client.submit(make, part, pure=False)
        self._asked[future.key] = part
        self._done.add(future)

    def answer(self) -> tuple[Part, Made | None]:
        """As :class:`Workers` has it."""
        future = next(self._done)
        part = self._asked.pop(future.key)
        try:
            made: Made = future.result()
        except self._killed:
            return part, None
        return part, made

    def end(self) -> None:
        """As :class:`Workers` has it."""
        self._client.close()
