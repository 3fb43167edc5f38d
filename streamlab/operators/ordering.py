"""Event order: rows wait in a table until the watermark passes them.

Rows of equal time come by partition and offset where these are known, else by the
values of their columns. So the order depends on the events alone, not on how epochs
were cut or partitions were interleaved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

from streamlab.operators.cascading import delayed, is_behind, too_late
from streamlab.operators.operator import END_OF_TIME, Failed, Moment
from streamlab.operators.watermarks import floors_behind
from streamlab.sources import METADATA_DTYPES
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.event_time import EventTime

DUE: Final = "_due"
"""When it is the turn of a row: Int64, µs."""

PLACE: Final = ("_partition", "_offset")
"""What rows of equal event time are ordered by."""

KEPT_PLACE: Final = ("_due_partition", "_due_offset")
"""The same in the table, beside columns of the events that may have these names."""


@dataclass(frozen=True)
class EventOrder:
    """One input, whose rows come in the order of their event time.

    Attributes:
        name: Of the function that gets them, for messages.
        events: Columns of the rows.
        on: The event time.
        lateness_us: How far behind the watermark a row is still taken, in µs.
        table: Name of the table in which they wait.
    """

    name: str
    events: pl.Schema
    on: EventTime
    lateness_us: int
    table: str
    layout: TableLayout = field(init=False)

    def __post_init__(self) -> None:
        """Lay out the table."""
        place = {
            kept: METADATA_DTYPES[name]
            for kept, name in zip(KEPT_PLACE, PLACE, strict=True)
        }
        schema = pl.Schema({**self.events, **place, DUE: pl.Int64()})
        object.__setattr__(self, "layout", TableLayout(self.table, schema, due=DUE))

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series:
        """Call events late that are behind their watermark by more than allowed."""
        return floors_behind(times, watermarks, self.lateness_us)

    def moment(self, moment: Moment, rows: pl.DataFrame) -> Moment:
        """Return the event time of the input; behind an operator it has its own bound.

        Args:
            moment: The task's.
            rows: The rows of an epoch.
        """
        return delayed(moment, self.on.bound_us) if is_behind(rows) else moment

    def ready(
        self, rows: pl.DataFrame, moment: Moment, table: StateTable
    ) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        """Take in rows, and return those that the watermark has passed, in order.

        Args:
            rows: The rows of an epoch.
            moment: The event time of the input; see :meth:`moment`.
            table: The table of ``layout``.

        Returns:
            Rows with the layout's schema; and rows that have no time.

        Raises:
            TransformError: A row of another operator comes behind what is done.
        """
        taken = self._taken(rows)
        failed: tuple[Failed, ...] = ()
        timeless = taken[DUE].is_null()
        if timeless.any():
            own = taken.filter(timeless).select(self.events.names())
            failed = (Failed(own, f"the event time, {self.on.column!r}, is null"),)
            taken = taken.filter(~timeless)
        if is_behind(rows):
            self._require_in_time(taken, moment.before)
        mark = moment.after
        if mark is None:
            table.put(taken)
            return taken.clear(), failed
        early = taken.filter(pl.col(DUE) > mark)
        if early.height:
            table.put(early)
        now = [table.take_due(mark), taken.filter(pl.col(DUE) <= mark)]
        return self._sorted(pl.concat(now)), failed

    def _taken(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with what the table keeps beside them."""
        time = self.on.expression(rows.schema[self.on.column])
        place = [
            (pl.col(name) if _is_number(name, rows.schema) else pl.lit(None))
            .cast(METADATA_DTYPES[name])
            .alias(kept)
            for kept, name in zip(KEPT_PLACE, PLACE, strict=True)
        ]
        # A watermark says that all events *before* it have come: hence the 1.
        due = (time + self.lateness_us + 1).alias(DUE)
        return rows.select(*self.events.names(), *place, due)

    def _sorted(self, ready: pl.DataFrame) -> pl.DataFrame:
        order = [DUE, *KEPT_PLACE]
        if ready[KEPT_PLACE[0]].has_nulls():
            order += self.events.names()
        return ready.sort(order, maintain_order=True)

    def _require_in_time(self, taken: pl.DataFrame, before: int | None) -> None:
        """Refuse rows of another operator that come behind what is done.

        Raises:
            TransformError: There are some.
        """
        latest = taken[DUE].min()
        if not isinstance(latest, int) or before is None or before == END_OF_TIME:
            return
        if latest <= before:
            raise too_late(self.name, self.on.column, before + 1 - latest)


def _is_number(name: str, schema: pl.Schema) -> bool:
    """Return whether a column is there, and not one of the user's of another kind."""
    return name in schema and schema[name].is_integer()
