"""Slices: windows at regular times, which are due one after the other."""

from __future__ import annotations

from collections.abc import Sequence
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
    zoned,
)
from streamlab.operators.windows.intake import Frames
from streamlab.operators.windows.keeping import Kept
from streamlab.operators.windows.slicing import END, START, TIME, Slicing
from streamlab.state.table import TableLayout
from streamlab.transforms.windows import WINDOW_START

DUE = "__due"

_MOST_PANES = 2_000_000  # of all windows that are evaluated at once


class Slices(Holding):
    """Tumbling or hopping windows."""

    late_reason = CLOSED

    def __init__(
        self, name: str, slicing: Slicing, kept: Kept, by: pl.Schema, late: TooLate
    ) -> None:
        """Take what they keep.

        Args:
            name: Of the operator.
            slicing: Which windows there are.
            kept: What is held of them.
            by: Keys that windows are held by.
            late: Makes the error for rows of windows that were given out.
        """
        self._slicing, self._kept, self._late = slicing, kept, late
        self._table = f"{name}.windows"
        self.units = pl.Schema({START: pl.Int64(), END: pl.Int64(), **by})
        layout = TableLayout(
            self._table,
            pl.Schema({**self.units, DUE: pl.Int64()}),
            (START, *by),
            DUE,
            unique=True,
        )
        self.layouts = [layout, *kept.layouts]
        self.words, self.ordered = kept.words, kept.ordered
        self.shown = (WINDOW_START, *by)

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series | None:
        """Return what is closed for each event; see ``Operator.floors``."""
        return self._slicing.floors(times, watermarks)

    def enter(self, frames: Frames, moment: Moment, tables: Tables) -> Entered:
        """Take rows in; see ``Holding.enter``."""
        rows, strays = self._in_windows(frames)
        entered = self._kept.put(rows, tables)
        windows = entered.units
        if windows.height:
            self._require_open(windows, moment)
            due = pl.col(END) + self._slicing.window.lateness_us
            tables[self._table].put(windows.with_columns(due.alias(DUE)))
        return Entered(windows, entered.failed, entered.released, strays)

    def close(self, moment: Moment, tables: Tables) -> Closed:
        """Give the windows that are due; see ``Holding.close``."""
        table = tables[self._table]
        due = table.layout.schema.to_frame()
        if moment.after is not None:
            due = table.take_due(moment.after)
        windows = due.drop(DUE)
        if windows.is_empty():
            return Closed(Evaluated(self._kept.nothing), windows, windows)
        return Closed(self._evaluated(windows, tables, last=True), windows, windows)

    def look(self, units: pl.DataFrame, tables: Tables) -> Evaluated:
        """Give windows as they are; see ``Holding.look``."""
        return self._evaluated(units, tables, last=False)

    def keys_shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return the windows as results have them; see ``Holding.keys_shown``."""
        start = zoned(START, self._slicing.window.dtype).alias(WINDOW_START)
        return units.with_columns(start)

    def _evaluated(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Evaluate windows, so many at once that their panes fit in memory."""
        evaluated = Evaluated(self._kept.nothing)
        ordered = windows.sort(START)  # what is done with one, no later one has
        count = max(1, _MOST_PANES // self._slicing.most_panes)
        for first in range(0, ordered.height, count):
            some = ordered[first : first + count]
            evaluated += self._kept.evaluate(some, tables, last=last)
        return evaluated

    def _in_windows(self, frames: Frames) -> tuple[Frames, int]:
        """Return the rows that are in a window, and the number of the others."""
        if not self._slicing.gaps:
            return frames, 0
        found = {
            name: rows.filter(self._slicing.is_in_one(rows[TIME]))
            for name, rows in frames.items()
        }
        return found, _height(frames.values()) - _height(found.values())

    def _require_open(self, windows: pl.DataFrame, moment: Moment) -> None:
        """Refuse rows for windows that were given out.

        Raises:
            TransformError: Only rows of another operator can be that late, or rows
                whose event time a stateless transform changed.
        """
        if moment.before is None:
            return
        first = cast(int, windows[END].min()) + self._slicing.window.lateness_us
        if first <= moment.before:
            raise self._late(moment.before - first)


def _height(frames: Sequence[pl.DataFrame] | object) -> int:
    return sum(frame.height for frame in cast("Sequence[pl.DataFrame]", frames))
