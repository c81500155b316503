"""Where kernels differ, and which of it a kernel has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.output.document import Block, Document, Paragraph, Table, name
from mntscope.output.formats import Format, documents, table
from mntscope.output.writers.json import json_text
from mntscope.output.writers.page import Page
from mntscope.parse import mount_program
from mntscope.propagation.versions import ASKED, CHANGES, TESTED, Change, Kernel, Release

PROGRAMS = ("Since", "What mount(8) and umount(8) of util-linux do", "File")
CALLS = ("Since", "What is asked of the kernel, if it has it", "Else")
COLUMNS = ("Since", "Here", "What kernels do", "Function", "Commit")


def document(kernel: Kernel, page: Page) -> Document:  # noqa: ARG001 - as any document
    """The table of what kernels do differently, and which of it *kernel* does."""
    return Document("Where kernels differ", tuple(_blocks(kernel)))


def _blocks(kernel: Kernel) -> Iterator[Block]:
    yield Paragraph(
        f"What Linux {kernel.release or '(unknown, taken for the newest)'} is predicted to do, of what kernels do"
        f" differently. Compared with kernels from {_release(TESTED[0])} to {_release(TESTED[1])}."
    )
    yield from (Paragraph(doubt) for doubt in kernel.caveats())
    rows = tuple(
        (_range(change), _here(kernel, change), change.name, name(change.function), name(change.source))
        for change in CHANGES
    )
    yield Table(COLUMNS, rows)
    yield Table(CALLS, tuple((_release(call.since), call.name, call.without) for call in ASKED))
    programs = ((_number(change.since), change.name, name(change.source)) for change in mount_program.CHANGES)
    yield Table(PROGRAMS, tuple(programs))
    yield Paragraph(
        "Older ones refuse "
        + ", ".join(f"{program} {option} ({_number(since)})" for (program, option), since in _OPTIONS_SINCE)
        + ". BusyBox makes one mount(2) with all flags, of which the kernel heeds some, and refuses most of the options"
        " that util-linux has."
    )
    stable = [change for change in CHANGES if change.stable]
    for change in stable:
        releases = ", ".join(".".join(map(str, release)) for release in change.stable)
        yield Paragraph(f"Commit {change.source} came to {releases} as well.")


_OPTIONS_SINCE = sorted(mount_program.OPTIONS_SINCE.items(), key=lambda item: item[1])


def _range(change: Change) -> str:
    until = f", until {_release(change.until)}" if change.until else ""
    return f"{_release(change.since)}{until}"


def _release(release: Release) -> str:
    return _number(release[:2])


def _number(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def _here(kernel: Kernel, change: Change) -> str:
    known = "yes" if kernel.has(change) else "no"
    return f"{known}, if its point release has it" if kernel.doubts(change) else known


# ---- for programs ----


def as_json(kernel: Kernel, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.versions/1``."""
    return json_text(
        "versions",
        {
            "kernel": kernel.release,
            "vendor": kernel.vendor,
            "tested": [_release(release) for release in TESTED],
            "caveats": list(kernel.caveats()),
            "changes": [_change_json(kernel, change) for change in CHANGES],
            "calls": [
                {"name": call.name, "since": _release(call.since), "function": call.function, "without": call.without}
                for call in ASKED
            ],
            "mount_programs": [
                {"name": change.name, "since": _number(change.since), "source": change.source}
                for change in mount_program.CHANGES
            ],
            "options": [
                {"program": program, "option": option, "since": _number(since)}
                for (program, option), since in _OPTIONS_SINCE
            ],
        },
    )


def _change_json(kernel: Kernel, change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "since": _release(change.since),
        "until": _release(change.until) if change.until else None,
        "stable": [".".join(map(str, release)) for release in change.stable],
        "function": change.function,
        "commit": change.source,
        "here": kernel.has(change),
        "known": not kernel.doubts(change),
    }


FORMATS: dict[str, Format[Kernel]] = {"table": table(document), "json": as_json, **documents(document, here=True)}
