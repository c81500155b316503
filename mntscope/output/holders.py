"""Who holds a filesystem: what would keep it busy first, each with what frees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from mntscope.analysis.holders import Holder, Holders
from mntscope.base.counting import counted
from mntscope.graph import GroupNames
from mntscope.graph.names import process_name
from mntscope.graph.peers import GroupKey
from mntscope.model import Hold
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Paragraph,
    Style,
    Verdict,
    name,
)
from mntscope.output.escape import shell_word
from mntscope.output.formats import Format, documents, table
from mntscope.output.shell import shell
from mntscope.output.writers.json import json_text, mount_json, problems_json
from mntscope.output.writers.page import Page

MOUNTS = ("Mount point", "Namespace", "How it got there", "What frees it")
MANY = 12
"""How many mounts of a kind are told of before the rest is counted."""

_STYLES: dict[str, Style] = {"BUSY": "critical", "HELD": "medium", "FREE": "good"}

STAY = "Would stay when the host has unmounted its own"
LEFT = "Still mounted, and out of the reach of the host's umount"
OWN = "The host's own"
GO = "Go with the host's umount"


class _InWords:
    """Who holds it, in words; the names of namespaces and groups are made once."""

    def __init__(self, holding: Holders, page: Page) -> None:
        self.holding = holding
        self.page = page
        self.names = GroupNames(holding.graph, holding.host.label)
        self._groups: dict[GroupKey, str] = {}
        self.own = [holder for holder in holding.holders if holder.via == "host"]
        self.for_ever = any(holder.mount.mount_point == "/" for holder in self.own)
        """Whether it bears the host's root directory, which is not unmounted."""
        self.going = [holder for holder in holding.holders if holder.receives and holder.via != "host"]

    @property
    def what(self) -> str:
        """What was asked about: ``/srv/data (7:0, ext4, /dev/loop0)``."""
        first = next((holder.mount for holder in self.holding.holders if holder.via != "overlay"), None)
        said = [*self.holding.devices[:3], *(dict.fromkeys((first.fs_type, first.source)) if first else ())]
        known = [word for word in said if word and word not in (self.holding.wanted, "none")]
        return f"{self.holding.wanted} ({', '.join(known)})" if known else self.holding.wanted

    @property
    def verdict(self) -> tuple[str, str]:
        """``BUSY``, ``HELD`` or ``FREE``, and a sentence: whether the host's own umount would free the filesystem."""
        staying, everyone = self.staying, self.holding.holders
        if not everyone:
            return "FREE", f"{self.what} is mounted in no namespace that was seen."
        if self.for_ever:
            return "HELD", f"{self.what} bears the host's root directory, and is {_count(everyone)}."
        if not staying:
            return "HELD", f"{self.what} is {_count(everyone)}; the host's umount frees it."
        if not self.own:
            return "BUSY", f"{self.what} is not mounted on the host, but {_count(staying)}."
        return "BUSY", f"when the host has unmounted {self.what}, it is still {_count(staying)}."

    @property
    def sections(self) -> list[tuple[str, Sequence[Holder]]]:
        """What stays when the host unmounts its own, the host's own, and what goes with it: headings and holders."""
        found = [
            ("In other namespaces" if self.for_ever else STAY if self.own else LEFT, self.staying),
            (OWN, self.own),
            (GO, self.going),
        ]
        return [(heading, holders) for heading, holders in found if holders]

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
        return "no group links it to the host's: copied and made private, or mounted there"

    def why(self, holder: Holder) -> str:
        """The link, and what keeps a linked mount from going with the host's."""
        said = self.link(holder)
        linked = holder.via in ("peer", "slave", "master", "relative")
        if linked and not holder.receives and self.own and not self.for_ever:
            if holder.occupied:
                said += "; it stays because something is mounted in it there"
            else:
                said += "; the mount that it is on does not receive the host's umount"
        if not holder.receives and holder.covered:
            said += "; covered there, so that umount cannot name it"
        if not holder.receives and holder.locked:
            said += "; it may be locked there (MNT_LOCKED): then umount says that it is not mounted"
        return said

    @cached_property
    def staying(self) -> Sequence[Holder]:
        """What the host's umounts do not reach."""
        return self.holding.staying

    @cached_property
    def removable(self) -> list[str]:
        """The commands that remove directories on which something would stay, those first that free the most."""
        ways = Counter(way.command for holder in self.staying for way in holder.ways if way.kind == "rmdir")
        return [shell(command) for command, _ in ways.most_common(None if self.page.everything else MANY)]

    @property
    def removal(self) -> str:
        """What removing them does."""
        after = ", once the host has unmounted its own" if self.own else ""
        return f"Or remove its directory{after}: every namespace then lets go of what it has mounted there."

    def nothing_helps(self, holder: Holder) -> str:
        """What is to be done where no command is known."""
        namespace = holder.view.namespace
        if any(way.kind == "rmdir" for way in holder.ways):
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
        if not self.own or self.for_ever:
            return ""
        path = shell_word(self.own[0].mount.mount_point)
        return f"If umount says busy, a process has something open in it, in whatever namespace: fuser -vm {path}"


def commands(holder: Holder) -> list[str]:
    """What frees it without touching any directory, ready for a root shell; the least invasive first."""
    words = {"umount": "", "pin": "  # ends the namespace, with all that is mounted there"}
    return [f"{shell(way.command)}{words[way.kind]}" for way in holder.ways if way.kind in words]


def document(holding: Holders, page: Page) -> Document:
    """What a tired reader needs, in the order in which it is needed."""
    return Document(f"Who holds {holding.wanted}", tuple(_blocks(_InWords(holding, page))))


def _blocks(words: _InWords) -> Iterator[Block]:
    word, sentence = words.verdict
    yield Verdict(word, _STYLES[word], sentence)
    for heading, holders in words.sections:
        kept = phrases.shown(holders, words.page, MANY)
        yield Heading(heading)
        yield Entries(MOUNTS, (_entry(holder, words) for holder in kept))
        yield from phrases.more(holders, kept)
        if holders is words.staying and words.removable:
            yield Paragraph(words.removal)
            yield Commands(tuple(words.removable))
    hints = [words.hint] if words.hint else []
    yield from phrases.noted("Notes", [*hints, *(f"{note}." for note in words.holding.notes)], words.page)
    yield from phrases.unseen(words.holding.not_seen, words.page)


def _entry(holder: Holder, words: _InWords) -> Entry:
    """A mount, whose it is, how it got there, and what frees it."""
    lead, who = name(holder.mount.mount_point), words.who(holder)
    if holder.via == "host":
        return Entry(lead, who)
    what, note = commands(holder), words.why(holder)
    if not holder.receives and not what:
        note += f"; {words.nothing_helps(holder)}"
    return Entry(lead, who, note, tuple(what))


# ---- for programs ----


def as_json(holding: Holders, page: Page) -> str:
    """The document ``mntscope.holders/1``."""
    words = _InWords(holding, page)
    return json_text(
        "holders",
        {
            "wanted": holding.wanted,
            "device": holding.devices[0] if holding.devices else None,
            "devices": list(holding.devices),
            "host": holding.host.label,
            "verdict": words.verdict[0].lower(),
            "holders": [_holder_json(holder, words) for holder in holding.holders],
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
        "covered": holder.covered,
        "may_be_locked": holder.locked,
        "mount": mount_json(holder.mount),
    }


FORMATS: dict[str, Format[Holders]] = {
    "table": table(document),
    "json": as_json,
    **documents(document),
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
