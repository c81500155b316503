"""The containers of this machine: from the state that their runtimes keep in files, and from cgroups."""

from __future__ import annotations

import glob
import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mntscope.errors import TargetError
from mntscope.live.owners import Owner, owner_of
from mntscope.live.procfs import Proc, hold, open_proc, read_process
from mntscope.model import Process

# Where a runtime keeps the state of a container, in a directory named by its id: the keys of its first process's
# pid, and of that process's start time.
_STATES = (
    ("runc", "/run/runc/*/state.json", "init_process_pid", "init_process_start"),
    ("runc", "/run/user/*/runc/*/state.json", "init_process_pid", "init_process_start"),
    ("crun", "/run/crun/*/status", "pid", "process-start-time"),
    ("crun", "/run/user/*/crun/*/status", "pid", "process-start-time"),
    ("docker", "/run/docker/runtime-runc/moby/*/state.json", "init_process_pid", "init_process_start"),
    ("containerd", "/run/containerd/runc/*/*/state.json", "init_process_pid", "init_process_start"),
)
_DOCKER_NAMES = "/var/lib/docker/containers/*/config.v2.json"
_PODMAN_NAMES = "/var/lib/containers/storage/overlay-containers/containers.json"

_LARGEST = 16 << 20
"""A state file of more bytes is not one."""

SHORTEST = 4
"""An id may be cut to no fewer digits than these."""


@dataclass(frozen=True, slots=True)
class Container:
    """A running container."""

    owner: Owner
    process: Process
    """Its first process, as far as can be told."""


def running(proc: Proc) -> list[Container]:
    """The containers whose runtime keeps a state file for them, and whose first process is still the one meant."""
    found = []
    for runtime, pattern, pid_key, start_key in _STATES:
        for path in sorted(glob.glob(pattern)):
            state = _load(path)
            if isinstance(state, dict) and isinstance(pid := state.get(pid_key), int):
                process = _process(proc, pid)
                if process is not None and str(state.get(start_key)) == str(process.start_time):
                    found.append(Container(Owner(runtime, os.path.basename(os.path.dirname(path))), process))
    return found


def find(wanted: str) -> int:
    """The pid of the first process of the container with this name or id, which may be cut to four digits.

    :raises TargetError: there is none, or several.
    """
    with open_proc() as proc:
        containers = {container.owner.name: container for container in _from_cgroups(proc)}
        containers |= {container.owner.name: container for container in running(proc)}
    ids = {number for name, number in _names() if name == wanted} or {wanted}
    fits = [container for name, container in containers.items() if name in ids]
    if not fits and len(wanted) >= SHORTEST:
        fits = [container for name, container in containers.items() if name.startswith(wanted)]
    if len(fits) == 1:
        return fits[0].process.pid
    if fits:
        raise TargetError(f"{len(fits)} containers are called {wanted!r}", hint=f"choose of {_listed(fits)}")
    hint = f"there are {_listed(list(containers.values()))}" if containers else "none is running that can be seen"
    raise TargetError(f"no running container {wanted!r}", hint=hint)


def _from_cgroups(proc: Proc) -> Iterator[Container]:
    oldest: dict[Owner, Process] = {}
    for pid in proc.pids():
        process = _process(proc, pid)
        owner = owner_of(process.cgroup) if process else None
        if process and owner and owner.runtime:
            known = oldest.setdefault(owner, process)
            if (process.start_time or 0) < (known.start_time or 0):
                oldest[owner] = process
    return (Container(owner, process) for owner, process in oldest.items())


def _process(proc: Proc, pid: int) -> Process | None:
    with suppress(OSError, TargetError), hold(proc, pid) as directory:
        return read_process(proc, directory, pid)
    return None


def _names() -> Iterator[tuple[str, str]]:
    """Names that people gave to containers, each with the container's id."""
    for path in glob.glob(_DOCKER_NAMES):
        config = _load(path)
        if isinstance(config, dict):
            yield str(config.get("Name")).lstrip("/"), os.path.basename(os.path.dirname(path))
    listed = _load(_PODMAN_NAMES)
    for config in listed if isinstance(listed, list) else []:
        if isinstance(config, dict) and isinstance(names := config.get("names"), list):
            for name in names:
                yield str(name), str(config.get("id"))


def _load(path: str) -> Any:
    """A JSON file, or ``None``: users may put anything below /run/user."""
    with suppress(OSError, ValueError, RecursionError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                return json.loads(file.read(_LARGEST))
    return None


def _listed(containers: list[Container]) -> str:
    some = [f"{container.owner.runtime} {container.owner.name}" for container in containers[:8]]
    return ", ".join(some) + (", .." if len(containers) > 8 else "")
