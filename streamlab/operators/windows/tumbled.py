"""Tumbled: partial results of windows that do not overlap, each given once.

The commonest case, and the one that must be fast: one table, in which a partial result
of a window and a group is due when the window closes.
"""

from __future__ import annotations

from typing import cast

import polars as pl

from streamlab.operators.cascading import TooLate
from streamlab.operators.operator import Moment
from streamlab.operators.windows.holding import (
    CLOSED,
    Closed,
    Entered,
    Evaluated,
    Holding,
    Tables,
)
from streamlab.operators.windows.intake import Frames
from streamlab.operators.windows.parts import Parts
from streamlab.operators.windows.slices import DUE
from streamlab.operators.windows.slicing import END, PANE, START, TIME
from streamlab.state.table import TableLayout
from streamlab.transforms.windows import WINDOW_START


class Tumbled(Holding):
    """Windows that do not overlap, of a function that splits."""

    late_reason = CLOSED
    ordered = False

    def __init__(self, name: str, parts: Parts, late: TooLate) -> None:
        """Lay out the table.

        Args:
            name: Of the operator.
            parts: The function in parts.
            late: Makes the error for rows of windows that were given out.
        """
        self._parts, self._late = parts, late
        self._partials = f"{name}.partials"
        schema = pl.Schema({**parts.empty.schema, DUE: pl.Int64()})
        self.layouts = [
            TableLayout(self._partials, schema, parts.key, DUE, unique=True)
        ]
        self.words = parts.words
        self.units = pl.Schema({PANE: pl.Int64()})
        self.shown = (WINDOW_START,)

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series | None:
        """Return which events are late; see ``Operator.floors``."""
        return self._parts.slicing.floors(times, watermarks)

    def enter(self, frames: Frames, moment: Moment, tables: Tables) -> Entered:
        """Fold rows into partial results; see ``Holding.enter``."""
        (rows,) = frames.values()
        slicing = self._parts.slicing
        taken = rows.filter(slicing.is_in_one(rows[TIME])) if slicing.gaps else rows
        panes = slicing.panes.floor(taken[TIME]).alias(PANE)
        new, failed = self._parts.collected(taken.with_columns(panes))
        strays = rows.height - taken.height
        if new.height:
            due = self._due(new)
            self._require_open(due, moment)
            table = tables[self._partials]
            known = table.get(new.select(self._parts.key))
            if known.height:
                both = pl.concat([known.drop(DUE), new.select(known.columns[:-1])])
                due = self._due(self._parts.merged(both))
            table.put(due)
        return Entered(self.units.to_frame(), failed, taken.height, strays)

    def close(self, moment: Moment, tables: Tables) -> Closed:
        """Give the windows that are due; see ``Holding.close``."""
        none = self.units.to_frame()
        nothing = Closed(Evaluated(self._parts.function.empty), none, none)
        if moment.after is None:
            return nothing
        due = tables[self._partials].take_due(moment.after)
        if due.is_empty():
            return nothing
        end = (pl.col(DUE) - self._parts.slicing.window.lateness_us).alias(END)
        parts = due.select(pl.exclude(DUE, PANE), pl.col(PANE).alias(START), end)
        return Closed(Evaluated(self._parts.results(parts)), none, none)

    def look(self, units: pl.DataFrame, tables: Tables) -> Evaluated:
        """Give nothing: these windows are given once."""
        del units, tables
        return Evaluated(self._parts.function.empty)

    def keys_shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return the units: these windows are given once."""
        return units

    def _due(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Return partial results with the time when their window closes."""
        window = self._parts.slicing.window
        ends = window.alignment.plus(parts[PANE], window.size)
        return parts.with_columns((ends + window.lateness_us).alias(DUE))

    def _require_open(self, due: pl.DataFrame, moment: Moment) -> None:
        """Refuse rows for windows that were given out.

        Raises:
            TransformError: Only rows of another operator can be that late, or rows
                whose event time a stateless transform changed.
        """
        first = cast(int, due[DUE].min())
        if moment.before is not None and first <= moment.before:
            raise self._late(moment.before - first)
