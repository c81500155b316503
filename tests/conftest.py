"""Fixtures that give a test namespaces of its own; ``tests/support/throwaway.py`` says how they are used."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from mntscope.kernel import syscalls
from tests.support import huge_pages, scenes
from tests.support.throwaway import Host, Scratch, WorkerFailed, in_fork, own_mounts

T = TypeVar("T")


@pytest.fixture(scope="session", autouse=True)
def machine_untouched() -> Iterator[None]:
    """The tests leave the machine's own mount tables, byte for byte, as they found them, and /dev/null."""

    def tables() -> dict[str, bytes]:
        paths = (Path("/proc/1/mountinfo"), Path("/proc/self/mountinfo"))
        return {str(path): path.read_bytes() for path in paths}

    def null() -> tuple[int, int, int, int]:
        # Runtimes give it to a container's user, where they are started with it.
        found = os.stat("/dev/null")
        return found.st_mode, found.st_uid, found.st_gid, found.st_rdev

    scenes.remove_cgroups_left_behind()
    before = tables(), null()
    yield
    assert tables() == before[0], "the tests have changed the machine's own mounts"
    assert null() == before[1], "the tests have changed /dev/null"


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Skips where mount and PID namespaces cannot be made."""
    try:
        in_fork(syscalls.unshare, syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
    except WorkerFailed as failure:
        reason = str(failure).splitlines()[-1].partition(": ")[2]
        pytest.skip(f"cannot make namespaces (that takes CAP_SYS_ADMIN): {reason}")


@pytest.fixture(scope="module", autouse=True)
def cheap_forks() -> None:
    """Again for each file: writing after a fork takes huge pages apart, and what is new has none."""
    huge_pages.collapse()


@pytest.fixture(autouse=True)
def no_width_of_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports are as wide as where nobody says how wide that is; what runs the tests beside each other says it."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def scratch(namespaces: None) -> Scratch:
    """Runs a function in a forked worker with a private mount namespace, and returns its result."""

    def run(function: Callable[..., T], *arguments: object) -> T:
        def body() -> T:
            own_mounts()
            return function(*arguments)

        return in_fork(body)

    return run


@pytest.fixture
def one_processor() -> Iterator[None]:
    """What is started from now on stays on one: IDs of namespaces ascend with their age only on the same processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.fixture
def host(namespaces: None) -> Iterator[Host]:
    """A throwaway mount namespace that plays the host."""
    with closing(Host()) as playing:
        yield playing


@pytest.fixture
def machine(namespaces: None) -> Iterator[Host]:
    """A throwaway host with a PID namespace of its own, in which pid 1 is the host."""
    with closing(Host(own_pids=True)) as playing:
        yield playing


@pytest.fixture
def open_machine(namespaces: None) -> Iterator[Host]:
    """A ``machine`` in which every user can run the tests' interpreter."""
    with closing(Host(own_pids=True, for_everyone=True)) as playing:
        yield playing
