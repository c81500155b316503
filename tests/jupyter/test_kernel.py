"""The live parts in a real Jupyter kernel, which has many threads, and whose cells are interrupted at any moment.

setns(2) refuses a process of several threads, so whatever enters a namespace must be a fork that has one; and what
holds something while KeyboardInterrupt may come between any two instructions must let go of it: unlike a command, a
kernel lives on.
"""

from __future__ import annotations

import ast
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from tests.support.repository import ROOT
from tests.support.throwaway import Host

pytest.importorskip("ipykernel", reason="ipykernel, a kernel to run cells in, is not installed")

SET_UP = """
import os, sys, threading, time
sys.path.insert(0, {root!r})
from contextlib import suppress
from functools import partial
import mntscope
from mntscope.kernel import syscalls
from mntscope.cli.targets import resolve
from mntscope.isolate import isolate, put_back
from mntscope.lab import ACTS, Scene, tell

def idle():
    while True:
        time.sleep(0.01)

for _ in range(4):
    threading.Thread(target=idle, daemon=True).start()

def own():
    'What a process may leave behind: children, descriptors, mounts.'
    children = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError), open("/proc/" + pid + "/stat") as file:
            name, _, rest = file.read().rpartition(")")
            if int(rest.split()[1]) == os.getpid():
                children.add(name)
    descriptors = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            descriptors.add((fd, os.readlink("/proc/self/fd/" + fd)))
    descriptors = {{(fd, file) for fd, file in descriptors if not file.endswith("/fd")}}
    return children, descriptors, open("/proc/self/mountinfo").read()

def left():
    children, descriptors, mounts = own()
    return sorted(children - before[0]), sorted(descriptors - before[1]), mounts != before[2]

real_setns = syscalls.setns
def noted_setns(*arguments):
    with open({log!r}, "a") as file:
        print(os.getpid() == {{}}, len(os.listdir("/proc/self/task")), file=file)
    real_setns(*arguments)

syscalls.setns = noted_setns
kernel_pid = os.getpid()
mntscope.capture()
with Scene():
    pass
before = own()
"""


class Kernel:
    """A running kernel, its cells, and the interrupt button."""

    def __init__(self, directory: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.entered = directory / "entered"
        self.entered.touch()
        self.manager: Any = KernelManager(kernel_name="python3", transport="ipc", ip=str(directory / "kernel"))
        environment = os.environ | {"IPYTHONDIR": str(directory / "ipython"), "PYTHONPATH": str(ROOT)}
        # The history would be written at any time, by another thread.
        quiet = ["--HistoryManager.enabled=False"]
        self.manager.start_kernel(env=environment, cwd=str(directory), extra_arguments=quiet)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str, *, interrupt_after: float | None = None) -> str:
        """What the cell printed, and the name of the error in which it ended; interrupted so long after it began."""
        asked = self.client.execute(code if interrupt_after is None else f"print('begun')\n{code}")
        said = []
        while True:
            message = self.client.get_iopub_msg(timeout=120)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                said.append(content["text"])
                if interrupt_after is not None and content["text"] == "begun\n":
                    time.sleep(interrupt_after)
                    self.manager.interrupt_kernel()
            elif message["msg_type"] == "error":
                said.append(f"{content['ename']}: {content['evalue']}")
            elif message["msg_type"] == "execute_result":
                said.append(content["data"]["text/plain"])
            elif content.get("execution_state") == "idle":
                return "".join(said)

    def left(self) -> Any:
        """What it holds that it did not before: children, descriptors, and whether its mounts differ."""
        return ast.literal_eval(self.run("print(left())"))

    def complete(self, code: str) -> list[str]:
        """What the kernel offers behind *code*."""
        asked = self.client.complete(code)
        while True:
            with suppress(Empty):
                message = self.client.get_shell_msg(timeout=60)
                if message["parent_header"].get("msg_id") == asked:
                    return list(message["content"]["matches"])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    running = Kernel(tmp_path_factory.mktemp("kernel"))
    try:
        set_up = SET_UP.format(root=str(ROOT), log=str(running.entered)).replace("{}", "kernel_pid")
        assert running.run(set_up) == ""
        yield running
    finally:
        running.close()


NOTHING: Any = ([], [], False)


def test_namespaces_are_entered_by_forks_of_one_thread_only(kernel: Kernel, host: Host, tmp_path: Path) -> None:
    target = host.unshare("unchanged")
    file = f"/proc/{target.pid}/ns/mnt"
    # The kernel itself could not: that is why.
    said = kernel.run(f"print(len(os.listdir('/proc/self/task')) > 4); real_setns(os.open({file!r}, os.O_RDONLY))")
    assert said.startswith("True\nKernelError: setns")
    kernel.entered.write_text("")
    look, journal = f"partial(resolve, against={str(host.pid)!r}, everything=True)", str(tmp_path / "journal")
    isolated = f"isolate({target.pid}, capture={look}, journal={journal!r})"
    said = kernel.run(
        f"print(len(mntscope.capture(namespace_files=[{file!r}]).view('ns:{file}').mounts) > 0)\n"
        f"print(len(tell(ACTS).runs))\n"
        f"done = {isolated}; print(done.verified)\n"
        f"print(put_back(done.journal, capture=partial(resolve, everything=True)).done != ())"
    )
    assert said == "True\n5\nTrue\nTrue\n"
    entered = kernel.entered.read_text().splitlines()
    assert len(entered) >= 3
    assert set(entered) == {"False 1"}, "whether it was the kernel itself, and how many threads it had"
    kernel.run("os.close(max(int(fd) for fd, file in own()[1] if file.startswith('mnt:')))")
    assert kernel.left() == NOTHING


@pytest.mark.parametrize(
    ("cell", "longest"), [("mntscope.capture()", 0.2), ("tell(ACTS)", 0.5)], ids=["capture", "lab"]
)
def test_an_interrupted_cell_leaves_nothing_behind(kernel: Kernel, seed: int, cell: str, longest: float) -> None:
    chance = random.Random(seed)
    for _ in range(20):
        said = kernel.run(f"while True: {cell}", interrupt_after=chance.uniform(0, longest))
        assert "KeyboardInterrupt" in said
        assert kernel.left() == NOTHING


def test_an_interrupted_isolation_is_put_back_or_done(kernel: Kernel, host: Host, seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    target = host.unshare("unchanged")
    before = host.mountinfo(target)
    for number in range(12):
        journal = tmp_path / f"journal-{number}"
        cell = (
            f"done = isolate({target.pid}, capture=partial(resolve, against={str(host.pid)!r}, everything=True),"
            f" journal={str(journal)!r})"
        )
        kernel.run(cell, interrupt_after=chance.uniform(0, 0.4))
        if host.mountinfo(target) != before:
            # It was quicker than the interrupt.
            kernel.run(f"put_back({str(journal)!r}, capture=partial(resolve, everything=True))")
        assert host.mountinfo(target) == before
        assert kernel.left() == NOTHING


def test_an_interrupted_program_of_the_magic_ends_with_its_cell(kernel: Kernel) -> None:
    assert kernel.run("%load_ext mntscope") == ""
    began = time.monotonic()
    said = kernel.run("%mntscope run -- sleep 1000", interrupt_after=1.5)
    assert "KeyboardInterrupt" in said
    assert time.monotonic() - began < 60
    assert kernel.left() == NOTHING


def test_a_diff_of_the_magic_is_an_object(kernel: Kernel, host: Host) -> None:
    target = host.unshare("unchanged")
    kernel.run("%load_ext mntscope")
    said = kernel.run(
        f"target = {target.pid}\nfound = %mntscope diff {{target}} --against {host.pid}\nprint(found.verdict)"
    )
    assert said == "leaks\n"
    title, verdict = kernel.run(f"%mntscope diff {target.pid} --against {host.pid}").splitlines()[:2]
    assert title.startswith("Mounts of ")
    assert verdict.startswith("LEAKS  ")
    assert str(target.pid) in kernel.complete(f"%mntscope diff {str(target.pid)[:-1]}")
    assert kernel.complete("found = %mntscope diff --form") == ["--format"]
