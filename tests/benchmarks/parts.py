"""What is measured beside the peers, each a function that adds its rows to the book."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import large as tables
from tests.benchmarks import scenes
from tests.benchmarks.installed import Installed
from tests.benchmarks.limit import limit, mount_some
from tests.benchmarks.peers import Peer
from tests.benchmarks.results import Book
from tests.benchmarks.timing import Contender, Server, Times, interleaved, of_commands
from tests.support import scenes as more_scenes
from tests.support.throwaway import Actor, Host

OURS = str(Path(__file__).with_name("ours.py"))
FORMS = ("records", "ids", "frame")


@dataclass(frozen=True, slots=True)
class Bench:
    """What all parts work with."""

    book: Book
    installed: Installed
    peers: dict[str, Peer]
    scratch: Path
    runs: int
    sizes: tuple[int, ...]

    def directory(self, name: str) -> Path:
        """A new directory."""
        path = self.scratch / name
        path.mkdir(parents=True)
        return path

    @contextmanager
    def namespace(self, number: int) -> Iterator[tuple[Actor, int]]:
        """A process that sees *number* mounts, and how many it really sees."""
        with scenes.hosts(own_pids=False) as host:
            actor = scenes.with_mounts(host, self.directory(f"mounts-{number}"), number)
            yield actor, scenes.mounts_of(actor)
        shutil.rmtree(self.scratch / f"mounts-{number}")

    def serve(self, directory: Path, mounts: int, *, live: bool) -> Times:
        """The times of all that read a table there."""
        programs = {peer.name: [peer.program] for peer in self.peers.values() if (peer.live if live else peer.memory)}
        programs |= {how: [self.installed.python, OURS, how] for how in FORMS}
        words = [str(directory), "live"] if live else [str(directory)]
        servers = {name: Server([*argv, *words], mounts) for name, argv in programs.items()}
        try:
            return interleaved(dict[str, Contender](servers), self.runs)
        finally:
            for server in servers.values():
                server.close()


def parsing(bench: Bench) -> None:
    """From memory: what a table costs once the kernel has printed it."""
    book = bench.book
    for size in bench.sizes:
        part = f"Parsing {size:,} lines from memory"
        with bench.namespace(size) as (actor, mounts):
            # procfs reads a directory like those of /proc; it lies in memory as well.
            directory = bench.directory(f"tables-{size}/1")
            shutil.copy(f"/proc/{actor.pid}/mountinfo", directory / "mountinfo")
        book.times[part], book.mounts[part] = bench.serve(directory, mounts, live=False), mounts
        large = size >= 50_000
        for peer, ids, frame in (
            ("moby", 2.0, 1.0),
            ("libmount", 4.0, None),
            ("procfs", None, None),
            ("prometheus", None, None),
        ):
            book.times_as_fast(part, f"ids, times as fast as {_NAMES[peer]}", "ids", peer, ids if large else None)
            book.times_as_fast(
                part, f"full frame, times as fast as {_NAMES[peer]}", "frame", peer, frame if large else None
            )
            book.times_as_fast(part, f"records, times as fast as {_NAMES[peer]}", "records", peer)


def reading(bench: Bench) -> None:
    """From the kernel, which has to print the table first: no reader takes less than the floor."""
    book = bench.book
    for size in bench.sizes:
        part = f"Reading {size:,} real mounts"
        with bench.namespace(size) as (actor, mounts):
            book.times[part] = bench.serve(Path(f"/proc/{actor.pid}"), mounts, live=True)
        book.mounts[part] = mounts
        goals = {"ids": 1.15, "frame": 1.3} if size >= 10_000 else {}
        for how in ("ids", "frame", "records", "moby", "libmount", "procfs", "prometheus"):
            name = _NAMES.get(how, f"read, and {how}")
            book.times_the_time(part, f"{name}: times the kernel's own time", how, "floor", goals.get(how))


def tree(bench: Bench) -> None:
    """``mntscope tree`` beside findmnt's."""
    book = bench.book
    for size in bench.sizes:
        part = f"The tree of {size:,} real mounts, whole commands"
        with bench.namespace(size) as (actor, _):
            pid = str(actor.pid)
            ours = [bench.installed.mntscope, "tree", pid, "--against", pid]
            commands = {
                "mntscope tree": ours,
                "mntscope tree --format json": [*ours, "--format", "json"],
                "findmnt": ["findmnt", "--task", pid],
                "findmnt --json": ["findmnt", "--task", pid, "--json"],
                "findmnt --list": ["findmnt", "--task", pid, "--list"],
            }
            book.times[part] = of_commands(commands, min(bench.runs, 5))
        goal = 100.0 if size >= 50_000 else 20.0 if size >= 10_000 else None
        book.times_as_fast(part, "tree, times as fast as findmnt", "mntscope tree", "findmnt", goal)
        book.times_as_fast(part, "as JSON, likewise", "mntscope tree --format json", "findmnt --json", goal)
        book.times_as_fast(part, "against findmnt's mere list", "mntscope tree", "findmnt --list")


def namespaces(bench: Bench, *, number: int = 500, mounts: int = 80) -> None:
    """A machine with many namespaces: all of them, to leaks."""
    book = bench.book
    with scenes.hosts(own_pids=True) as host:
        already = scenes.mounts_of(Actor(host.pid, 1))
        directory = bench.directory("many")
        more_scenes.many(
            host,
            directory,
            namespaces=number,
            mounts=max(0, mounts - already),
            processes=2 * number,
            propagation=("slave", "unchanged", "private"),
        )
        part = f"{number} namespaces of {mounts} mounts, two processes each, whole commands"
        commands = {
            "mntscope ns": [bench.installed.mntscope, "ns"],
            "mntscope ns --format json": [bench.installed.mntscope, "ns", "--format", "json"],
            "findmnt -N of each namespace": ["sh", "-c", _one_of_each(host)],
            "lsns -t mnt": ["lsns", "--type", "mnt"],
        }
        book.times[part] = scenes.timed_in(host, commands, min(bench.runs, 7))
    ours = "mntscope ns --format json"
    book.times_as_fast(part, "to leaks, times as fast as findmnt -N of each", ours, "findmnt -N of each namespace", 4.0)
    book.times_as_fast(part, "ns, times as fast as lsns -t mnt", "mntscope ns", "lsns -t mnt", 1.0)


def start(bench: Bench) -> None:
    """What a short command costs: most of it is Python's start."""
    book = bench.book
    for size in (30, 1_000):
        with scenes.hosts(own_pids=True) as host:
            already = scenes.mounts_of(Actor(host.pid, 1))
            directory = bench.directory(f"start-{size}")
            host.call(mount_some, directory, max(0, size - already))
            target = host.unshare("unchanged")
            pid, mntscope = str(target.inner), bench.installed.mntscope
            commands = {
                "python3 -c pass": [bench.installed.python, "-c", "pass"],
                "python3 -c 'import argparse'": [bench.installed.python, "-c", "import argparse"],
                "mntscope diff PID": [mntscope, "diff", pid],
                "the tab key": [mntscope, "completion", "bash", "--", f"mntscope diff {pid} --for"],
                "mntscope diff PID, colours": [mntscope, "diff", pid],
                "mntscope --help": [mntscope, "--help"],
                "findmnt -N PID": ["findmnt", "--task", pid],
            }
            part = f"The start of a command, {size:,} mounts"
            runs = 3 * bench.runs
            book.times[part] = scenes.timed_in(host, commands, runs, terminal=["mntscope diff PID, colours"])
        if size == 30:
            for command, goal in (
                ("mntscope diff PID", 3.5),
                ("mntscope diff PID, colours", 9.0),
                ("mntscope --help", None),
                ("the tab key", None),
            ):
                book.times_the_time(part, f"{command}: times bare Python's", command, "python3 -c pass", goal)
        goal = 1.2 if size == 1_000 else None
        book.times_the_time(part, "diff PID: times findmnt -N PID's tree", "mntscope diff PID", "findmnt -N PID", goal)


def slaves(bench: Bench, *, number: int = 10_000) -> None:
    """Where mountinfo is quadratic: slaves whose master group has many members."""
    book = bench.book
    with scenes.hosts(own_pids=True) as host:
        target = scenes.slaves(host, bench.directory("slaves"), number)
        part = f"{number:,} mounts in a namespace of slaves of one group"
        pid = str(target.inner)
        ask = "import sys, mntscope; print(len(mntscope.capture([int(sys.argv[1])], host=False).views[0].mounts))"
        commands = {
            "mntscope.capture, whole process": [bench.installed.python, "-c", ask, pid],
            "reading its mountinfo": ["cat", f"/proc/{pid}/mountinfo"],
            "findmnt --list": ["findmnt", "--task", pid, "--list"],
        }
        book.times[part] = scenes.timed_in(host, commands, 3)
    ours, theirs = "mntscope.capture, whole process", "reading its mountinfo"
    book.times_as_fast(part, "capture, times as fast as reading mountinfo", ours, theirs, 10.0)


def large(bench: Bench, *, lines: int = 1_000_000) -> None:
    """Many tables in memory, to peer groups and leaks: beside what the kernel would need to print them."""
    book, part = bench.book, f"{lines:,} lines of {lines // tables.EACH:,} namespaces in memory"
    with bench.namespace(10_000) as (actor, mounts), ExitStack() as stack:
        floor = stack.enter_context(closing(Server([bench.peers["floor"].program, f"/proc/{actor.pid}"], mounts)))
        python, program = bench.installed.python, tables.__file__
        contenders: dict[str, Contender] = {"the kernel's own time to print them": lambda: floor() / mounts * lines}
        for how in tables.HOW:
            server = Server([python, program, how, str(lines)], lines)
            contenders[how] = stack.enter_context(closing(server))
        book.times[part], book.mounts[part] = interleaved(contenders, min(bench.runs, 5)), lines
    kept = float(subprocess.run([python, program, "ids", str(lines), "bytes"], capture_output=True, check=True).stdout)
    theirs = "the kernel's own time to print them"
    book.times_the_time(part, "to groups and leaks: times the kernel's own time", "leaks", theirs, 0.25)
    book.times_the_time(part, "to ids: times the kernel's own time", "ids", theirs)
    book.amount(part, "kept for ids, bytes a mount", kept, 100.0, "B")


PARTS: dict[str, Callable[[Bench], None]] = {
    "limit": limit,
    "parsing": parsing,
    "reading": reading,
    "tree": tree,
    "namespaces": namespaces,
    "start": start,
    "slaves": slaves,
    "large": large,
}

_NAMES = {
    "moby": "Go moby/sys",
    "libmount": "libmount",
    "procfs": "Rust procfs",
    "prometheus": "Go prometheus/procfs",
}


def _one_of_each(host: Host) -> str:
    """A shell command that runs findmnt for one process of each mount namespace of the host."""
    listed = host.run(["lsns", "--type", "mnt", "--noheadings", "--output", "PID"]).stdout.split()
    return f"for pid in {' '.join(listed)}; do findmnt --task $pid; done"


def versions(commands: Sequence[Sequence[str]]) -> list[str]:
    """What peers say of themselves."""
    said = []
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        said.append(done.stdout.strip().splitlines()[0])
    return said
