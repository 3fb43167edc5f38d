"""The bounds of an interval join, as expressions on its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.errors import UsageError
from streamlab.operators.joins.ranges import FROM, TIME, UNTIL
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.joins import Bound, IntervalJoin

DUE: Final = "_join_due"
"""Int64 column of a row at rest: from which watermark on nothing can meet it, µs."""

_NEXT_US: Final = 1
"""The watermark must be past the last time that meets, for which events may come."""


@dataclass(frozen=True, eq=False)
class Bounds:
    """When rows meet, and until when others can come that they meet.

    Attributes:
        join: The join.
        left: Columns of the left input.
        right: Columns of the right input.
    """

    join: IntervalJoin
    left: pl.Schema
    right: pl.Schema

    def __post_init__(self) -> None:
        """Refuse times and bounds that the columns do not have.

        Raises:
            UsageError: With what they could be.
        """
        join = self.join
        for stream, time, schema in (
            (join.left, join.times[0], self.left),
            (join.right, join.times[1], self.right),
        ):
            time.check(schema, stream)
        for what, bound in (("lower", join.lower), ("upper", join.upper)):
            if isinstance(bound, str):
                self._check(what, bound)

    def _check(self, what: str, column: str) -> None:
        dtype = self.left.get(column)
        if dtype is None:
            message = f"{what} is {column!r}: no duration, and no column of "
            raise UsageError(
                f"{message}{self.join.left}",
                hint=f"its columns are {', '.join(self.left)}",
            )
        if not (dtype.is_integer() or isinstance(dtype, _TIMES | pl.Duration)):
            message = f"{what} cannot be {column!r}, a {dtype} column of "
            raise UsageError(
                f"{message}{self.join.left}",
                hint="it must be a Datetime, a Date, a Duration, or an integer in the "
                f"unit of {self.join.times[0]}",
            )

    @property
    def of_left(self) -> list[pl.Expr]:
        """Return the range of times that a left row meets, and when it is due."""
        until = self._at(self.join.upper)
        return [
            self._at(self.join.lower).alias(FROM),
            until.alias(UNTIL),
            (until + self.join.lateness_us + _NEXT_US).alias(DUE),
        ]

    @property
    def of_right(self) -> list[pl.Expr]:
        """Return the time of a right row, and when it is due.

        It is met by left rows that are up to ``lower`` later. By a column's lower
        bound only by those that are not later, because ``refused`` sees to that.
        """
        time = self.join.times[1]
        at = time.expression(self.right[time.column])
        lower = self.join.lower if isinstance(self.join.lower, int) else 0
        due = at - lower + self.join.lateness_us + _NEXT_US
        return [at.alias(TIME), due.alias(DUE)]

    def refused(self, rows: pl.DataFrame) -> pl.Series:
        """Return which left rows begin to meet before their own time.

        To allow that, every right row had to be kept for ever.
        """
        if isinstance(self.join.lower, int):
            return pl.repeat(value=False, n=rows.height, eager=True)
        early = self._at(self.join.lower) < self._left_time
        return rows.select(early.fill_null(value=False)).to_series()

    @property
    def _left_time(self) -> pl.Expr:
        time = self.join.times[0]
        return time.expression(self.left[time.column])

    def _at(self, bound: Bound) -> pl.Expr:
        """Return a bound as a time, Int64 µs."""
        if isinstance(bound, int):
            return self._left_time + bound
        dtype = self.left[bound]
        if isinstance(dtype, pl.Duration):
            return self._left_time + pl.col(bound).dt.total_microseconds()
        return EventTime(bound, unit=self.join.times[0].unit).expression(dtype)


_TIMES = pl.Datetime | pl.Date
