"""The TARGET language: what a word on the command line names, as a view of a snapshot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial

from mntscope.base.progress import note, reading_namespaces
from mntscope.base.records import NamedTuple, replace
from mntscope.errors import MntscopeError, TargetError, UsageError
from mntscope.graph.called import labels_text
from mntscope.graph.names import THE_HOST
from mntscope.model import Problem, View
from mntscope.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_FORMS = "a pid, self, host, ns:PATH, file:PATH, snapshot:PATH#LABEL, container:NAME, or a name that mntscope prints"

_LARGEST_PID = 1 << 22
"""PID_MAX_LIMIT: a greater number is the inode of a namespace."""

_KINDS = ("ns", "file", "snapshot", "container")


class Resolved(NamedTuple):
    """What a command works on."""

    snapshot: Snapshot
    """Its host is who plays the host."""
    target: str
    """The label of the target's view; the host's own where the target lives in the host's namespace."""


class Name(NamedTuple):
    """A TARGET taken apart."""

    kind: Literal["process", "host", "ns", "file", "snapshot"]
    text: str
    pid: int = 0
    path: str = ""
    label: str = ""

    @property
    def live(self) -> bool:
        """Whether it is on this machine, and running."""
        return self.kind in ("process", "host", "ns")


def resolve(target: str, against: str = "host", *, everything: bool = False, file: str | None = None) -> Resolved:
    """A snapshot that holds the view *target* names, and as its host the view *against* names.

    A view of a captured snapshot is compared with that snapshot's host, unless *against* says otherwise. Of the
    running machine only the two are read; all other mount namespaces are read as well with *everything*, or where
    a mount of the two has a master that neither shows, so that no chain through a third namespace is missed. With
    *file* both are views of this captured snapshot (:func:`view_in`).

    :raises UsageError: a word that is no TARGET.
    :raises TargetError: it names nothing, or something that went away.
    :raises AccessError: it may not be read.
    :raises ParseError: a file that is no mount table.
    """
    if file is not None:
        snapshot = whole(file, against)
        return Resolved(snapshot, view_in(snapshot, file, target).label)
    wanted, host = parse_target(target), parse_target(against)
    if wanted.kind == "snapshot" and against == "host":
        host = wanted._replace(label="")
    if wanted.kind == "snapshot" and not wanted.label:
        raise _no_view(wanted)
    sources = _Sources((wanted, host), everything=everything)
    world, host_label = sources.find(host)
    world = replace(world, host_label=host_label)
    elsewhere, label = sources.find(wanted)
    if sources.same(wanted, host):
        return Resolved(world, label)
    return _joined(world, elsewhere, label, wanted.text)


def whole(file: str | None, against: str = "host") -> Snapshot:
    """Everything that is known of a machine: the running one, every mount namespace of it, or the one in *file*.

    *file* is a snapshot file, a sosreport or a directory of tables. *against* names who plays the host: a TARGET of the
    running machine; of a file a view of it (:func:`view_in`), by default the one recorded as the host.

    :raises MntscopeError: as :func:`resolve`.
    """
    if file is None:
        if not parse_target(against).live:
            raise UsageError(
                f"--against {against}: it is no part of this machine", hint="give a pid, host or ns:PATH, or --snapshot"
            )
        return resolve(against, against, everything=True).snapshot
    from mntscope.archive import load

    note(f"reading {file}")
    snapshot = load(file)
    note("")
    return replace(snapshot, host_label=view_in(snapshot, file, against).label)


def of_one(target: str, against: str, file: str | None) -> Resolved:
    """The view *target* names, and with it everything that it may share with: of this machine, or of *file*.

    A whole capture, or a file of one, means its host.

    :raises MntscopeError: as :func:`resolve`.
    """
    if file is None and (capture := capture_of(target)):
        file, target = capture, "host"
    if file is None and target.startswith("file:") and against == "host":
        # Another machine's, perhaps: its peer groups are not to be mixed up with those of this one.
        against = target
    return resolve(target, against, everything=True, file=file)


def capture_of(word: str) -> str | None:
    """The file that ``snapshot:FILE`` names without a view of it; ``None`` where a word is no such thing."""
    file = word.removeprefix("snapshot:")
    return file if file != word and file and "#" not in file and "\0" not in file else None


def view_in(snapshot: Snapshot, file: str, word: str) -> View:
    """The view that a TARGET names within the *snapshot* in *file*: its label, a pid, or whatever reports call it.

    ``host`` is who plays the host there. ``snapshot:FILE#LABEL`` of the same file is understood, too.

    :raises TargetError: there is none, or several.
    :raises UsageError: it is no part of the file.
    """
    label = "host" if capture_of(word) == file else word.removeprefix(f"snapshot:{file}#")
    if label == "host":
        return snapshot.host
    if label == "self" or label.startswith(("file:", "snapshot:")):
        raise UsageError(f"{word!r} is no part of {file}", hint="give a name, label, pid or inode that it has")
    return snapshot.view(label)


def _no_view(whole: Name) -> UsageError:
    """A capture where one of its views is needed."""
    snapshot = _read_file(whole)
    labels = labels_text([view.label for view in snapshot.views])
    hint = f"put # and one of its views behind it: {labels} (mntscope ns --snapshot FILE says more of them)"
    return UsageError(f"{whole.text!r} names no view", hint=hint)


class _Sources:
    """Where views come from: the running machine, read once for all that is on it, and files, each read once."""

    def __init__(self, names: tuple[Name, ...], *, everything: bool) -> None:
        self._live = [name for name in names if name.live]
        self._everything = everything
        self._files: dict[tuple[str, str], Snapshot] = {}

    @cached_property
    def _machine(self) -> Snapshot:
        from mntscope.live import capture

        pids = [name.pid for name in self._live if name.kind == "process"]
        files = [name.path for name in self._live if name.kind == "ns"]
        host = any(name.kind == "host" for name in self._live)
        asked = partial(capture, pids, namespace_files=files, progress=reading_namespaces)
        snapshot = asked(everything=self._everything, host=host)
        mounts = [mount for view in snapshot.views for mount in view.mounts]
        unseen = {mount.master for mount in mounts} - {mount.peer_group for mount in mounts} - {None}
        if unseen and not self._everything:
            snapshot = asked(everything=True)
        note("")
        return snapshot

    def find(self, name: Name) -> tuple[Snapshot, str]:
        """The snapshot that holds the view, and its label there."""
        if name.live:
            return self._machine, live_label(self._machine, name)
        key = (name.kind, name.path)
        if key not in self._files:
            self._files[key] = _read_file(name)
        snapshot = self._files[key]
        return snapshot, snapshot.view(name.label).label if name.label else snapshot.host_label

    def same(self, one: Name, other: Name) -> bool:
        """Whether both come from the same place."""
        return one.live and other.live if one.live or other.live else (one.kind, one.path) == (other.kind, other.path)


def live_label(machine: Snapshot, name: Name) -> str:
    """The label that the view *name* means has in a capture of this *machine*.

    :raises TargetError: it has none.
    """
    if name.kind != "ns":
        return machine.view(name.pid or "host").label
    if any(view.label == name.text for view in machine.views):
        return name.text
    from mntscope.live.namespaces import process_of

    if (pid := process_of(name.path)) is not None:
        return machine.view(pid).label
    from mntscope.kernel.worker import in_child

    try:
        inode = int(in_child(lambda: b"%d" % os.stat(name.path).st_ino, where=name.text))
    except OSError as error:
        raise TargetError(f"it cannot be read ({error.strerror})", where=name.path) from error
    for view in machine.views:
        if view.namespace.inode == inode:
            return view.label
    raise TargetError("it is no mount namespace that was seen", where=name.path)


def _read_file(name: Name) -> Snapshot:
    from mntscope.archive import load, load_table

    note(f"reading {name.path}")
    read = load_table(name.path, name.text) if name.kind == "file" else load(name.path)
    note("")
    return read


def _joined(world: Snapshot, elsewhere: Snapshot, label: str, text: str) -> Resolved:
    """*world* with one more view, of another capture."""
    unique = text
    while any(view.label == unique for view in world.views):
        unique = f"{unique}*"
    view = replace(elsewhere.view(label), label=unique)
    note = Problem("mount IDs and peer groups are compared as if both had been captured at the same moment", where=text)
    joined = replace(world.with_views((*world.views, view)), not_seen=(*world.not_seen, *elsewhere.not_seen, note))
    return Resolved(joined, unique)


def is_target(text: str) -> bool:
    """Whether *text* has one of the forms of a TARGET, of something that is there or not."""
    kind, colon, _ = text.partition(":")
    return text in ("host", "self") or (text.isascii() and text.isdecimal()) or bool(colon and kind in _KINDS)


def pid_of(text: str) -> int | None:
    """The pid that *text* is, of a process that is there or not; ``None`` of any other word, an inode's number too."""
    is_pid = text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= _LARGEST_PID
    return int(text) if is_pid else None


def refuse_path_first(command: str, target: str, after: Sequence[str]) -> None:
    """Refuse a path in the place of the TARGET, where the TARGET stands behind it.

    :raises UsageError: that is so; how it is written.
    """
    if target.startswith("/") and after and is_target(after[0]):
        raise UsageError(
            f"{target!r} is no TARGET", hint=f"the TARGET comes first: mntscope {command} {after[0]} {target}"
        )


def parse_target(text: str) -> Name:
    """The TARGET *text* taken apart; a container is the process that it is found by.

    :raises UsageError: a word that is no TARGET.
    :raises TargetError: a container that does not run.
    """
    kind, _, rest = text.partition(":")
    if text == "host":
        return Name("host", text)
    if text == "self":
        return Name("process", text, pid=os.getpid())
    if text.isascii() and text.isdecimal():
        if len(text) > len(str(1 << 31)):
            raise TargetError("there is no such process", where=f"process {text[:20]}", hint="see `ps -e`")
        if int(text) > _LARGEST_PID and isinstance(found := _by_name(text), Name):
            return found
        return Name("process", text, pid=int(text))
    if kind in _KINDS and (not rest or "\0" in rest):
        raise UsageError(f"{text!r} is no TARGET", hint=f"give {_FORMS}")
    if kind == "ns":
        return Name("ns", text, path=rest)
    if kind == "file":
        return Name("file", text, path=rest)
    if kind == "container":
        from mntscope.live.names import find_container

        return Name("process", text, pid=find_container(rest))
    if kind == "snapshot":
        path, hash_sign, label = rest.rpartition("#") if "#" in rest else (rest, "", "")
        if not path or (hash_sign and not label):
            raise UsageError(f"{text!r} names no view", hint="give snapshot:PATH#LABEL")
        return Name("snapshot", text, path=path, label=label)
    meant = _by_name(text) if text and "\0" not in text else ""
    if isinstance(meant, Name):
        return meant
    raise UsageError(f"{text!r} is no TARGET", hint=meant or _of_file(text) or f"give {_FORMS}")


def _of_file(text: str) -> str:
    """How a file is named as a TARGET, where there is such a file; what it lies on may never answer."""
    from mntscope.kernel.worker import in_child

    def kind() -> bytes:
        return b"directory" if os.path.isdir(text) else b"file" if os.path.exists(text) else b""

    found = b""
    with suppress(OSError, ValueError, MntscopeError):
        found = in_child(kind, where=text) if text else b""
    if found == b"directory":
        return "a TARGET comes before a path; a directory of mount tables is snapshot:PATH#LABEL"
    return "a capture is snapshot:FILE#LABEL, or --snapshot FILE; a mountinfo text is file:FILE" if found else ""


def _by_name(text: str) -> Name | str:
    """What a bare word means on this machine; where it means nothing, a hint, or an empty one."""
    if text == THE_HOST:
        return Name("host", text)
    from mntscope.live.names import find

    found = find(text)
    if found.path:
        return Name("ns", f"ns:{found.path}", path=found.path)
    return Name("process", text, pid=found.pid) if found.pid else found.hint
