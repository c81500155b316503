"""Who holds a filesystem: what would keep it busy first, each with what frees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from mntscope.analysis.holders import Holder, Holders
from mntscope.analysis.links import source_of
from mntscope.analysis.pins import filesystem_of
from mntscope.analysis.references import KernelFile, Reference
from mntscope.base.counting import agreeing, counted
from mntscope.graph import GroupNames
from mntscope.graph.names import process_name
from mntscope.graph.peers import GroupKey
from mntscope.model import Hold
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Document,
    Entries,
    Entry,
    Heading,
    Paragraph,
    Remedy,
    Style,
    Verdict,
    name,
)
from mntscope.output.escape import shell_word
from mntscope.output.formats import Format, documents, table
from mntscope.output.shell import shell
from mntscope.output.writers.json import json_text, mount_json, problems_json
from mntscope.output.writers.page import Page

FILES = ("File", "What it is for", "What closes it")
PROCESSES = ("Process", "What it has", "When it goes")
MOUNTS = ("Mount point", "Namespace", "How it got there", "What frees it")
MANY = 12
"""How many mounts of a kind are told of before the rest is counted."""

_STYLES: dict[str, Style] = {"BUSY": "critical", "HELD": "medium", "FREE": "good"}

STAY = "Would stay when the host has unmounted its own"
LEFT = "Still mounted, and out of the reach of the host's umount"
OWN = "The host's own"
GO = "Go with the host's umount"
LOST = "In no table: unmounted lazily, or attached nowhere"
USED = "Open, which keeps umount from succeeding"
FEW = 4
"""How many references of a process are told of."""


class _InWords:
    """Who holds it, in words; the names of namespaces and groups are made once."""

    def __init__(self, holding: Holders, page: Page) -> None:
        self.holding = holding
        self.page = page
        self.names = GroupNames(holding.graph, holding.host.label)
        self._groups: dict[GroupKey, str] = {}
        self.own = [holder for holder in holding.holders if holder.via == "host"]
        self.for_ever = holding.for_ever
        self.going = [holder for holder in holding.holders if holder.receives and holder.via != "host"]

    @property
    def what(self) -> str:
        """What was asked about: ``/srv/data (7:0, ext4, /dev/loop0)``; or the mount that it lies in."""
        wanted = self.holding.inside.mount_point if self.holding.inside else self.holding.wanted
        first = next((holder.mount for holder in self.holding.holders if holder.via != "overlay"), None)
        said = [*self.holding.devices[:3], *(dict.fromkeys((first.fs_type, first.source)) if first else ())]
        known = [word for word in said if word and word not in (wanted, "none")]
        return f"{wanted} ({', '.join(known)})" if known else wanted

    @property
    def verdict(self) -> tuple[str, str]:
        """``BUSY``, ``HELD`` or ``FREE``, and a sentence: whether the host's own umount would free the filesystem."""
        if not self.holding.wanted:
            return self._verdict_of_all
        word, sentence = self._verdict
        if self.holding.inside is not None:
            sentence = f"{self.holding.wanted} lies in a mount: {sentence}"
        return word, sentence

    @property
    def _verdict(self) -> tuple[str, str]:
        staying, everyone, lost = self.staying, self.holding.holders, self.holding.lost
        processes = agreeing(len({one.process.pid for one in lost}), "has", "have", "process")
        if not everyone and lost:
            if self.holding.devices:
                return "BUSY", f"{self.what} is mounted nowhere any more, but {processes} it open."
            what = "something open that was unmounted lazily, nobody knows from where"
            return "BUSY", f"nothing is mounted at {self.what} any more, but {processes} {what}."
        if not everyone:
            return "FREE", f"{self.what} is mounted in no namespace that was seen."
        if self.for_ever:
            return "HELD", f"{self.what} bears the host's root directory, and is {_count(everyone)}."
        if staying and not self.own:
            return "BUSY", f"{self.what} is not mounted on the host, but {_count(staying)}."
        if staying:
            return "BUSY", f"when the host has unmounted {self.what}, it is still {_count(staying)}."
        if lost:
            what = f"{self.what} is {_count(everyone)}"
            return "BUSY", f"{what}, and {processes} it open where it was unmounted lazily."
        if users := {one.process.pid for _, references in self.using for one in references}:
            return (
                "BUSY",
                f"{self.what} is {_count(everyone)}; {agreeing(len(users), 'has', 'have', 'process')} it open.",
            )
        if files := self.holding.kept_by_kernel:
            what = "the kernel has a file of it open" if len(files) == 1 else "the kernel has files of it open"
            return "BUSY", f"{self.what} is {_count(everyone)}; {what}."
        if inside := [path for holder in self.own for path in holder.inside]:
            first = phrases.and_more(inside[0], len(inside) - 1, "mount")
            return "HELD", f"{self.what} is {_count(everyone)}; umount says busy while {first} lies in it."
        return "HELD", f"{self.what} is {_count(everyone)}; the host's umount frees it."

    @property
    def _verdict_of_all(self) -> tuple[str, str]:
        kept = len(self.holding.devices)
        if not kept:
            return "FREE", "nothing that the host has unmounted is kept by others, as far as was seen."
        return "BUSY", f"others keep {counted(kept, 'filesystem')} that the host does not have mounted any more."

    @property
    def sections(self) -> list[tuple[str, Sequence[Holder]]]:
        """What stays when the host unmounts its own, the host's own, and what goes with it: headings and holders."""
        if not self.holding.wanted:
            return [(words, list(group)) for words, group in self._by_filesystem()]
        found = [
            ("In other namespaces" if self.for_ever else STAY if self.own else LEFT, self.staying),
            (OWN, self.own),
            (GO, self.going),
        ]
        return [(heading, holders) for heading, holders in found if holders]

    def _by_filesystem(self) -> Iterator[tuple[str, Sequence[Holder]]]:
        """Those of each filesystem, by what it is."""
        groups: dict[tuple[str, str], list[Holder]] = {}
        for holder in self.staying:
            groups.setdefault(filesystem_of(holder.mount), []).append(holder)
        for (device, root), group in groups.items():
            yield f"{phrases.filesystem(group[0].mount)} ({root or device})", group

    def who(self, holder: Holder) -> str:
        """The namespace, and by what it lives: ``web-1 (docker), 4711 (nginx) and 3 more processes``."""
        called = self.names.in_words(holder.view.label)
        processes, holds = holder.view.namespace.processes, holder.view.namespace.holds
        if holder.via == "host":
            return called
        if processes:
            first = process_name(processes[0])
            lives = called if called == first else f"{called}, {first}"
            return phrases.and_more(lives, len(processes) - 1, "process")
        kept = phrases.and_more(phrases.held_by(holds[0]), len(holds) - 1) if holds else ""
        return f"{called}, no process, kept by {kept}" if kept else called

    def chain(self, holder: Holder) -> list[str]:
        """The groups on its way, by name."""
        for key in holder.chain:
            if key not in self._groups:
                self._groups[key] = self.names.group(key)
        return [self._groups[key] for key in holder.chain]

    def link(self, holder: Holder) -> str:
        """How it got there: through which groups it is linked to the host's, if any."""
        way = " -> ".join(self.chain(holder))
        if holder.via == "peer":
            return f"a peer of {way}"
        if holder.via == "slave":
            return f"a slave of {way}"
        if holder.via == "master":
            return f"the host's is a slave of it: {way}"
        if holder.via == "relative":
            return f"linked to the host's by way of {way}"
        if holder.via == "overlay":
            return "an overlay whose directories lie in it"
        group = source_of(holder.mount)
        if group is None and not self.own:
            # A slave of what the host has unmounted is in no group any more.
            return "how it got there is not known: the host's umount ends the link of a slave, too"
        if group is None:
            return "no group links it to the host's: copied and made private, or mounted there"
        called = self.names.group(group)
        if self.own:
            return f"it is in {called}, which no group links to the host's"
        receives = "receives from" if holder.mount.peer_group is None else "is in"
        return f"it {receives} {called}, of which the host has no member any more"

    def why(self, holder: Holder) -> str:
        """The link, and what keeps a linked mount from going with the host's."""
        said = self.link(holder)
        linked = holder.via in ("peer", "slave", "master", "relative")
        if linked and not holder.receives and self.own and not self.for_ever:
            if holder.occupied:
                said += "; it stays because something is mounted in it there"
            else:
                said += "; the mount that it is on does not receive the host's umount"
        if holder.goes_along:
            return f"{said}; it goes with what is unmounted before"
        if not holder.receives and holder.covered:
            said += "; covered there, so that umount cannot name it"
        if not holder.receives and holder.locked:
            said += "; it may be locked there (MNT_LOCKED): then umount says that it is not mounted"
        return said + self.or_else(holder)

    def or_else(self, holder: Holder) -> str:
        """The other way, where one is to be chosen."""
        if commands(holder) and any(way.kind == "pin" for way in holder.ways[1:]):
            pin = next(shell(way.command) for way in holder.ways if way.kind == "pin")
            return f"; or end its namespace, with all that is mounted there: {pin}"
        return ""

    @cached_property
    def using(self) -> Sequence[tuple[Holder, Sequence[Reference]]]:
        """What processes have open of mounts that the host's umount is to take."""
        return [] if self.for_ever else [each for each in self.holding.using if each[0].receives]

    def processes(self, references: Iterable[Reference]) -> list[tuple[str, str]]:
        """Who uses it, and what each has of it."""
        by_process: dict[int, list[Reference]] = {}
        for one in references:
            by_process.setdefault(one.process.pid, []).append(one)
        return [
            (process_name(group[0].process), ", ".join(f"{one.what} {one.path}".strip() for one in group[:FEW]))
            for group in by_process.values()
        ]

    @cached_property
    def staying(self) -> Sequence[Holder]:
        """What the host's umounts do not reach."""
        return self.holding.staying

    @cached_property
    def removable(self) -> list[str]:
        """The commands that remove directories on which something would stay, those first that free the most."""
        ways = Counter(way.command for holder in self.staying for way in holder.ways if way.kind in ("rmdir", "rm"))
        return [shell(command) for command, _ in ways.most_common(None if self.page.everything else MANY)]

    @property
    def removal(self) -> str:
        """What removing them does."""
        after = ", once the host has unmounted its own" if self.own else ""
        kinds = {way.kind for holder in self.staying for way in holder.ways}
        what = "what it is mounted on" if "rm" in kinds else "its directory"
        return f"Or remove {what}{after}: every namespace then lets go of what it has mounted there."

    @property
    def order(self) -> tuple[str, ...]:
        """The host's umounts, in the order in which they succeed."""
        return tuple(map(shell, self.holding.order))

    def nothing_helps(self, holder: Holder) -> str:
        """What is to be done where no command is known."""
        namespace = holder.view.namespace
        if any(way.kind in ("rmdir", "rm") for way in holder.ways):
            return "umount does not reach it there: see below"
        if namespace.processes:
            return f"it goes when the processes of its namespace end: {_pids(holder)}"
        openers = [hold.process for hold in namespace.holds if hold.process]
        if openers:
            return f"it goes when process {process_name(openers[0])} lets go of its namespace"
        return "no way into its namespace was seen: it goes when whatever keeps the namespace ends"

    @property
    def hint(self) -> str:
        """What else makes it busy; empty where that is not known."""
        if not self.own or self.for_ever or self.holding.references is not None:
            return ""
        path = shell_word(self.own[0].mount.mount_point)
        return f"If umount says busy, a process has something open in it, in whatever namespace: fuser -vm {path}"


def commands(holder: Holder) -> list[str]:
    """What frees it without touching any directory, ready for a root shell: at most one, as they exclude each other.

    Not an umount of what may be locked, which would fail then.
    """
    first = holder.ways[0] if holder.ways else None
    if first is None or first.kind in ("rmdir", "rm") or (first.kind == "umount" and holder.locked):
        return []
    return [shell(first.command)]


def document(holding: Holders, page: Page) -> Document:
    """What a tired reader needs, in the order in which it is needed."""
    title = f"Who holds {holding.wanted}" if holding.wanted else "What the host has given back, and others keep"
    return Document(title, tuple(_blocks(_InWords(holding, page))))


def _blocks(words: _InWords) -> Iterator[Block]:
    word, sentence = words.verdict
    yield Verdict(word, _STYLES[word], sentence)
    order = words.order
    for heading, holders in words.sections:
        kept = phrases.shown(holders, words.page, MANY)
        yield Heading(heading)
        yield Entries(MOUNTS, (_entry(holder, words) for holder in kept))
        yield from phrases.more(holders, kept)
        if holders is words.staying and words.removable:
            yield Paragraph(words.removal)
            yield Remedy((*order, *words.removable))
            order = ()
        elif holders is words.own and order:
            yield Paragraph("In this order umount succeeds, unless a process has something open there:")
            yield Remedy(order)
    if not words.holding.wanted and words.removable:
        yield Paragraph(words.removal)
        yield Remedy(tuple(words.removable))
    yield from _references(words)
    hints = [words.hint] if words.hint else []
    if words.holding.references is None:
        hints.append("What processes have open, and what was unmounted lazily, was not looked for: no table tells.")
    yield from phrases.noted("Notes", [*hints, *(f"{note}." for note in words.holding.notes)], words.page)
    yield from phrases.unseen(words.holding.not_seen, words.page)


def _references(words: _InWords) -> Iterator[Block]:
    """The processes that have something open, by mount."""
    found: list[tuple[str, str, Sequence[Reference]]] = [
        (LOST, "goes when the process closes it, or ends", words.holding.lost)
    ]
    found += [(f"{USED}: {holder.mount.mount_point}", "", references) for holder, references in words.using]
    files = words.holding.kept_by_kernel if not words.for_ever else ()
    if files:
        yield Heading("Open in the kernel, which keeps umount from succeeding")
        yield Entries(FILES, (_file_entry(file) for file in phrases.shown(files, words.page, MANY)))
        yield from phrases.more(files, phrases.shown(files, words.page, MANY))
    for heading, note, references in found:
        processes = words.processes(references)
        kept = phrases.shown(processes, words.page, MANY)
        if kept:
            yield Heading(heading)
            yield Entries(PROCESSES, (Entry(name(who), what, note) for who, what in kept))
            yield from phrases.more(processes, kept)


def _entry(holder: Holder, words: _InWords) -> Entry:
    """A mount, whose it is, how it got there, and what frees it."""
    lead, who = name(holder.mount.mount_point), words.who(holder)
    if holder.via == "host":
        inside = phrases.some(holder.inside, words.page)
        return Entry(lead, who, (*inside, " lies in it" if len(holder.inside) == 1 else " lie in it") if inside else "")
    what, note = commands(holder), words.why(holder)
    if not holder.receives and not what and not holder.goes_along:
        note += f"; {words.nothing_helps(holder)}"
    return Entry(lead, who, note, tuple(what))


def _file_entry(file: KernelFile) -> Entry:
    """A file that the kernel has open, what for, and what makes it close it."""
    what = f"behind {file.user}" if file.user else "swap space"
    note = f"when {file.user} is mounted nowhere any more" if file.user else ""
    return Entry(name(file.path), what, note, (shell(file.release),))


# ---- for programs ----


def as_json(holding: Holders, page: Page) -> str:
    """The document ``mntscope.holders/1``."""
    words = _InWords(holding, page)
    return json_text(
        "holders",
        {
            "wanted": holding.wanted or None,
            "device": holding.devices[0] if holding.devices else None,
            "devices": list(holding.devices),
            "host": holding.host.label,
            "verdict": words.verdict[0].lower(),
            "inside": holding.inside.mount_point if holding.inside else None,
            "holders": [_holder_json(holder, words) for holder in holding.holders],
            "umounts": list(words.order),
            "references": _references_json(holding),
            "kernel_files": [
                {"device": file.user or None, "path": file.path, "remedy": shell(file.release)}
                for file in holding.kept_by_kernel
            ],
            "notes": list(holding.notes),
            "not_seen": problems_json(holding.not_seen),
        },
    )


def _holder_json(holder: Holder, words: _InWords) -> dict[str, Any]:
    namespace = holder.view.namespace
    return {
        "namespace": holder.view.label,
        "inode": namespace.inode,
        "name": words.names.view(holder.view.label),
        "owner": str(namespace.owner) if namespace.owner else None,
        "pids": [process.pid for process in namespace.processes],
        "held_by": [_hold(hold) for hold in namespace.holds],
        "path": holder.mount.mount_point,
        "via": holder.via,
        "chain": words.chain(holder),
        "receives_host_umount": holder.receives,
        "why": "" if holder.via == "host" else words.why(holder),
        "remedy": shell(holder.ways[0].command) if holder.ways else None,
        "remedies": [{"kind": way.kind, "command": shell(way.command)} for way in holder.ways],
        "goes_along": holder.goes_along,
        "inside": list(holder.inside),
        "covered": holder.covered,
        "may_be_locked": holder.locked,
        "mount": mount_json(holder.mount),
    }


def _references_json(holding: Holders) -> list[dict[str, Any]] | None:
    """What processes have open; ``null`` where nobody has looked."""
    if holding.references is None:
        return None
    lost = set(holding.lost)
    return [
        {
            "pid": one.process.pid,
            "comm": one.process.comm,
            "kind": one.kind,
            "fd": one.number,
            "device": one.device,
            "mount_id": one.mount_id,
            "in_no_table": one in lost,
            "path": one.path,
        }
        for one in holding.references.found
    ]


FORMATS: dict[str, Format[Holders]] = {
    "table": table(document),
    "json": as_json,
    **documents(document, lambda holding: (holding.snapshot,)),
}


def _count(holders: Sequence[Holder]) -> str:
    """``mounted 3 times, in 2 namespaces``."""
    namespaces = len(Counter(holder.view.label for holder in holders))
    if len(holders) == 1:
        return "mounted in one namespace"
    return f"mounted {len(holders)} times, in {counted(namespaces, 'namespace')}"


def _hold(hold: Hold) -> str:
    """``mount /run/ns/kept``, ``fd /proc/4711/fd/7 of process 4711 (sleep)``."""
    who = f" of process {hold.process.pid} ({hold.process.comm})" if hold.process else ""
    there = f" of {hold.label}" if hold.kind == "mount" and hold.label not in ("", "host") else ""
    return f"{hold.kind} {hold.where}{who}{there}"


def _pids(holder: Holder) -> str:
    processes = holder.view.namespace.processes
    return ", ".join(str(process.pid) for process in processes[:8]) + (", .." if len(processes) > 8 else "")
