"""Holding: what windows of one kind keep of their rows, and what they give of them.

A *unit* is what is shown anew when a row comes: one window of one key, or of session
windows one key with all its open windows. The columns of units depend on the kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.operators.calling import Results
from streamlab.operators.operator import BEHIND, Failed, Moment
from streamlab.operators.windows.intake import Frames
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

Tables = Mapping[str, StateTable]

CLOSED: Final = "all windows that it could change were closed when it came"
"""Why an event is late that the ends of windows decide about."""


@dataclass(frozen=True)
class Entered:
    """What came of taking rows in.

    Attributes:
        units: Those that rows were added to, each once.
        failed: Rows that failed already.
        released: How many rows were not kept, but folded into partial results.
        expired: How many are in no window.
    """

    units: pl.DataFrame
    failed: tuple[Failed, ...] = ()
    released: int = 0
    expired: int = 0


@dataclass(frozen=True)
class Evaluated:
    """What came of some windows.

    Attributes:
        results: What the function made of them.
        failed: Groups that it failed on.
        released: How many rows left the state for it.
        expired: How many rows left the state without being shown.
    """

    results: Results
    failed: tuple[Failed, ...] = ()
    released: int = 0
    expired: int = 0

    def __add__(self, more: Evaluated) -> Evaluated:
        """Return both together."""
        return Evaluated(
            self.results + more.results,
            self.failed + more.failed,
            self.released + more.released,
            self.expired + more.expired,
        )


@dataclass(frozen=True)
class Closed:
    """What closed.

    Attributes:
        evaluated: The last results of the windows that closed.
        units: Those that have lost a window.
        gone: Those of them that are over.
    """

    evaluated: Evaluated
    units: pl.DataFrame
    gone: pl.DataFrame


class Holding(ABC):
    """Windows of one kind, with what they hold.

    Attributes:
        layouts: Its tables.
        words: What it keeps, in words.
        units: Columns of a unit, with their dtypes; one at least.
        shown: Columns of a result that name its unit; perhaps none.
        ordered: Whether it needs to know the order of rows of the same event time.
        late_reason: Why an event is late.
    """

    layouts: Sequence[TableLayout]
    words: str
    units: pl.Schema
    shown: Sequence[str]
    ordered: bool = True
    late_reason: str = BEHIND

    @abstractmethod
    def floors(self, times: pl.Series, watermarks: pl.Series) -> pl.Series | None:
        """Return what is closed for each event; see ``Operator.floors``."""

    @abstractmethod
    def enter(self, frames: Frames, moment: Moment, tables: Tables) -> Entered:
        """Take an epoch's rows in.

        Args:
            frames: Parameter → rows with ``TIME`` and ``FLOOR``.
            moment: The event time; of an operator behind another, its own.
            tables: The operator's tables.

        Raises:
            TransformError: Rows are too late for windows that were given out.
        """

    @abstractmethod
    def close(self, moment: Moment, tables: Tables) -> Closed:
        """Give the results of the windows that close, and forget these."""

    @abstractmethod
    def look(self, units: pl.DataFrame, tables: Tables) -> Evaluated:
        """Give the results so far of the open windows of units."""

    @abstractmethod
    def keys_shown(self, units: pl.DataFrame) -> pl.DataFrame:
        """Return units with the columns ``shown``, which name them in their results."""


def seen_by_function(schema: pl.Schema, dtype: pl.DataType) -> pl.Schema:
    """Return the columns that a function sees of an input, the window's at the end.

    Args:
        schema: Of the input.
        dtype: Of the window's columns, which take the place of others of their name.
    """
    own = {n: t for n, t in schema.items() if n not in {WINDOW_START, WINDOW_END}}
    return pl.Schema({**own, WINDOW_START: dtype, WINDOW_END: dtype})


def as_input(failed: Failed, inputs: Mapping[str, pl.Schema]) -> Failed:
    """Return rows that a function saw with the columns that they came with."""
    rows = failed.rows.select(
        # Columns of these names were lost to those of the window.
        pl.lit(None, dtype).alias(name)
        if name in {WINDOW_START, WINDOW_END}
        else pl.col(name)
        for name, dtype in inputs[failed.input].items()
    )
    return Failed(rows, failed.reason, failed.input)


def zoned(microseconds: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column of instants in µs as the dtype of a window's columns."""
    column = pl.col(microseconds)
    if not isinstance(dtype, pl.Datetime):
        return column
    utc = column.cast(pl.Datetime("us", "UTC"))
    return utc.dt.convert_time_zone(dtype.time_zone or "UTC")
