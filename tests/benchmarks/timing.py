"""Times taken side by side.

The machine's speed wanders, so all contenders take turns, round after round, and what is compared are the times of one
round. A contender that takes too long runs once, and one that fails no more.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

Contender = Callable[[], float]
"""One run; the seconds it took."""

Times = dict[str, list[float]]
"""Of each contender, round by round."""

PATIENCE = 15.0
"""Seconds of one run beyond which there is no second one."""


class Failed(RuntimeError):
    """A contender that is out of the race."""


def interleaved(contenders: Mapping[str, Contender], runs: int, patience: float = PATIENCE) -> Times:
    """Lets the contenders take turns *runs* times, after a round that does not count for those that are quick."""
    times: Times = {name: [] for name in contenders}
    running = dict(contenders)
    for turn in range(runs + 1):
        for name, run in tuple(running.items()):
            try:
                seconds = run()
            except Failed as failure:
                sys.stderr.write(f"{name}: {failure}\n")
                times[name].clear()
                del running[name]
                continue
            if turn or seconds > patience:
                times[name].append(seconds)
            if seconds > patience:
                del running[name]
    return times


def quotients(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """*over* divided by *under*, round by round; against their median where they did not run equally often."""
    if len(over) == len(under):
        return [one / other for one, other in zip(over, under, strict=True)]
    if len(over) < len(under):
        return [one / median(under) for one in over]
    return [median(over) / other for other in under]


class Server:
    """A program that does its work once for each line it is sent, and says how many nanoseconds that took."""

    def __init__(self, argv: Sequence[str], mounts: int) -> None:
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._name = argv[0]
        self._mounts = mounts

    def __call__(self) -> float:
        """One run."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed("it has ended") from None
        answer = self._process.stdout.readline().split()
        if len(answer) != 2 or int(answer[1]) != self._mounts:
            raise Failed(f"{self._name} read {answer}, not {self._mounts} mounts")
        return int(answer[0]) * 1e-9

    def close(self) -> None:
        """Ends the program."""
        with self._process as process:
            process.kill()


def of_commands(
    commands: Mapping[str, Sequence[str]], runs: int, *, terminal: Sequence[str] = (), processor: bool = False
) -> Times:
    """The times of whole command lines; those named in *terminal* write to one, the others to nowhere.

    By the clock; or the *processor*'s time, of those that write to nowhere, with that of all they have waited for.
    An exit code of 2 and above is an error: 1 says that something was found.
    """
    return interleaved(
        {
            name: _on_terminal(argv) if name in terminal else _to_nowhere(argv, processor=processor)
            for name, argv in commands.items()
        },
        runs,
    )


def _to_nowhere(argv: Sequence[str], *, processor: bool) -> Contender:
    open_null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]

    def run() -> float:
        begun = time.perf_counter()
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, file_actions=open_null)
        _, status, used = os.wait4(pid, 0)
        seconds = used.ru_utime + used.ru_stime if processor else time.perf_counter() - begun
        return _checked(argv, status, seconds)

    return run


def _on_terminal(argv: Sequence[str]) -> Contender:
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}

    def run() -> float:
        screen, terminal = pty.openpty()
        reader = threading.Thread(target=_drain, args=(screen,))
        reader.start()
        actions = [(os.POSIX_SPAWN_DUP2, terminal, number) for number in (0, 1, 2)]
        begun = time.perf_counter()
        pid = os.posix_spawnp(argv[0], list(argv), environment, file_actions=actions)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - begun
        os.close(terminal)
        reader.join()
        os.close(screen)
        return _checked(argv, status, seconds)

    return run


def _drain(screen: int) -> None:
    try:
        while os.read(screen, 1 << 16):
            pass
    except OSError:
        # EIO: the last that had it open has closed it.
        return


def _checked(argv: Sequence[str], status: int, seconds: float) -> float:
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 1):
        raise Failed(f"exit code {code}: {' '.join(argv)}")
    return seconds


def main() -> None:
    """What :func:`of_commands` is to be called with, and what it returned, as JSON: for another namespace."""
    arguments: dict[str, Any] = json.load(sys.stdin)
    json.dump(of_commands(**arguments), sys.stdout)


if __name__ == "__main__":
    main()
