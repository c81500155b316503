"""A Dask cluster over loopback TCP: a scheduler and workers, each a process of its own that a test may kill."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60


@dataclass(frozen=True)
class Cluster:
    """What is needed to use it."""

    address: str
    workers: tuple[subprocess.Popen[bytes], ...]


@contextmanager
def cluster(count: int, *, protocol: str = "tcp", options: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A scheduler and so many workers of one thread; *options* are the same for all (``--tls-ca-file`` ..)."""
    address = f"{protocol}://127.0.0.1:{free_port()}"
    more = [word for pair in (options or {}).items() for word in pair]
    quiet = {**os.environ, "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="mntscope-cluster-"))

        def started(program: str, *words: str) -> subprocess.Popen[bytes]:
            log = (Path(directory) / f"{program}-{time.monotonic_ns()}").open("wb")
            stack.callback(log.close)
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli." + program, *words, *more], stdout=log, stderr=log, env=quiet
            )
            stack.callback(_ended, process)
            return process

        port = address.rpartition(":")[2]
        started(
            "dask_scheduler", "--host", "127.0.0.1", "--port", port, "--protocol", protocol, "--no-dashboard",
            "--dashboard-address", "127.0.0.1:0", "--no-show",
        )  # fmt: skip
        workers = tuple(
            started(
                "dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1",
                "--memory-limit", "0", "--local-directory", directory, "--protocol", protocol,
            )
            for _ in range(count)
        )  # fmt: skip
        yield Cluster(address, workers)


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
