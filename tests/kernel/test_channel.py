"""A worker that is asked one thing after the other: answers, descriptors and errors come through, and it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from mntscope.errors import AccessError, KernelError, MntscopeError, RefusedError, TargetError
from mntscope.kernel.channel import Channel, Message, Worker
from mntscope.kernel.worker import WorkerLostError
from tests.kernel.test_process import gone, waits
from tests.support.throwaway import in_fork


def serving(**actions: Callable[[], Message]) -> Callable[[Channel], None]:
    def live(channel: Channel) -> None:
        for request in channel.requests():
            channel.answer(actions[request["do"]])

    return live


def raises(error: Exception) -> Callable[[], Message]:
    def act() -> Message:
        raise error

    return act


def hangs() -> Message:
    waits()
    return Message()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(
        serving(
            pid=lambda: Message({"pid": os.getpid()}),
            file=lambda: Message(fds=[os.open("/dev/null", os.O_RDONLY), os.open("/", os.O_PATH)]),
            kernel=raises(KernelError("mount", 1, where="/a\udcff", hint="be root")),
            system=raises(FileNotFoundError(2, "No such file or directory", "/nowhere")),
            refused=raises(RefusedError("it would harm", where="/proc")),
            hangs=hangs,
            dies=lambda: os._exit(1),
        ),
        who="the worker of a test",
        patience=1.0,
    )
    yield worker
    worker.end(patience=20)
    assert gone(worker.pid)


def test_it_answers_with_values_and_descriptors(worker: Worker) -> None:
    assert worker.ask("pid").values == {"pid": worker.pid}
    fds = worker.ask("file").fds
    assert [os.readlink(f"/proc/self/fd/{fd}") for fd in fds] == ["/dev/null", "/"]
    assert not any(os.get_inheritable(fd) for fd in fds)
    for fd in fds:
        os.close(fd)


def test_an_error_is_raised_where_it_is_heard_and_the_worker_goes_on(worker: Worker) -> None:
    with pytest.raises(KernelError, match="mount: EPERM") as caught:
        worker.ask("kernel")
    assert (caught.value.where, caught.value.hint) == ("/a\udcff", "be root")
    with pytest.raises(FileNotFoundError, match="/nowhere"):
        worker.ask("system")
    with pytest.raises(RefusedError, match="/proc: it would harm"):
        worker.ask("refused")
    assert worker.ask("pid").values == {"pid": worker.pid}


def test_one_that_is_stuck_or_gone_is_given_up(worker: Worker) -> None:
    with pytest.raises(WorkerLostError, match="the worker of a test does not answer"):
        worker.ask("hangs")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerLostError, match="the worker of a test ended unexpectedly"):
        worker.ask("pid")


def test_one_that_dies_in_the_middle(worker: Worker) -> None:
    with pytest.raises(WorkerLostError, match="ended unexpectedly"):
        worker.ask("dies")


def test_it_ends_when_its_parent_is_gone() -> None:
    def body() -> int:
        return Worker(serving()).pid

    assert gone(in_fork(body))


@pytest.mark.parametrize(
    "error", [TargetError("gone", hint="try"), AccessError("no"), MntscopeError("else", where="x")]
)
def test_every_kind_of_error_keeps_what_it_says(error: MntscopeError) -> None:
    worker = Worker(serving(it=raises(error)))
    with pytest.raises(type(error)) as caught:
        worker.ask("it")
    worker.end()
    assert str(caught.value) == str(error)
