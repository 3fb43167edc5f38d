"""Changes that a later part of a snapshot contains already.

Only needed after a snapshot was interrupted, and only until the stream has passed the
point of the last cut: see :class:`~streamlab.connectors.postgres.reading.snapshot.Cut`.
Keys are compared by the server, whose order the snapshot was read in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from psycopg import sql

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading.published import Table
from streamlab.connectors.postgres.reading.snapshot import Cut, SnapshotState
from streamlab.errors import PositionLost
from streamlab.formats import changes as columns


class Overlap:
    """Leaves out what rows of an interrupted snapshot show already."""

    def __init__(
        self, address: Address, tables: Sequence[Table], state: SnapshotState
    ) -> None:
        """Keep the cuts of a finished snapshot.

        Args:
            address: The database, to compare keys.
            tables: The tables.
            state: How they were read.
        """
        self._address = address
        self._cuts = state.cuts
        self._places = {name: number for number, name in enumerate(state.tables)}
        self._tables = {str(table): table for table in tables}
        self.until = state.last_cut

    def without(self, name: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a table that the snapshot does not contain.

        Args:
            name: The table.
            rows: Changes, with its key and the metadata columns.

        Raises:
            PositionLost: The table was emptied between two parts of its snapshot.
            Unavailable: The server does not answer.
        """
        if rows.is_empty() or rows[columns.LSN].min() >= self.until:  # type: ignore[operator]  # no nulls in it
            return rows
        return rows.filter(rows[columns.LSN] >= self._shown(name, rows))

    def _shown(self, name: str, rows: pl.DataFrame) -> pl.Series:
        """Return, for each row, the moment that the snapshot shows of its key."""
        shown = pl.repeat(0, rows.height, dtype=pl.Int64, eager=True)
        place = self._places.get(name)
        if place is None:
            return shown
        for cut in self._cuts:
            cut_place = self._places[cut.table]
            if place < cut_place:
                continue
            if place > cut_place or cut.after is None:
                shown = pl.repeat(cut.lsn, rows.height, dtype=pl.Int64, eager=True)
                continue
            self._require_not_emptied(name, rows, cut)
            later = self._behind(self._tables[name], rows, cut)
            moment = pl.repeat(cut.lsn, rows.height, dtype=pl.Int64, eager=True)
            shown = moment.zip_with(later, shown)
        return shown

    def _require_not_emptied(self, name: str, rows: pl.DataFrame, cut: Cut) -> None:
        emptied = (rows[columns.OP] == "truncate") & (rows[columns.LSN] < cut.lsn)
        if emptied.any():
            message = (
                f"table {name} was truncated while its snapshot was interrupted: which "
                "of the rows that were read are gone cannot be told"
            )
            raise PositionLost(
                message,
                hint="empty the target and read the tables anew: "
                "streamlab position reset PIPELINE --to earliest",
            )

    def _behind(self, table: Table, rows: pl.DataFrame, cut: Cut) -> pl.Series:
        """Return which rows have a key behind the cut, in the server's order."""
        keys: list[list[Any]] = [
            [_text(value) for value in rows[name].to_list()] for name in table.key
        ]
        names = [sql.Identifier(f"k{number}") for number in range(len(keys))]
        typed = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(name, sql.SQL(sql_type))
            for name, sql_type in zip(names, table.key_types, strict=True)
        )
        bound = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(sql_type))
            for value, sql_type in zip(cut.after or (), table.key_types, strict=True)
        )
        statement = sql.SQL(
            "SELECT coalesce(({}) > ({}), false) FROM unnest({}) "
            "WITH ORDINALITY AS u({}, place) ORDER BY place"
        ).format(
            typed,
            bound,
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(keys)),
            sql.SQL(", ").join(names),
        )
        with (
            database.connect(self._address, "streamlab overlap") as connection,
            translation(f"comparing keys of {table}"),
        ):
            found = connection.execute(statement, keys).fetchall()
        return pl.Series([row[0] for row in found], dtype=pl.Boolean)


def _text(value: object) -> str | None:
    if value is None:
        return None
    return f"\\x{value.hex()}" if isinstance(value, bytes) else str(value)
