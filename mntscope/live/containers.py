"""The containers of this machine: from the state that their runtimes keep in files, and from cgroups."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from mntscope.errors import TargetError
from mntscope.frozen import NamedTuple, replace
from mntscope.live.procfs import Proc, hold, open_proc, read_process
from mntscope.model import Owner, Process
from mntscope.owners import owner_of

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

# Where a container's settings are, by id. (Never below /home: to look there may mount what an automounter watches.)
_DOCKER = ("{data}/containers/{id}/config.v2.json", "{home}/docker/containers/{id}/config.v2.json")
_BUNDLES = (
    ("containerd", "/run/containerd/io.containerd.runtime.v2.task/*/{id}/config.json"),
    ("containerd", "/run/k3s/containerd/io.containerd.runtime.v2.task/*/{id}/config.json"),
    ("podman", "/run/containers/storage/*-containers/{id}/userdata/config.json"),
    ("podman", "/var/lib/containers/storage/*-containers/{id}/userdata/config.json"),
    ("podman", "{home}/containers/storage/*-containers/{id}/userdata/config.json"),
)
_STORED_NAMES = (
    "/var/lib/containers/storage/*-containers/containers.json",
    "{home}/containers/storage/*-containers/containers.json",
)
_MANAGERS = {"libpod": "podman", "cri-o": "cri-o"}
"""The annotation ``io.container.manager`` of those that keep their containers in one storage."""

# Labels and annotations of a Kubernetes container: the pod's namespace, name and uid, and the container's name there.
_POD_KEYS = (
    (
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.cri.sandbox-name",
        "io.kubernetes.cri.sandbox-uid",
        "io.kubernetes.cri.container-name",
    ),
    ("io.kubernetes.pod.namespace", "io.kubernetes.pod.name", "io.kubernetes.pod.uid", "io.kubernetes.container.name"),
)

_LARGEST = 16 << 20
"""A state file of more bytes is not one."""

SHORTEST = 4
"""An id may be cut to no fewer digits than these."""


class Container(NamedTuple):
    """A running container."""

    owner: Owner
    process: Process
    """Its first process, as far as can be told."""


class Runtimes:
    """What the runtimes of this machine know of their containers; their files are read when first needed."""

    def started(self, process: Process) -> Owner | None:
        """The container whose first process this is, by the state its runtime keeps."""
        return self.states.get((process.pid, str(process.start_time)))

    def named(self, owner: Owner) -> Owner:
        """The same container, with its runtime, and with the name that people call it, where these can be read.

        A container of a Kubernetes pod is called ``NAMESPACE/POD/CONTAINER``.
        """
        if not re.fullmatch("[0-9a-f]{64}", owner.id):
            return owner
        return self._docker(owner) or self._bundle(owner) or self._stored(owner) or owner

    @cached_property
    def states(self) -> dict[tuple[int, str], Owner]:
        """The containers for which a state is kept, by their first process's pid and start time; it may have ended."""
        found: dict[tuple[int, str], Owner] = {}
        for kind, pattern, pid_key, start_key in _STATES:
            for path in _found(pattern):
                state = _load(path)
                if isinstance(state, dict) and isinstance(pid := state.get(pid_key), int):
                    number = os.path.basename(os.path.dirname(path))
                    # Users come last, and may claim nothing that is root's.
                    found.setdefault((pid, str(state.get(start_key))), Owner(kind, number, id=number))
        return found

    @cached_property
    def _home(self) -> str:
        """Where this user's own runtimes keep their data."""
        return os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")

    @cached_property
    def _docker_data(self) -> str:
        settings = _load("/etc/docker/daemon.json")
        root = settings.get("data-root") if isinstance(settings, dict) else None
        return root if isinstance(root, str) and root.startswith("/") else "/var/lib/docker"

    def _docker(self, owner: Owner) -> Owner | None:
        if owner.kind in ("containerd", "podman", "cri-o"):
            return None
        for pattern in _DOCKER:
            for path in _found(pattern, data=self._docker_data, home=self._home, id=owner.id):
                settings = _load(path)
                if isinstance(settings, dict):
                    config = settings.get("Config")
                    labels = config.get("Labels") if isinstance(config, dict) else None
                    name = _text(settings.get("Name")).lstrip("/")
                    return _in_pod(owner, "docker", labels) or _called(owner, "docker", name)
        return None

    def _bundle(self, owner: Owner) -> Owner | None:
        for kind, pattern in _BUNDLES:
            if owner.kind in ("docker", "containerd", "podman", "cri-o") and _family(owner.kind) != kind:
                continue
            for path in _found(pattern, home=self._home, id=owner.id):
                settings = _load(path)
                annotations = settings.get("annotations") if isinstance(settings, dict) else None
                if isinstance(annotations, dict):
                    manager = _MANAGERS.get(_text(annotations.get("io.container.manager")), kind)
                    if found := _in_pod(owner, manager, annotations):
                        return found
                    if name := _text(annotations.get("nerdctl/name")) or self._names.get(owner.id, ""):
                        return _called(owner, manager, name)
        return None

    def _stored(self, owner: Owner) -> Owner | None:
        name = self._names.get(owner.id, "")
        if not name or owner.kind in ("docker", "containerd"):
            return None
        # As cri-o calls its containers: k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT.
        parts = name.split("_")
        if len(parts) == 6 and parts[0] == "k8s":
            _, container, pod, namespace, uid, _ = parts
            return replace(owner, kind="cri-o", name=_pod_name(namespace, pod, container), pod=uid)
        return _called(owner, "podman" if owner.kind != "cri-o" else "cri-o", name)

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names in the storage that podman and cri-o share, by id."""
        found: dict[str, str] = {}
        for pattern in _STORED_NAMES:
            for path in _found(pattern, home=self._home):
                listed = _load(path)
                for config in listed if isinstance(listed, list) else []:
                    names = config.get("names") if isinstance(config, dict) else None
                    if isinstance(names, list) and names:
                        found.setdefault(_text(config.get("id")), _text(names[0]))
        return found


def _found(pattern: str, **known: str) -> list[str]:
    """The paths that fit *pattern*, in which ``*`` stands for (a part of) a name and what is *known* is in braces.

    As glob(3) has it; :mod:`glob` takes longer to load than to find that there is nothing of the kind.
    """
    first, *parts = pattern.split("/")
    paths = [first.format(**known)]
    for part in parts:
        paths = [f"{path}/{name}" for path in paths for name in _names(path, part, known)]
    return sorted(path for path in paths if os.path.lexists(path))


def _names(directory: str, part: str, known: Mapping[str, str]) -> list[str]:
    if "*" not in part:
        return [part.format(**known)]
    begin, _, end = part.partition("*")
    with suppress(OSError):
        names = (name for name in os.listdir(directory) if not name.startswith("."))
        return [name for name in names if name.startswith(begin) and name.endswith(end)]
    return []


def _family(kind: str) -> str:
    return "podman" if kind == "cri-o" else kind


def _called(owner: Owner, kind: str, name: str) -> Owner:
    return replace(owner, kind=kind, name=name or owner.name)


def _in_pod(owner: Owner, kind: str, labels: object) -> Owner | None:
    """The container with its name in Kubernetes, if *labels* say that it is in a pod."""
    if isinstance(labels, dict):
        for keys in _POD_KEYS:
            namespace, pod, uid, container = (_text(labels.get(key)) for key in keys)
            if namespace and pod:
                return replace(owner, kind=kind, name=_pod_name(namespace, pod, container), pod=uid or owner.pod)
    return None


def _pod_name(namespace: str, pod: str, container: str) -> str:
    # The container that keeps a pod's namespaces has no name of its own, or "POD".
    return "/".join([namespace, pod] + [container] * (container not in ("", "POD")))


def _text(value: object) -> str:
    """What a state file says, if it is text; of no more characters than a name may have."""
    return value.encode("utf-8", "replace").decode()[:255] if isinstance(value, str) else ""


def running(proc: Proc) -> list[Container]:
    """The containers whose runtime keeps a state file for them, and whose first process is still the one meant."""
    runtimes = Runtimes()
    found = []
    for pid, _ in runtimes.states:
        process = _process(proc, pid)
        owner = runtimes.started(process) if process else None
        if process and owner:
            found.append(Container(runtimes.named(owner), process))
    return found


def find(wanted: str) -> int:
    """The pid of the first process of the container with this name or id, which may be cut to four digits.

    :raises TargetError: there is none, or several.
    """
    with open_proc() as proc:
        containers = {container.owner.id or container.owner.name: container for container in _from_cgroups(proc)}
        containers |= {container.owner.id: container for container in running(proc)}
    every = list(containers.values())
    fits = [found for found in every if wanted in (found.owner.name, found.owner.id)]
    if not fits:
        fits = [found for found in every if found.owner.name.endswith(f"/{wanted}")]
    if not fits and len(wanted) >= SHORTEST:
        fits = [found for found in every if found.owner.id.startswith(wanted)]
    if len(fits) == 1:
        return fits[0].process.pid
    if fits:
        raise TargetError(f"{len(fits)} containers are called {wanted!r}", hint=f"choose of {_listed(fits)}")
    hint = f"there are {_listed(every)}" if every else "none is running that can be seen"
    raise TargetError(f"no running container {wanted!r}", hint=hint)


def _from_cgroups(proc: Proc) -> Iterator[Container]:
    oldest: dict[Owner, Process] = {}
    for pid in proc.pids():
        process = _process(proc, pid)
        owner = owner_of(process.cgroup) if process else None
        if process and owner and owner.kind != "unit":
            known = oldest.setdefault(owner, process)
            if (process.start_time or 0) < (known.start_time or 0):
                oldest[owner] = process
    runtimes = Runtimes()
    return (Container(runtimes.named(owner), process) for owner, process in oldest.items())


def _process(proc: Proc, pid: int) -> Process | None:
    with suppress(OSError, TargetError), hold(proc, pid) as directory:
        return read_process(proc, directory, pid)
    return None


def _load(path: str) -> Any:
    """A JSON file, or ``None``: users may put anything below /run/user."""
    import json

    with suppress(OSError, ValueError, RecursionError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                return json.loads(file.read(_LARGEST))
    return None


def _listed(containers: list[Container]) -> str:
    some = [_told_apart(container.owner) for container in containers[:8]]
    return ", ".join(some) + (", .." if len(containers) > 8 else "")


def _told_apart(owner: Owner) -> str:
    """A container in words that no other container has."""
    if owner.id in ("", owner.name):
        return f"{owner.kind} {owner.name}"
    return f"{owner} ({owner.id[:12]})"
