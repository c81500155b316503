"""What command lines come to: the system calls of each command, and the process that makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mntscope.base.paths import normal
from mntscope.base.records import NamedTuple, dataclass, replace
from mntscope.parse.mount_program import NEWEST, MountProgram
from mntscope.parse.shell import Joint, Text, quoted


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that a command would make to change mounts, and what is known of it before it is made."""

    operation: Mapping[str, Any]
    """What it does, as the dict of an operation of :mod:`mntscope.propagation`: ``{"op": "mount", "ns": ..}``."""
    whole_tree: bool = False
    """``umount --recursive``: everything mounted below the target goes before it, a call each."""
    every_layer: bool = False
    """And the whole stack at the target."""
    excused: bool = False
    """The program goes on, and succeeds, where the call fails with EINVAL."""
    errno: str | None = None
    """The errno it fails with, whatever the mounts are; ``None`` where they decide."""
    all_targets: bool = False
    """``umount --all-targets``: whatever shows the same filesystem in this namespace, a call each."""
    if_mounted: bool = False
    """Of a move: left out where its source is no mount point; where its target is one, the source is unmounted."""
    makes_target: bool = False
    """The directory is made where it does not exist."""
    own_root: bool = True
    """Paths begin at the root directory of the process that was asked for, not at that of the namespace."""
    after_shown: tuple[str, ...] | None = None
    """Of a remount for which mount(8) reads what mountinfo shows: the words that it reads after that; ``None`` of
    others."""
    each_once: bool = False
    """And of these it leaves out any that is shown already."""
    new_namespaces: frozenset[str] = frozenset()
    """Which new namespaces (``pid``, ``net``, ``ipc``, ``user``) the process is in that makes it."""
    doubts: tuple[str, ...] = ()
    """What the command line cannot tell and the result depends on."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a sequence: the system calls it makes, or the program it runs in the end."""

    text: str
    """The command as written."""
    line: int
    column: int
    """Where it begins, in bytes; both count from 1."""
    joint: Joint
    """What joins it to the command before it: after ``&&`` it runs only where that succeeded."""
    calls: tuple[Call, ...] = ()
    """In order; one that fails ends the command."""
    keeps_going: bool = False
    """``umount`` of several: a call that fails fails the command, but does not end it."""
    inside: tuple[Step, ...] = ()
    """The commands of the program it runs in the end."""
    ends: str | None = None
    """The label of the namespace that ends with the command, unless its file is mounted by then."""
    unpredicted: str | None = None
    """A program it runs whose doings are not predicted."""
    refused: str | None = None
    """Why the program refuses its command line, and does nothing; ``None`` where it does not."""

    @property
    def operations(self) -> tuple[Mapping[str, Any], ...]:
        """What its calls do, in order, as dicts that :func:`mntscope.propagation.simulate` takes."""
        return tuple(call.operation for call in self.calls)


class Entered(NamedTuple):
    """Where nsenter(1) leads."""

    label: str
    """Of the view of the mount namespace."""
    root: str
    """The root directory of the process there, as a path of the namespace; ``/`` is its own."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The process that carries a command out."""

    ns: str
    labels: Iterator[str]
    """For the namespaces to come."""
    numbers: Iterator[int]
    """For the detached trees to come."""
    entered: Callable[[str], Entered | None]
    """Where the namespace of a process is, or that of a file."""
    program: MountProgram = NEWEST
    """Of which version mount(8) and its like are."""
    directory: str | None = None
    """The working directory, as a path below the root directory; ``None`` where that is not known."""
    root: str = ""
    """The root directory to which the command itself has changed."""
    own_root: bool = True
    """Whether that is below the root directory of the process that was asked for."""
    new: frozenset[str] = frozenset()
    """The kinds of new namespaces it is in."""
    powerless: bool = False
    """It is in a new user namespace and its mount namespace is not: it may change no mount."""
    unshared: bool = False
    """It was started by unshare(1), and may be any program."""
    depth: int = 0

    def does(self, op: str, **fields: str | bool | tuple[str, ...]) -> Call:
        """The call of an operation that it carries out."""
        errno = "EPERM" if self.powerless else None
        operation = {"op": op, "ns": self.ns, **fields}
        return Call(operation, errno=errno, new_namespaces=self.new, own_root=self.own_root)

    def path(self, word: Text) -> str:
        """The path of the namespace that *word* names.

        :raises ParseError: it is not absolute, and the working directory not known.
        """
        if word.chars.startswith("/"):
            return normal(f"{self.root}{word.chars}")
        if self.directory is None or not word.chars:
            hint = "the directory in which the command will run is not known: write the whole path"
            raise word.error(f"{quoted(word.chars)} is not an absolute path", hint=hint)
        return normal(f"{self.root}{self.directory}/{word.chars}")

    def path_of(self, directory: str) -> str:
        """The path of the namespace, of one below the root directory."""
        return normal(f"{self.root}{directory}")

    def moved_to(self, directory: str) -> Actor:
        """After chdir(2) to a path of the namespace."""
        return replace(self, directory=directory.removeprefix(self.root) or "/")

    def chrooted(self, word: Text) -> Actor:
        """After chroot(8) to what *word* names."""
        root = self.path(word)
        return replace(self, root="" if root == "/" else root, directory="/")
