"""A machine from the files that were collected of it: the mount tables of its processes, and what tells who they are.

The files are those of a sosreport, or of any directory or tar archive laid out like ``/proc``: ``PID/mountinfo``
with ``cgroup``, ``comm``, or what sos has instead: ``status``, ``cpuset`` and the output of ps and of ``podman ps``;
below ``proc/`` or not, and beside them tables of other origin, ``NAME.mountinfo``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from mntscope.analysis.owners import owner_of_namespace
from mntscope.archive.limits import (
    LARGEST,
    options_in,
    refuse_long_lines,
    refuse_too_many,
    refuse_too_many_options,
)
from mntscope.archive.origin import ENDS, PATHS, boot_id_of, origin_of
from mntscope.base.counting import agreeing, counted
from mntscope.base.os_release import pretty_name
from mntscope.base.records import replace
from mntscope.base.redaction import redact
from mntscope.errors import MntscopeError, TargetError
from mntscope.graph import by_namespace
from mntscope.model import Namespace, Owner, Problem, Process, View
from mntscope.parse import parse_mountinfo
from mntscope.snapshot import Snapshot

HOST = "host"
"""The label of the view of process 1."""

# sos names the file of a command's output by the command.
_PS = "sos_commands/process/ps_axo_pid_ppid_user_group_lwp_nlwp_start_time_comm_cgroup"
_CONTAINERS = "sos_commands/(?:docker/docker|podman/podman|crio/crictl)_ps(?:_-a)?"
_VERSIONS = ("version", "sos_commands/kernel/uname_-a")
_LIMITS = ("sys/fs/mount-max", "sos_commands/kernel/sysctl_-a")
_OS_RELEASES = ("etc/os-release", "usr/lib/os-release")

# The directory that holds the machine, and what the path is in there.
_WANTED = tuple(
    re.compile(f"((?:.*?/)??)({path})", re.DOTALL)
    for path in (
        "(?:proc/)?[1-9][0-9]{0,9}/(?:mountinfo|cgroup|comm|cpuset|status)",
        r"[^/]+\.mountinfo",
        "(?:proc/)?(?:version|sys/fs/mount-max)",
        f"{_PS}|sos_commands/kernel/(?:uname|sysctl)_-a|{_CONTAINERS}",
        "|".join(_OS_RELEASES),
        PATHS,
    )
)
_ENDS = ("mountinfo", "cgroup", "comm", "cpuset", "status", "version", "mount-max", "_-a", "_ps", "os-release", *ENDS)
_LISTS = ("_-a", "_ps", _PS)

_LONGEST_PATH = 4096
_MOST_TOLD = 1 << 16
"""Bytes of a file that tells of one process. The first ones do: a status begins with the name, and most are short."""
_MOST_LISTED = 1 << 23
"""Bytes of what a command printed."""


def wanted_of(path: str) -> int:
    """How many bytes are wanted of the file at *path*; none if it tells nothing of a machine."""
    # Of a million files in an archive few have such an end.
    if not path.endswith(_ENDS) or len(path) > _LONGEST_PATH or _taken_apart(path) is None:
        return 0
    if path.endswith("mountinfo"):
        return LARGEST + 1
    return _MOST_LISTED if path.endswith(_LISTS) else _MOST_TOLD


def snapshot_of(files: Mapping[str, bytes], where: str, not_seen: Iterable[Problem] = ()) -> Snapshot:
    """The machine that *files*, by their paths below *where*, tell of.

    Of several machines in one archive the topmost is read. A view shows a namespace through the process that sees
    most of it; process 1 plays the host, else ``host``, else the first. A bad line costs that line, and is named
    among the view's problems; a bad table costs that table.

    :raises TargetError: there is no mount table among them.
    """
    machine, problems = _topmost(files, where)
    views, bad = _views(machine, where)
    if not views:
        if bad:
            raise TargetError("it holds no mount table that can be read", where=where, hint=str(bad[0]))
        hint = "PID/mountinfo and NAME.mountinfo are looked for"
        raise TargetError("it holds no mount table", where=where, hint=hint)
    labels = [view.label for view in views]
    return Snapshot(
        views=tuple(views),
        host_label=HOST if HOST in labels else labels[0],
        kernel=_kernel(machine),
        kernel_version=_kernel_version(machine),
        distribution=_distribution(machine),
        mount_max=_mount_max(machine),
        not_seen=(*not_seen, *problems, *bad),
        boot_id=boot_id_of(machine),
        origin=origin_of(machine),
    )


def _taken_apart(path: str) -> tuple[str, str] | None:
    matches = (pattern.fullmatch(path) for pattern in _WANTED)
    return next(((match[1], match[2]) for match in matches if match), None)


def _topmost(files: Mapping[str, bytes], where: str) -> tuple[dict[str, bytes], list[Problem]]:
    """The files of the machine whose directory is nearest to the top, by their paths in there without ``proc/``."""
    machines: dict[str, dict[str, bytes]] = {}
    for path in sorted(files):
        if found := _taken_apart(path):
            top, name = found
            machines.setdefault(top, {})[name.removeprefix("proc/")] = files[path]
    # The tables of threads, as in proc/PID/task/TID, are their processes' own but for rare ones.
    tables = {
        top: count
        for top, machine in machines.items()
        if (count := sum(name.endswith("mountinfo") for name in machine)) and not top.endswith("/task/")
    }
    chosen = min(tables, key=lambda top: (top.count("/"), top), default="")
    others = sorted(tables.keys() - {chosen})
    if not others:
        return machines.get(chosen, {}), []
    some = ", ".join(others[:4]) + (", .." if len(others) > 4 else "")
    count = sum(tables[top] for top in others)
    return machines[chosen], [Problem(f"{count} mount tables in other directories are not read ({some})", where=where)]


def _views(machine: Mapping[str, bytes], where: str) -> tuple[list[View], list[Problem]]:
    """A view a namespace, and what could not be read."""
    problems: list[Problem] = []
    seen = list(_read(machine, where, problems))
    of_processes = [view for view in seen if view.process]
    views = list(_merged(of_processes, _Names(machine)))
    taken = {view.label for view in views}
    for view in seen:
        if not view.process:
            label = view.label
            while label in taken:
                label += "*"
            taken.add(label)
            owner = owner_of_namespace((), (), view.mounts)
            views.append(replace(view, label=label, namespace=Namespace(owner=owner)))
    return views, problems


def _read(machine: Mapping[str, bytes], where: str, problems: list[Problem]) -> Iterator[View]:
    """A view a different table: those of processes first, in ascending order, bearing all processes with that table."""
    holders: dict[bytes, list[Process]] = {}
    names: list[tuple[str, bytes]] = []
    listed = _listed(machine.get(_PS, b""))
    ended = 0
    for path, table in machine.items():
        directory, slash, name = path.rpartition("/")
        if name == "mountinfo" and directory.isdecimal():
            if table:
                holders.setdefault(table, []).append(_process(machine, int(directory), listed))
            else:
                ended += 1
        elif not slash and name.endswith(".mountinfo"):
            names.append((name, table))
    if ended:
        problems.append(Problem(f"empty mount tables, of {counted(ended, 'process')} that had ended", where=where))
    for processes in holders.values():
        processes.sort(key=lambda process: process.pid)
    for table, processes in sorted(holders.items(), key=lambda held: held[1][0].pid):
        first = processes[0]
        view = _view(table, str(first.pid), f"{where}: {first.pid}/mountinfo", problems)
        if view:
            yield replace(view, process=first, namespace=Namespace(processes=tuple(processes)))
    for name, table in names:
        if view := _view(table, name.removesuffix(".mountinfo"), f"{where}: {name}", problems):
            yield view


def _view(table: bytes, label: str, where: str, problems: list[Problem]) -> View | None:
    try:
        return view_of(table, label, where)
    except MntscopeError as error:
        problems.append(Problem(error.what, where=error.where))
        return None


def view_of(table: bytes, label: str, where: str) -> View:
    """The view that one mount table shows; bad lines are among its problems.

    :raises ParseError: there is no good line.
    :raises TargetError: there is no line at all, or there are too many.
    """
    refuse_too_many(table.count(b"\n"), where)
    refuse_too_many_options(options_in(table), where)
    refuse_long_lines(table, where)
    mounts = parse_mountinfo(redact(table), strict=False, file=where)
    if not mounts:
        if mounts.problems:
            raise mounts.problems[0]
        hint = "a mount table has a line for each mount; make one with `cat /proc/PID/mountinfo`"
        raise TargetError("it is empty", where=where, hint=hint)
    problems = [Problem(error.what, where=error.where) for error in mounts.problems]
    if mounts.unlisted:
        problems.append(
            Problem(f"{agreeing(mounts.unlisted, 'is', 'are', 'more line')} not as the kernel writes them", where=where)
        )
    return View(label=label, mounts=tuple(mounts), problems=tuple(problems))


def _merged(views: list[View], names: _Names) -> Iterator[View]:
    """One view a namespace of those that processes with different root directories, or a moment apart, have of it."""
    for group in by_namespace(views):
        widest = max(group, key=lambda view: len(view.mounts))
        processes = sorted((one for view in group for one in view.namespace.processes), key=lambda one: one.pid)
        owner = owner_of_namespace(processes, (), widest.mounts, names)
        label = HOST if processes[0].pid == 1 else str(processes[0].pid)
        yield replace(widest, label=label, namespace=Namespace(processes=tuple(processes), owner=owner))


def _process(machine: Mapping[str, bytes], pid: int, listed: Mapping[int, tuple[str, str]]) -> Process:
    comm, cgroup = listed.get(pid, ("", ""))
    if (data := machine.get(f"{pid}/comm")) is not None:
        comm = _decoded(data).removesuffix("\n")
    elif match := re.match(r"Name:\t(.*)", _decoded(machine.get(f"{pid}/status", b""))):
        comm = match[1]
    if (data := machine.get(f"{pid}/cgroup")) is not None:
        cgroup = _decoded(data)
    elif not cgroup and (data := machine.get(f"{pid}/cpuset")):
        cgroup = f"0:cpuset:{_decoded(data)}"
    return Process(pid, comm=comm, cgroup=cgroup)


def _listed(output: bytes) -> dict[int, tuple[str, str]]:
    """The comm and the cgroup text of each process that ps listed: ``0::/init.scope``, hierarchies parted by commas."""
    found = {}
    for line in _decoded(output).split("\n")[1:]:
        words = line.split(None, 7)
        if len(words) == 8 and words[0].isdecimal() and len(words[0]) <= 10:
            comm, _, cgroup = words[7].rstrip().rpartition(" ")
            found[int(words[0])] = (comm.strip(), "".join(f"{part}\n" for part in re.split(",(?=[0-9]+:)", cgroup)))
    return found


class _Names:
    """The names of containers, as the runtimes listed them: tables with a column of short ids and one of names."""

    def __init__(self, machine: Mapping[str, bytes]) -> None:
        self._names: dict[str, str] = {}
        for path, output in machine.items():
            if re.fullmatch(_CONTAINERS, path):
                header, *rows = _decoded(output).split("\n")
                columns = {match[0]: match.start() for match in re.finditer(r"\S+(?: \S+)*", header)}
                at = columns.get("NAMES", columns.get("NAME", 0))
                for row in rows:
                    if (name := re.match(r"\S+(?: \S+)*", row[at:])) and at:
                        self._names[row.split(" ", 1)[0]] = name[0]

    def started(self, _: Process) -> Owner | None:
        """Nothing: the lists have no pids."""
        return None

    def named(self, owner: Owner) -> Owner:
        """The same container with its name, where it was listed."""
        # Of an id docker and podman print 12 digits, crictl 13.
        name = self._names.get(owner.id[:12]) or self._names.get(owner.id[:13])
        return replace(owner, name=name) if name else owner


def _kernel(machine: Mapping[str, bytes]) -> str | None:
    """The release: ``Linux version RELEASE ..`` in the one file, ``Linux HOSTNAME RELEASE ..`` in the other."""
    for name in _VERSIONS:
        words = _decoded(machine.get(name, b"")[:4096]).split()
        if len(words) > 2 and words[0] == "Linux":
            return words[2]
    return None


def _kernel_version(machine: Mapping[str, bytes]) -> str | None:
    """The version, which begins with ``#``; in what ``uname -a`` prints, names of the machine follow."""
    for name in _VERSIONS:
        text = _decoded(machine.get(name, b"")[:4096]).partition("\n")[0]
        before, mark, version = text.partition(" #")
        if mark and before.startswith("Linux "):
            return f"#{version}"
    return None


def _distribution(machine: Mapping[str, bytes]) -> str | None:
    found = (pretty_name(machine[name][:4096]) for name in _OS_RELEASES if name in machine)
    return next(filter(None, found), None)


def _mount_max(machine: Mapping[str, bytes]) -> int | None:
    for name in _LIMITS:
        text = _decoded(machine.get(name, b""))
        if match := re.search(r"^(?:fs\.mount-max\s*=\s*)?([0-9]{1,10})$", text, re.MULTILINE):
            return int(match[1])
    return None


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
