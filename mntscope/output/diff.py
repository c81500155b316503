"""A diff: the verdict first, then what reaches the host and what stops it, then what else differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence

from mntscope.analysis.diff import Change, Diff, Kind
from mntscope.base.counting import counted_each
from mntscope.graph import Leak
from mntscope.graph.names import namespace_name
from mntscope.graph.severity import SEVERITIES
from mntscope.model import Mount, Problem
from mntscope.output import phrases
from mntscope.output.document import (
    Block,
    Commands,
    Document,
    Entries,
    Entry,
    Heading,
    Paragraph,
    Remedy,
    Verdict,
    Word,
    Words,
    name,
    together,
)
from mntscope.output.formats import Format, documents, later, table
from mntscope.output.phrases import mounts_of, places, some
from mntscope.output.shell import command, command_for_all
from mntscope.output.writers.page import Page

LEAKS = ("Severity", "What reaches the host", "Why", "To stop it")
CHANGES = ("What", "Mount")
KINDS: tuple[Kind, ...] = ("added", "removed", "moved", "remounted", "propagation-changed")


def document(diff: Diff, page: Page) -> Document:
    """What a tired reader needs, in the order in which it is needed."""
    at = f" at {diff.path}" if diff.path else ""
    return Document(f"Mounts of {_who(diff)} compared with {_host(diff)}{at}", tuple(_blocks(diff, page)))


def _blocks(diff: Diff, page: Page) -> Iterator[Block]:
    outward = [leak for leak in diff.leaks if leak.direction != "in"]
    inward = [leak for leak in diff.leaks if leak.direction == "in"]
    yield from _verdict(diff, outward, inward)
    for damage in diff.damage:
        yield Verdict("DAMAGE" if damage.certain else "DAMAGE?", "critical", f"{damage}.")
    if diff.umount is not None:
        from mntscope.output.predict import in_short

        yield Heading(("What ", Word(diff.umount.command, "command"), " in the target would do"))
        yield from in_short(diff.umount, page)
    if outward:
        yield Heading("What reaches the host")
        yield from _leaks(outward, diff, page)
    if outward and inward:
        yield Heading("What arrives from the host")
        yield Paragraph(f"The host's mounts and umounts also reach {mounts_of(inward, diff.target)}.")
    if diff.changes:
        yield Heading(f"Compared with the host: {change_counts(diff.changes)}")
        yield changes_table(diff.changes, page)
    known = {change.path for change in diff.changes if change.covers is not None}
    covered = [mount.mount_point for mount in diff.hidden if mount.mount_point not in known]
    if covered:
        yield Heading("Covered in the target, not on the host")
        yield Paragraph(some(covered, page))
    if diff.umount is not None:
        yield from phrases.uncertain(diff.umount.uncertain)
    yield from phrases.unseen(problems(diff), page)


def problems(diff: Diff) -> tuple[Problem, ...]:
    """All that could not be seen: of the tables, and of what they do not tell."""
    return (*diff.host.problems, *diff.target.problems, *diff.not_seen)


def _verdict(diff: Diff, outward: list[Leak], inward: list[Leak]) -> Iterator[Block]:
    """One sentence, and what follows from it."""
    who, host = _who(diff), _host(diff)
    at = f" at {diff.path}" if diff.path else ""
    # That `umount` of what is mounted at the path may do otherwise is told of after the verdict.
    event, mounts = "mount or umount", "mounts or unmounts"
    if diff.umount is not None and diff.umount.outside:
        event, mounts = "mount", "mounts"
    if diff.target is diff.host:
        yield Verdict("SAME NAMESPACE", "critical", f"{who} is what it is compared with.")
    elif diff.verdict == "same-namespace":
        yield Verdict("SAME NAMESPACE", "critical", f"{who} lives in the mount namespace of {host}.")
        yield Paragraph("Every mount it makes IS a change of the host. To give a command a namespace of its own:")
        yield Commands(("unshare --mount COMMAND",))
    elif diff.verdict == "leaks" and diff.path:
        yield Verdict("LEAKS", "critical", f"what {who} mounts or unmounts{at} also is on {host}.")
    elif diff.verdict == "leaks":
        concerned = mounts_of(outward, diff.target)
        verb = "propagates" if concerned.startswith(("1 ", "the one ")) else "propagate"
        yield Verdict("LEAKS", "critical", f"{concerned} in {who} {verb} to {host}.")
    elif diff.verdict == "receives":
        yield Verdict("RECEIVES", "medium", f"nothing that {who} {mounts}{at} reaches {host}.")
        yield Paragraph(
            f"The host's mounts and umounts reach {mounts_of(inward, diff.target)} of the target: what the host"
            " unmounts goes away there too, and is not kept busy."
        )
    else:
        yield Verdict("ISOLATED", "good", f"no {event}{at} crosses between {who} and {host}.")
        yield Paragraph(
            "What the target mounts stays there. The host's umounts do not arrive either: a filesystem that both have"
            " mounted stays busy until both let go of it."
        )


def _who(diff: Diff) -> str:
    """The target: its namespace, or the process, where the namespace is the host's."""
    view = diff.target
    if diff.verdict != "same-namespace" or view is diff.host:
        return namespace_name(view)
    return f"{view.label} ({view.process.comm})" if view.process and view.process.comm else view.label


def _host(diff: Diff) -> str:
    called = namespace_name(diff.host)
    return called if diff.host.label == "host" else f"{called}, the host"


# ---- leaks ----


def _leaks(leaks: Sequence[Leak], diff: Diff, page: Page) -> Iterator[Block]:
    """The worst with what stops it, the others as a list; at last what stops them all."""
    # Of mounts that are stacked, and leak alike, one is told of.
    leaks = list({(leak.path, leak.lands_at, leak.severity, leak.via, leak.covered): leak for leak in leaks}.values())
    worst = [leak for leak in leaks if leak.severity == "critical"] or leaks[:1]
    worst = leaks if page.everything else worst[: phrases.FEW]
    entries = [
        leak_entry(leak, command(leak, diff), explained=number == 0 or page.everything)
        for number, leak in enumerate(worst)
    ]
    others = leaks[len(worst) :]
    for severity in SEVERITIES:
        alike = [leak for leak in others if leak.severity == severity]
        in_place = [leak.path for leak in alike if leak.lands_at == (leak.path,)]
        if in_place:
            entries.append(Entry(Word(severity, severity), (*some(in_place, page), " (same path on the host)")))
        elsewhere = [leak for leak in alike if leak.lands_at != (leak.path,)]
        entries += phrases.entries(elsewhere, leak_entry, page)
    yield Entries(LEAKS, entries)
    all_of_them = command_for_all(diff)
    if len(leaks) > 1 and all_of_them is not None:
        still = ", and still let the host's umounts in" if any(leak.direction == "both" for leak in leaks) else ""
        yield Paragraph(f"To stop all of them{still}:")
        yield Remedy((all_of_them,))


def leak_entry(leak: Leak, remedy: str | None = None, *, explained: bool = False) -> Entry:
    """``/a -> /srv/a on the host``, and why, or through which peer group."""
    words: tuple[Words, ...] = (name(leak.path), " -> ", places(leak.lands_at), " on the host")
    if not explained:
        words += (f", {'its peer' if leak.via == 'peer' else 'a slave'} in group {leak.peer_group}",)
    if leak.covered:
        words += (", beneath another mount",)
    note = leak.why if explained else ""
    return Entry(Word(leak.severity, leak.severity), together(*words), note, (remedy,) if remedy else ())


# ---- changes ----


def _by_kind(changes: Sequence[Change]) -> dict[Kind, list[Change]]:
    grouped: dict[Kind, list[Change]] = {kind: [] for kind in KINDS}
    for change in changes:
        grouped[change.kind].append(change)
    return grouped


def change_counts(changes: Sequence[Change]) -> str:
    """``2 added, 1 removed``."""
    return counted_each((kind, len(alike)) for kind, alike in _by_kind(changes).items() if alike)


def changes_table(changes: Sequence[Change], page: Page, *, earlier: bool = False) -> Entries:
    """By kind; of mounts whose propagation differs, as in all of a copied namespace, by what became what.

    *earlier*: what plays the host is the same namespace at an earlier moment.
    """
    grouped = _by_kind(changes)
    retyped = grouped["propagation-changed"]
    entries: list[Entry] = []
    for alike in grouped.values():
        if alike and alike is not retyped:
            # Of mounts that are stacked, and of which the same is to be said, it is said once.
            said: dict[Hashable, list[Change]] = defaultdict(list)
            for change in alike:
                said[_seen_alike(change)].append(change)
            entries += phrases.entries(
                list(said.values()),
                lambda these: change_entry(these[0], earlier=earlier, times=len(these)),
                page,
            )
    became: dict[str, list[str]] = defaultdict(list)
    for change in retyped:
        became[_retyped(change)].append(change.path)
    entries += [Entry("propagation", (f"{what}: ", *some(paths, page))) for what, paths in became.items()]
    return Entries(CHANGES, entries)


def _seen_alike(change: Change) -> Hashable:
    """What an entry tells: mounts that are stacked may have all of it in common."""
    sides = [
        mount and (mount.mount_point, mount.fs_type, mount.source, mount.root, mount.options, mount.super_options)
        for mount in (change.host, change.target)
    ]
    return change.path, *sides, change.covers and change.covers.fs_type, change.hidden


def change_entry(change: Change, *, earlier: bool = False, times: int = 1) -> Entry:
    """What became of one mount: its path, the filesystem, and in what it differs from the host's, or *earlier* one.

    *times*: of how many mounts, stacked upon each other, that is to be said.
    """
    mount = change.target or change.host
    assert mount is not None
    words: tuple[Words, ...] = (name(change.path), f"  {mount.fs_type}")
    if change.kind == "propagation-changed":
        words = (name(change.path), f"  {_retyped(change)}")
    elif change.kind == "moved" and change.host is not None:
        words += (", before at " if earlier else ", on the host at ", name(change.host.mount_point))
    elif change.kind == "remounted" and change.host is not None and change.target is not None:
        words += (f"  {', '.join(_options(change.host, change.target))}",)
    else:
        words = (name(change.path), f"  {phrases.filesystem(mount)}")
    if change.covers is not None:
        whose = "the" if earlier else "the host's"
        words += (f", over {whose} {change.covers.fs_type}",)
    if change.hidden:
        words += (", hidden",)
    if times > 1:
        words += (f", {times} times",)
    return Entry("propagation" if change.kind == "propagation-changed" else change.kind, together(*words))


def change_row(change: Change) -> tuple[Words, ...]:
    """The same in a table of its own."""
    entry = change_entry(change)
    return entry.lead, entry.words


def _options(host: Mount, target: Mount) -> Iterator[str]:
    """The options that differ: ``rw -> ro``."""
    yield from _difference(host.options, target.options)
    yield from (f"superblock {text}" for text in _difference(host.super_options, target.super_options))


def _difference(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    lost = ",".join(option for option in before if option not in after)
    gained = ",".join(option for option in after if option not in before)
    if lost or gained:
        yield f"{lost or 'nothing'} -> {gained or 'nothing'}"


def _retyped(change: Change) -> str:
    """``shared -> private``."""
    assert change.host is not None
    assert change.target is not None
    before, after = change.host.propagation, change.target.propagation
    return f"{before} -> {after}" if before != after else f"{before}, of another group"


FORMATS: dict[str, Format[Diff]] = {
    "table": table(document),
    "json": later("diff_json_csv", "as_json"),
    "csv": later("diff_json_csv", "as_csv"),
    **documents(document, lambda diff: (diff.snapshot,)),
}
