"""Windows: how events fall into groups by their event time.

The function of a windowed transform sees complete windows: its rows have two columns
more, ``window_start`` and ``window_end``, half-open, of dtype Datetime in µs and the
window's time zone (of a count window Int64: the numbers of its rows).
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

import polars as pl

from streamlab.errors import UnknownName, UsageError
from streamlab.transforms.alignment import Alignment
from streamlab.transforms.event_time import (
    EventTime,
    as_event_time,
    duration_us,
    signed_us,
)
from streamlab.transforms.spans import Span

WINDOW_START = "window_start"
WINDOW_END = "window_end"

On: TypeAlias = str | EventTime | Mapping[str, str | EventTime]
"""The event time of all inputs, or parameter → that of one."""


@dataclass(frozen=True)
class Window:
    """What all kinds of windows have.

    Attributes:
        on: The event time; a mapping where inputs have other ones; None of a count
            window in the order of arrival.
        lateness_us: For how long after its end a window takes late events, in µs.
    """

    on: EventTime | Mapping[str, EventTime] | None
    lateness_us: int = 0

    def times(self, inputs: Mapping[str, pl.Schema]) -> dict[str, EventTime]:
        """Return input → its event time, checked against its columns.

        Raises:
            UsageError: An input has none, or its column holds no time.
        """
        if self.on is None:
            return {}
        found = self.on
        if isinstance(found, EventTime):
            found = dict.fromkeys(inputs, found)
        for name in found:
            if name not in inputs:
                raise UnknownName("stream", name, inputs)
        for name, schema in inputs.items():
            if name not in found:
                message = f"the window has no event time for {name}"
                raise UsageError(message, hint=f'add it: on={{"{name}": "…", …}}')
            found[name].check(schema, name)
        return {name: found[name] for name in inputs}

    @property
    def dtype(self) -> pl.DataType:
        """Return the dtype of ``window_start`` and ``window_end``."""
        return pl.Datetime("us", "UTC")


@dataclass(frozen=True, kw_only=True)
class Sliced(Window):
    """Windows at regular times: tumbling ones, and hopping ones that overlap.

    Attributes:
        size: How long a window is.
        every: How often one begins; tumbling windows have ``every == size``.
        offset_us: How far they are shifted, in µs.
        zone: Time zone on whose clock they begin and end.
    """

    size: Span
    every: Span
    offset_us: int = 0
    zone: str = "UTC"

    @property
    def alignment(self) -> Alignment:
        """Return where windows begin."""
        return Alignment(self.every, self.offset_us, self.zone)

    @property
    def dtype(self) -> pl.DataType:
        """Return the dtype of ``window_start`` and ``window_end``."""
        return pl.Datetime("us", self.zone)


@dataclass(frozen=True, kw_only=True)
class Session(Window):
    """Windows that last while events come.

    Attributes:
        gap_us: How long none comes between two sessions, in µs.
        longest_us: How long a session is at most, in µs; None without a limit.
    """

    gap_us: int
    longest_us: int | None = None


@dataclass(frozen=True, kw_only=True)
class Counted(Window):
    """Windows of so many rows.

    Attributes:
        rows: How many.
    """

    rows: int

    @property
    def dtype(self) -> pl.DataType:
        """Return the dtype of ``window_start`` and ``window_end``: row numbers."""
        return pl.Int64()


def tumbling(
    size: str | timedelta,
    *,
    on: On,
    offset: str | timedelta = "0s",
    zone: str = "UTC",
    lateness: str | timedelta = "0s",
) -> Sliced:
    """Return windows one behind the other: each event is in one.

    Args:
        size: Such as ``15m``, ``1h``, ``1d``, ``1w``, ``1mo``, ``1q``, ``1y``. They
            begin where ``polars.Expr.dt.truncate`` says; weeks on Mondays. A day is
            one of the zone: it has 23, 24 or 25 hours.
        on: The event time: a column, or :func:`event_time`. For several inputs with
            other columns a mapping from the parameter.
        offset: How far windows are shifted on the zone's clock, such as ``6h`` or
            ``-30m``.
        zone: Time zone, such as ``America/New_York``.
        lateness: For how long after its end a window takes late events.

    Raises:
        UsageError: A duration or the zone is none.
    """
    return hopping(size, size, on=on, offset=offset, zone=zone, lateness=lateness)


def hopping(
    size: str | timedelta,
    every: str | timedelta,
    *,
    on: On,
    offset: str | timedelta = "0s",
    zone: str = "UTC",
    lateness: str | timedelta = "0s",
) -> Sliced:
    """Return windows that begin every so often: an event is in each that holds it.

    Where ``every`` is longer than ``size`` there are gaps between windows; an event in
    a gap is in none, and counts as expired.

    Args:
        size: How long a window is; see :func:`tumbling`.
        every: How often one begins.
        on: The event time; see :func:`tumbling`.
        offset: How far windows are shifted on the zone's clock.
        zone: Time zone, such as ``America/New_York``.
        lateness: For how long after its end a window takes late events.

    Raises:
        UsageError: A duration or the zone is none.
    """
    return Sliced(
        _event_times(on),
        duration_us(lateness, "lateness"),
        size=Span.of(size, "size"),
        every=Span.of(every, "every"),
        offset_us=signed_us(offset, "offset"),
        zone=_zone(zone),
    )


def session(
    gap: str | timedelta,
    *,
    on: On,
    longest: str | timedelta | None = None,
    lateness: str | timedelta = "0s",
) -> Session:
    """Return windows that last while events come: one for each key.

    Events of a key that are less than ``gap`` apart are in one session. It begins with
    its first event, and ends ``gap`` after its last one.

    Args:
        gap: How long no event comes between two sessions.
        on: The event time; see :func:`tumbling`.
        longest: How long after its beginning the next one begins at the latest: with
            the first event at or behind that.
        lateness: How far behind the watermark an event is still taken.

    Raises:
        UsageError: A duration is none.
    """
    longest_us = None if longest is None else _some_us(longest, "longest")
    return Session(
        _event_times(on),
        duration_us(lateness, "lateness"),
        gap_us=_some_us(gap, "gap"),
        longest_us=longest_us,
    )


def count_window(
    rows: int, *, on: On | None = None, lateness: str | timedelta = "0s"
) -> Counted:
    """Return windows of so many rows of a key.

    ``window_start`` and ``window_end`` are Int64: how many rows of the key came before
    the first row of the window, and before the one behind its last. A window that is
    not full when a bounded input ends is not given out, and stays in the state.

    Args:
        rows: How many.
        on: The event time: rows then come in its order, behind the watermark. Without
            it, in the order of their partition, which a key must not leave.
        lateness: With ``on``: how far behind the watermark an event is still taken.

    Raises:
        UsageError: The number is none, or the lateness has no event time.
    """
    taken: object = rows  # whoever does not check types may hand in anything
    if not isinstance(taken, int) or isinstance(taken, bool) or taken < 1:
        message = f"a count window has {rows!r} rows, and must have one or more"
        raise UsageError(message)
    lateness_us = duration_us(lateness, "lateness")
    if on is None and lateness_us:
        message = "a count window in the order of arrival has no lateness"
        raise UsageError(message, hint="give the event time as well: on=…")
    return Counted(None if on is None else _event_times(on), lateness_us, rows=rows)


def _event_times(on: On) -> EventTime | Mapping[str, EventTime]:
    if isinstance(on, Mapping):
        return {name: as_event_time(one) for name, one in on.items()}
    return as_event_time(on)


def _some_us(value: str | timedelta, what: str) -> int:
    microseconds = duration_us(value, what)
    if not microseconds:
        raise UsageError(f"{what} is {value}, and must be longer than nothing")
    return microseconds


def _zone(zone: str) -> str:
    if str(zone).upper() == "UTC":
        return "UTC"
    try:
        pl.Series([0]).cast(pl.Datetime("us", zone))
    except (pl.exceptions.PolarsError, TypeError):
        known = zoneinfo.available_timezones()
        raise UnknownName("time zone", str(zone), known) from None
    return zone
