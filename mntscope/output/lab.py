"""The lab's story, for a reader and for a program."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mntscope.lab import Kept, Moment, Performance, Sight, Story
from mntscope.model import Mount
from mntscope.output.escape import visible
from mntscope.output.formats import Format
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Piece, Text
from mntscope.parse import format_mountinfo

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_VERDICT_STYLES = {"same-namespace": "red", "leaks": "red", "receives": "yellow", "isolated": "green"}


def as_json(story: Story, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.lab/1``."""
    document: dict[str, Any] = {
        "kernel": story.kernel,
        "acts": [_performance_json(performance) for performance in story.performances],
    }
    if story.kept:
        document["kept"] = _kept_json(story.kept)
    return json_text("lab", document)


def as_table(story: Story, page: Page) -> str:
    """The story as a person reads it, act by act, and what it comes to."""
    return page.draw(*_story(story))


FORMATS: dict[str, Format[Story]] = {"table": as_table, "json": as_json}


# ------------------------------------------------------------------------------------------------------- a program


def _performance_json(performance: Performance) -> dict[str, Any]:
    act, outcome = performance.act, performance.outcome
    return {
        "act": act.number,
        "title": act.title,
        "commands": list(act.commands),
        **_moment_json(outcome),
        "ps": {"host": _ps_json(outcome.host), "target": _ps_json(outcome.target)},
        "why": act.why,
        "surprises": list(performance.surprises),
        "steps": [{"command": step.command, **_moment_json(step)} for step in performance.steps],
        "undo": [{"command": step.command, **_moment_json(step)} for step in performance.undone],
    }


def _moment_json(moment: Moment) -> dict[str, Any]:
    return {
        **asdict(moment.facts),
        "mountinfo": {"host": _line(moment.host_mount), "target": _line(moment.target_mount)},
    }


def _ps_json(sight: Sight) -> dict[str, Any]:
    return {
        "own_pid": sight.pid,
        "proc_self": sight.proc_self,
        "processes": [{"pid": listed.pid, "comm": listed.comm} for listed in sight.processes],
    }


def _kept_json(kept: Kept) -> dict[str, Any]:
    return {"act": kept.act, "pid": kept.target, "host": kept.host, "try": list(kept.commands)}


# -------------------------------------------------------------------------------------------------------- a person


def _story(story: Story) -> Iterator[Text | RenderableType]:
    yield Text(
        f"A throwaway host on Linux {visible(story.kernel)}: its own processes, its own mounts, everything shared "
        "from / down, as systemd has it. Every act starts on a fresh one, and this machine is not touched."
    )
    for performance in story.performances:
        yield from _act(performance)
    if len(story.performances) > 1:
        yield Text("")
        yield _summary(story)
    if story.kept:
        yield from _kept(story.kept)


def _act(performance: Performance) -> Iterator[Text | RenderableType]:
    from rich.padding import Padding

    act, outcome = performance.act, performance.outcome
    yield Text((f"\nAct {act.number}. {act.title}\n", "bold"))
    yield from _commands(performance.beginning, performance.steps)
    yield Padding(_both_sides(outcome), (1, 0, 1, 2))
    yield _mountinfo("host", outcome.host_mount)
    yield _mountinfo("target", outcome.target_mount)
    yield Text("")
    yield Text(*_verdict(outcome), indent="  ")
    if performance.surprises:
        told = f"This kernel does otherwise than mount_namespaces(7) says: {'; '.join(performance.surprises)}"
        yield Text((told, "bold red"), indent="  ")
    else:
        yield Text(f"Why: {act.why}", indent="  ")
    if performance.undone:
        yield Text("")
        yield from _commands(outcome, performance.undone)


def _commands(before: Moment, steps: tuple[Moment, ...]) -> Iterator[Text]:
    """Each command, and below it what it did to the host."""
    for step in steps:
        yield Text(("$ ", "dim"), (step.command, "bold"), indent="  ")
        for piece in _news(before, step):
            yield Text(piece, indent="    ")
        before = step


def _news(before: Moment, after: Moment) -> Iterator[Piece]:
    """What the host notices of a command."""
    was, now = before.host_mount, after.host_mount
    if after.facts.host_broken and not before.facts.host_broken:
        yield "the host's /proc is BROKEN: its processes no longer find themselves there", "red"
    elif before.facts.host_broken and not after.facts.host_broken:
        yield "the host's /proc is back", "green"
    if was.mount_id == now.mount_id and was.propagation != now.propagation:
        yield f"the host's own /proc was {was.propagation} and is {now.propagation}", "yellow"
    if before.facts.host_changed and not after.facts.host_changed:
        yield "the host's mountinfo is, line by line, as it was before the act", "green"


def _both_sides(moment: Moment) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(_ps("the host", moment.host), _ps("the target", moment.target))
    return grid


def _ps(side: str, sight: Sight) -> RenderableType:
    from rich.text import Text as RichText

    text = RichText.assemble(f"ps on {side}\n", ("  PID CMD\n", "dim"))
    for listed in sight.processes:
        text.append(f"{listed.pid:5} {visible(listed.comm)}\n")
    if sight.proc_self is None:
        return text.append("/proc/self dangles", style="red")
    own = "" if sight.proc_self == sight.pid else f", though its pid is {sight.pid}"
    return text.append(f"/proc/self is {sight.proc_self}{own}", style="dim")


def _mountinfo(whose: str, mount: Mount) -> Text:
    """The line of mountinfo, and in it what tells the propagation."""
    pieces = re.split(r"(?<= )((?:shared|master):\d+)", visible(_line(mount)))
    marked = ((piece, "bold yellow" if number % 2 else "") for number, piece in enumerate(pieces))
    return Text(*marked, lead=(f"  {whose:8}", "dim"), indent=" " * 10)


def _verdict(moment: Moment) -> Iterator[str | Piece]:
    verdict = moment.facts.verdict
    yield "mntscope diff TARGET /proc: "
    yield verdict.upper(), f"bold {_VERDICT_STYLES[verdict]}"
    for said in (*(leak.why for leak in moment.diff.leaks), *map(str, moment.diff.damage)):
        yield f"\n{visible(said)}"


def _summary(story: Story) -> Table:
    from rich.table import Table
    from rich.text import Text as RichText

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("act", "target sees host's processes", "host's mounts", "host's /proc", "diff /proc"):
        table.add_column(heading)
    for performance in story.performances:
        facts = performance.outcome.facts
        table.add_row(
            str(performance.act.number),
            "yes" if facts.sees_host_processes else "no",
            RichText("changed", style="red") if facts.host_changed else RichText("as before", style="green"),
            RichText("BROKEN", style="bold red") if facts.host_broken else RichText("works", style="green"),
            RichText(facts.verdict, style=_VERDICT_STYLES[facts.verdict]),
        )
    return table


def _kept(kept: Kept) -> Iterator[Text]:
    yield Text(
        f"\nThe target of act {kept.act} is process {kept.target}, its host is process {kept.host}. "
        "They stay as the act left them until this command ends.\n"
    )
    for command in kept.commands:
        # Not broken, so that it can be copied.
        yield Text((visible(command), "bold"), indent="  ", whole=True)
    yield Text("")


def _line(mount: Mount) -> str:
    return format_mountinfo([mount]).decode("utf-8", "surrogateescape").removesuffix("\n")
