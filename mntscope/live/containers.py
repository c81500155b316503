"""The containers of this machine: from the state that their runtimes keep in files, and from cgroups.

A file is believed if only root and this very user can have written it; what other users say, of their own processes
only (:mod:`mntscope.live.users`).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from itertools import islice

from mntscope.analysis.owners import owner_of
from mntscope.base.records import NamedTuple, replace
from mntscope.errors import MntscopeError, NoAnswerError, TargetError
from mntscope.graph.called import SHORTEST
from mntscope.kernel.trust import who_else
from mntscope.kernel.worker import in_child
from mntscope.live.procfs import Proc, hold, open_proc, read_process
from mntscope.model import Owner, Problem, Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mntscope.live.users import Users

# Where a runtime keeps the state of a container, in a directory named by its id: the keys of its first process's
# pid, and of that process's start time.
_STATES = (
    ("runc", "/run/runc/*/state.json", "init_process_pid", "init_process_start"),
    ("crun", "/run/crun/*/status", "pid", "process-start-time"),
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
_ELSEWHERE = ("{data}", "{home}", "/var/lib/containers/storage")
"""Of the directories that the above begin with, those that may be on a filesystem whose server does not answer."""

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

_SUPERVISOR = r"\.(?:scope|service)/supervisor(?:/|\n|$)"
"""The cgroup of systemd-nspawn itself, beside that of its payload."""

_OF_USERS = ("podman", "runc", "crun")
"""What podman makes of a user's container: by its cgroup, or by the state of the runtime below it."""

_LARGEST = 16 << 20
"""A state file of more bytes is not one."""

_MOST = 10_000
"""No more names of a directory are looked at."""

# The cgroups that systemd gives to a user, below which he may make more, with any name (systemd.slice(5)).
_OF_USER = r"/user-([0-9]+)\.slice(?:/|$)"


class Container(NamedTuple):
    """A container whose first process is running, and whose word that is."""

    owner: Owner
    process: Process
    """Its first process, as far as can be told."""
    user: int | None = None
    """Who says so, if that is neither root nor this process's own user."""
    number: str = ""
    """The id that this user says it has, where the owner bears another name. (Not as the owner's id: by that
    :meth:`Runtimes.named` would find the name of a container of root's that has it too.)"""


class Runtimes:
    """What the runtimes of this machine know of their containers; their files are read when first needed.

    :attr:`not_seen` says what could not be read; it is complete when all has been asked.
    """

    def __init__(self, proc: Proc | None = None) -> None:
        self.not_seen: list[Problem] = []
        self._proc = proc

    @cached_property
    def _users(self) -> Users | None:
        """``None`` where nobody is logged in: what knows of users is then not even loaded."""
        if not next(iter(_names("/run/user", "*", {})), ""):
            return None
        from mntscope.live.users import Users

        return Users(self.not_seen, self._proc)

    def started(self, process: Process) -> Owner | None:
        """The container whose first process this is, by the state its runtime keeps."""
        found = self.container(process)
        return found.owner if found else None

    def container(self, process: Process) -> Container | None:
        """The same, with who says so. Users come last, and may claim nothing that is root's."""
        key = (process.pid, str(process.start_time))
        if owner := self.states.get(key):
            return Container(owner, process)
        if users := self._users:
            for user in users.of(process):
                if claim := users.claims(user).get(key):
                    if user == os.geteuid():
                        return Container(Owner(claim.kind, claim.id, id=claim.id), process)
                    return self.of_user(Owner(claim.kind, claim.id), process, user)
        return None

    def of_user(self, owner: Owner, process: Process, user: int) -> Container:
        """A container of another user's, by the name that his podman has for it."""
        known = owner.kind in _OF_USERS and self._users
        name = known.name_of(process, user, owner.name) if known else ""
        if name:
            return Container(Owner("podman", name), process, user, number=owner.name)
        return Container(owner, process, user)

    def claimed(self, processes: Sequence[Process]) -> Owner | None:
        """The container of another user's in which these live, as his cgroups have it; ``None``: they tell of none.

        He may give a cgroup the id of a container of root's, so no name of root's is looked for by it.
        """
        oldest = min(processes, key=lambda process: process.start_time or 0, default=None)
        user = _other_user(oldest.cgroup) if oldest else None
        owner = owner_of(oldest.cgroup) if oldest and user is not None else None
        if oldest is None or user is None or owner is None or owner.kind not in _OF_USERS:
            return None
        return self.of_user(owner, oldest, user).owner

    def pids(self) -> list[int]:
        """The first processes of all containers, as far as these are still running."""
        stated = list(self.states)
        if users := self._users:
            stated += (key for user in users.all() for key in users.claims(user))
        return list(dict.fromkeys(pid for pid, _ in stated))

    def named(self, owner: Owner) -> Owner:
        """The same container, with its runtime, and with the name that people call it, where these can be read.

        A container of a Kubernetes pod is called ``NAMESPACE/POD/CONTAINER``.
        """
        if not re.fullmatch("[0-9a-f]{64}", owner.id):
            return owner
        if owner.kind == "conmon":
            return replace(owner, name=self.named(replace(owner, kind="podman")).name)
        return self._docker(owner) or self._bundle(owner) or self._stored(owner) or owner

    @cached_property
    def states(self) -> dict[tuple[int, str], Owner]:
        """What root's runtimes state, by the pid and start time of a container's first process; it may have ended."""
        found: dict[tuple[int, str], Owner] = {}
        for kind, pattern, pid_key, start_key in _STATES:
            for path in _found(pattern):
                state = _load(path)
                if isinstance(state, dict) and isinstance(pid := state.get(pid_key), int):
                    number = os.path.basename(os.path.dirname(path))
                    found.setdefault((pid, str(state.get(start_key))), Owner(kind, number, id=number))
        return found

    def _files(self, pattern: str, number: str = "") -> list[str]:
        """The files that fit, if their filesystem answers."""
        known = {"data": self._docker_data, "home": self._home, "id": number}
        for begin in _ELSEWHERE:
            if pattern.startswith(begin) and begin not in self._answering:
                return []
        return _found(pattern, **known)

    @cached_property
    def _answering(self) -> frozenset[str]:
        """Those of :data:`_ELSEWHERE` that are there, answer, and are root's or this user's: HOME may be another's."""
        found = set()
        for begin in _ELSEWHERE:
            place = begin.format(data=self._docker_data, home=self._home)
            try:
                if in_child(partial(_ours, place), where=place):
                    found.add(begin)
            except NoAnswerError as error:
                self.not_seen.append(Problem(f"the names of containers: {error.what}", where=place))
            except (MntscopeError, OSError):
                continue
        return frozenset(found)

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
            for path in self._files(pattern, owner.id):
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
            for path in self._files(pattern, owner.id):
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

    def kept(self, wanted: str) -> Owner | None:
        """The container of root's or this user's with this name or id, which need not run: as its engine keeps it."""
        names = {(number, "podman"): name for number, name in self._names.items()}
        for path in (path for pattern in _DOCKER for path in self._files(pattern.replace("{id}", "*"))):
            settings = _load(path)
            name = _text(settings.get("Name")).lstrip("/") if isinstance(settings, dict) else ""
            names[os.path.basename(os.path.dirname(path)), "docker"] = name
        for (number, kind), name in names.items():
            if name and (wanted == name or (len(wanted) >= SHORTEST and number.startswith(wanted))):
                return Owner(kind, name, id=number)
        return None

    @cached_property
    def _names(self) -> dict[str, str]:
        """The names in the storage that podman and cri-o share, by id."""
        found: dict[str, str] = {}
        for pattern in _STORED_NAMES:
            for path in self._files(pattern):
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
    with suppress(OSError), os.scandir(directory) as entries:
        names = (entry.name for entry in islice(entries, _MOST) if not entry.name.startswith("."))
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
    runtimes = Runtimes(proc)
    found = []
    for pid in runtimes.pids():
        process = _process(proc, pid)
        container = runtimes.container(process) if process else None
        if container:
            found.append(container._replace(owner=runtimes.named(container.owner)))
    return found


def containers() -> list[Container]:
    """Every container that runs, by its cgroup or by the state that its runtime keeps."""
    with open_proc() as proc:
        return list({_key(container): container for container in (*_from_cgroups(proc), *running(proc))}.values())


def _key(container: Container) -> tuple[int | None, str]:
    """What tells it from others: a user may give his the id of one of root's."""
    return container.user, _number(container)


def _number(container: Container) -> str:
    return container.number or container.owner.id or container.owner.name


def fitting(every: Sequence[Container], wanted: str) -> list[Container]:
    """Those with this name or id, which may be cut to four digits.

    What a user calls his containers counts only where none of root's, or of this process's own user, is meant.
    """
    return _fitting([found for found in every if found.user is None], wanted) or _fitting(every, wanted)


def _fitting(containers: Sequence[Container], wanted: str) -> list[Container]:
    fits = [found for found in containers if wanted in (found.owner.name, found.owner.id, found.number)]
    if not fits:
        fits = [found for found in containers if found.owner.name.endswith(f"/{wanted}")]
        # Of a pod and a container in it that are called alike the container is meant.
        fits = [found for found in fits if found.owner.name.count("/") > 1] or fits
    if not fits and len(wanted) >= SHORTEST:
        fits = [found for found in containers if _number(found).startswith(wanted)]
    return fits


def _from_cgroups(proc: Proc) -> Iterator[Container]:
    oldest: dict[tuple[Owner, int | None], Process] = {}
    for pid in proc.pids():
        process = _process(proc, pid)
        owner = owner_of(process.cgroup) if process else None
        # What supervises a container of systemd-nspawn is older than it, and outside.
        if process and owner and owner.kind != "unit" and not re.search(_SUPERVISOR, process.cgroup):
            key = (owner, _other_user(process.cgroup))
            known = oldest.setdefault(key, process)
            if (process.start_time or 0) < (known.start_time or 0):
                oldest[key] = process
    runtimes = Runtimes(proc)
    for (owner, user), process in oldest.items():
        if user is None:
            yield Container(runtimes.named(owner), process)
        else:
            yield runtimes.of_user(owner, process, user)


def _other_user(cgroup: str) -> int | None:
    """Whose cgroups a process is in, if that is a user other than root and this process's own."""
    match = re.search(_OF_USER, cgroup)
    return int(match[1]) if match and int(match[1]) not in (0, os.geteuid()) else None


def _process(proc: Proc, pid: int) -> Process | None:
    with suppress(OSError, TargetError), hold(proc, pid) as directory:
        return read_process(proc, directory, pid)
    return None


def _load(path: str) -> Any:
    """A JSON file that root or this user has written, and nobody else; or ``None``."""
    import json

    with suppress(OSError, ValueError, RecursionError):
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST and not who_else(status, own_group=True):
                return json.loads(file.read(_LARGEST))
    return None


def _ours(place: str) -> bytes:
    """Something if a directory is root's or this user's."""
    status = os.stat(place)
    return b"+" if stat.S_ISDIR(status.st_mode) and not who_else(status, own_group=True) else b""


def listed(containers: Sequence[Container]) -> str:
    """Some of them, each in words that no other has."""
    some = [_told_apart(container.owner) for container in containers[:8]]
    return ", ".join(some) + (", .." if len(containers) > 8 else "")


def _told_apart(owner: Owner) -> str:
    """A container in words that no other container has."""
    if owner.id in ("", owner.name):
        return f"{owner.kind} {owner.name}"
    return f"{owner} ({owner.id[:12]})"
