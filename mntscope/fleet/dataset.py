"""A data set to ask: its tables, read only as far as a question needs them.

DuckDB does the asking, out of the Parquet files where they are. (Polars answers the same questions; ``docs/fleet.md``
has what both were measured to take.) It is given no file but those that the manifest lists, loads no extension, and
runs no program of the data.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, Self

from mntscope.base.display import Frame
from mntscope.errors import MntscopeError, UsageError
from mntscope.fleet.manifest import Manifest, check
from mntscope.fleet.missing import needed
from mntscope.fleet.places import Place, shown
from mntscope.fleet.sources import Bad
from mntscope.fleet.tables import SCHEMAS

if TYPE_CHECKING:
    import duckdb

COHORT = r"^[^0-9]*[^0-9._-]"
"""A host's cohort is what its name begins with, up to the first digit: ``web`` of ``web-00017``."""


class Table:
    """One table of a data set, or a part of it. Nothing is read before it is asked for."""

    def __init__(self, relation: duckdb.DuckDBPyRelation) -> None:
        self.relation = relation
        """The same for DuckDB: ``.aggregate(..)``, ``.join(..)``, ``.pl()``, ``.arrow()``."""

    @property
    def columns(self) -> list[str]:
        """Their names."""
        return list(self.relation.columns)

    def where(self, condition: str) -> Table:
        """The rows for which a *condition* in SQL holds: ``"leaks_out and app <> 'host'"``."""
        return Table(self.relation.filter(condition))

    def __len__(self) -> int:
        (count,) = self.relation.aggregate("count(*)").fetchall()[0]
        return int(count)

    def frame(self) -> Frame:
        """All of its rows as a data frame of pandas."""
        frame: Frame = self.relation.df()
        return frame


class Dataset:
    """The tables of many hosts on many days.

    Of a host's snapshots of one day the last one counts. ``snapshot``, ``host_id`` and ``day`` are in every table.
    :data:`mntscope.fleet.tables.SCHEMAS` says what the columns are.
    """

    def __init__(self, url: str, *, since: date | None = None, cohort: str = COHORT) -> None:
        r"""The data set at *url*.

        With *since*, what is older does not count. *cohort* is a regular expression, whose first group, or all of it,
        is found in a host's name: hosts of which that is the same are compared with each other.

        :raises TargetError: there is none.
        :raises UsageError: *cohort* is no regular expression.
        """
        self.place = Place(url)
        check(self.place)
        self.manifest = Manifest(self.place)
        self.since = since
        self._connection = self._connected()
        self._hosts(_pattern(cohort))
        for name in ("mounts", "namespaces", "findings"):
            self._view(name)

    @property
    def url(self) -> str:
        """Where it is, without passwords."""
        return shown(self.place.url)

    @property
    def mounts(self) -> Table:
        """A row for each mount, in each namespace of each host."""
        return self._table("mounts")

    @property
    def namespaces(self) -> Table:
        """A row for each mount namespace."""
        return self._table("namespaces")

    @property
    def findings(self) -> Table:
        """A row for each finding of an audit of each host."""
        return self._table("findings")

    @property
    def hosts(self) -> Table:
        """A row for each host and day, with its ``cohort``."""
        return self._table("hosts")

    @property
    def bad_inputs(self) -> tuple[Bad, ...]:
        """What could not be added, and why, by name."""
        bad = {Bad(entry.url, entry.why) for entry in self.manifest.inputs.values() if entry.why is not None}
        return tuple(sorted(bad))

    @property
    def days(self) -> tuple[date, ...]:
        """The days of which there are snapshots, the first first."""
        return tuple(day for (day,) in self.ask("select distinct day from hosts order by day"))

    def day(self, wanted: date | str) -> date:
        """A day of which there are snapshots.

        :raises UsageError: it is none.
        """
        known = self.days
        try:
            found = wanted if isinstance(wanted, date) else date.fromisoformat(wanted)
        except ValueError:
            raise UsageError(f"{wanted!r} is no day", hint="write it as 2026-01-31") from None
        if found not in known:
            there = ", ".join(map(str, known[-3:])) or "no day"
            raise UsageError(f"there is no snapshot of {found}", where=self.url, hint=f"there are those of {there}")
        return found

    def ask(self, question: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that answer a *question* in SQL.

        It may be of ``mounts``, ``namespaces``, ``findings`` and ``hosts``, and of ``current``, which has the last
        snapshot of each host.

        :raises MntscopeError: the files of the data set cannot be read.
        """
        duckdb = needed("duckdb", "a fleet")
        try:
            rows: list[tuple[Any, ...]] = self._connection.execute(question, list(values)).fetchall()
        except duckdb.Error as error:
            what = str(error).partition("\n")[0][:300]
            raise MntscopeError(f"its files cannot be read ({what})", where=self.url) from None
        return rows

    def close(self) -> None:
        """Let go of what is open."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _table(self, name: str) -> Table:
        return Table(self._connection.table(name) if name == "hosts" else self._connection.view(name))

    def _connected(self) -> duckdb.DuckDBPyConnection:
        # What is no file of the data set is nothing to it: neither extensions from a network, nor names in Python.
        settings = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }
        connection: duckdb.DuckDBPyConnection = needed("duckdb", "a fleet").connect(":memory:", config=settings)
        if not self.place.local:
            connection.register_filesystem(self.place.fs)
        return connection

    def _hosts(self, pattern: tuple[str, int]) -> None:
        """The tables of hosts, which are few and kept."""
        self._read("hosts", "every_host")
        regex, group = pattern
        self.ask(
            """
            create temp table hosts as
            select *, regexp_extract(host, $1, $2::integer) as cohort from every_host
            qualify row_number() over (partition by host_id, day order by time desc, snapshot) = 1
            """,
            [regex, group],
        )
        self.ask(
            """
            create temp table current as
            select * from hosts qualify row_number() over (partition by host_id order by day desc) = 1
            """
        )
        (self._all, self._counted), *_ = self.ask(
            "select (select count(*) from every_host), (select count(*) from hosts)"
        )

    def _view(self, name: str) -> None:
        self._read(name, f"every_{name}")
        counted = "" if self._all == self._counted else "where snapshot in (select snapshot from hosts)"
        self.ask(f"create temp view {name} as select * from every_{name} {counted}")  # noqa: S608 - our own names

    def _read(self, name: str, view: str) -> None:
        """A view of what the parts have of a table, but for inputs that another part has as well."""
        files = [self._path(file) for file in self.manifest.files(name, self.since)]
        if not files:
            empty = SCHEMAS[name].append(needed("pyarrow", "a fleet").field("day", "date32")).empty_table()
            self._connection.register(view, empty)
            return
        where = ""
        if self.manifest.twice:
            parts = [(part, number) for part, numbers in self.manifest.twice.items() for number in numbers]
            self.ask("create temp table if not exists twice (part text, snapshot ubigint)")
            if not self.ask("select 1 from twice limit 1"):
                self._connection.executemany("insert into twice values (?, ?)", parts)
            where = "where (parse_filename(filename, true), snapshot) not in (select (part, snapshot) from twice)"
        listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
        columns = ", ".join((*SCHEMAS[name].names, "day"))
        types = "hive_types = {'day': date}, filename = true"
        self.ask(
            f"create temp view {view} as select {columns} "  # noqa: S608 - our own names, and paths that are quoted
            f"from read_parquet([{listed}], hive_partitioning = true, {types}) {where}"
        )

    def _path(self, file: str) -> str:
        path = self.place.at(file)
        # What DuckDB would take for a pattern is to stand for itself.
        return re.sub(r"([*?\[])", r"[\1]", path) if self.place.local else str(self.place.fs.unstrip_protocol(path))


def _pattern(cohort: str) -> tuple[str, int]:
    """A regular expression, and the number of its group that is meant."""
    try:
        return cohort, min(1, re.compile(cohort).groups)
    except re.error as error:
        raise UsageError(f"{cohort!r} is no regular expression ({error})") from None
