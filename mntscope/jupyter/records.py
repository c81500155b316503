"""Several things of one kind, as a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mntscope.analysis.diff import Change
from mntscope.analysis.namespaces import NamespaceStatus
from mntscope.base.display import Records
from mntscope.graph import Leak, PeerGroup
from mntscope.model import Mount
from mntscope.output import machines, mounts, results
from mntscope.output.audit import findings
from mntscope.output.document import Words, name
from mntscope.output.graph import sharing
from mntscope.output.writers.told import Told, counted, tabled
from mntscope.propagation import Effect
from mntscope.rules import Finding

_KINDS: dict[type, tuple[str, tuple[str, ...], Callable[[Any], tuple[Words, ...]]]] = {
    Mount: ("mount", mounts.COLUMNS, mounts.row),
    NamespaceStatus: ("mount namespace", machines.COLUMNS, machines.row),
    PeerGroup: ("peer group", sharing.GROUP_COLUMNS, sharing.group_row),
    Leak: ("leak", sharing.LEAK_COLUMNS, sharing.leak_row),
    Change: ("change", results.CHANGE_COLUMNS, results.change_row),
    Effect: ("effect", results.EFFECT_COLUMNS, results.effect_row),
    Finding: ("finding", findings.COLUMNS, findings.row),
}


def records(several: Records[Any]) -> Told:
    """How many there are, and the first of them."""
    noun, columns, row = _KINDS.get(several.kind, ("record", ("What",), lambda one: (name(repr(one)),)))
    return Told(counted(len(several), noun), tuple(tabled(columns, several, row)))
