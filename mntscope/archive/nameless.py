"""A snapshot for whoever need not know whose machine it is."""

from __future__ import annotations

import json
from typing import Any

from mntscope.archive.document import from_document, to_document
from mntscope.base.redaction import without_name
from mntscope.snapshot import Snapshot

_NO_NAMES = ("format", "boot_id", "machine_id", "kind", "mount_program")
"""Members that mean something to a reader, and are nobody's name."""


def nameless(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the host's name, also where that stands in paths, sources, cgroups and names of owners.

    Its machine id stays: from that nobody learns a name, and two captures can be told to be of one machine.
    """
    name = snapshot.origin.host_name
    if not name:
        return snapshot
    document = to_document(snapshot)
    document["origin"]["host_name"] = None
    hide = without_name(name)

    def hidden(value: Any, member: str = "") -> Any:
        if isinstance(value, dict):
            return {key: hidden(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [hidden(each, member) for each in value]
        if not isinstance(value, str) or member in _NO_NAMES:
            return value
        return _line(value) if member == "mountinfo" else hide(value)

    def _line(line: str) -> str:
        before, separator, behind = line.partition(" - ")
        fields, words = before.split(" "), behind.split(" ", 2)
        if not separator or len(fields) < 6 or len(words) < 3:
            return hide(line)
        # Root and mount point; source and options of the superblock. The rest are numbers, types and flags.
        fields[3:5] = map(hide, fields[3:5])
        words[1:] = map(hide, words[1:])
        return f"{' '.join(fields)} - {' '.join(words)}"

    return from_document(json.dumps(hidden(document)), "the snapshot")
