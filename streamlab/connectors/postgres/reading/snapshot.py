"""The rows that were there before the stream begins, read at one consistent point.

A slot exports a snapshot of the moment that it begins at, so that each row is either
read here or changed in the stream, never both and never neither. Tables are read by
COPY in the order of their keys. A snapshot lives as long as its connection: after a
restart the rest is read in a new one, taken at a later point by a temporary slot. Where
that happened is noted as a :class:`Cut`, and the changes that the second part contains
already are left out of the stream, so what was read still comes once.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.changes import copying, session
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading.published import Table
from streamlab.errors import Refused, SchemaError, Unavailable

MOST_BYTES = 4 * 2**20
"""Text of one piece: more is no faster, and takes several times as much memory."""

REPORT_S = 10.0

_GONE = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidParameterValue,  # the same, before version 17
    psycopg.errors.ObjectNotInPrerequisiteState,  # its transaction is just ending
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cut:
    """A place from which on a snapshot shows a later moment.

    Attributes:
        table: Name of the table in which it is.
        after: The key, as text, behind which it is; None: before the table's first row.
        lsn: The later moment.
    """

    table: str
    after: tuple[str, ...] | None
    lsn: int


@dataclass(frozen=True, slots=True)
class SnapshotState:
    """What it takes to read on. It travels in the position, as JSON.

    Attributes:
        tables: Names of the tables, in the order in which they are read.
        table: Number of the one that is being read; beyond the last: all are read.
        after: Key of the last row that was read of it, as text.
        cuts: Where a new snapshot took over, in the order of the rows.
        then: Where the stream was left, for tables that were added to a pipeline;
            None: it begins where the first snapshot was taken.
    """

    tables: tuple[str, ...]
    table: int = 0
    after: tuple[str, ...] | None = None
    cuts: tuple[Cut, ...] = ()
    then: tuple[int, int] | None = None

    def to_text(self) -> str:
        """Return the state as JSON."""
        cuts = [[cut.table, cut.after, cut.lsn] for cut in self.cuts]
        return json.dumps(
            {
                "of": self.tables,
                "at": self.table,
                "after": self.after,
                "cuts": cuts,
                "then": self.then,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> SnapshotState:
        """Return the state that ``to_text`` wrote."""
        read = json.loads(text)
        return cls(
            tuple(read["of"]),
            read["at"],
            _key(read["after"]),
            tuple(Cut(name, _key(after), lsn) for name, after, lsn in read["cuts"]),
            (read["then"][0], read["then"][1]) if read["then"] else None,
        )

    @property
    def is_complete(self) -> bool:
        """Return whether every table was read."""
        return self.table >= len(self.tables)

    @property
    def last_cut(self) -> int:
        """Return the latest moment that some rows show; 0 without a cut."""
        return max((cut.lsn for cut in self.cuts), default=0)


def _key(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one table.

    Attributes:
        table: The table.
        text: The rows, as String columns.
        size_bytes: Length of the text.
        state: What to read on from behind them.
    """

    table: Table
    text: pl.DataFrame
    size_bytes: int
    state: SnapshotState


class Snapshot:
    """A snapshot that is being read."""

    def __init__(
        self,
        address: Address,
        exported: str,
        tables: Sequence[Table],
        state: SnapshotState,
    ) -> None:
        """Import a snapshot that a slot has exported.

        Args:
            address: The database.
            exported: The snapshot's name.
            tables: The tables.
            state: Where to begin.

        Raises:
            Unavailable: The server does not answer, or the snapshot is gone.
            SchemaError: A table of ``state`` is not among the tables.
        """
        self._state = state
        self._tables = _in_order(tables, state)
        self._began, self._read, self._reported = time.monotonic(), 0, time.monotonic()
        settings = database.with_settings(address, session.startup_options())
        self._connection = database.connect(settings, "streamlab snapshot")
        self._copy: Any = None
        self._opened: Any = None
        try:
            with translation("importing the snapshot"):
                self._connection.execute(
                    "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                self._import(exported)
                self._connection.execute(
                    "SET LOCAL statement_timeout = 0;"
                    "SET LOCAL idle_in_transaction_session_timeout = 0"
                )
        except BaseException:
            self._connection.close()
            raise

    def read(self, most: int) -> Piece | None:
        """Return the next rows, of one table; None if everything was read.

        Raises:
            Unavailable: The connection broke: the rest needs a new snapshot.
        """
        while not self._state.is_complete:
            table = self._tables[self._state.table]
            with translation(f"reading table {table}"):
                rows, size = self._rows(table, most)
            if not rows:
                self._end_table(table)
                continue
            text = copying.read(rows, table.relation.names)
            last = text.row(-1, named=True)
            after = tuple(str(last[name]) for name in table.key)
            self._state = replace(self._state, after=after)
            self._read += len(rows)
            self._report(table)
            return Piece(table, text, size, self._state)
        return None

    @property
    def state(self) -> SnapshotState:
        """Return where the reading is."""
        return self._state

    @property
    def facts(self) -> dict[str, float]:
        """Return the progress: rows, rows to come, rows a second, seconds to go."""
        seconds = max(time.monotonic() - self._began, 0.001)
        rate = self._read / seconds
        expected = sum(table.rows for table in self._tables)
        left = max(0, expected - self._read)
        return {
            "snapshot_rows": float(self._read),
            "snapshot_rows_to_come": float(left),
            "snapshot_rows_per_s": rate,
            "snapshot_seconds_left": left / rate if rate else 0.0,
        }

    def close(self) -> None:
        """Let the server forget the snapshot; a second call does nothing."""
        self._connection.close()
        self._copy = None

    def _import(self, exported: str) -> None:
        """Look at the database as it was when the snapshot was exported.

        It goes with the connection that has exported it, which may just have broken.
        """
        try:
            self._connection.execute(
                sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(exported))
            )
        except _GONE:
            message = "the snapshot is gone: the connection that held it broke"
            raise Unavailable(message) from None

    def _rows(self, table: Table, most: int) -> tuple[list[bytes | memoryview], int]:
        """Return at most so many rows of the running COPY."""
        if self._copy is None:
            self._open(table)
        rows: list[bytes | memoryview] = []
        size, read = 0, self._copy.read
        while len(rows) < most and size < MOST_BYTES:
            row = read()
            if not row:
                break
            rows.append(row)
            size += len(row)
        return rows, size

    def _open(self, table: Table) -> None:
        if table.is_declared:
            _require_unique(self._connection, table)
        cursor = self._connection.cursor()
        self._opened = cursor.copy(_statement(table, self._state.after))
        self._copy = self._opened.__enter__()

    def _end_table(self, table: Table) -> None:
        self._opened.__exit__(None, None, None)
        self._copy = None
        logger.info("the snapshot of %s is read", table)
        self._state = replace(self._state, table=self._state.table + 1, after=None)

    def _report(self, table: Table) -> None:
        if time.monotonic() - self._reported < REPORT_S:
            return
        self._reported = time.monotonic()
        facts = self.facts
        logger.info(
            "reading %s: %s rows, %s rows/s, about %s s to go",
            table,
            f"{facts['snapshot_rows']:,.0f}",
            f"{facts['snapshot_rows_per_s']:,.0f}",
            f"{facts['snapshot_seconds_left']:,.0f}",
        )


def _require_unique(connection: psycopg.Connection[Any], table: Table) -> None:
    """Check a key that no index ensures: a row beside its double would be left out."""
    where = sql.SQL("WHERE ({})" if table.filter else "{}")
    statement = sql.SQL(
        "SELECT EXISTS (SELECT FROM {} {} GROUP BY {} HAVING count(*) > 1)"
    ).format(
        table.identifier,
        where.format(sql.SQL(table.filter)),  # as the server itself has printed it
        sql.SQL(", ").join(map(sql.Identifier, table.key)),
    )
    row = connection.execute(statement).fetchone()
    if row is not None and row[0]:
        message = f"the key that is declared for {table} is not unique"
        raise Refused(
            message, hint=f"{', '.join(table.key)} must tell its rows apart: see keys"
        )


def exported_again(address: Address) -> tuple[psycopg.Connection[Any], int, str]:
    """Export a snapshot of now, by a temporary slot.

    Returns:
        The connection that holds it until its next statement, the consistent point,
        and the snapshot's name.

    Raises:
        Unavailable: The server does not answer, or has no slot free.
    """
    connection = database.connect_to_replicate(address, "streamlab snapshot")
    try:
        name = f"streamlab_tmp_{time.time_ns():x}"
        lsn, exported = slots.create(connection, name, temporary=True)
    except BaseException:
        connection.close()
        raise
    return connection, lsn, exported


def cut_here(state: SnapshotState, lsn: int) -> SnapshotState:
    """Return the state with the note that what follows shows a later moment."""
    cut = Cut(state.tables[state.table], state.after, lsn)
    return replace(state, cuts=(*state.cuts, cut))


def _in_order(tables: Sequence[Table], state: SnapshotState) -> list[Table]:
    known = {str(table): table for table in tables}
    missing = [name for name in state.tables if name not in known]
    if missing:
        message = f"the snapshot that was begun has table {missing[0]}, the source not"
        raise SchemaError(message, hint="name it in tables again, or begin anew")
    return [known[name] for name in state.tables]


def _statement(table: Table, after: Sequence[str] | None) -> sql.Composed:
    """Return the COPY of a table's rows behind a key, in the order of the key."""
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    conditions: list[sql.Composable] = []
    if table.filter:
        # As the server itself has printed it.
        conditions.append(sql.SQL("({})").format(sql.SQL(table.filter)))
    if after is not None:
        values = sql.SQL(", ").join(map(sql.Literal, after))
        conditions.append(sql.SQL("({}) > ({})").format(key, values))
    where = sql.SQL(" AND ").join(conditions)
    return sql.SQL("COPY (SELECT {} FROM {} {} {} ORDER BY {}) TO STDOUT ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, table.relation.names)),
        table.identifier,
        sql.SQL("WHERE" if conditions else ""),
        where,
        key,
        sql.SQL(copying.OPTIONS),
    )
