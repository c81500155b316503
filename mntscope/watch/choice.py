"""Which source tells of events here, and what the one at hand cannot see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from mntscope.errors import AccessError, KernelError
from mntscope.watch.fanotify import FanotifySource
from mntscope.watch.polling import PollSource
from mntscope.watch.reading import Reader
from mntscope.watch.source import Source
from mntscope.watch.state import WatchedNamespace
from mntscope.watch.tracing import TraceSource

ByWhat = Literal["auto", "fanotify", "poll"]

_TAKES = "fanotify's mount events take Linux 6.15, and root in the first PID namespace"
_HINT = "use --source poll"


def choose(
    by: ByWhat,
    reader: Reader,
    name_of: Callable[[int], str],
    processes_of: Callable[[WatchedNamespace], None],
) -> tuple[FanotifySource | PollSource, list[str]]:
    """The source that is wanted, or the best that there is; and why it is not a better one.

    :raises AccessError: fanotify is wanted, and is not to be had.
    """
    why: list[str] = []
    if by != "poll":
        try:
            return _marked(reader, name_of), why
        except (AccessError, KernelError) as error:
            if by == "fanotify":
                raise AccessError(_TAKES if isinstance(error, AccessError) else str(error), hint=_HINT) from None
            why = [f"{error.what}: poll is used"]
    return PollSource(reader.proc, processes_of), why


def _marked(reader: Reader, name_of: Callable[[int], str]) -> FanotifySource:
    """fanotify, with a mark for each namespace that there is."""
    if not (reader.by_ids and reader.walks):
        raise AccessError(_TAKES)
    source = FanotifySource(reader.proc, name_of)
    try:
        for _, fd in reader.open_namespaces():
            source.mark(fd)
    except BaseException:
        source.close()
        raise
    return source


def blind_spots(source: Source, reader: Reader, *, traced: bool) -> list[str]:
    """What a source cannot see here, beside another that traces or not."""
    said = [line for line in source.blind if not (traced and "found by the sweep" in line)]
    if isinstance(source, PollSource) and not reader.walks:
        said.append("namespaces without a process are not seen")
    short = "a tenth of a second" if traced else "a second"
    if not isinstance(source, TraceSource):
        said.append(f"a namespace that is gone within {short} may not be seen")
    return said
