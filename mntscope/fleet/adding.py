"""Adding snapshots to a data set: what is new of what is given is parted, and made by workers."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence

from mntscope.base.display import Shown
from mntscope.base.own_version import VERSION
from mntscope.base.records import dataclass
from mntscope.fleet.manifest import Manifest, begin
from mntscope.fleet.parts import Made, Part
from mntscope.fleet.places import Place, shown
from mntscope.fleet.sources import Bad, Input, inputs
from mntscope.fleet.workers import Cluster, Pool, Workers

INPUTS = 50
"""How many make a part: few enough that a worker that dies costs little, many enough that files are not too small."""

QUEUED = 2
"""Parts that are asked for at a time, for each that can be made: more would only wait."""


@dataclass(frozen=True, slots=True)
class Added(Shown):
    """What was added."""

    dataset: str
    added: int
    """Snapshots that were not there before."""
    known: int
    """Inputs that were: they were not even read."""
    bad_inputs: tuple[Bad, ...]
    """Those that could not be added, and why; also those of which that is known from before."""
    parts: int
    """How many were made."""


def add(
    sources: Sequence[str],
    dataset: str,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Added:
    """Read the snapshots that *sources* name, and put what they show into *dataset*, which is made if there is none.

    Only what is not there yet is read: an input is known by its URL, its size, and its etag or the time of its last
    change. So to run it again does no work, and after an interruption the rest of it. Two may run at once.

    The work is done by as many processes as *workers* says (by default one a processor), or by the Dask cluster whose
    *scheduler* is named; then sources and data set must be where all of its workers reach them.

    *progress* is called with how many inputs are done, and of how many.

    :raises MntscopeError: the data set cannot be written, a source names nothing, or the cluster is not there.
    """
    place = Place(dataset)
    left_out: list[Bad] = []
    given = list(dict.fromkeys(inputs(sources, left_out)))
    begin(place)
    place.tidy()
    manifest = Manifest(place)
    done = manifest.done(VERSION)
    new = [one for one in given if one.number not in done]
    # What was bad then is still bad: it is told again.
    for one in given:
        before = manifest.inputs.get(one.number)
        if before is not None and before.why is not None and one.number in done:
            left_out.append(Bad(one.shown, before.why))
    if not new:
        return Added(shown(dataset), 0, len(given), tuple(left_out), 0)
    asked: Workers = Cluster(scheduler) if scheduler else Pool(workers)
    try:
        work = _Work(place.url, asked, progress or (lambda _done, _total: None))
        work.carry_out(new)
    finally:
        asked.end()
    return Added(shown(dataset), work.added, len(given) - len(new), (*left_out, *work.bad), work.parts)


class _Work:
    """Has all parts made, whatever becomes of the workers."""

    def __init__(self, dataset: str, workers: Workers, progress: Callable[[int, int], None]) -> None:
        self.added = self.parts = 0
        self.bad: list[Bad] = []
        self._dataset = dataset
        self._workers = workers
        self._progress = progress

    def carry_out(self, new: Sequence[Input]) -> None:
        parts = [Part(self._dataset, tuple(new[at : at + INPUTS])) for at in range(0, len(new), INPUTS)]
        # In an order of its own: of two commands at once each finds made what the other has.
        random.shuffle(parts)
        pending, suspects = deque(parts), deque[Part]()
        deaths: dict[Part, int] = {}
        asked = finished = 0
        self._progress(0, len(new))
        while pending or suspects or asked:
            while pending and asked < QUEUED * self._workers.count:
                self._workers.ask(pending.popleft())
                asked += 1
            if not asked:
                # Whoever died may have died of another's input: so each of them is made alone.
                self._workers.ask(suspects.popleft())
                asked += 1
            part, made = self._workers.answer()
            asked -= 1
            if made is not None:
                finished += len(part.inputs)
                self._count(made)
            elif len(part.inputs) > 1:
                suspects.extend(part.halves())
            elif deaths.setdefault(part, 0) == 0:
                deaths[part] += 1
                suspects.append(part)
            else:
                finished += 1
                self.bad += (Bad(one.shown, "whoever reads it is killed") for one in part.inputs)
            self._progress(finished, len(new))

    def _count(self, made: Made) -> None:
        self.added += made.added
        self.parts += not made.known
        self.bad += made.bad
