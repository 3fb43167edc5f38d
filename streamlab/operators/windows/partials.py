"""Partials: partial results by pane and group, for windows that overlap or are updated.

The rows of an epoch are aggregated by pane and group, and merged with what is there.
A second table lists the groups of each pane, since a window is found by its panes.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.operators.operator import FLOOR
from streamlab.operators.windows.holding import Entered, Evaluated, Tables
from streamlab.operators.windows.intake import Frames
from streamlab.operators.windows.keeping import Kept
from streamlab.operators.windows.parts import Parts
from streamlab.operators.windows.slicing import END, PANE, START, TIME
from streamlab.state.table import TableLayout


class Partials(Kept):
    """Partial results, by pane and group."""

    ordered = False

    def __init__(self, name: str, parts: Parts, by: Sequence[str]) -> None:
        """Lay out the tables.

        Args:
            name: Of the operator.
            parts: The function in parts.
            by: Columns that windows are held by.
        """
        self._parts, self._by = parts, by
        self._partials, self._groups = f"{name}.partials", f"{name}.groups"
        schema = parts.empty.schema
        groups = pl.Schema({one: schema[one] for one in parts.key})
        self.layouts = (
            TableLayout(self._partials, schema, parts.key, unique=True),
            TableLayout(self._groups, groups, (PANE, *by)),
        )
        self.nothing = parts.function.empty
        self.words = parts.words

    def put(self, frames: Frames, tables: Tables) -> Entered:
        """Fold rows into partial results; see ``Kept.put``."""
        (rows,) = frames.values()
        panes = self._parts.slicing.panes.floor(rows[TIME]).alias(PANE)
        new, failed = self._parts.collected(rows.with_columns(panes))
        windows = self._touched(new)
        if new.is_empty():
            return Entered(windows, failed, rows.height)
        key = list(self._parts.key)
        known = tables[self._partials].get(new.select(key))
        fresh = new
        if known.height:
            fresh = new.join(known, on=key, how="anti", nulls_equal=True)
            new = self._parts.merged(pl.concat([known, new.select(known.columns)]))
        tables[self._partials].put(new)
        if fresh.height:
            tables[self._groups].put(fresh.select(key))
        return Entered(windows, failed, rows.height)

    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Merge the partial results of windows; see ``Kept.evaluate``."""
        members = self._parts.slicing.members(windows)
        on, key = [PANE, *self._by], list(self._parts.key)
        done = pl.col("done") if last else pl.lit(value=False)
        panes = members.select(done.alias("done"), *on).unique()
        table, partials = tables[self._groups], tables[self._partials]
        over = table.take(panes.filter("done").select(on))
        open_ = table.get(panes.filter(~pl.col("done")).select(on))
        held = pl.concat([partials.take(over), partials.get(open_.select(key))])
        parts = members.select(START, END, *on).join(
            held, on=on, how="inner", nulls_equal=True
        )
        if self._parts.slicing.overlap:
            is_open = (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
            parts = parts.filter(is_open).drop(FLOOR)
        merged = self._parts.splitting.merge(parts.drop(PANE), [START, END])
        return Evaluated(self._parts.results(merged))

    def _touched(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Return the open windows of partial results."""
        slots = parts.select(*self._parts.slot, *self._by).unique()
        windows = self._parts.slicing.windows(slots, PANE)
        if self._parts.slicing.overlap:
            is_open = (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
            windows = windows.filter(is_open)
        return windows.select(START, END, *self._by).unique()
