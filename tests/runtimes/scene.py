"""What a runtime's containers are started in: inside the throwaway host, with volumes, users and units."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

VOLUME = "/srv/vol"
"""A tmpfs of the host with another mounted at ``sub`` in it."""

PLAIN = "/srv/plain"
"""A directory of the host's root filesystem."""

KIM = 1500
"""The user who is not root."""


class Failed(Exception):
    """A command that should not fail did; in one line what it says."""


class Scene:
    """The host as the runtimes see it. *few*: only what differs most."""

    def __init__(self, *, few: bool) -> None:
        self.few = few
        self._begun: list[subprocess.Popen[bytes]] = []

    def run(self, *argv: str, user: bool = False, seconds: float = 120, more: Mapping[str, str] | None = None) -> str:
        """What a command prints.

        :raises Failed: its exit code is not 0.
        """
        try:
            done = subprocess.run(
                [*(_AS_KIM if user else ()), *argv],
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
                start_new_session=True,
                env={**os.environ, **(more or {})},
            )
        except FileNotFoundError as error:
            raise Failed(f"{argv[0]} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise Failed(f"{argv[0]} did not end in {seconds:g} s") from error
        if done.returncode:
            lines = [line for line in (done.stderr.strip() or done.stdout.strip()).splitlines() if line.strip()]
            errors = [line for line in lines if re.search("error|cannot|failed|fatal", line, re.IGNORECASE)]
            raise Failed(f"{argv[0]}: {' '.join((errors or lines)[-1:] or [f'exit code {done.returncode}'])[-300:]}")
        return done.stdout.strip()

    def begin(self, *argv: str, user: bool = False) -> int:
        """Start a program that goes on; its pid."""
        log = open(f"/tmp/begun-{len(self._begun)}", "wb")  # noqa: SIM115 - the program's
        begun = subprocess.Popen(
            [*(_AS_KIM if user else ()), *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        log.close()
        self._begun.append(begun)
        return begun.pid

    def said(self) -> str:
        """The last line of what the program said that was begun last."""
        lines = Path(f"/tmp/begun-{len(self._begun) - 1}").read_text(errors="replace").strip().splitlines()
        return lines[-1][-300:] if lines else "it says nothing"

    def end(self) -> None:
        """End what was begun, with what that has started."""
        for begun in self._begun:
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(begun.pid, number)
                    begun.wait(3)
        self._begun.clear()

    def volumes(self) -> None:
        """Make :data:`VOLUME` and :data:`PLAIN`."""
        os.makedirs(PLAIN, exist_ok=True)
        os.makedirs(VOLUME, exist_ok=True)
        self.run("mount", "-t", "tmpfs", "-o", "mode=1777", "vol", VOLUME)
        os.makedirs(f"{VOLUME}/sub")
        self.run("mount", "-t", "tmpfs", "-o", "mode=1777", "sub", f"{VOLUME}/sub")

    def no_volumes(self) -> None:
        """Unmount them."""
        self.run("umount", "-R", VOLUME)

    def kim(self) -> None:
        """Make the user who is not root, with a range of subordinate ids, logged in."""
        self.run("useradd", "-m", "-u", str(KIM), "-s", "/bin/bash", "kim")
        for file in ("/etc/subuid", "/etc/subgid"):
            if "kim:" not in Path(file).read_text():
                with open(file, "a") as text:
                    text.write("kim:200000:65536\n")
        self.run("systemctl", "start", f"user@{KIM}")

    def no_kim(self) -> None:
        """Log out."""
        self.run("systemctl", "stop", f"user@{KIM}")


def say(what: str) -> None:
    """Tell whoever waits what is being done."""
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def unpack(image: Path, directory: str) -> None:
    """An image's tree in *directory*."""
    os.makedirs(directory, exist_ok=True)
    subprocess.run(["tar", "-C", directory, "-xf", str(image)], capture_output=True, check=False)


def wait_for(pids: Iterable[int], comm: str, seconds: float = 10) -> int:
    """The first of *pids* or what they have started whose command is *comm*, as soon as there is one; else 0."""
    pids = list(pids)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for pid in pids:
            for one in _family(pid):
                with suppress(OSError):
                    if Path(f"/proc/{one}/comm").read_text().strip() == comm:
                        return one
        time.sleep(0.1)
    return 0


def wait_until_gone(*programs: str, seconds: float = 30) -> None:
    """Until none of *programs* runs any more, or time is over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and {*programs} & running():
        time.sleep(0.1)


def running() -> set[str]:
    """The commands of all processes."""
    found = set()
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def children(pid: int) -> Sequence[int]:
    """The processes that *pid* has started."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def parent(pid: int) -> int:
    """The process that has started it, or has taken it over."""
    match = re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) if match else 0


def _family(pid: int) -> Iterable[int]:
    yield pid
    for child in children(pid):
        yield from _family(child)


def had(*programs: str) -> str:
    """Which of these programs is missing; empty where all are there."""
    return " and ".join(program for program in programs if not shutil.which(program))


_AS_KIM = (
    *("runuser", "-u", "kim", "--", "env", "-i", "HOME=/home/kim", "PATH=/usr/bin:/bin:/usr/sbin"),
    *("USER=kim", f"XDG_RUNTIME_DIR=/run/user/{KIM}", f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{KIM}/bus"),
)
