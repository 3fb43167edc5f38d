"""Parts: a window's function made of partial results, which are a few values per group.

``split`` finds the form in the function's plan; here it meets windows: which panes
partial results are of, what becomes of rows that make it fail, and whether it leads to
the columns that the function itself gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from streamlab.operators.calling import Function, Results
from streamlab.operators.operator import FLOOR, Failed
from streamlab.operators.windows.holding import as_input, seen_by_function, zoned
from streamlab.operators.windows.slicing import END, PANE, START, Slicing
from streamlab.transforms import failure
from streamlab.transforms.expressions import NotShown
from streamlab.transforms.split_plan import split
from streamlab.transforms.splitting import OF_WINDOW, Splitting
from streamlab.transforms.windows import WINDOW_END, WINDOW_START


@dataclass(frozen=True)
class Parts:
    """A function of one input in parts.

    Attributes:
        slicing: The windows; each is a whole number of panes.
        inputs: The only parameter → its columns.
        function: The user's function, of which this gives the results.
        splitting: The function in parts.
    """

    slicing: Slicing
    inputs: Mapping[str, pl.Schema]
    function: Function
    splitting: Splitting

    @classmethod
    def of(
        cls,
        slicing: Slicing,
        inputs: Mapping[str, pl.Schema],
        by: Sequence[str],
        function: Function,
    ) -> Parts:
        """Find the parts of a function.

        Args:
            slicing: The windows.
            inputs: Parameter → its columns.
            by: Columns that windows are held by.
            function: The user's function.

        Raises:
            NotShown: It has none, as far as its plan shows; says why.
        """
        if len(inputs) != 1:
            raise NotShown("it reads several streams")
        if not slicing.exact:
            raise NotShown("its windows are not made of whole panes")
        (schema,) = inputs.values()
        splitting = split(function.step, seen_by_function(schema, slicing.window.dtype))
        if not set(by) <= splitting.plain:
            raise NotShown("it does not group by its keys as they come")
        parts = cls(slicing, inputs, function, splitting)
        empty = parts.empty
        if parts.merged(empty).schema != empty.schema:
            raise NotShown("its partial results change their types when merged")
        times = (pl.lit(None, pl.Int64).alias(one) for one in (START, END))
        made = parts.results(empty.with_columns(times)).output
        if made.schema != function.empty.output.schema:
            raise NotShown("its partial results lead to other columns")
        return parts

    @property
    def slot(self) -> tuple[str, ...]:
        """Return what partial results are kept by, beside their group."""
        return (PANE, FLOOR) if self.slicing.overlap else (PANE,)

    @property
    def key(self) -> tuple[str, ...]:
        """Return what names a partial result."""
        return (*self.slot, *self.splitting.grouped)

    @property
    def empty(self) -> pl.DataFrame:
        """Return no partial results."""
        (schema,) = self.inputs.values()
        hidden = dict.fromkeys((PANE, FLOOR), pl.Int64())
        rows = pl.Schema({**schema, **hidden}).to_frame()
        return self.splitting.collect(self._dummy(rows), self.slot)

    @property
    def words(self) -> str:
        """Return what is kept, in words."""
        count = self.splitting.aggregates
        return f"partial results of {count} aggregation{'' if count == 1 else 's'}"

    def collected(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        """Return partial results of rows, without those that make it fail.

        Args:
            rows: With ``PANE`` and ``FLOOR``.
        """
        return self._collected(self._dummy(rows))

    def merged(self, parts: pl.DataFrame) -> pl.DataFrame:
        """Return one partial result of each group."""
        return self.splitting.merge(parts, self.slot).select(parts.columns)

    def results(self, parts: pl.DataFrame) -> Results:
        """Return what the function gives.

        Args:
            parts: One partial result of each group, with ``START`` and ``END``.
        """
        dtype = self.slicing.window.dtype
        output = self.splitting.finish(
            parts.with_columns(
                zoned(START, dtype).alias(WINDOW_START),
                zoned(END, dtype).alias(WINDOW_END),
            )
        )
        return replace(self.function.empty, output=output)

    def _dummy(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with columns of the window, which no value is made of."""
        nothing = pl.lit(None, self.slicing.window.dtype)
        return rows.with_columns(nothing.alias(one) for one in OF_WINDOW)

    def _collected(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        try:
            return self.splitting.collect(rows, self.slot), ()
        except failure.RAISED as error:
            if rows.height > 1:
                middle = rows.height // 2
                first, first_failed = self._collected(rows[:middle])
                second, second_failed = self._collected(rows[middle:])
                both = self.merged(pl.concat([first, second]))
                return both, first_failed + second_failed
            return self.empty, (self._failed(rows, error),)

    def _failed(self, row: pl.DataFrame, error: BaseException) -> Failed:
        ((name, schema),) = self.inputs.items()
        own = row.select(seen_by_function(schema, self.slicing.window.dtype).names())
        _, failed = self.function.by_groups({name: own}, ())
        reason = failed[0].reason if failed else type(error).__name__
        return as_input(Failed(own, reason, name), self.inputs)
