"""Splitting: a function of a window as one of its parts, where its plan shows how.

A function that is row-wise steps, one ``group_by`` of the window and other columns with
aggregations that split, and row-wise steps again, needs no rows to be kept: partial
results of a few rows each are enough, and give the same. Whatever the plan does not
show to be that is run on rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from streamlab.transforms.aggregates import PartialColumn
from streamlab.transforms.windows import WINDOW_END, WINDOW_START

OF_WINDOW = (WINDOW_START, WINDOW_END)

Kind: TypeAlias = Literal["filter", "with_columns", "select"]


@dataclass(frozen=True)
class RowWise:
    """One row-wise step.

    Attributes:
        kind: The method of a frame.
        expressions: Its arguments.
    """

    kind: Kind
    expressions: tuple[pl.Expr, ...]

    def on(self, frame: pl.LazyFrame, hidden: Sequence[str] = ()) -> pl.LazyFrame:
        """Return what it makes of a frame, with hidden columns handed through."""
        if self.kind == "filter":
            return frame.filter(*self.expressions)
        if self.kind == "with_columns":
            return frame.with_columns(*self.expressions)
        return frame.select(*self.expressions, *hidden)


@dataclass(frozen=True)
class Splitting:
    """A function in parts.

    Attributes:
        before: Steps on rows.
        keys: Columns that it groups by beside the window's, made of rows.
        order: All that it groups by, in the order of its output.
        columns: What is kept of a group.
        results: The aggregations, made of that.
        after: Steps on results.
        aggregates: How many aggregations there are.
        plain: Those of ``keys`` that are columns of the events as they come.
    """

    before: tuple[RowWise, ...]
    keys: tuple[pl.Expr, ...]
    order: tuple[str, ...]
    columns: tuple[PartialColumn, ...]
    results: tuple[pl.Expr, ...]
    after: tuple[RowWise, ...]
    aggregates: int = 0
    plain: frozenset[str] = frozenset()

    @property
    def grouped(self) -> tuple[str, ...]:
        """Return the names of ``keys``."""
        return tuple(name for name in self.order if name not in OF_WINDOW)

    def collect(self, rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the partial results of rows.

        Args:
            rows: With the columns of the events and ``by``.
            by: Columns of Int64 to group by beside ``keys``.
        """
        frame = rows.lazy()
        for step in self.before:
            frame = step.on(frame, by)
        collected = [column.collect for column in self.columns]
        return (
            frame.group_by(*by, *self.keys).agg(*collected).collect(engine="in-memory")
        )

    def merge(self, parts: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        """Return the partial results of groups whose parts have some each."""
        merged = [column.merge for column in self.columns]
        frame = parts.lazy().group_by(*by, *self.grouped).agg(*merged)
        return frame.collect(engine="in-memory")

    def finish(self, merged: pl.DataFrame) -> pl.DataFrame:
        """Return what the function gives.

        Args:
            merged: Partial results, with the columns of the window.
        """
        frame = merged.lazy().select(*self.order, *self.results)
        for step in self.after:
            frame = step.on(frame)
        return frame.collect(engine="in-memory")
