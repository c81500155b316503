"""A diff for people: the verdict first, then what to do about it, then what else differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeVar

from mntscope.analysis.diff import Change, Diff, Kind
from mntscope.analysis.remedies import pid_of
from mntscope.graph import Leak
from mntscope.graph.severity import SEVERITIES
from mntscope.model import Mount, Problem, View
from mntscope.output.escape import visible
from mntscope.output.shell import command, command_for_all
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Piece, Text

T = TypeVar("T")

SHOWN = 6
"""How many of a kind are listed before the rest is counted."""

_STYLES = {
    "SAME NAMESPACE": "bold red",
    "LEAKS": "bold red",
    "RECEIVES": "bold yellow",
    "ISOLATED": "bold green",
    "DAMAGE": "bold red",
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "dim",
}
_KINDS: tuple[Kind, ...] = ("added", "removed", "moved", "remounted", "propagation-changed")


def as_table(diff: Diff, page: Page) -> str:
    """What a tired reader needs, in the order in which it is needed."""
    return page.draw(*_blocks(diff, page))


def problems(diff: Diff) -> tuple[Problem, ...]:
    """All that could not be seen: of the tables, and of what they do not tell."""
    return (*diff.host.problems, *diff.target.problems, *diff.not_seen)


def _blocks(diff: Diff, page: Page) -> Iterator[Text]:
    outward = [leak for leak in diff.leaks if leak.direction != "in"]
    inward = [leak for leak in diff.leaks if leak.direction == "in"]
    yield from _verdict(diff, outward, inward)
    for damage in diff.damage:
        heading = "DAMAGE" if damage.certain else "DAMAGE?"
        yield Text("\n", (heading, _STYLES["DAMAGE"]), f"  {visible(str(damage))}.")
    if outward:
        yield from _leaks(outward, diff, page)
    if outward and inward:
        yield Text(f"\nThe host's mounts and umounts also reach {_mounts_of(inward, diff)}.")
    if diff.changes:
        yield from _changes(diff.changes, page)
    told = {change.path for change in diff.changes if change.covers is not None}
    covered = [mount.mount_point for mount in diff.hidden if mount.mount_point not in told]
    if covered:
        yield Text(f"\nCovered in the target, not on the host: {_some(covered, page)}.")
    unseen = problems(diff)
    if unseen:
        yield Text("")
    for problem in _shortened(unseen, page):
        yield Text((f"Not seen: {visible(str(problem))}.", "dim"))
    yield from _rest(unseen, page)


def _verdict(diff: Diff, outward: list[Leak], inward: list[Leak]) -> Iterator[Text]:
    """One sentence, and what follows from it."""
    who, host = named(diff.target), _host(diff.host)
    at = f" at {visible(diff.path)}" if diff.path else ""
    if diff.target is diff.host:
        yield _headline("SAME NAMESPACE", f"{who} is what it is compared with.")
    elif diff.verdict == "same-namespace":
        yield _headline("SAME NAMESPACE", f"{who} lives in the mount namespace of {host}.")
        yield Text("Every mount it makes IS a change of the host. To give a command a namespace of its own:")
        yield _shell("unshare --mount COMMAND")
    elif diff.verdict == "leaks" and diff.path:
        yield _headline("LEAKS", f"what {who} mounts or unmounts{at} also is on {host}.")
    elif diff.verdict == "leaks":
        yield _headline("LEAKS", f"{_mounts_of(outward, diff)} in {who} propagate to {host}.")
    elif diff.verdict == "receives":
        yield _headline("RECEIVES", f"nothing that {who} mounts or unmounts{at} reaches {host}.")
        yield Text(
            f"The host's mounts and umounts reach {_mounts_of(inward, diff)} of the target: what the host unmounts"
            " goes away there too, and is not kept busy."
        )
    else:
        yield _headline("ISOLATED", f"no mount or umount{at} crosses between {who} and {host}.")
        yield Text(
            "What the target mounts stays there. The host's umounts do not arrive either: a filesystem that both have"
            " mounted stays busy until both let go of it."
        )


def _leaks(leaks: list[Leak], diff: Diff, page: Page) -> Iterator[Text]:
    """The worst with what stops it, the others as a list; at last what stops them all."""
    worst = [leak for leak in leaks if leak.severity == "critical"] or leaks[:1]
    worst = leaks if page.everything else worst[:SHOWN]
    for number, leak in enumerate(worst):
        yield Text("")
        yield _worst(leak, explained=number == 0 or page.everything)
        remedy = command(leak, diff)
        if remedy is not None:
            yield _shell(remedy, indent=10)
    others = leaks[len(worst) :]
    if others:
        yield Text("")
    for severity in SEVERITIES:
        alike = [leak for leak in others if leak.severity == severity]
        in_place = [leak.path for leak in alike if leak.lands_at == (leak.path,)]
        if in_place:
            yield _item(severity, f"{_some(in_place, page)} (same path on the host)")
        elsewhere = [leak for leak in alike if leak.lands_at != (leak.path,)]
        for leak in _shortened(elsewhere, page):
            yield _item(severity, *_landing(leak, related=True))
        yield from _rest(elsewhere, page)
    all_of_them = command_for_all(diff)
    if len(leaks) > 1 and all_of_them is not None:
        still = ", and still let the host's umounts in" if any(leak.direction == "both" for leak in leaks) else ""
        yield Text(f"\nTo stop all of them{still}:")
        yield _shell(all_of_them)


def _worst(leak: Leak, *, explained: bool) -> Text:
    if not explained:
        return _item(leak.severity, *_landing(leak, related=True))
    return _item(leak.severity, *_landing(leak), (f"\n{visible(leak.why)}", "dim"))


def _landing(leak: Leak, *, related: bool = False) -> Iterator[str | Piece]:
    """``/a -> /srv/a on the host``, and through which peer group."""
    places = [visible(place) for place in leak.lands_at[:3]]
    more = len(leak.lands_at) - len(places)
    there = ", ".join(places) + (f" and {more} more" if more else "")
    yield visible(leak.path), "bold"
    yield f" -> {there} on the host"
    if related:
        yield f", {'its peer' if leak.via == 'peer' else 'a slave'} in group {leak.peer_group}"
    if leak.covered:
        yield ", beneath another mount"


def _changes(changes: Sequence[Change], page: Page) -> Iterator[Text]:
    grouped: dict[Kind, list[Change]] = {kind: [] for kind in _KINDS}
    for change in changes:
        grouped[change.kind].append(change)
    counts = [f"{len(found)} {kind}" for kind, found in grouped.items() if found]
    yield Text("\n", ("Compared with the host: ", "bold"), ", ".join(counts), ".")
    for kind, found in grouped.items():
        if kind == "propagation-changed":
            yield from _propagation(found, page)
            continue
        for change in _shortened(found, page):
            yield _item(kind, *_described(change), indent=len("propagation  "))
        yield from _rest(found, page)


def _described(change: Change) -> Iterator[str | Piece]:
    mount = change.target or change.host
    assert mount is not None
    yield visible(change.path), "bold"
    yield f"  {visible(mount.fs_type)}"
    if change.kind == "moved" and change.host is not None:
        yield f", on the host at {visible(change.host.mount_point)}"
    elif change.kind == "remounted" and change.host is not None and change.target is not None:
        yield f"  {_options(change.host, change.target)}"
    else:
        yield visible(_source(mount))
    if change.covers is not None:
        yield f", over the host's {visible(change.covers.fs_type)}"
    if change.hidden:
        yield ", hidden"


def _source(mount: Mount) -> str:
    """As findmnt(8) has it: `` /dev/sda1[/dir]``; nothing where it says nothing."""
    source = "" if mount.source in ("none", mount.fs_type) else mount.source
    directory = "" if mount.root == "/" else f"[{mount.root}]"
    return f" {source}{directory}" if source or directory else ""


def _options(host: Mount, target: Mount) -> str:
    """The options that differ: ``rw -> ro``."""
    of_mount = _difference(host.options, target.options)
    of_superblock = _difference(host.super_options, target.super_options)
    return ", ".join([*of_mount, *(f"superblock {text}" for text in of_superblock)])


def _difference(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    lost = ",".join(option for option in before if option not in after)
    gained = ",".join(option for option in after if option not in before)
    if lost or gained:
        yield visible(f"{lost or 'nothing'} -> {gained or 'nothing'}")


def _propagation(changes: Sequence[Change], page: Page) -> Iterator[Text]:
    """Grouped by what became what: a copied namespace differs in every mount."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        assert change.host is not None
        assert change.target is not None
        before, after = change.host.propagation, change.target.propagation
        became = f"{before} -> {after}" if before != after else f"{before}, of another group"
        grouped[became].append(change.path)
    for became, paths in grouped.items():
        yield _item("propagation", f"{became}: {_some(paths, page)}", indent=len("propagation  "))


def _item(name: str, *pieces: str | Piece, indent: int = 10) -> Text:
    """A word, and beside it what belongs to it, on as many lines as that takes."""
    return Text(*pieces, lead=(name.ljust(indent), _STYLES.get(name, "")), indent=" " * indent)


def _headline(heading: str, sentence: str) -> Text:
    return Text((heading, _STYLES[heading]), f"  {sentence}")


def _shell(text: str, indent: int = 2) -> Text:
    """A command on a line of its own, which is not broken, so that it can be copied."""
    return Text((text, "cyan"), indent=" " * indent, whole=True)


def named(view: View) -> str:
    """Whom a view belongs to: ``4711 (nginx, docker 4f66..)``."""
    if view.label == "host":
        return "the host"
    pid = pid_of(view)
    comm = next((process.comm for process in view.namespace.processes if process.pid == pid), "")
    owner = view.namespace.owner
    words = [visible(word) for word in (comm, str(owner) if owner and owner.known else "") if word]
    return visible(view.label) + (f" ({', '.join(words)})" if words else "")


def _host(view: View) -> str:
    return "the host" if view.label == "host" else f"{named(view)}, the host"


def _mounts_of(leaks: Sequence[Leak], diff: Diff) -> str:
    """``3 of the 20 mounts``."""
    concerned, there = len({leak.mount.mount_id for leak in leaks}), len(diff.target.mounts)
    if there == 1:
        return "the one mount"
    return f"all {there} mounts" if concerned == there else f"{concerned} of the {there} mounts"


def _some(paths: Sequence[str], page: Page) -> str:
    shown = [visible(path) for path in dict.fromkeys(paths)]
    kept = shown if page.everything or len(shown) <= SHOWN else shown[: SHOWN // 2]
    more = len(shown) - len(kept)
    return ", ".join(kept) + (f" and {more} more" if more else "")


def _shortened(things: Sequence[T], page: Page) -> Sequence[T]:
    return things if page.everything else things[:SHOWN]


def _rest(things: Sequence[object], page: Page) -> Iterator[Text]:
    if len(things) > SHOWN and not page.everything:
        yield Text((f"and {len(things) - SHOWN} more (--all)", "dim"))
