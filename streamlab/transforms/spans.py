"""Spans of time: fixed ones, and those of the calendar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from math import gcd

import polars as pl

from streamlab.errors import UsageError
from streamlab.transforms.event_time import duration_us

DAY_US = 86_400_000_000
MONDAY_US = 4 * DAY_US
"""The first Monday after 1970-01-01, which was a Thursday."""

_CALENDAR = re.compile(r"(\d+)(d|w|mo|q|y)")
_DAYS = {"d": 1, "w": 7}
_MONTHS = {"mo": 1, "q": 3, "y": 12}


@dataclass(frozen=True, slots=True)
class Span:
    """A length on the clock of a place.

    Attributes:
        text: As it was written.
        us: Its length on a clock that never changes, in µs; 0 of months.
        months: Its length in months; 0 of anything else.
        calendar: Whether it is days, weeks or longer: then its length follows the
            clock of a place, and a day may have 23, 24 or 25 hours.
        origin_us: Where multiples are counted from, in µs since 1970 on that clock:
            weeks begin on Mondays.
    """

    text: str
    us: int = 0
    months: int = 0
    calendar: bool = False
    origin_us: int = 0

    @classmethod
    def of(cls, value: str | timedelta, what: str) -> Span:
        """Read a span.

        Args:
            value: Such as ``90s``, ``1h30m``, ``1d``, ``2w``, ``1mo``, ``1q``, ``1y``.
            what: The argument's name, for the message.

        Raises:
            UsageError: It is none, or is of no length.
        """
        if isinstance(value, timedelta):
            days = value // timedelta(days=1)
            value = f"{days}d" if value == timedelta(days=days) else value
        found = _CALENDAR.fullmatch(value) if isinstance(value, str) else None
        if found:
            number, unit = int(found[1]), found[2]
            days, months = number * _DAYS.get(unit, 0), number * _MONTHS.get(unit, 0)
            origin_us = MONDAY_US if unit == "w" else 0
            span = cls(found[0], days * DAY_US, months, True, origin_us)
        else:
            span = cls(str(value), duration_us(value, what))
        if not span.us and not span.months:
            message = f"{what} is {value}, and must be longer than nothing"
            raise UsageError(message)
        return span

    def is_fixed(self, zone: str) -> bool:
        """Return whether it has the same length everywhere on the clock of a zone."""
        return not self.months and (not self.calendar or zone == "UTC")

    def is_multiple_of(self, other: Span) -> bool:
        """Return whether it is a whole number of another span, on one clock."""
        if other.months:
            return bool(self.months) and self.months % other.months == 0
        if self.months:  # whole months are whole days, and nothing longer
            return other.us == DAY_US or DAY_US % other.us == 0
        return self.us % other.us == 0

    def common(self, other: Span) -> int:
        """Return the longest length that both are multiples of, in µs; 0 of months."""
        return gcd(self.us, other.us) if not self.months + other.months else 0

    def floor(self, local: pl.Series, offset_us: int = 0) -> pl.Series:
        """Return the multiple of it at or before each time on a clock.

        Args:
            local: Int64, µs since 1970 on that clock.
            offset_us: How far multiples are shifted, in µs.
        """
        shift = self.origin_us + offset_us
        if self.months:
            moved = (local - offset_us).cast(pl.Datetime("us"))
            return moved.dt.truncate(f"{self.months}mo").cast(pl.Int64) + offset_us
        return (local - shift) // self.us * self.us + shift

    def after(self, local: pl.Series) -> pl.Series:
        """Return what is one span behind each time on a clock, Int64 µs."""
        if self.months:
            times = local.cast(pl.Datetime("us"))
            return times.dt.offset_by(f"{self.months}mo").cast(pl.Int64)
        return local + self.us
