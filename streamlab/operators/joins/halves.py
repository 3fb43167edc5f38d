"""One half of an interval join: its rows at rest, and which of them have met any.

Whether a row has met any depends on its key and its range (of a right one, its time)
alone, which equal rows share. So that is what is remembered, and no row is rewritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.operators.joins.bounds import DUE
from streamlab.state.table import StateTable, TableLayout


@dataclass(frozen=True)
class Gone:
    """What has left a half.

    Attributes:
        count: How many rows.
        unmet: Those of them that have met none; no rows where that is not remembered.
    """

    count: int
    unmet: pl.DataFrame


@dataclass(frozen=True, eq=False)
class Half:
    """The rows of one side.

    Attributes:
        rows: Layout of the rows at rest.
        met: Layout of what is remembered of rows that have met any; None where it
            makes no difference.
    """

    rows: TableLayout
    met: TableLayout | None = None

    @classmethod
    def of(
        cls,
        name: str,
        schema: Mapping[str, pl.DataType],
        key: Iterable[str],
        times: Iterable[str],
        *,
        remembers: bool,
    ) -> Half:
        """Return the half of a side.

        Args:
            name: Begins the names of its tables.
            schema: Columns of its rows at rest, with the Int64 columns of ``times``.
            key: Columns that must be equal.
            times: Columns that say, with the key, what a row meets.
            remembers: Whether it makes a difference which rows have met any.
        """
        full = pl.Schema({**schema, DUE: pl.Int64()})
        rows = TableLayout(name, full, tuple(key), DUE)
        if not remembers:
            return cls(rows)
        what = (*key, *times)
        seen = pl.Schema({column: full[column] for column in (*what, DUE)})
        return cls(rows, TableLayout(f"{name}-met", seen, what, DUE, unique=True))

    @property
    def layouts(self) -> tuple[TableLayout, ...]:
        """Return its tables."""
        return (self.rows,) if self.met is None else (self.rows, self.met)

    def held(
        self, others: pl.DataFrame, tables: Mapping[str, StateTable]
    ) -> pl.DataFrame:
        """Return the rows at rest that have the keys of some others."""
        if others.is_empty():
            return self.rows.schema.to_frame()
        return tables[self.rows.name].get(others.select(self.rows.keys).unique())

    def not_met(
        self, rows: pl.DataFrame, tables: Mapping[str, StateTable]
    ) -> pl.DataFrame:
        """Return those of some rows that had met none until now."""
        if self.met is None or rows.is_empty():
            return rows
        known = tables[self.met.name].get(rows.select(self.met.keys).unique())
        return self._without(rows, known)

    def turned(
        self,
        new: pl.DataFrame,
        met: pl.DataFrame,
        until: int | None,
        tables: Mapping[str, StateTable],
    ) -> Gone:
        """Lay new rows to rest, and take out what is due.

        Args:
            new: The rows.
            met: Rows at rest or new ones that have met any now.
            until: The watermark, in µs; None while there is none.
            tables: The tables.
        """
        is_due = _due(new, until)
        tables[self.rows.name].put(new.filter(~is_due))
        due = new.filter(is_due)
        if until is not None:
            due = pl.concat([tables[self.rows.name].take_due(until), due])
        return Gone(due.height, self._unmet(due, met, until, tables))

    def _unmet(
        self,
        due: pl.DataFrame,
        met: pl.DataFrame,
        until: int | None,
        tables: Mapping[str, StateTable],
    ) -> pl.DataFrame:
        if self.met is None:
            return due.clear()
        table = tables[self.met.name]
        seen = met.select(self.met.schema.names()).unique(self.met.keys)
        table.put(self.not_met(seen.filter(~_due(seen, until)), tables))
        if until is None:
            return due
        return self._without(due, pl.concat([table.take_due(until), seen]))

    def _without(self, rows: pl.DataFrame, met: pl.DataFrame) -> pl.DataFrame:
        keys = [] if self.met is None else list(self.met.keys)
        return rows.join(met, on=keys, how="anti", maintain_order="left")


def _due(rows: pl.DataFrame, until: int | None) -> pl.Series:
    if until is None:
        return pl.repeat(value=False, n=rows.height, eager=True)
    return rows[DUE] <= until
