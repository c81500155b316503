"""What is told of a machine that is watched: a line for each event, a JSON object for each, or metrics."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator

from mntscope.base.counting import counted
from mntscope.base.records import dataclass
from mntscope.output.escape import shortened, visible
from mntscope.watch.events import KINDS, Event, Place, Who

SHOWN = 4
"""Of the places to which something went so many are listed in a line."""

LONGEST_NAME = 100


def as_line(event: Event) -> str:
    """The time of day, and a sentence: one line, whatever is in the names."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.time))
    return f"{clock}  {sentence(event)}\n"


def as_json(event: Event) -> str:
    """The schema ``mntscope.watch/1``, in a line."""
    return json.dumps(event.to_dict()) + "\n"


def sentence(event: Event) -> str:
    """What happened, without the time."""
    said = _SENTENCES[event.kind](event)
    if event.kind == "leak":
        return said
    also = ", ".join(_place(place) for place in event.also[:SHOWN])
    more = len(event.also) - SHOWN
    also += f" and {more} more" if more > 0 else ""
    return f"{said}  -> also {also}" if also else said


def _who(who: Who | None) -> str:
    if who is None:
        return "somebody"
    name = _name(who.comm) if who.comm else "somebody"
    pid = f"[{who.pid}]" if who.pid else ""
    owner = f" ({_name(who.owner)})" if who.owner and who.owner != "host" else ""
    return f"{name}{pid}{owner}"


def _name(text: str) -> str:
    return shortened(visible(text), LONGEST_NAME)


def _place(place: Place) -> str:
    return f"{_name(place.namespace) or '?'}:{_path(place.path)}"


def _path(path: str | None) -> str:
    return "?" if path is None else shortened(visible(path))


def _where(event: Event) -> str:
    return _place(Place(event.namespace, event.path))


def _mount(event: Event) -> str:
    if not event.known:
        return f"{_who(event.who)} mounted something that was gone before it could be looked at"
    what = " ".join(_name(word) for word in dict.fromkeys((event.fs_type, event.source)) if word)
    return f"{_who(event.who)} mounted {what} on {_where(event)}"


def _umount(event: Event) -> str:
    if not event.known:
        return f"{_who(event.who)} unmounted what was gone before it could be looked at"
    return f"{_who(event.who)} unmounted {_where(event)}"


def _move(event: Event) -> str:
    was = f"{_name(event.namespace)}:{_path(event.was)}" if event.was else "a mount"
    return f"{_who(event.who)} moved {was} to {_path(event.path)}"


def _changed(verb: str) -> Callable[[Event], str]:
    return lambda event: (
        f"{_who(event.who)} {verb} {_where(event)}: it was {_name(event.was)}, and is {_name(event.now)}"
    )


def _born(event: Event) -> str:
    by = f", of {_who(event.who)}" if event.who and event.who.comm else ""
    return f"new namespace {_name(event.namespace)} with {counted(event.count, 'mount')}{by}"


def _leak(event: Event) -> str:
    lands = ", ".join(_place(place) for place in event.also[:SHOWN])
    more = f" and {len(event.also) - SHOWN} more" if len(event.also) > SHOWN else ""
    severe = f" ({event.severity})" if event.severity else ""
    others = f", {event.text}" if event.text else ""
    remedy = f"; {_path(event.remedy)}, in it, stops that" if event.remedy else ""
    return f"LEAK{severe}: what is mounted at {_where(event)} reaches {lands}{more}{others}{remedy}"


def _healed(event: Event) -> str:
    others = f", {event.text}" if event.text else ""
    place = _where(event) if event.path else _name(event.namespace)
    return f"healed: {place} leaks to the host no more{others}"


_SENTENCES: dict[str, Callable[[Event], str]] = {
    "source": lambda event: f"watching: {_name(event.text) if len(event.text) < LONGEST_NAME else _path(event.text)}",
    "mount": _mount,
    "umount": _umount,
    "move": _move,
    "propagation": _changed("changed the propagation of"),
    "remount": _changed("remounted"),
    "namespace-born": _born,
    "namespace-gone": lambda event: f"namespace {_name(event.namespace)} is gone, with {counted(event.count, 'mount')}",
    "leak": _leak,
    "healed": _healed,
    "overflow": lambda event: f"OVERFLOW: {_path(event.text)}",
    "unpredicted": lambda event: f"UNPREDICTED: {_path(event.text)}",
}


# Metrics


@dataclass(frozen=True, slots=True)
class Counts:
    """What a watch has come to so far."""

    events: Counter[str]
    """Lines by kind."""
    namespaces: int
    mounts: int
    leaking: int
    """Mounts of other namespaces that leak to the host now,"""
    leaking_namespaces: int
    """and the namespaces that have some."""
    unknown: int
    """Mounts that were gone before they could be looked at."""
    overflows: int
    since: float
    """When it began, in seconds since 1970."""


def as_prometheus(counts: Counts) -> str:
    """Prometheus' text format. As in an audit's, no name from the machine is a label: they are anyone's to choose."""
    return "".join(f"{line}\n" for line in _metrics(counts))


def _metrics(counts: Counts) -> Iterator[str]:
    yield "# HELP mntscope_watch_events_total What was told, by kind."
    yield "# TYPE mntscope_watch_events_total counter"
    for kind in KINDS:
        yield f'mntscope_watch_events_total{{kind="{kind}"}} {counts.events.get(kind, 0)}'
    for name, type_, said, value in (
        ("namespaces", "gauge", "Mount namespaces that are watched.", counts.namespaces),
        ("mounts", "gauge", "Mounts in them.", counts.mounts),
        ("leaking_mounts", "gauge", "Mounts of other namespaces whose events reach the host.", counts.leaking),
        ("leaking_namespaces", "gauge", "Namespaces that have such mounts.", counts.leaking_namespaces),
        ("unknown_total", "counter", "Mounts that were gone before they could be looked at.", counts.unknown),
        ("overflows_total", "counter", "Times when everything was read again.", counts.overflows),
        ("start_time_seconds", "gauge", "When the watch began.", int(counts.since)),
    ):
        yield f"# HELP mntscope_watch_{name} {said}"
        yield f"# TYPE mntscope_watch_{name} {type_}"
        yield f"mntscope_watch_{name} {value}"
