"""Event time: which column says when an event happened, and how far to trust it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from streamlab.errors import UsageError

UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}

_PART = re.compile(r"(\d+)(ns|us|ms|s|m|h|d|w)")
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}


@dataclass(frozen=True, slots=True)
class EventTime:
    """When events happened.

    Attributes:
        column: A Datetime with a zone (one without counts as UTC), a Date, or an
            integer.
        bound_us: How far events of one partition may be out of order, in µs.
        idle_after_us: After how long without events a partition is set aside, in µs;
            None waits for it for ever.
        unit: Of an integer column since 1970 UTC: ``s``, ``ms``, ``us`` or ``ns``.
    """

    column: str
    bound_us: int = 0
    idle_after_us: int | None = None
    unit: str = "ms"

    def __str__(self) -> str:
        """Return the column."""
        return self.column

    def check(self, schema: pl.Schema, of: str) -> None:
        """Refuse a column that is not there or holds no time.

        Args:
            schema: Columns of the events.
            of: Whose columns they are, for the message.

        Raises:
            UsageError: With the columns that could be meant.
        """
        dtype = schema.get(self.column)
        if dtype is not None and (
            isinstance(dtype, pl.Datetime | pl.Date) or dtype.is_integer()
        ):
            return
        times = [n for n, t in schema.items() if isinstance(t, pl.Datetime | pl.Date)]
        what = (
            f"{of} has no column {self.column!r} for the event time"
            if dtype is None
            else f"the event time of {of} cannot be {self.column!r}, a {dtype} column"
        )
        hint = "it must be a Datetime, a Date, or an integer since 1970"
        raise UsageError(
            what, hint=hint + (f"; there are {', '.join(times)}" if times else "")
        )

    def microseconds(self, frame: pl.DataFrame) -> pl.Series:
        """Return the event time of each row, Int64, in µs since 1970 UTC, rounded down.

        Args:
            frame: Has the column.
        """
        return frame.select(self.expression(frame.schema[self.column])).to_series()

    def expression(self, dtype: pl.DataType) -> pl.Expr:
        """Return an expression for the event time, Int64, in µs since 1970 UTC.

        Args:
            dtype: Of the column.
        """
        column = pl.col(self.column)
        if isinstance(dtype, pl.Datetime | pl.Date):
            # Of a zoned column the physical value is UTC already.
            return column.dt.epoch("us").cast(pl.Int64)
        if self.unit == "ns":
            return column.cast(pl.Int64) // 1_000
        return column.cast(pl.Int64) * (1_000_000 // UNITS_PER_SECOND[self.unit])


def event_time(
    column: str,
    *,
    bound: str | timedelta = "0s",
    idle_after: str | timedelta | None = None,
    unit: str = "ms",
) -> EventTime:
    """Return how to read the event time of a stream.

    Args:
        column: A Datetime, a Date, or an integer column.
        bound: How far events of one partition may be out of order: the watermark is
            that much behind the latest event.
        idle_after: After how long without events a partition no longer holds the
            watermark back; waits for ever if left out.
        unit: Of an integer column since 1970 UTC: ``s``, ``ms``, ``us``, ``ns``.

    Raises:
        UsageError: A duration or the unit is none.
    """
    if unit not in UNITS_PER_SECOND:
        message = f"{unit!r} is not a unit of time"
        raise UsageError(message, hint=f"use one of {', '.join(UNITS_PER_SECOND)}")
    idle_us = None if idle_after is None else duration_us(idle_after, "idle_after")
    return EventTime(column, duration_us(bound, "bound"), idle_us, unit)


def as_event_time(on: str | EventTime) -> EventTime:
    """Return a column's name as an event time in order; an event time as it is.

    Raises:
        UsageError: It is something else, such as an expression.
    """
    given: object = on  # whoever does not check types may hand in anything
    if not isinstance(given, str | EventTime):
        message = f"an event time cannot be a {type(given).__name__}"
        hint = 'name its column: "scheduled", or sl.event_time("scheduled", …)'
        raise UsageError(message, hint=hint)
    return event_time(given) if isinstance(given, str) else given


def duration_us(value: str | timedelta, what: str) -> int:
    """Return a duration in µs.

    Args:
        value: Such as ``90s``, ``1h30m`` or ``2d`` (of 24 hours), or a timedelta.
        what: The argument's name, for the message.

    Raises:
        UsageError: It is no duration, negative, or finer than a microsecond.
    """
    microseconds = signed_us(value, what)
    if microseconds < 0:
        message = f"{what} must not be negative, and is {value}"
        raise UsageError(message)
    return microseconds


def signed_us(value: str | timedelta, what: str) -> int:
    """Return a duration that may be negative, such as ``-5m``, in µs.

    Args:
        value: As ``duration_us`` takes it, perhaps with a sign.
        what: The argument's name, for the message.

    Raises:
        UsageError: It is no duration, or finer than a microsecond.
    """
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    size = str(value).removeprefix("-")
    parts = _PART.findall(size)
    if not parts or "".join(number + unit for number, unit in parts) != size:
        message = f"{what} is {value!r}, which is not a duration"
        raise UsageError(message, hint='write it such as "90s", "1h30m" or "2d"')
    nanoseconds = sum(int(n) * _NANOSECONDS[unit] for n, unit in parts)
    if nanoseconds % 1_000:
        message = f"{what} is {value!r}, and time is counted in microseconds"
        raise UsageError(message)
    return nanoseconds // 1_000 * (-1 if size != value else 1)


def duration_text(microseconds: int) -> str:
    """Return a duration as ``duration_us`` reads it, in the largest unit that fits."""
    for unit in ("d", "h", "m", "s", "ms"):
        size = _NANOSECONDS[unit] // 1_000
        if microseconds and microseconds % size == 0:
            return f"{microseconds // size}{unit}"
    return f"{microseconds}us" if microseconds else "0s"
