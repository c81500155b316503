"""The lab's story, act by act, and what it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from itertools import zip_longest
from typing import Any

from mntscope.lab import Kept, ProcView, Reading, Run, Story
from mntscope.model import Mount
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Items,
    Paragraph,
    Style,
    Table,
    Verdict,
    Word,
    Words,
    listed,
    name,
)
from mntscope.output.formats import Format, documents, table
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.parse import format_mountinfo

COMMANDS = ("", "Command", "What the host notices")
MOUNTS = ("Whose", "Mount at /proc")
SUMMARY = ("Act", "Sees host", "Host mounts", "Host /proc", "Diff /proc")
_STYLES: dict[str, Style] = {
    "same-namespace": "critical",
    "leaks": "critical",
    "receives": "medium",
    "isolated": "good",
}


def document(story: Story, page: Page) -> Document:  # noqa: ARG001 - as any document
    """The story as a person reads it, act by act, and what it comes to."""
    return Document("A mount of proc that reaches the host", tuple(_blocks(story)))


def _blocks(story: Story) -> Iterator[Block]:
    yield Paragraph(
        f"A throwaway host on Linux {story.kernel}: its own processes, its own mounts, everything shared from / down,"
        " as systemd has it. Every act starts on a fresh one, and this machine is not touched."
    )
    for run in story.runs:
        yield from _act(run)
    if len(story.runs) > 1:
        yield Heading("What it comes to")
        yield Table(SUMMARY, tuple(map(_summed_up, story.runs)))
    if story.kept:
        yield from _kept(story.kept)


def _act(run: Run) -> Iterator[Block]:
    act, outcome = run.act, run.outcome
    yield Heading(f"Act {act.number}. {act.title}")
    yield Entries(COMMANDS, _commands(run.beginning, run.steps))
    yield _both_sides(outcome)
    yield Entries(
        MOUNTS, (Entry("host", _mountinfo(outcome.host_mount)), Entry("target", _mountinfo(outcome.target_mount)))
    )
    yield from _verdict(outcome)
    if run.surprises:
        surprises = "; ".join(run.surprises)
        yield Paragraph(Word(f"This kernel does otherwise than mount_namespaces(7) says: {surprises}", "critical"))
    else:
        yield Paragraph(f"Why: {act.why}")
    if run.undone:
        yield Heading("To undo it", level=3)
        yield Entries(COMMANDS, _commands(outcome, run.undone))


def _commands(before: Reading, steps: tuple[Reading, ...]) -> Iterator[Entry]:
    """Each command, and what it did to the host."""
    for step in steps:
        yield Entry(Word("$", "dim"), name(step.command), listed(_news(before, step), between="; "))
        before = step


def _news(before: Reading, after: Reading) -> Iterator[Word]:
    """What the host notices of a command."""
    was, now = before.host_mount, after.host_mount
    if after.facts.host_broken and not before.facts.host_broken:
        yield Word("the host's /proc is BROKEN: its processes no longer find themselves there", "critical")
    elif before.facts.host_broken and not after.facts.host_broken:
        yield Word("the host's /proc is back", "good")
    if was.mount_id == now.mount_id and was.propagation != now.propagation:
        yield Word(f"the host's own /proc was {was.propagation} and is {now.propagation}", "medium")
    if before.facts.host_changed and not after.facts.host_changed:
        yield Word("the host's mountinfo is, line by line, as it was before the act", "good")


def _both_sides(reading: Reading) -> Table:
    """What ps(1) lists on either side, and who it takes itself for."""
    sides = (list(_ps(reading.host)), list(_ps(reading.target)))
    return Table(("ps on the host", "ps on the target"), tuple(zip_longest(*sides, fillvalue="")))


def _ps(view: ProcView) -> Iterator[Words]:
    yield from (f"{process.pid:5} {process.comm}" for process in view.processes)
    if view.proc_self is None:
        yield Word("/proc/self dangles", "critical")
    else:
        own = "" if view.proc_self == view.pid else f", though its pid is {view.pid}"
        yield Word(f"/proc/self is {view.proc_self}{own}", "dim")


def _mountinfo(mount: Mount) -> Words:
    """The line of mountinfo, and in it what tells the propagation."""
    pieces = re.split(r"(?<= )((?:shared|master):\d+)", _line(mount))
    return tuple(Word(piece, "medium") if number % 2 else piece for number, piece in enumerate(pieces))


def _verdict(reading: Reading) -> Iterator[Block]:
    """What ``mntscope diff`` says of the two sides, and why."""
    verdict = reading.facts.verdict
    yield Verdict(verdict.upper(), _STYLES[verdict], "that is what mntscope diff TARGET /proc says.")
    said = [*(leak.why for leak in reading.diff.leaks), *map(str, reading.diff.damage)]
    if said:
        yield Items(tuple(said))


def _summed_up(run: Run) -> tuple[Words, ...]:
    """An act in the table of :data:`SUMMARY`; what the target sees is whether ps lists the host's processes there."""
    facts = run.outcome.facts
    return (
        str(run.act.number),
        "yes" if facts.sees_host_processes else "no",
        Word("changed", "critical") if facts.host_changed else Word("as before", "good"),
        Word("BROKEN", "critical") if facts.host_broken else Word("works", "good"),
        Word(facts.verdict, _STYLES[facts.verdict]),
    )


def _kept(kept: Kept) -> Iterator[Block]:
    yield Heading(f"The actors of act {kept.act}")
    yield Paragraph(
        f"The target is process {kept.target}, its host is process {kept.host}. They stay as the act left them until"
        " this command ends."
    )
    yield Commands(kept.commands)


# ---- for programs ----


def as_json(story: Story, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.lab/1``."""
    document: dict[str, Any] = {
        "kernel": story.kernel,
        "acts": [_performance_json(run) for run in story.runs],
    }
    if story.kept:
        document["kept"] = _kept_json(story.kept)
    return json_text("lab", document)


def _performance_json(run: Run) -> dict[str, Any]:
    act, outcome = run.act, run.outcome
    return {
        "act": act.number,
        "title": act.title,
        "commands": list(act.commands),
        **_reading_json(outcome),
        "ps": {"host": _view_json(outcome.host), "target": _view_json(outcome.target)},
        "why": act.why,
        "surprises": list(run.surprises),
        "steps": [{"command": step.command, **_reading_json(step)} for step in run.steps],
        "undo": [{"command": step.command, **_reading_json(step)} for step in run.undone],
    }


def _reading_json(reading: Reading) -> dict[str, Any]:
    return {
        **asdict(reading.facts),
        "mountinfo": {"host": _line(reading.host_mount), "target": _line(reading.target_mount)},
    }


def _view_json(view: ProcView) -> dict[str, Any]:
    return {
        "own_pid": view.pid,
        "proc_self": view.proc_self,
        "processes": [{"pid": listed.pid, "comm": listed.comm} for listed in view.processes],
    }


def _kept_json(kept: Kept) -> dict[str, Any]:
    return {"act": kept.act, "pid": kept.target, "host": kept.host, "try": list(kept.commands)}


def _line(mount: Mount) -> str:
    return format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")


FORMATS: dict[str, Format[Story]] = {"table": table(document), "json": as_json, **documents(document, here=True)}
