"""A prediction for people: what would become of the host first, then of everyone else."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from errno import errorcode
from typing import TypeVar

from mntscope.analysis.predict import Prediction, StepPrediction, Whose
from mntscope.graph.severity import CRITICAL
from mntscope.model import Mount
from mntscope.output.escape import visible
from mntscope.output.writers.page import Page
from mntscope.output.writers.terminal import Text, cells
from mntscope.propagation import Effect, Outcome

T = TypeVar("T")

SHOWN = 6
"""How many of a kind are listed before the rest is counted."""

_STYLES = {
    "CHANGES THE HOST": "bold red",
    "CHANGES OTHERS": "bold red",
    "ON THE HOST": "bold red",
    "STAYS INSIDE": "bold green",
    "CHANGES NOTHING": "bold yellow",
}


def as_table(prediction: Prediction, page: Page) -> str:
    """What a tired reader needs, in the order in which it is needed."""
    return page.draw(*_blocks(prediction, page))


def _blocks(prediction: Prediction, page: Page) -> Iterator[Text]:
    heading, sentence = headline(prediction)
    yield Text((heading, _STYLES[heading]), f"  {sentence}")
    host = host_lines(prediction, page)
    if host:
        yield Text("")
    for line in _shortened(host, page):
        yield Text((f"host: {line}", "bold red"))
    yield from _rest(host, page)
    if len(prediction.steps) > 1 or prediction.failed:
        yield Text("")
        yield from _steps(prediction.steps)
    sections = [label for label in _changed(prediction) if label != prediction.before.host_label]
    for label in _shortened(sections, page):
        yield from _section(label, prediction, page)
    yield from _rest(sections, page)
    doubts = [f"Uncertain: {visible(reason)}." for reason in prediction.uncertain]
    unseen = [f"Not seen: {visible(str(problem))}." for problem in prediction.before.not_seen]
    if doubts or unseen:
        yield Text("")
    yield from (Text((doubt, "yellow")) for doubt in doubts)
    yield from (Text((problem, "dim")) for problem in _shortened(unseen, page))
    yield from _rest(unseen, page)


def headline(prediction: Prediction) -> tuple[str, str]:
    """The verdict, in capitals, and a sentence."""
    outside, host = prediction.outside, prediction.before.host_label
    on_host = [effect for effect in outside if effect.namespace == host]
    others = {effect.namespace for effect in outside} - {host}
    elsewhere = _count(len(others), "other namespace")
    if prediction.target == host and any(effect.namespace == host for effect in prediction.effects):
        heading, sentence = "ON THE HOST", "the command runs in the host's own mount namespace"
        sentence += f", and would change {elsewhere} too." if others else ": what it changes, it changes for the host."
    elif on_host:
        heading, sentence = "CHANGES THE HOST", f"{_count(len(on_host), 'mount')} there"
        sentence += f", and mounts of {elsewhere}." if others else "."
    elif outside:
        heading, sentence = "CHANGES OTHERS", f"mounts of {elsewhere}; the host's own would stay as they are."
    elif prediction.effects:
        who = visible(prediction.target)
        heading, sentence = "STAYS INSIDE", f"nothing outside the mount namespace of {who} would change."
    else:
        heading, sentence = "CHANGES NOTHING", "all mounts would stay as they are."
    return heading, sentence


# ---- the host ----


def host_lines(prediction: Prediction, page: Page) -> list[str]:
    """What becomes of the host, the worst first."""
    host = prediction.before.host_label
    lines: list[tuple[bool, str]] = []
    changed: dict[str, list[str]] = defaultdict(list)
    for step in prediction.steps:
        for outcome in step.outcomes:
            found = [effect for effect in outcome.effects if effect.namespace == host]
            # Where a mount has another on its root: (its ID, its mount point).
            onto = outcome.snapshot.view(host).mounts if any(effect.change == "mount" for effect in found) else ()
            covered = {(over.parent_id, over.mount_point) for over in onto}
            for effect in found:
                if effect.change in ("mount", "umount", "move"):
                    lines.append((effect.path not in CRITICAL, _on_host(effect, covered, step.proc_of)))
                else:
                    changed[_became(effect)].append(effect.path)
    worst_first = [line for _, line in sorted(lines, key=lambda entry: entry[0])]
    return list(dict.fromkeys([*worst_first, *(f"{_some(paths, page)}: {what}" for what, paths in changed.items())]))


def _on_host(effect: Effect, covered: set[tuple[int, str]], proc_of: Whose | None) -> str:
    path, mount = visible(effect.path), effect.after or effect.before
    assert mount is not None
    if effect.change == "umount":
        gone = ", on which the whole host relies" if effect.path in CRITICAL else ""
        return f"{path} ({visible(mount.fs_type)}) would be unmounted{gone}"
    if effect.before is not None:
        return f"{visible(effect.before.mount_point)} ({visible(mount.fs_type)}) would be moved to {path}"
    if (mount.mount_id, mount.mount_point) in covered:
        return f"{path} would get this {visible(mount.fs_type)}, beneath what is mounted there"
    return f"{path} would be covered by this {visible(mount.fs_type)}{_consequence(mount, proc_of)}"


def _consequence(mount: Mount, proc_of: Whose | None) -> str:
    if mount.mount_point == "/proc" and mount.fs_type == "proc" and proc_of:
        if proc_of == "the host's":
            return " of the same processes; what is mounted below it would be hidden"
        certainly = "" if proc_of == "another" else " if it shows other processes than the host's"
        return f": `ps`, `systemd` and every reader of /proc there would break{certainly}"
    if mount.mount_point in CRITICAL:
        return ": whatever reads what lies there now would break"
    return ""


# ---- the steps ----

_REASONS = {
    ("bind", "EINVAL"): "{source} is on an unbindable mount, or has locked mounts below it",
    ("clone_ns", "EPERM"): "the process is in a chroot, or its root is covered",
    ("mount", "EBUSY"): "the same filesystem is mounted at {target} already",
    ("mount", "EPERM"): "it takes privileges over more than the new user namespace",
    ("move", "EINVAL"): "{source} is no mount point, is locked, or is mounted in a shared mount",
    ("move", "ELOOP"): "{target} lies inside {source}",
    ("propagation", "EINVAL"): "{target} is not a mount point",
    ("remount", "EINVAL"): "{target} is not a mount point",
    ("remount", "EPERM"): "{target} is locked read-only",
    ("umount", "EBUSY"): "something is mounted below {target}",
    ("umount", "EINVAL"): "{target} is not a mount point, or is locked",
}


def _steps(steps: Sequence[StepPrediction]) -> Iterator[Text]:
    commands = [f"{'  ' * step.depth}{visible(step.step.text)}" for step in steps]
    room = max(map(cells, commands), default=0) + 2
    number_room = len(f"step {len(steps)}:")
    for number, (step, command) in enumerate(zip(steps, commands, strict=True), 1):
        if step.skipped:
            became = "not run", "yellow"
        elif step.failed:
            became = visible(failure(step.failed)), "bold yellow"
        else:
            became = "succeeds", "green"
        lead = f"step {number}:".rjust(number_room) + "  "
        yield Text(command, " " * (room - cells(command)), became, lead=lead, indent=" " * len(lead))


def failure(outcome: Outcome) -> str:
    """The errno, and what it comes from where that is known."""
    op, errno = outcome.operation.op, outcome.errno or ""
    if (op, errno) in _REASONS:
        from dataclasses import asdict

        return f"{errno}: {_REASONS[op, errno].format_map(asdict(outcome.operation))}"
    number = next((number for number, name in errorcode.items() if name == errno), 0)
    return f"{errno}: {os.strerror(number)}"


# ---- everyone else ----


def _changed(prediction: Prediction) -> list[str]:
    """The namespaces that change: others first, then the target's, then those that the command makes."""
    changed = dict.fromkeys(effect.namespace for effect in prediction.effects)
    known = dict.fromkeys(prediction.known)
    others = [label for label in known if label in changed and label != prediction.target]
    own = [prediction.target] if prediction.target in changed else []
    return [*others, *own, *(label for label in changed if label not in known)]


def _section(label: str, prediction: Prediction, page: Page) -> Iterator[Text]:
    yield Text("\n", (_name(label, prediction), "bold"))
    copied = ended = 0
    changed: dict[tuple[str, str], list[str]] = defaultdict(list)
    for step in prediction.steps:
        for outcome in step.outcomes:
            found = [effect for effect in outcome.effects if effect.namespace == label]
            if outcome.operation.op == "clone_ns" and label not in prediction.known:
                copied += len(found)
            elif outcome.operation.op == "exit_ns":
                ended += len(found)
            else:
                for effect in found:
                    changed[effect.change, _became(effect)].append(effect.path)
    rows = [(change, _some(paths, page), became) for (change, became), paths in changed.items()]
    rows = [("begins with", "", f"{_count(copied, 'mount')}, copied")] * bool(copied) + rows
    yield from _rows(_shortened(rows, page))
    yield from _rest(rows, page)
    if ended:
        yield from _rows([("ends", "", "with the command, and all that is mounted in it")])


def _rows(rows: Sequence[tuple[str, str, str]]) -> Iterator[Text]:
    for change, paths, became in rows:
        yield Text((paths, "bold"), "  " if paths else "", became, lead=f"  {change:13}", indent=" " * 15)


def _became(effect: Effect) -> str:
    before, after = effect.before, effect.after
    if before is None or after is None:
        mount = after or before
        assert mount is not None
        source = f" {mount.source}" if mount.source not in ("", "none", mount.fs_type) else ""
        return visible(f"{mount.fs_type}{source}, {_tags(mount)}")
    if effect.change == "move":
        return visible(f"was at {before.mount_point}")
    if effect.change == "remount":
        # The superblock's options come second: "rw" stands in both lists.
        was, now = (before.options, before.super_options), (after.options, after.super_options)
        lost = [option for old, new in zip(was, now, strict=True) for option in _without(old, new)]
        gained = [option for old, new in zip(was, now, strict=True) for option in _without(new, old)]
        return visible(f"{','.join(lost) or 'nothing'} -> {','.join(gained) or 'nothing'}")
    if before.propagation != after.propagation:
        return f"{before.propagation} -> {after.propagation}"
    return f"{_tags(before)} -> {_tags(after)}"


def _without(options: Iterable[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [option for option in options if option not in known]


def _tags(mount: Mount) -> str:
    """Its propagation, as mountinfo shows it."""
    tags = [f"{name}:{group}" for name, group in (("shared", mount.peer_group), ("master", mount.master)) if group]
    return " ".join(tags) or mount.propagation


def _name(label: str, prediction: Prediction) -> str:
    view = next((view for view in prediction.before.views if view.label == label), None)
    if view is None:
        return f"{visible(label)} (a new namespace)"
    comm = view.process.comm if view.process else ""
    owner = view.namespace.owner
    words = ["the target"] if label == prediction.target else []
    words += [visible(word) for word in (comm, str(owner) if owner and owner.known else "") if word]
    return visible(label) + (f" ({', '.join(words)})" if words else "")


def _some(paths: Sequence[str], page: Page) -> str:
    shown = [visible(path) for path in dict.fromkeys(paths)]
    kept = shown if page.everything else shown[:SHOWN]
    return ", ".join(kept) + (f" and {len(shown) - len(kept)} more" if len(shown) > len(kept) else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shortened(things: Sequence[T], page: Page) -> Sequence[T]:
    return things if page.everything else things[:SHOWN]


def _rest(things: Sequence[object], page: Page) -> Iterator[Text]:
    if len(things) > SHOWN and not page.everything:
        yield Text((f"and {len(things) - SHOWN} more (--all)", "dim"))
