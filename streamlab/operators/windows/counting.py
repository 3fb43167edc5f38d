"""Counting: windows of so many rows of a key.

With an event time, rows wait behind the watermark and are counted in its order; else
they are counted as they come. A window comes out with the row that makes it full.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from streamlab.operators.calling import Function
from streamlab.operators.operator import Moment
from streamlab.operators.ordering import KEPT_PLACE, PLACE, EventOrder
from streamlab.operators.windows.holding import (
    Closed,
    Entered,
    Evaluated,
    Holding,
    Tables,
    as_input,
)
from streamlab.operators.windows.intake import Frames
from streamlab.operators.windows.sessions import EACH
from streamlab.state.table import TableLayout
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.windows import WINDOW_END, WINDOW_START, Counted

NUMBER = "__number"
FULL = "__full"
_COUNT = "__count"


class CountWindows(Holding):
    """Count windows of one input."""

    words = "rows"

    def __init__(
        self,
        name: str,
        window: Counted,
        inputs: Mapping[str, pl.Schema],
        keys: pl.Schema,
        function: Function,
    ) -> None:
        """Take the declaration.

        Args:
            name: Of the operator.
            window: How many rows.
            inputs: The only parameter → its columns.
            keys: Each has windows of its own.
            function: The user's function on rows with the window's columns.
        """
        self._rows, self._inputs, self._function = window.rows, inputs, function
        ((self._input, schema),) = inputs.items()
        self._keys = list(keys)
        self._events = schema
        self.units = pl.Schema({EACH: pl.Int64(), **keys})
        self._by = list(self.units)
        self.shown = tuple(keys)
        self._open, self._counts = f"{name}.rows", f"{name}.counts"
        number = {NUMBER: pl.Int64()}
        rows = pl.Schema(
            {EACH: pl.Int64(), **schema, **number, FULL: pl.Int64()},
        )
        counts = pl.Schema({**self.units, **number})
        by = tuple(self._by)
        self.layouts = [
            TableLayout(self._open, rows, by, FULL),
            TableLayout(self._counts, counts, by, unique=True),
        ]
        self._order: EventOrder | None = None
        if window.on is not None:
            on: EventTime = window.times(inputs)[self._input]
            waiting = f"{name}.waiting"
            self._order = EventOrder(
                function.name, schema, on, window.lateness_us, waiting
            )
            self.layouts.append(self._order.layout)

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series | None:
        """Return which events are late; see ``Operator.floors``."""
        return self._order.floors(times, watermarks) if self._order else None

    def enter(self, frames: Frames, moment: Moment, tables: Tables) -> Entered:
        """Count the rows whose turn it is; see ``Holding.enter``."""
        rows = self._turn(frames[self._input], moment, tables)
        units = rows.select(self._by).unique()
        if units.is_empty():
            return Entered(units)
        counts, table = tables[self._counts], tables[self._open]
        on = self._by
        known = rows.join(
            counts.get(units),
            on=on,
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )
        before = pl.col(NUMBER).fill_null(0)
        numbered = known.with_columns(before + pl.int_range(pl.len()).over(on))
        after = (pl.col(NUMBER).max() + 1).alias(_COUNT)
        totals = numbered.group_by(on).agg(after)
        counts.put(totals.rename({_COUNT: NUMBER}))
        window_end = (pl.col(NUMBER) // self._rows + 1) * self._rows
        is_full = window_end <= pl.col(_COUNT)
        open_ = pl.concat([table.take(units).drop(FULL), numbered])
        both = open_.join(
            totals, on=on, how="left", nulls_equal=True, maintain_order="left"
        )
        # What is full is due at once, and waits for nothing but ``close``.
        full = pl.when(is_full).then(pl.lit(0, pl.Int64)).alias(FULL)
        table.put(both.select(pl.exclude(_COUNT), full))
        return Entered(units)

    def close(self, moment: Moment, tables: Tables) -> Closed:
        """Give the windows that are full; see ``Holding.close``."""
        del moment
        rows = tables[self._open].take_due(0)
        units = rows.select(self._by).unique()
        if rows.is_empty():
            return Closed(Evaluated(self._function.empty), units, units)
        start = pl.col(NUMBER) // self._rows * self._rows
        own = (one for one in self._events if one not in {WINDOW_START, WINDOW_END})
        shown = rows.sort(NUMBER).select(
            *own, start.alias(WINDOW_START), (start + self._rows).alias(WINDOW_END)
        )
        results, failed = self._function.by_groups(
            {self._input: shown}, [WINDOW_START, *self._keys]
        )
        wrong = tuple(as_input(one, self._inputs) for one in failed)
        return Closed(Evaluated(results, wrong, rows.height), units, units)

    def look(self, units: pl.DataFrame, tables: Tables) -> Evaluated:
        """Give nothing: a count window has no result before it is full."""
        del units, tables
        return Evaluated(self._function.empty)

    def keys_shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return the keys, as they are in results; see ``Holding.keys_shown``."""
        return units

    def _turn(self, rows: pl.DataFrame, moment: Moment, tables: Tables) -> pl.DataFrame:
        """Return the rows to count now, in their order."""
        if self._order is not None:
            place = (
                pl.col(kept).alias(name)
                for kept, name in zip(KEPT_PLACE, PLACE, strict=True)
                if name not in self._events
            )
            placed = rows.select(*self._events, *place)
            rows, _ = self._order.ready(placed, moment, tables[self._order.table])
        return rows.select(pl.lit(0, pl.Int64).alias(EACH), *self._events)
