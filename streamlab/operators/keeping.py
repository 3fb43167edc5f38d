"""Keeping: what is held of the rows of windows that are still open.

``Rows`` keeps each row once, by its pane. When windows are due, their rows are brought
together and shown to the user's function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.operators.calling import Function, Results
from streamlab.operators.intake import Frames
from streamlab.operators.operator import FLOOR, Failed
from streamlab.operators.slicing import END, PANE, START, TIME, Slicing
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

Tables = Mapping[str, StateTable]

MOST_ROWS = 1_000_000
"""How many rows the function is shown at once, unless one window has more."""


@dataclass(frozen=True)
class Evaluated:
    """What came of some windows.

    Attributes:
        results: What the function made of them.
        failed: Groups that it failed on.
        released: How many rows left the state.
    """

    results: Results
    failed: tuple[Failed, ...] = ()
    released: int = 0


class Kept(ABC):
    """What is held of open windows.

    Attributes:
        layouts: Its tables.
        words: What it keeps, in words.
    """

    layouts: Sequence[TableLayout]
    words: str

    @abstractmethod
    def put(
        self, frames: Frames, tables: Tables
    ) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        """Take rows in.

        Args:
            frames: Parameter → rows with ``TIME`` and ``FLOOR``.
            tables: The operator's tables.

        Returns:
            The open windows that they are in, with ``START``, ``END`` and the columns
            that windows are held by, each once; and rows that failed already.
        """

    @abstractmethod
    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Give the results of some windows.

        Args:
            windows: As ``put`` returned them.
            tables: The operator's tables.
            last: Whether they close: what no other window needs is then forgotten.
        """


def touched(slicing: Slicing, frames: Frames, by: Sequence[str]) -> pl.DataFrame:
    """Return the windows that rows are in and that are open for them, each once."""
    column = PANE if slicing.exact else TIME
    units = pl.concat(
        frame.select(column, FLOOR, *by).unique() for frame in frames.values()
    ).unique()
    windows = slicing.windows(units, column)
    is_open = (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
    return windows.filter(is_open).select(START, END, *by).unique()


@dataclass(frozen=True)
class Rows(Kept):
    """Every row, once, by its pane.

    Attributes:
        name: Of the operator.
        slicing: The windows.
        inputs: Parameter → its columns.
        keys: Columns that the function groups by.
        by: Those of them that windows are held by.
        function: The user's function on rows with ``window_start`` and ``window_end``.
    """

    name: str
    slicing: Slicing
    inputs: Mapping[str, pl.Schema]
    keys: Sequence[str]
    by: Sequence[str]
    function: Function
    words: str = field(default="rows", init=False)

    @property
    def layouts(self) -> Sequence[TableLayout]:  # type: ignore[override]  # made of the fields
        """Return a table for each input."""
        return [
            TableLayout(
                self._table(name),
                pl.Schema({**schema, **dict.fromkeys((TIME, FLOOR, PANE), pl.Int64())}),
                (PANE, *self.by),
            )
            for name, schema in self.inputs.items()
        ]

    def _table(self, name: str) -> str:
        suffix = f"-{name}" if len(self.inputs) > 1 else ""
        return f"{self.name}.rows{suffix}"

    def put(
        self, frames: Frames, tables: Tables
    ) -> tuple[pl.DataFrame, tuple[Failed, ...]]:
        """Keep rows."""
        placed = {
            name: rows.with_columns(self.slicing.panes.floor(rows[TIME]).alias(PANE))
            for name, rows in frames.items()
        }
        for name, rows in placed.items():
            if rows.height:
                tables[self._table(name)].put(rows)
        return touched(self.slicing, placed, self.by), ()

    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Show the rows of windows to the function."""
        members = self.slicing.members(windows.sort(START))
        done = pl.col("done") if last else pl.lit(value=False)
        keys = members.select(done.alias("done"), PANE, *self.by).unique()
        released, held = 0, {}
        for name in self.inputs:
            table = tables[self._table(name)]
            gone = table.take(keys.filter("done").drop("done"))
            kept = table.get(keys.filter(~pl.col("done")).drop("done"))
            held[name] = pl.concat([gone, kept])
            released += gone.height
        results, failed = self.function.empty, list[Failed]()
        for batch in self._batches(members, held):
            shown, wrong = self.function.by_groups(
                {name: self._expanded(batch, rows) for name, rows in held.items()},
                [WINDOW_START, *self.keys],
            )
            results += shown
            failed += [self._as_input(one) for one in wrong]
        return Evaluated(results, tuple(failed), released)

    def _batches(self, members: pl.DataFrame, held: Frames) -> Iterator[pl.DataFrame]:
        """Yield the panes of whole windows, of so many rows that they fit in memory."""
        on = [PANE, *self.by]
        sizes = pl.concat(rows.group_by(on).len() for rows in held.values())
        sizes = sizes.group_by(on).agg(pl.col("len").sum())
        windows = (
            members.join(sizes, on=on, how="left", nulls_equal=True)
            .group_by(START, maintain_order=True)
            .agg(pl.col("len").sum())
            .with_columns(batch=pl.col("len").cum_sum().cast(pl.Int64) // MOST_ROWS)
        )
        numbered = members.join(windows.select(START, "batch"), on=START, how="left")
        yield from numbered.partition_by(
            "batch", include_key=False, maintain_order=True
        )

    def _expanded(self, members: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of windows, in the order of their event time."""
        on = [PANE, *self.by]
        found = members.select(START, END, *on).join(
            rows, on=on, how="inner", nulls_equal=True, maintain_order="left_right"
        )
        if self.slicing.overlap:
            found = found.filter(
                (pl.col(END) > pl.col(FLOOR)).fill_null(value=True)
                & (pl.col(TIME) < pl.col(END))
            )
        times = pl.col(START, END).cast(pl.Datetime("us", "UTC"))
        zone = self.slicing.window.zone
        found = found.sort(TIME, maintain_order=True).with_columns(
            times.dt.convert_time_zone(zone)
        )
        own = [name for name in rows.columns if name not in {TIME, FLOOR, PANE}]
        own = [name for name in own if name not in {WINDOW_START, WINDOW_END}]
        return found.select(
            *own, pl.col(START).alias(WINDOW_START), pl.col(END).alias(WINDOW_END)
        )

    def _as_input(self, failed: Failed) -> Failed:
        schema = self.inputs[failed.input]
        rows = failed.rows.select(
            pl.lit(None, dtype).alias(name)
            if name in {WINDOW_START, WINDOW_END}
            else pl.col(name)
            for name, dtype in schema.items()
        )
        return Failed(rows, failed.reason, failed.input)
