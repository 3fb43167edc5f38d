"""Sessions: windows that last while events of a key come.

A *chain* is what is known of a session: its first and its last event. Chains of a key
that come within the gap of each other are merged, so a late event may bridge two. Rows
are kept by their key; which session each is in is found when one closes.

A session closes when no event can be added to it: the watermark has reached its end
and the lateness. Of a chain that is longer than allowed the first piece closes alone.
Events behind the watermark and the lateness are late, whatever sessions there are; so
nothing can change where a piece begins once the watermark has passed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import polars as pl

from streamlab.operators.calling import Function
from streamlab.operators.cascading import too_late
from streamlab.operators.operator import FLOOR, Moment
from streamlab.operators.watermarks import floors_behind
from streamlab.operators.windows.holding import (
    Closed,
    Entered,
    Evaluated,
    Holding,
    Tables,
    as_input,
    zoned,
)
from streamlab.operators.windows.intake import PLACED, Frames, in_order
from streamlab.operators.windows.slicing import END, START, TIME
from streamlab.state.table import TableLayout
from streamlab.transforms.windows import WINDOW_END, WINDOW_START, Session

EACH = "__each"
"""A key that all rows share: there may be no other."""

DUE = "__due"
LAST = "__last"


class Sessions(Holding):
    """Session windows."""

    words = "rows"

    def __init__(
        self,
        name: str,
        window: Session,
        inputs: Mapping[str, pl.Schema],
        keys: pl.Schema,
        function: Function,
    ) -> None:
        """Take the declaration.

        Args:
            name: Of the operator.
            window: The gap and the longest length.
            inputs: Parameter → its columns.
            keys: Each has sessions of its own.
            function: The user's function on rows with the window's columns.
        """
        self._name, self._window, self._inputs = name, window, inputs
        self._function, self._keys = function, list(keys)
        self.units = pl.Schema({EACH: pl.Int64(), **keys})
        self._by = list(self.units)
        self.shown = tuple(keys)
        self._chains = f"{name}.chains"
        times = dict.fromkeys((START, LAST, DUE), pl.Int64())
        chains = pl.Schema({**self.units, **times})
        self.layouts = [TableLayout(self._chains, chains, tuple(self._by), DUE)]
        for one, schema in inputs.items():
            columns = pl.Schema({EACH: pl.Int64(), **schema, **PLACED})
            self.layouts.append(TableLayout(self._rows(one), columns, tuple(self._by)))

    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series | None:
        """Return which events are late; see ``Operator.floors``."""
        return floors_behind(times, watermarks, self._window.lateness_us)

    def enter(self, frames: Frames, moment: Moment, tables: Tables) -> Entered:
        """Take rows in; see ``Holding.enter``."""
        each = pl.lit(0, pl.Int64).alias(EACH)
        rows = {
            name: one.select(each, pl.exclude(FLOOR)) for name, one in frames.items()
        }
        new = pl.concat(one.select(*self._by, TIME) for one in rows.values()).unique()
        if new.is_empty():
            return Entered(new.select(self._by))
        self._require_open(new, moment)
        for name, one in rows.items():
            if one.height:
                tables[self._rows(name)].put(one)
        units = new.select(self._by).unique()
        table = tables[self._chains]
        known = table.take(units).select(*self._by, START, LAST)
        times = (pl.col(TIME).alias(one) for one in (START, LAST))
        points = new.select(*self._by, *times)
        both = pl.concat([known, points])
        table.put(self._due(self._merged(both)))
        return Entered(units)

    def close(self, moment: Moment, tables: Tables) -> Closed:
        """Give the sessions that are over; see ``Holding.close``."""
        table = tables[self._chains]
        due = self.units.to_frame()
        if moment.after is not None:
            due = table.take_due(moment.after).select(self._by).unique()
        if moment.after is None or due.is_empty():
            return Closed(Evaluated(self._function.empty), due, due)
        held = {name: tables[self._rows(name)].take(due) for name in self._inputs}
        sessions = self._sessions(held)
        until = moment.after - self._window.lateness_us
        over, left = (
            sessions.filter(pl.col(END) <= until),
            sessions.filter(pl.col(END) > until),
        )
        evaluated = self._evaluated(held, over)
        for name, rows in held.items():
            tables[self._rows(name)].put(self._of(rows, left).select(rows.columns))
        table.take(due)
        chains = left.select(*self._by, START, pl.col(TIME).alias(LAST))
        table.put(self._due(self._merged(chains)))
        remaining = left.select(self._by).unique()
        gone = due.join(remaining, on=self._by, how="anti", nulls_equal=True)
        return Closed(evaluated, due, gone)

    def look(self, units: pl.DataFrame, tables: Tables) -> Evaluated:
        """Give the sessions of keys as they are; see ``Holding.look``."""
        if units.is_empty():
            return Evaluated(self._function.empty)
        held = {name: tables[self._rows(name)].get(units) for name in self._inputs}
        evaluated = self._evaluated(held, self._sessions(held))
        return Evaluated(evaluated.results, evaluated.failed)

    def keys_shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return the keys, as they are in results; see ``Holding.keys_shown``."""
        return units

    def _rows(self, name: str) -> str:
        suffix = f"-{name}" if len(self._inputs) > 1 else ""
        return f"{self._name}.rows{suffix}"

    def _require_open(self, new: pl.DataFrame, moment: Moment) -> None:
        """Refuse rows that may belong to a session that was given out.

        Raises:
            TransformError: Only rows of another operator can be that late, or rows
                whose event time a stateless transform changed.
        """
        if moment.before is None:
            return
        behind = moment.before - self._window.lateness_us - cast(int, new[TIME].min())
        if behind > 0:
            on = next(iter(self._window.times(self._inputs).values()))
            raise too_late(self._function.name, on.column, behind)

    def _merged(self, chains: pl.DataFrame) -> pl.DataFrame:
        """Return chains, those merged that come within the gap of each other."""
        before = pl.col(LAST).cum_max().shift(1).over(self._by)
        begins = (pl.col(START) - before >= self._window.gap_us).fill_null(value=True)
        numbered = chains.sort(START).with_columns(
            begins.cast(pl.Int64).cum_sum().over(self._by).alias("number")
        )
        grouped = numbered.group_by(*self._by, "number").agg(
            pl.col(START).min(), pl.col(LAST).max()
        )
        return grouped.drop("number")

    def _due(self, chains: pl.DataFrame) -> pl.DataFrame:
        """Return chains with the time when their first session closes."""
        ends = pl.col(LAST) + self._window.gap_us
        if self._window.longest_us is not None:
            latest = pl.col(START) + self._window.longest_us
            ends = pl.min_horizontal(ends, latest)
        return chains.with_columns((ends + self._window.lateness_us).alias(DUE))

    def _sessions(self, held: Frames) -> pl.DataFrame:
        """Return each time of a key with the ``START`` and ``END`` of its session."""
        times = pl.concat(rows.select(*self._by, TIME) for rows in held.values())
        apart = pl.col(TIME).diff().over(self._by) >= self._window.gap_us
        begins = apart.fill_null(value=True).cast(pl.Int64)
        rest = (
            times.unique()
            .sort(TIME)
            .with_columns(begins.cum_sum().over(self._by).alias("number"))
        )
        chain = [*self._by, "number"]
        longest_us = self._window.longest_us
        found = []
        while True:
            first = rest.with_columns(pl.col(TIME).min().over(chain).alias(START))
            if longest_us is None:
                is_first = pl.lit(value=True)
            else:
                is_first = pl.col(TIME) < pl.col(START) + longest_us
            found.append(first.filter(is_first))
            rest = first.filter(~is_first).drop(START)
            if rest.is_empty():
                break
        session = [*self._by, START]
        end = pl.col(TIME).max().over(session) + self._window.gap_us
        if longest_us is not None:
            end = pl.min_horizontal(end, pl.col(START) + longest_us)
        return pl.concat(found).select(*session, end.alias(END), TIME)

    def _evaluated(self, held: Frames, sessions: pl.DataFrame) -> Evaluated:
        shown = {
            name: self._windowed(self._of(rows, sessions), self._inputs[name])
            for name, rows in held.items()
        }
        by = [WINDOW_START, *self._keys]
        results, failed = self._function.by_groups(shown, by)
        released = sum(rows.height for rows in shown.values())
        wrong = tuple(as_input(one, self._inputs) for one in failed)
        return Evaluated(results, wrong, released)

    def _of(self, rows: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of sessions, with ``START`` and ``END``."""
        on = [*self._by, TIME]
        return rows.join(
            sessions, on=on, how="inner", nulls_equal=True, maintain_order="left"
        )

    def _windowed(self, rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
        """Return rows as the function sees them, in the order of their event time."""
        dtype = self._window.dtype
        own = (name for name in schema if name not in {WINDOW_START, WINDOW_END})
        return in_order(rows, schema).select(
            *own,
            zoned(START, dtype).alias(WINDOW_START),
            zoned(END, dtype).alias(WINDOW_END),
        )
