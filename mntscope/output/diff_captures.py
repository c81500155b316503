"""Two captures of one machine: what leaks that did not before, then which namespaces and which mounts are others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mntscope.analysis.diff_captures import CapturesDiff, LeakChange, NamespaceChange
from mntscope.analysis.namespaces import NamespaceStatus
from mntscope.base.counting import counted
from mntscope.graph.names import in_words
from mntscope.output import phrases
from mntscope.output.diff import change_counts, changes_table
from mntscope.output.diff_json_csv import change_json
from mntscope.output.document import Block, Document, Entries, Entry, Heading, Verdict, Word, name, together
from mntscope.output.formats import Format, documents, table
from mntscope.output.namespaces import HEADINGS, row
from mntscope.output.phrases import places
from mntscope.output.writers.json import json_text, leak_json, problems_json
from mntscope.output.writers.page import Page
from mntscope.snapshot import Snapshot

LEAKS = ("Severity", "What reaches the host", "From")


def document(diff: CapturesDiff, page: Page) -> Document:
    """The verdict, and each kind of difference in a section of its own; none where there is none."""
    what = in_words(diff.namespace) if diff.namespace else "the machine"
    return Document(f"What became of {what} between two captures", tuple(_blocks(diff, page)))


def _blocks(diff: CapturesDiff, page: Page) -> Iterator[Block]:
    yield _verdict(diff)
    for heading, leaks in (("New leaks", diff.new_leaks), ("Healed", diff.healed_leaks)):
        if leaks:
            yield Heading(f"{heading}: {len(leaks)}")
            yield Entries(LEAKS, phrases.entries(leaks, _leak, page))
    for heading, namespaces in (("Born", diff.born), ("Gone", diff.gone)):
        if namespaces:
            yield Heading(f"{heading}: {counted(len(namespaces), 'mount namespace')}")
            yield from phrases.rows(HEADINGS, namespaces, row, page)
    kept = phrases.shown(diff.changed, page)
    for change in kept:
        yield Heading(f"{in_words(change.after.name)}: {_what(change, diff)}")
        if change.changes:
            yield changes_table(change.changes, page, earlier=True)
    yield from phrases.more(diff.changed, kept)
    yield from phrases.unseen(diff.not_seen, page)


def _verdict(diff: CapturesDiff) -> Verdict:
    between = ", with a restart in between" if diff.restarted else ""
    if diff.verdict == "unchanged":
        return Verdict("UNCHANGED", "good", f"namespaces, mounts and leaks are what they were{between}.")
    parts = [
        (diff.new_leaks, counted(len(diff.new_leaks), "new leak")),
        (diff.healed_leaks, f"{counted(len(diff.healed_leaks), 'leak')} healed"),
        (diff.born, f"{counted(len(diff.born), 'namespace')} born"),
        (diff.gone, f"{counted(len(diff.gone), 'namespace')} gone"),
        (diff.changed, f"{counted(len(diff.changed), 'namespace')} changed"),
    ]
    said = ", ".join(words for there, words in parts if there)
    if diff.verdict == "new-leaks":
        return Verdict("NEW LEAKS", "critical", f"{said}{between}.")
    return Verdict("CHANGED", "medium", f"{said}{between}; nothing reaches the host that did not before.")


def _what(change: NamespaceChange, diff: CapturesDiff) -> str:
    anew = "" if change.same or diff.restarted else "another namespace than before"
    return ", ".join(filter(None, (anew, change_counts(change.changes))))


def _leak(change: LeakChange) -> Entry:
    leak = change.leak
    words = together(name(leak.path), " -> ", places(leak.lands_at), " on the host")
    return Entry(Word(leak.severity, leak.severity), words, f"from {in_words(change.namespace.name)}")


# ---- for programs ----


def as_json(diff: CapturesDiff, page: Page) -> str:  # noqa: ARG001
    """The document ``mntscope.diff-captures/1``."""
    return json_text(
        "diff-captures",
        {
            "before": _capture_json(diff.before),
            "after": _capture_json(diff.after),
            "restarted": diff.restarted,
            "namespace": diff.namespace,
            "verdict": diff.verdict,
            "born": [_namespace_json(one) for one in diff.born],
            "gone": [_namespace_json(one) for one in diff.gone],
            "changed": [
                {
                    "before": _namespace_json(change.before),
                    "after": _namespace_json(change.after),
                    "same": change.same,
                    "changes": [_before_and_after(change_json(one)) for one in change.changes],
                }
                for change in diff.changed
            ],
            "new_leaks": [_leak_json(change) for change in diff.new_leaks],
            "healed_leaks": [_leak_json(change) for change in diff.healed_leaks],
            "not_seen": problems_json(diff.not_seen),
        },
    )


def _before_and_after(change: dict[str, Any]) -> dict[str, Any]:
    """A change in whose words the host is the earlier moment."""
    names = {"host": "before", "target": "after"}
    return {names.get(key, key): value for key, value in change.items()}


def _capture_json(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "host": snapshot.host_label,
        "kernel": snapshot.kernel,
        "boot_id": snapshot.boot_id,
        "views": len(snapshot.views),
        "mounts": sum(len(view.mounts) for view in snapshot.views),
    }


def _namespace_json(one: NamespaceStatus) -> dict[str, Any]:
    namespace = one.view.namespace
    return {
        "label": one.view.label,
        "name": one.name,
        "inode": namespace.inode,
        "id": namespace.id,
        "owner": str(namespace.owner) if namespace.owner else None,
        "processes": [{"pid": process.pid, "comm": process.comm} for process in one.processes],
        "mounts": len(one.view.mounts),
        "verdict": one.verdict,
    }


def _leak_json(change: LeakChange) -> dict[str, Any]:
    leak = change.leak
    return {
        "namespace": change.namespace.name,
        "label": change.namespace.view.label,
        **leak_json(leak),
        "why": leak.why,
    }


FORMATS: dict[str, Format[CapturesDiff]] = {
    "table": table(document),
    "json": as_json,
    **documents(document, lambda of: (of.before, of.after)),
}
