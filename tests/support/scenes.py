"""Real scenes on a throwaway host: containers, sandboxes, and namespaces without a process.

The ``host`` is that of a fixture of ``tests/support/throwaway.py``; on a ``machine`` the scene has pids of its own, so
that ``ns``, ``holders`` and the like need no ``--against``. Programs live as long as their ``with``::

    def test_a_bidirectional_volume(machine: Host, tmp_path: Path) -> None:
        volume = scenes.volume(machine, tmp_path / "volume")           # a shared tmpfs of the host
        binds: list[scenes.Bind] = [(volume, "/volume", "rshared")]
        with scenes.runc(machine, tmp_path, "web-1", rootfs_propagation="shared", binds=binds) as web:
            assert machine.mntscope("diff", web.inner, "/volume").returncode == 1

        with scenes.bwrap(machine) as sandbox:                         # all slaves
            assert machine.mntscope("diff", sandbox.inner).returncode == 0

What has no program lives as long as the host::

    inode = scenes.held_by_mount(machine, tmp_path / "ns" / "kept")    # by a bind mount of its file, as snapd does
    kept = scenes.held_by_fd(machine)                                  # by a descriptor: kept.inode, kept.holder
    nursery = scenes.many(machine, tmp_path, namespaces=500, mounts=80, processes=1000)

:func:`container_host` is all of that at once. A program that is not installed skips the test, with its name.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import pytest

from mntscope.kernel import syscalls
from tests.support.throwaway import PROPAGATION, Actor, Host, Mode, Step, WorkerFailed

T = TypeVar("T")
Bind = tuple[Path | str, str, Literal["rshared", "rslave", "rprivate"]]
"""Where it is on the host, where in the container, and the propagation type it is given there."""

CGROUPS = Path("/sys/fs/cgroup")
"""Where the hierarchies of cgroups are mounted: one, or several below it."""

RUN = "scene-run"
"""The source of the tmpfs that covers ``/run`` where a scene keeps runtimes' state."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A mount namespace without processes, kept by a descriptor."""

    inode: int
    holder: Actor
    fd: int


@dataclass(frozen=True, slots=True)
class ContainerHost:
    """The actors of :func:`container_host`, and what keeps the namespaces that have none."""

    private: Actor
    """The container ``web-private``, with everything private."""
    slave: Actor
    """``web-slave``: a slave of the host, with the volume as an ``rslave`` bind."""
    shared: Actor
    """``web-shared``: a peer of the host, with the volume as an ``rshared`` bind (Kubernetes' Bidirectional)."""
    sandbox: Actor
    """Of bubblewrap."""
    unshared: Actor
    """What ``unshare --mount --propagation unchanged`` makes: every mount a peer of the host's."""
    pin: str
    """The bind mount that keeps :attr:`pinned`."""
    pinned: int
    """The inode of a namespace that only a mount keeps."""
    kept: Kept
    """One that only a descriptor keeps."""
    volume: str
    """The host's directory that two of the containers have as ``/volume``."""

    @property
    def owners(self) -> dict[int, str]:
        """By the inode of each namespace that is not the host's, in words whom it belongs to; empty: nobody."""
        return {
            self.private.namespace("mnt"): "runc web-private",
            self.slave.namespace("mnt"): "runc web-slave",
            self.shared.namespace("mnt"): "runc web-shared",
            self.sandbox.namespace("mnt"): "bwrap",
            self.unshared.namespace("mnt"): "process",
            self.pinned: "",
            self.kept.inode: "",
        }


def need(*programs: str) -> None:
    """Skips where one of the programs is not installed."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def container_host(host: Host, tmp_path: Path) -> Iterator[ContainerHost]:
    """Containers of runc with each root propagation, a sandbox, an unshare, and two namespaces without a process."""
    pin = tmp_path / "pins" / "kept"
    shared_volume = volume(host, tmp_path / "volume")
    with ExitStack() as stack:

        def container(name: str, propagation: str, *binds: Bind) -> Actor:
            return stack.enter_context(runc(host, tmp_path, name, rootfs_propagation=propagation, binds=binds))

        private = container("web-private", "private")
        slave = container("web-slave", "slave", (shared_volume, "/volume", "rslave"))
        shared = container("web-shared", "shared", (shared_volume, "/volume", "rshared"))
        sandbox = stack.enter_context(bwrap(host))
        yield ContainerHost(
            private=private,
            slave=slave,
            shared=shared,
            sandbox=sandbox,
            unshared=host.unshare("unchanged"),
            pin=str(pin),
            pinned=held_by_mount(host, pin),
            kept=held_by_fd(host),
            volume=str(shared_volume),
        )


def volume(host: Host, path: Path) -> Path:
    """A tmpfs of the host at *path*, shared as all of it is."""
    path.mkdir(parents=True, exist_ok=True)
    host.call(syscalls.mount, "volume", str(path), "tmpfs", 0)
    return path


@contextmanager
def runc(
    host: Host, tmp_path: Path, name: str, *, rootfs_propagation: str = "private", binds: Sequence[Bind] = ()
) -> Iterator[Actor]:
    """A container of runc with mount and PID namespaces: its first process, ``sleep``, with a proc of its own.

    *rootfs_propagation* is ``private``, ``slave``, ``shared`` or ``unbindable``; *binds* are recursive, and connected
    to the host only as far as the root is: an ``rshared`` one takes ``shared``, or is a group of its own. Its state is
    in the host's ``/run/runc``, which a tmpfs covers.
    """
    need("runc", "busybox", "nsenter")
    bundle = tmp_path / f"bundle-{name}"
    _make_root(bundle / "rootfs")
    (bundle / "config.json").write_text(json.dumps(_oci_config(name, f"r{rootfs_propagation}", binds)))
    _cover_run(host)
    log, pid_file = tmp_path / f"{name}.log", bundle / "pid"
    with log.open("w") as stream:
        # Not captured: the container keeps the pipes open.
        started = host.run(
            ["runc", "run", "--detach", "--bundle", bundle, "--pid-file", pid_file, name],
            capture_output=False,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
        )
    if started.returncode:
        pytest.skip(f"runc cannot run containers here: {log.read_text().strip()[-200:]}")
    try:
        yield _actor(host, int(pid_file.read_text()))
    finally:
        host.run(["runc", "delete", "--force", name]).check_returncode()


@contextmanager
def bwrap(host: Host, *options: str) -> Iterator[Actor]:
    """A sandbox of bubblewrap with a PID namespace: the ``sleep`` in it, which sees the host's files, or *options*."""
    need("bwrap")
    words = options or ("--bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
    with program(host, "bwrap", "--die-with-parent", "--unshare-pid", *words, "sleep", "1000", comm="sleep") as actor:
        yield actor


@contextmanager
def program(host: Host | Actor, *argv: str, comm: str) -> Iterator[Actor]:
    """A program where the host or an actor lives, until it, or a descendant of it, has become *comm*: that process."""
    need("nsenter", argv[0])
    words = ["nsenter", "--mount", "--pid", "--target", str(host.pid), "--", *argv]
    running = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        pid = waited_for(lambda: _descendant(running.pid, comm))
        yield Actor(pid=pid, inner=Actor(pid, pid).pids[1 if isinstance(host, Host) and host.own_pids else 0])
    finally:
        for pid in reversed([running.pid, *descendants(running.pid)]):
            with suppress(ProcessLookupError):  # the last of them may have taken it along
                os.kill(pid, signal.SIGKILL)
        running.wait()


def held_by_mount(host: Host, path: Path, propagation: Mode = "private", set_up: Step = lambda: None) -> int:
    """The inode of a mount namespace that nothing but a bind mount of its file at *path* keeps.

    The mount is in a private tmpfs, as it must be: it cannot propagate into the namespace that it keeps.
    """
    path.parent.mkdir(parents=True, exist_ok=True)

    def prepare() -> None:
        syscalls.mount("pins", str(path.parent), "tmpfs", 0)
        syscalls.mount(None, str(path.parent), None, syscalls.MS_PRIVATE)
        path.touch()

    host.call(prepare)
    # Only a namespace with a higher id than the host's may be mounted there (mnt_ns_loop() of fs/namespace.c), and
    # each processor has its own batch of ids: on another one than the host's it may get a lower id.
    refused = None
    for processor in sorted(os.sched_getaffinity(0)):
        with on_processor(processor):
            first = host.unshare(propagation, set_up)
        try:
            inode = first.namespace("mnt")
            host.call(syscalls.mount, f"/proc/{first.inner}/ns/mnt", str(path), None, syscalls.MS_BIND)
        except WorkerFailed as failure:
            refused = failure
        else:
            return inode
        finally:
            host.kill(first)
    raise AssertionError("no namespace could be mounted") from refused


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """Has this process, and those it starts meanwhile, on one processor."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def held_by_fd(host: Host, propagation: Mode = "private", set_up: Step = lambda: None) -> Kept:
    """A mount namespace that nothing but a descriptor of a process of the host keeps."""
    first = host.unshare(propagation, set_up)
    inode = first.namespace("mnt")
    # The number of the descriptor is this, whatever else is open.
    number = 77

    def open_it() -> None:
        fd = os.open(f"/proc/{first.inner}/ns/mnt", os.O_RDONLY)
        os.dup2(fd, number)
        os.close(fd)

    holder = host.spawn(open_it)
    host.kill(first)
    return Kept(inode, holder, number)


def many(
    host: Host,
    tmp_path: Path,
    *,
    namespaces: int,
    mounts: int = 0,
    processes: int = 0,
    propagation: Sequence[Mode] = ("slave",),
) -> Actor:
    """Many mount namespaces, quickly: the process whose death ends them all.

    The host gets *mounts* more, shared, of which each namespace has copies; their types take turns in *propagation*.
    *processes* in all (at least one a namespace) sleep there.
    """
    need("sleep")
    directories = [tmp_path / f"mount-{number}" for number in range(mounts)]

    def mount_all() -> None:
        for directory in directories:
            directory.mkdir()
            syscalls.mount("many", str(directory), "tmpfs", 0)

    def populate() -> None:
        reader, writer = os.pipe()
        for number in range(namespaces):
            kind = propagation[number % len(propagation)]
            sleepers = len(range(number, max(processes, namespaces), namespaces))
            if os.fork() == 0:
                _sleep_in_new_namespace(kind, sleepers, writer)
        os.close(writer)
        # It ends when the last of them has become the program that sleeps.
        with open(reader, "rb") as pipe:
            if failures := pipe.read():
                raise OSError(failures.decode())

    host.call(mount_all)
    return host.spawn(populate)


def _sleep_in_new_namespace(kind: Mode, sleepers: int, writer: int) -> None:
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        if kind != "unchanged":
            syscalls.mount(None, "/", None, syscalls.MS_REC | PROPAGATION[kind])
        for _ in range(sleepers - 1):
            if os.fork() == 0:
                break
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp("sleep", ["sleep", "infinity"])
    except BaseException as error:  # noqa: BLE001 - nothing may escape into the copy of the test runner
        os.write(writer, f"{error}\n".encode())
    finally:
        os._exit(1)


# Processes of programs


def waited_for(look: Callable[[], T | None]) -> T:
    """What *look* finds, within half a minute: on a busy machine a program may take seconds to start."""
    until = time.monotonic() + 30
    while (found := look()) is None:
        assert time.monotonic() < until, "it did not come to be"
        time.sleep(0.01)
    return found


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs, parents first; none of one that has ended."""
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def _descendant(pid: int, comm: str) -> int | None:
    for child in descendants(pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if Path(f"/proc/{child}/comm").read_text() == f"{comm}\n":
                return child
    return None


def _actor(host: Host, inner: int) -> Actor:
    """A process by the pid that the host knows it by; an orphan of a ``machine`` is a child of its pid 1."""
    if not host.own_pids:
        return Actor(inner, inner)
    for pid in descendants(host.pid):
        actor = Actor(pid, inner)
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            if actor.pids[1] == inner:
                return actor
    raise AssertionError(f"the host has no process {inner}")


# The containers of runc


def remove_cgroups_left_behind() -> None:
    """The empty cgroups of the containers of a run that was interrupted: of a process that has ended."""
    for place in (CGROUPS, *CGROUPS.glob("*/")):
        for group in place.glob("mntscope-*"):
            pid = group.name.split("-")[1]
            if pid.isdecimal() and not Path(f"/proc/{pid}").exists():
                with suppress(OSError):  # another run has, or something lives there
                    group.rmdir()


def _cover_run(host: Host) -> None:
    """Gives the host a ``/run`` of its own, so that the state of runtimes there is the scene's alone."""

    def cover() -> None:
        if f" - tmpfs {RUN} " not in Path("/proc/self/mountinfo").read_text():
            syscalls.mount(RUN, "/run", "tmpfs", 0, "mode=755")

    host.call(cover)


def _make_root(root: Path) -> None:
    # Where something is bound, runc makes a directory or a file, as is needed.
    for name in ("bin", "proc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("busybox") or "", root / "bin/sleep")


def _oci_config(name: str, propagation: str, binds: Sequence[Bind]) -> dict[str, object]:
    capabilities = ["CAP_KILL"]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sleep", "1000"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            *(
                {"destination": destination, "type": "bind", "source": str(source), "options": ["rbind", kind]}
                for source, destination, kind in binds
            ),
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}],
            # The cgroups are the machine's own, where another run may have a container of this name.
            "cgroupsPath": f"/mntscope-{os.getpid()}-{name}",
            "resources": {},
            "rootfsPropagation": propagation,
        },
    }
