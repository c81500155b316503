"""Which mount namespace a word means: what reports call it, what keeps it, whom it belongs to, who lives in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mntscope.base.records import NamedTuple
from mntscope.base.suggestion import did_you_mean
from mntscope.errors import TargetError
from mntscope.graph.names import THE_HOST, listed, namespace_names, process_name
from mntscope.graph.namespaces import by_namespace
from mntscope.model import View

SHORTEST = 4
"""The beginning of a container's id has so many digits at least."""

NO_CONTAINERS = ("unit", "conmon", "process", "cgroup", "")
"""Kinds of owners that are none."""

_ID = 64
"""A container's id in full has so many."""

_SHOWN = 24
"""So many labels are listed to somebody who named none of them."""

_FILE = re.compile(r"/proc/([0-9]{1,10})(?:/task/([0-9]{1,10}))?/ns/mnt")


class Called(NamedTuple):
    """A mount namespace, with all that it may be called."""

    view: View
    """The first that shows it."""
    name: str
    """As lists have it, in words: no other is called so."""
    own: frozenset[str]
    """What else is its alone: its labels, its inode, what keeps it, its processes and threads."""
    words: tuple[str, ...]
    """Words that others may bear as well: its owner's name and id."""

    @property
    def container(self) -> bool:
        """Whether it belongs to one."""
        owner = self.view.namespace.owner
        return owner is not None and owner.kind not in NO_CONTAINERS


def called(views: Sequence[View], host: str) -> list[Called]:
    """Every namespace of a snapshot, in which the view labelled *host* plays the host."""
    names = namespace_names(views, host)
    return [
        Called(shown[0], names[shown[0].label], frozenset(_own(shown)), tuple(_words(shown[0])))
        for shown in by_namespace([view for view in views if not view.detached])
    ]


def _own(shown: Sequence[View]) -> Iterator[str]:
    for view in shown:
        namespace = view.namespace
        yield view.label
        if namespace.inode is not None:
            yield from (f"mnt:[{namespace.inode}]", str(namespace.inode))
        for process in namespace.processes:
            yield from (str(process.pid), process_name(process))
        # A mount that only another namespace shows has a path there, which means something else here.
        yield from (hold.where for hold in namespace.holds if hold.kind != "mount" or hold.label == "host")


def _words(view: View) -> Iterator[str]:
    owner = view.namespace.owner
    # The name of a monitor is its container's, which is meant by it.
    if owner is not None and owner.known and owner.kind != "conmon":
        yield from filter(None, (owner.name, owner.id, str(owner)))


def meant(every: Iterable[Called], wanted: str, several: str = "mount namespaces are called") -> Called | None:
    """That of *every* which a word means; ``None`` where it means none.

    By its name or what is its alone; by a whole word, by the last part of a pod's name, or by the beginning of a
    container's id. Also as ``--raw`` prints it, with escaped blanks.

    :raises TargetError: it may mean several; *several* says how they are alike.
    """
    known = list(every)
    words = dict.fromkeys((wanted, wanted.removeprefix("ns:"), wanted.replace("\\x20", " ")))
    if file := _FILE.fullmatch(wanted.removeprefix("ns:")):
        words[file[2] or file[1]] = None
    for word in words:
        if exact := [one for one in known if word == one.name or word in one.own]:
            return exact[0]
        if word == "host" and (hosts := [one for one in known if one.name == THE_HOST]):
            return hosts[0]
        fits = [one for one in known if word in one.words]
        fits = fits or [one for one in known if any(each.endswith(f"/{word}") for each in one.words)]
        if not fits and len(word) >= SHORTEST and re.fullmatch("[0-9a-f]+", word):
            fits = [one for one in known if any(each.startswith(word) for each in one.words if len(each) == _ID)]
        if len(fits) > 1:
            raise TargetError(f"{len(fits)} {several} {word!r}", hint=f"choose of {alternatives(fits)}")
        if fits:
            return fits[0]
    return None


def similar(every: Iterable[Called], wanted: str) -> str:
    """``did you mean web-1?``; empty where none has a name like *wanted*, and of a number: no slip makes it another."""
    if wanted.isdecimal():
        return ""
    known = list(every)
    words = [word for one in known for word in (*one.words, *sorted(one.own)) if len(word) < _ID]
    return did_you_mean(wanted, [one.name for one in known], most=3) or did_you_mean(wanted, words, most=3)


def alternatives(every: Sequence[Called]) -> str:
    """Their names, the first of them."""
    return listed((one.name for one in every), len(every), 8)


def view_called(views: Sequence[View], host: str, wanted: str) -> View:
    """The first view of the namespace that *wanted* means, in a snapshot whose view labelled *host* plays the host.

    A container is meant by ``container:NAME``, too.

    :raises TargetError: there is none, or several.
    """
    every = called(views, host)
    name = wanted.removeprefix("container:")
    containers = [one for one in every if one.container]
    found = meant(every, wanted)
    if found is None and name != wanted:
        found = meant(containers, name, "containers are called")
    if found is not None:
        return found.view
    labels = [view.label for view in views]
    hint = similar(every, name) or f"it has {labels_text(labels)}"
    raise TargetError(f"the snapshot has no view {wanted!r}", hint=hint)


def labels_text(labels: Sequence[str]) -> str:
    """``host, 15, 31 and 40 more``: what can be named, as far as a line or two hold it."""
    return listed(labels, len(labels), _SHOWN) or "none"
