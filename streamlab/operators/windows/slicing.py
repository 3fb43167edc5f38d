"""Slicing: which windows an event is in, and the panes that overlapping windows share.

A *pane* is a stretch of time that rows are kept by, each once: a window is some panes,
and a pane may be part of many windows. Where a window is not a whole number of panes
(a month that begins every week), the rows at its end are told apart by their time.

Frames of windows have the columns ``START`` and ``END``, Int64 µs since 1970 UTC.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from streamlab.operators.operator import LATE
from streamlab.transforms.alignment import Alignment
from streamlab.transforms.spans import DAY_US, Span
from streamlab.transforms.windows import Sliced

START: Final = "__start"
END: Final = "__end"
PANE: Final = "__pane"
TIME: Final = "__time"

_MOST_PANES = 10_000  # of a window; else rows are told apart by their time


@dataclass(frozen=True, slots=True)
class Slicing:
    """The windows of a declaration.

    Attributes:
        window: The declaration.
        panes: Where panes begin.
        exact: Whether each window is a whole number of panes.
        fixed: Whether all of them have a fixed length, so that arithmetic does.
        overlap: Whether an event may be in more than one window.
    """

    window: Sliced
    panes: Alignment
    exact: bool
    fixed: bool
    overlap: bool

    @classmethod
    def of(cls, window: Sliced) -> Slicing:
        """Choose the panes of a declaration."""
        size, every, zone = window.size, window.every, window.zone
        fixed = size.is_fixed("UTC") and every.is_fixed("UTC") and zone == "UTC"
        windows = window.alignment
        alike = fixed or every.calendar == size.calendar
        if alike and not every.months + size.months and every.us >= size.us:
            return cls(window, windows, exact=True, fixed=fixed, overlap=False)
        overlap = not (alike and every.is_multiple_of(size))
        # By a clock that changes, hours and less may not add up to anything.
        by_days = every.calendar and size.calendar
        whole = (fixed or by_days) and (not overlap or size.is_multiple_of(every))
        if whole or not fixed or size.us // size.common(every) > _MOST_PANES:
            return cls(window, windows, exact=whole, fixed=fixed, overlap=overlap)
        pane = Span("", size.common(every), origin_us=every.origin_us)
        panes = replace(windows, every=pane)
        return cls(window, panes, exact=True, fixed=fixed, overlap=overlap)

    @property
    def gaps(self) -> bool:
        """Return whether an event may be in no window."""
        whole = self.exact and self.overlap
        return self.window.every != self.window.size and not whole

    @property
    def most_panes(self) -> int:
        """Return about how many panes a window has."""
        size, pane = self.window.size, self.panes.every
        return -(-_about(size) // _about(pane))

    def is_in_one(self, times: pl.Series) -> pl.Series:
        """Return whether each event is in a window."""
        starts = self.window.alignment.floor(times)
        return times < self.window.alignment.plus(starts, self.window.size)

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series:
        """Return what is closed for each event; see ``Operator.floors``."""
        starts = self.window.alignment.floor(times)
        last = self.window.alignment.plus(starts, self.window.size)
        closed = watermarks - self.window.lateness_us
        late = (closed >= last) & (last > times)  # one in a gap is in no window
        nothing = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(times))
        floors = pl.Series([LATE], dtype=pl.Int64).zip_with(late, nothing)
        partly = (closed > times) & ~late
        if not self.overlap or not partly.any():
            return floors
        ends = self._last_end(closed.filter(partly))
        ends = ends.set(ends <= times.filter(partly), None)
        return floors.scatter(partly.arg_true(), ends)

    def _last_end(self, until: pl.Series) -> pl.Series:
        """Return the end of the last window that ends at or before each instant."""
        align, size = self.window.alignment, self.window.size
        if self.fixed:
            return align.floor(until - size.us) + size.us
        starts = align.floor(until)
        ends = align.plus(starts, size)
        while (open_ := ends > until).any():
            earlier = align.floor(starts - 1)
            starts = earlier.zip_with(open_, starts)
            ends = align.plus(starts, size)
        return ends

    def windows(self, instants: pl.DataFrame, column: str) -> pl.DataFrame:
        """Return the windows of some instants.

        Args:
            instants: Has the column.
            column: Int64, instants or the beginnings of panes.

        Returns:
            The rows once for each window that holds the instant, with ``START`` and
            ``END``.
        """
        align, size = self.window.alignment, self.window.size
        if self.fixed:
            count = -(-size.us // align.every.us)
            steps = pl.DataFrame({"step": range(count)}, {"step": pl.Int64})
            first = instants.with_columns(align.floor(instants[column]).alias(START))
            all_ = first.join(steps, how="cross", maintain_order="left").with_columns(
                pl.col(START) - pl.col("step") * align.every.us
            )
            ended = all_.with_columns((pl.col(START) + size.us).alias(END))
            return ended.filter(pl.col(END) > pl.col(column)).drop("step")
        found = []
        rows = instants.with_columns(align.floor(instants[column]).alias(START))
        while True:
            rows = rows.with_columns(align.plus(rows[START], size).alias(END))
            rows = rows.filter(pl.col(END) > pl.col(column))
            found.append(rows)
            if rows.is_empty():
                return pl.concat(found)
            rows = rows.drop(END).with_columns(
                align.floor(rows[START] - 1).alias(START)
            )

    def members(self, windows: pl.DataFrame) -> pl.DataFrame:
        """Return the panes of some windows.

        Args:
            windows: With ``START`` and ``END``.

        Returns:
            The windows once for each pane, with ``PANE`` and whether the pane is
            ``done`` once the window is: no later window has it.
        """
        following = self.window.alignment.next(windows[START])
        rows = windows.with_columns(following.alias("next"))
        if self.fixed:
            width = self.panes.every.us
            panes = pl.int_ranges(START, END, width, dtype=pl.Int64)
            found = rows.with_columns(panes.alias(PANE)).explode(PANE)
        else:
            found = self._stepped(rows)
        return found.with_columns((pl.col(PANE) < pl.col("next")).alias("done")).drop(
            "next"
        )

    def _stepped(self, windows: pl.DataFrame) -> pl.DataFrame:
        rows = windows.with_columns(pl.col(START).alias(PANE))
        found = []
        while not rows.is_empty():
            found.append(rows)
            rows = rows.with_columns(self.panes.next(rows[PANE]).alias(PANE))
            rows = rows.filter(pl.col(PANE) < pl.col(END))
        return pl.concat(found) if found else rows


def _about(span: Span) -> int:
    """Return about how long a span is, in µs."""
    return span.us or span.months * 31 * DAY_US
