"""Partials: what is kept of windows whose function splits: a few values per group.

The rows of an epoch are aggregated by pane and group, and merged with what is there.
A second table lists the groups of each pane, since a window is found by its panes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from streamlab.operators.calling import Function, Results
from streamlab.operators.holding import (
    Entered,
    Evaluated,
    Tables,
    as_input,
    seen_by_function,
    zoned,
)
from streamlab.operators.intake import Frames
from streamlab.operators.keeping import Kept
from streamlab.operators.operator import FLOOR, Failed
from streamlab.operators.slicing import END, PANE, START, TIME, Slicing
from streamlab.state.table import TableLayout
from streamlab.transforms import failure
from streamlab.transforms.expressions import NotShown
from streamlab.transforms.splitting import OF_WINDOW, Splitting
from streamlab.transforms.windows import WINDOW_END, WINDOW_START


@dataclass(frozen=True)
class Partials(Kept):
    """Partial results, by pane and group.

    Attributes:
        name: Of the operator.
        slicing: The windows; each is a whole number of panes.
        inputs: The only parameter → its columns.
        by: Columns that windows are held by.
        function: The user's function, of which this must give the results.
        splitting: The function in parts.
    """

    name: str
    slicing: Slicing
    inputs: Mapping[str, pl.Schema]
    by: Sequence[str]
    function: Function
    splitting: Splitting
    layouts: Sequence[TableLayout] = field(init=False)
    nothing: Results = field(init=False)
    words: str = field(init=False)
    ordered: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        """Lay out the tables, and compare the schemas with the function's.

        Raises:
            NotShown: The partial results do not lead to the function's columns.
        """
        if not self.slicing.exact:
            raise NotShown("its windows are not made of whole panes")
        if not set(self.by) <= self.splitting.plain:
            raise NotShown("it does not group by its keys as they come")
        ((_, schema),) = self.inputs.items()
        hidden = dict.fromkeys((PANE, FLOOR), pl.Int64())
        empty = self._dummy(pl.Schema({**schema, **hidden}).to_frame())
        parts = self.splitting.collect(empty, self._slot)
        if self._merged(parts).schema != parts.schema:
            raise NotShown("its partial results change their types when merged")
        result = self.splitting.finish(self._dummy(parts))
        if result.schema != self.function.empty.output.schema:
            raise NotShown("its partial results lead to other columns")
        groups = parts.select(self._group).schema
        layouts = (
            TableLayout(self._parts, parts.schema, self._group, unique=True),
            TableLayout(self._groups, groups, (PANE, *self.by)),
        )
        count = self.splitting.aggregates
        plural = "" if count == 1 else "s"
        words = f"partial results of {count} aggregation{plural}"
        object.__setattr__(self, "layouts", layouts)
        object.__setattr__(self, "nothing", self.function.empty)
        object.__setattr__(self, "words", words)

    @property
    def _parts(self) -> str:
        return f"{self.name}.partials"

    @property
    def _groups(self) -> str:
        return f"{self.name}.groups"

    @property
    def _slot(self) -> tuple[str, ...]:
        return (PANE, FLOOR) if self.slicing.overlap else (PANE,)

    @property
    def _group(self) -> tuple[str, ...]:
        return (*self._slot, *self.splitting.grouped)

    def put(self, frames: Frames, tables: Tables) -> Entered:
        """Fold rows into partial results; see ``Kept.put``."""
        ((name, rows),) = frames.items()
        panes = self.slicing.panes.floor(rows[TIME]).alias(PANE)
        parts, failed = self._collected(self._dummy(rows.with_columns(panes)), name)
        windows = self._touched(parts)
        if parts.is_empty():
            return Entered(windows, failed, rows.height)
        partials = tables[self._parts]
        group = list(self._group)
        known = partials.get(parts.select(group))
        fresh = parts
        if known.height:
            merged = self._merged(pl.concat([known, parts.select(known.columns)]))
            fresh = parts.join(known, on=group, how="anti", nulls_equal=True)
            partials.put(merged)
        else:
            partials.put(parts)
        if fresh.height:
            tables[self._groups].put(fresh.select(group))
        return Entered(windows, failed, rows.height)

    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Merge the partial results of windows; see ``Kept.evaluate``."""
        members = self.slicing.members(windows)
        on, group = [PANE, *self.by], list(self._group)
        done = pl.col("done") if last else pl.lit(value=False)
        panes = members.select(done.alias("done"), *on).unique()
        table, partials = tables[self._groups], tables[self._parts]
        over = table.take(panes.filter("done").select(on))
        open_ = table.get(panes.filter(~pl.col("done")).select(on))
        held = pl.concat([partials.take(over), partials.get(open_.select(group))])
        parts = members.select(START, END, *on).join(
            held, on=on, how="inner", nulls_equal=True
        )
        if self.slicing.overlap:
            is_open = (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
            parts = parts.filter(is_open).drop(FLOOR)
        merged = self.splitting.merge(parts.drop(PANE), [START, END])
        dtype = self.slicing.window.dtype
        output = self.splitting.finish(
            merged.with_columns(
                zoned(START, dtype).alias(WINDOW_START),
                zoned(END, dtype).alias(WINDOW_END),
            )
        )
        return Evaluated(replace(self.function.empty, output=output))

    def _merged(self, parts: pl.DataFrame) -> pl.DataFrame:
        return self.splitting.merge(parts, self._slot).select(parts.columns)

    def _dummy(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with columns of the window, which no value is made of."""
        nothing = pl.lit(None, self.slicing.window.dtype)
        return rows.with_columns(nothing.alias(one) for one in OF_WINDOW)

    def _touched(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Return the open windows of partial results."""
        slots = parts.select(*self._slot, *self.by).unique()
        windows = self.slicing.windows(slots, PANE)
        if self.slicing.overlap:
            is_open = (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
            windows = windows.filter(is_open)
        return windows.select(START, END, *self.by).unique()

    def _collected(
        self, rows: pl.DataFrame, name: str
    ) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        """Return partial results of rows, without those that make it fail."""
        try:
            return self.splitting.collect(rows, self._slot), ()
        except failure.RAISED as error:
            if rows.height > 1:
                middle = rows.height // 2
                first, first_failed = self._collected(rows[:middle], name)
                second, second_failed = self._collected(rows[middle:], name)
                both = self._merged(pl.concat([first, second]))
                return both, first_failed + second_failed
            dtype = self.slicing.window.dtype
            own = rows.select(seen_by_function(self.inputs[name], dtype).names())
            _, failed = self.function.by_groups({name: own}, ())
            reason = failed[0].reason if failed else type(error).__name__
            wrong = as_input(Failed(own, reason, name), self.inputs)
            return self.splitting.collect(rows.clear(), self._slot), (wrong,)
