"""Whole tables of a machine that is watched: read again, and compared with what is known where they are others.

Nothing tells that a propagation type or an option has changed but the tables, so all of them are read now and then. To
read one takes a microsecond or two for each mount, and most are as they were: of these nothing more is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mntscope.watch.acts import Change
from mntscope.watch.events import Who
from mntscope.watch.reading import Reader, parsed
from mntscope.watch.resolve import Resolver
from mntscope.watch.state import Machine


class Tables:
    """Reads the tables of a machine again and again; what has changed in them is then known."""

    def __init__(self, machine: Machine, reader: Reader, resolver: Resolver) -> None:
        self._machine = machine
        self._reader = reader
        self._resolver = resolver
        self._known: dict[int, int] = {}
        """A hash of each table that was compared last, by the key of its namespace."""

    def read(self, namespaces: Iterable[int]) -> dict[int, bytes | None]:
        """The tables of these namespaces as they are now; ``None`` of one in which no process lives that shows it."""
        machine = self._machine
        here = [machine.namespaces[key] for key in namespaces if key in machine.namespaces]
        texts = {its.key: self._reader.text(its.inode, its.readers) for its in here}
        if any(text is None for text in texts.values()):
            # Others may live there by now.
            members = self._reader.members()
            for its in here:
                if texts[its.key] is None and its.inode in members:
                    machine.note_processes(its.key, self._reader.processes(its.inode))
                    texts[its.key] = self._reader.text(its.inode, its.readers)
        return texts

    def compare(self, key: int, text: bytes | None, who: Who | None = None, *, whole: bool) -> list[Change]:
        """What differs between a table and what is known, which then is as the table says.

        Unless it is the *whole* that is compared, what has come and gone is left to the source, which tells who did it.
        *who* has made a call that makes mounts others than they were, and neither mounts, moves nor unmounts.
        """
        namespace = self._machine.namespaces[key]
        if text is not None:
            digest = hash(text)
            if self._known.get(key) == digest:
                return []
            self._known[key] = digest
            table = self._reader.keyed(namespace, parsed(text))
        else:
            table = self._reader.mounts(key) if self._reader.by_ids else {}
        # A namespace has a mount at least.
        return self._resolver.compare(key, table, who, whole=whole) if table else []

    def read_and_compare(self, namespaces: Iterable[int], callers: Mapping[int, Who], *, whole: bool) -> list[Change]:
        """What differs in these namespaces; of which it is known who has made a call there."""
        texts = self.read(namespaces).items()
        return [change for key, text in texts for change in self.compare(key, text, callers.get(key), whole=whole)]

    def missed(self, namespaces: Iterable[int]) -> list[Change] | None:
        """What has become another in these namespaces; ``None`` where mounts have come or gone that nobody told of."""
        changes: list[Change] = []
        for key in namespaces:
            its = self._machine.namespaces[key]
            table = self._reader.table(its)
            if table is None or table.keys() != its.mounts.keys():
                return None
            changes += self._resolver.compare(key, table, whole=False)
        return changes

    def forget(self, namespace: int | None = None) -> None:
        """A namespace is gone; or, without one, no table is known any more."""
        if namespace is None:
            self._known.clear()
        else:
            self._known.pop(namespace, None)
