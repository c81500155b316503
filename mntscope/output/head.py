"""What every document that is filed begins with: which machine, when, which kernel, and what was asked of mntscope."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mntscope.base.own_version import VERSION
from mntscope.model import Origin
from mntscope.output.document import Facts, Word, Words, name, together
from mntscope.output.origin import machine, utc
from mntscope.output.writers.page import Made, Page
from mntscope.snapshot import Snapshot

_UNKNOWN = "not recorded in the capture"
_SIDES = ("Before", "After")


def head(page: Page, snapshots: Sequence[Snapshot] = (), *, here: bool = False) -> Facts:
    """A term and what there is to say, one after the other; nothing where nobody asked for a document to be filed.

    Of several *snapshots* the document is a comparison. One that is about none, but about the machine that mntscope
    runs on, is of *here*, and of now.
    """
    if page.made is None:
        return ()
    return tuple(_facts(page.made, [page.made.here] if here else snapshots))


def _facts(made: Made, snapshots: Sequence[Snapshot]) -> Iterator[tuple[str, Words]]:
    if len(snapshots) > 1:
        for side, snapshot in zip(_SIDES, snapshots, strict=False):
            yield side, machine(snapshot)
    elif snapshots:
        yield from _of(snapshots[0])
    yield "Command", Word(made.command, "command")
    yield "mntscope", _versions(snapshots)


def _of(snapshot: Snapshot) -> Iterator[tuple[str, Words]]:
    origin = snapshot.origin
    system = f", {snapshot.distribution}" if snapshot.distribution else ""
    yield "Machine", together(name(origin.host_name), system) if origin.host_name else f"{_UNKNOWN}{system}"
    if origin.machine_id:
        yield "Machine id", name(origin.machine_id)
    yield "Captured", _UNKNOWN if origin.time is None else utc(origin.time)
    version = f" ({snapshot.kernel_version})" if snapshot.kernel_version else ""
    yield "Kernel", f"Linux {snapshot.kernel}{version}" if snapshot.kernel else _UNKNOWN


def _versions(snapshots: Sequence[Snapshot]) -> str:
    """Which one wrote this, and which one captured, where that was another."""
    own = VERSION
    others = dict.fromkeys(version for each in snapshots if (version := each.origin.mntscope) not in (None, own))
    return f"{own}; captured by {' and '.join(map(str, others))}" if others else own


def this_machine(origin: Origin, kernel: str, kernel_version: str) -> Snapshot:
    """What is known of the running machine without its mounts."""
    return Snapshot((), "", kernel=kernel, kernel_version=kernel_version, origin=origin)
