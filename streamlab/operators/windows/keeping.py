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
from streamlab.operators.operator import FLOOR, Failed
from streamlab.operators.windows.holding import (
    Entered,
    Evaluated,
    Tables,
    as_input,
    zoned,
)
from streamlab.operators.windows.intake import PLACED, Frames, in_order
from streamlab.operators.windows.slicing import END, PANE, START, TIME, Slicing
from streamlab.state.table import TableLayout
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

MOST_ROWS = 1_000_000
"""How many rows the function is shown at once, unless one window has more."""


class Kept(ABC):
    """What is held of open windows.

    Attributes:
        layouts: Its tables.
        words: What it keeps, in words.
        nothing: The results of no windows.
        ordered: Whether it needs to know the order of rows of the same event time.
    """

    layouts: Sequence[TableLayout]
    words: str
    nothing: Results
    ordered: bool = True

    @abstractmethod
    def put(self, frames: Frames, tables: Tables) -> Entered:
        """Take rows in.

        Args:
            frames: Parameter → rows with ``TIME`` and ``FLOOR``.
            tables: The operator's tables.

        Returns:
            As units the open windows that they are in, with ``START``, ``END`` and
            the columns that windows are held by.
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
class Showing:
    """How rows are shown to the user's function, window by window.

    Attributes:
        slicing: The windows.
        inputs: Parameter → its columns.
        keys: Columns that the function groups by.
        by: Those of them that windows are held by.
        function: The user's function on rows with ``window_start`` and ``window_end``.
    """

    slicing: Slicing
    inputs: Mapping[str, pl.Schema]
    keys: Sequence[str]
    by: Sequence[str]
    function: Function

    def show(
        self, members: pl.DataFrame, held: Frames
    ) -> tuple[Results, tuple[Failed, ...]]:
        """Call the function on the rows of windows.

        Args:
            members: The panes of the windows, as ``Slicing.members`` gives them.
            held: Parameter → rows, with ``PANE``; others than of these may be there.

        Returns:
            What it gave; and the rows of the groups that it failed on.
        """
        results, failed = self.function.empty, list[Failed]()
        for batch in self._batches(members, held):
            shown, wrong = self.function.by_groups(
                {
                    name: self._expanded(batch, rows, self.inputs[name])
                    for name, rows in held.items()
                },
                [WINDOW_START, *self.keys],
            )
            results += shown
            failed += [as_input(one, self.inputs) for one in wrong]
        return results, tuple(failed)

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

    def _expanded(
        self, members: pl.DataFrame, rows: pl.DataFrame, schema: pl.Schema
    ) -> pl.DataFrame:
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
        dtype = self.slicing.window.dtype
        own = [one for one in schema if one not in {WINDOW_START, WINDOW_END}]
        return in_order(found, schema).select(
            *own,
            zoned(START, dtype).alias(WINDOW_START),
            zoned(END, dtype).alias(WINDOW_END),
        )


@dataclass(frozen=True)
class Rows(Kept):
    """Every row, once, by its pane.

    Attributes:
        name: Of the operator.
        showing: How windows are shown to the function.
    """

    name: str
    showing: Showing
    layouts: Sequence[TableLayout] = field(init=False)
    nothing: Results = field(init=False)
    words: str = field(default="rows", init=False)

    def __post_init__(self) -> None:
        """Lay out a table for each input."""
        hidden = {**PLACED, FLOOR: pl.Int64(), PANE: pl.Int64()}
        keys = (PANE, *self.showing.by)
        layouts = [
            TableLayout(self._table(name), pl.Schema({**schema, **hidden}), keys)
            for name, schema in self.showing.inputs.items()
        ]
        object.__setattr__(self, "layouts", layouts)
        object.__setattr__(self, "nothing", self.showing.function.empty)

    def _table(self, name: str) -> str:
        suffix = f"-{name}" if len(self.showing.inputs) > 1 else ""
        return f"{self.name}.rows{suffix}"

    def put(self, frames: Frames, tables: Tables) -> Entered:
        """Keep rows; see ``Kept.put``."""
        slicing = self.showing.slicing
        placed = {
            name: rows.with_columns(slicing.panes.floor(rows[TIME]).alias(PANE))
            for name, rows in frames.items()
        }
        for name, rows in placed.items():
            if rows.height:
                tables[self._table(name)].put(rows)
        return Entered(touched(slicing, placed, self.showing.by))

    def evaluate(
        self, windows: pl.DataFrame, tables: Tables, *, last: bool
    ) -> Evaluated:
        """Show the rows of windows to the function; see ``Kept.evaluate``."""
        members = self.showing.slicing.members(windows)
        done = pl.col("done") if last else pl.lit(value=False)
        keys = members.select(done.alias("done"), PANE, *self.showing.by).unique()
        released, held = 0, {}
        for name in self.showing.inputs:
            table = tables[self._table(name)]
            gone = table.take(keys.filter("done").drop("done"))
            kept = table.get(keys.filter(~pl.col("done")).drop("done"))
            held[name] = pl.concat([gone, kept])
            released += gone.height
        results, failed = self.showing.show(members, held)
        return Evaluated(results, failed, released)
