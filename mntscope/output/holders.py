"""Who holds a filesystem: what would keep it busy first, each with what frees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from mntscope.analysis.holders import Holder, Holders
from mntscope.graph import GroupNames
from mntscope.graph.names import listed
from mntscope.graph.peers import GroupKey
from mntscope.model import Hold
from mntscope.output.escape import shell_word, visible
from mntscope.output.formats import Format, documents
from mntscope.output.shell import shell
from mntscope.output.writers.json import json_text, mount_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Text

if TYPE_CHECKING:
    from mntscope.output.document import Block, Document, Style, Words

T = TypeVar("T")

SHOWN = 12
"""How many mounts of a kind are listed before the rest is counted."""

_STYLES = {"BUSY": "bold red", "HELD": "bold yellow", "FREE": "bold green"}

_BADGES: dict[str, Style] = {"BUSY": "critical", "HELD": "medium", "FREE": "good"}

STAY = "Would stay when the host has unmounted its own"
LEFT = "Still mounted, and out of the reach of the host's umount"
OWN = "The host's own"
GO = "Go with the host's umount"


class _Told:
    """A holding in words; the words are not yet fit for a terminal."""

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
        """One word, and a sentence."""
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
        """Headings, with what belongs under them."""
        found = [
            ("In other namespaces" if self.for_ever else STAY if self.own else LEFT, self.staying),
            (OWN, self.own),
            (GO, self.going),
        ]
        return [(heading, holders) for heading, holders in found if holders]

    def shown(self, things: Sequence[T]) -> Sequence[T]:
        """As many as the page is to show."""
        return things if self.page.everything else things[:SHOWN]

    def who(self, holder: Holder) -> str:
        """The namespace, and by what it lives: ``web-1 (docker), pid 4711 nginx and 3 more``."""
        name = self.names.view(holder.view.label)
        processes, holds = holder.view.namespace.processes, holder.view.namespace.holds
        if holder.via == "host":
            return name
        if processes:
            first = "" if str(processes[0].pid) == holder.view.label else f", {processes[0].pid} {processes[0].comm}"
            others = len(processes) - 1
            return f"{name}{first.rstrip()}" + (f" and {others} more process{'es' * (others > 1)}" if others else "")
        kept = listed(map(_hold, holds), len(holds), shown=1)
        return f"{name}, no process, kept by {kept}" if kept else name

    def chain(self, holder: Holder) -> list[str]:
        """The groups on its way, by name."""
        for key in holder.chain:
            if key not in self._groups:
                self._groups[key] = self.names.group(key)
        return [self._groups[key] for key in holder.chain]

    def link(self, holder: Holder) -> str:
        """How it got there."""
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
        return [shell(command) for command, _ in ways.most_common(None if self.page.everything else SHOWN)]

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
            return f"it goes when process {openers[0].pid} ({openers[0].comm}) lets go of its namespace"
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


def as_table(holding: Holders, page: Page) -> str:
    """What a tired reader needs, in the order in which it is needed."""
    return page.draw(*_blocks(_Told(holding, page)))


def _blocks(told: _Told) -> Iterator[Text]:
    word, sentence = told.verdict
    yield Text((word, _STYLES[word]), f"  {visible(sentence)}")
    for heading, holders in told.sections:
        yield Text("\n", (f"{heading}:", "bold"))
        for holder in told.shown(holders):
            yield Text((visible(holder.mount.mount_point), "bold"), f"  {visible(told.who(holder))}", indent="  ")
            if holder.via == "host":
                continue
            yield Text((visible(told.why(holder)), "dim"), indent="    ")
            yield from (Text((command, "cyan"), indent="    ", whole=True) for command in commands(holder))
            if not holder.receives and not commands(holder):
                yield Text(visible(told.nothing_helps(holder)), indent="    ")
        if len(told.shown(holders)) < len(holders):
            yield Text((f"and {len(holders) - SHOWN} more (--all)", "dim"), indent="  ")
        if holders is told.staying and told.removable:
            yield Text(f"\n{told.removal}")
            for command in told.removable:
                yield Text((command, "cyan"), indent="  ", whole=True)
    if told.hint:
        yield Text(f"\n{told.hint}")
    for note in told.holding.notes[:SHOWN]:
        yield Text(f"\nNote: {visible(note)}.")
    unseen = told.shown(told.holding.not_seen)
    if unseen:
        yield Text("")
    for problem in unseen:
        yield Text((f"Not seen: {visible(str(problem))}.", "dim"))
    if len(unseen) < len(told.holding.not_seen):
        yield Text((f"and {len(told.holding.not_seen) - SHOWN} more (--all)", "dim"))


def as_json(holding: Holders, page: Page) -> str:
    """The document ``mntscope.holders/1``."""
    told = _Told(holding, page)
    return json_text(
        "holders",
        {
            "wanted": holding.wanted,
            "device": holding.devices[0] if holding.devices else None,
            "devices": list(holding.devices),
            "host": holding.host.label,
            "verdict": told.verdict[0].lower(),
            "holders": [_holder_json(holder, told) for holder in holding.holders],
            "notes": list(holding.notes),
            "not_seen": problems_json(holding.not_seen),
        },
    )


def _holder_json(holder: Holder, told: _Told) -> dict[str, Any]:
    namespace = holder.view.namespace
    return {
        "namespace": holder.view.label,
        "inode": namespace.inode,
        "name": told.names.view(holder.view.label),
        "owner": str(namespace.owner) if namespace.owner else None,
        "pids": [process.pid for process in namespace.processes],
        "held_by": [_hold(hold) for hold in namespace.holds],
        "path": holder.mount.mount_point,
        "via": holder.via,
        "chain": told.chain(holder),
        "receives_host_umount": holder.receives,
        "why": "" if holder.via == "host" else told.why(holder),
        "remedy": shell(holder.ways[0].command) if holder.ways else None,
        "remedies": [{"kind": way.kind, "command": shell(way.command)} for way in holder.ways],
        "covered": holder.covered,
        "may_be_locked": holder.locked,
        "mount": mount_json(holder.mount),
    }


def document(holding: Holders, page: Page) -> Document:
    """The holding as a document."""
    from mntscope.output.document import Commands, Document, Heading, Items, Paragraph, Table, Word

    told = _Told(holding, page)
    blocks: list[Block] = []
    word, sentence = told.verdict
    blocks.append(Paragraph((Word(word, _BADGES[word]), f"  {sentence}")))
    for heading, holders in told.sections:
        blocks.append(Heading(heading))
        rows: list[tuple[Words, ...]] = [
            (Word(holder.mount.mount_point), told.who(holder), "" if holder.via == "host" else told.why(holder))
            for holder in told.shown(holders)
        ]
        blocks.append(Table(("Mount point", "Namespace", "How it got there"), tuple(rows)))
        if len(rows) < len(holders):
            blocks.append(Paragraph(f"and {len(holders) - len(rows)} more"))
        if holders is told.staying:
            blocks.append(Commands(tuple(line for holder in told.shown(holders) for line in commands(holder))))
            if told.removable:
                blocks += [Paragraph(told.removal), Commands(tuple(told.removable))]
    notes = [f"Note: {note}." for note in told.holding.notes[:SHOWN]]
    blocks += [Paragraph(text) for text in (told.hint, *notes) if text]
    unseen = told.holding.not_seen
    if unseen:
        more = [f"and {len(unseen) - SHOWN} more"] if len(told.shown(unseen)) < len(unseen) else []
        blocks += [Heading("Not seen"), Items((*map(str, told.shown(unseen)), *more))]
    return Document(f"Who holds {told.holding.wanted}", tuple(blocks))


FORMATS: dict[str, Format[Holders]] = {
    "table": as_table,
    "json": as_json,
    **documents(document),
}


def _count(holders: Sequence[Holder]) -> str:
    """``mounted 3 times, in 2 namespaces``."""
    namespaces = len(Counter(holder.view.label for holder in holders))
    times = "once" if len(holders) == 1 else f"{len(holders)} times, in {namespaces} namespace{'s' * (namespaces > 1)}"
    return f"mounted {times}" if len(holders) > 1 else "mounted in one namespace"


def _hold(hold: Hold) -> str:
    """``mount /run/ns/kept``, ``fd /proc/4711/fd/7 of process 4711 (sleep)``."""
    who = f" of process {hold.process.pid} ({hold.process.comm})" if hold.process else ""
    there = f" of {hold.label}" if hold.kind == "mount" and hold.label not in ("", "host") else ""
    return f"{hold.kind} {hold.where}{who}{there}"


def _pids(holder: Holder) -> str:
    processes = holder.view.namespace.processes
    return ", ".join(str(process.pid) for process in processes[:8]) + (", .." if len(processes) > 8 else "")
