"""Emitting: when the results of windows come out, and as what.

``final`` gives each window once, when it closes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.operators.calling import Function
from streamlab.operators.keeping import Kept, Tables
from streamlab.operators.operator import Failed, Moment
from streamlab.operators.slicing import END, START
from streamlab.state.table import TableLayout
from streamlab.transforms.declarations import Windowed

DUE = "__due"


@dataclass(frozen=True)
class Emitted:
    """What came out of the windows of an epoch.

    Attributes:
        output: Rows for whoever comes next.
        sides: Named side outputs.
        failed: Groups that the function failed on.
        released: How many rows left the state.
    """

    output: pl.DataFrame
    sides: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    released: int = 0


class Emitter(ABC):
    """Decides when windows come out.

    Attributes:
        layouts: Its tables.
        output_schema: Columns and dtypes of every output.
    """

    layouts: Sequence[TableLayout]
    output_schema: pl.Schema

    @abstractmethod
    def emit(self, windows: pl.DataFrame, moment: Moment, tables: Tables) -> Emitted:
        """Give what is to come out.

        Args:
            windows: Those that rows were added to, as ``Kept.put`` returns them.
            moment: The event time.
            tables: The operator's tables.
        """


def emitter_of(needs: Windowed, kept: Kept, function: Function, name: str) -> Emitter:
    """Return the emitter that a declaration asks for."""
    return Final(name, kept, function, needs.window.lateness_us)


class Final(Emitter):
    """Each window once, when it closes."""

    def __init__(
        self, name: str, kept: Kept, function: Function, lateness_us: int
    ) -> None:
        """Take what is kept of windows, and the function on them."""
        self._kept = kept
        self._lateness_us = lateness_us
        self._table = f"{name}.windows"
        columns = dict.fromkeys((START, END, DUE), pl.Int64())
        self.layouts = [
            TableLayout(self._table, pl.Schema(columns), (START,), DUE, unique=True)
        ]
        self.output_schema = function.empty.output.schema
        self._empty = Emitted(function.empty.output, function.empty.sides)

    def emit(self, windows: pl.DataFrame, moment: Moment, tables: Tables) -> Emitted:
        """Give the windows that are due; see ``Emitter.emit``."""
        table = tables[self._table]
        if windows.height:
            due = (pl.col(END) + self._lateness_us).alias(DUE)
            table.put(windows.select(START, END, due))
        if moment.after is None:
            return self._empty
        closing = table.take_due(moment.after)
        if closing.is_empty():
            return self._empty
        done = self._kept.evaluate(closing.drop(DUE), tables, last=True)
        return Emitted(
            done.results.output, done.results.sides, done.failed, done.released
        )
