"""Where windows begin and end, on clocks that are changed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from streamlab.transforms.alignment import Alignment
from streamlab.transforms.spans import Span

ZONES = [
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Havana",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
]
SPANS = ["1s", "7m", "15m", "40m", "1h", "1h30m", "2h", "6h", "1d", "2d", "1w", "2w"]
SPANS += ["1mo", "1q", "1y"]
HOUR = 3_600_000_000
NEW_YORK = ZoneInfo("America/New_York")


def aligned(every: str, zone: str = "UTC", offset_us: int = 0) -> Alignment:
    """Return the boundaries of a span."""
    return Alignment(Span.of(every, "every"), offset_us, zone)


def instants(zone: str) -> pl.Series:
    """Return instants from before 1970 on, many of them around changes of a clock."""
    rng = random.Random(zone)
    begin, end = -20 * 365 * 24 * HOUR, 60 * 365 * 24 * HOUR
    found = [rng.randrange(begin, end) for _ in range(300)]
    steps = pl.Series(range(begin // HOUR * HOUR, end, 6 * HOUR))
    offsets = Alignment(Span.of("1d", "every"), 0, zone).local(steps) - steps
    changes = steps.filter((offsets.diff() != 0).fill_null(value=False))
    for change in changes:
        found += [change + rng.randrange(-20 * HOUR, 10 * HOUR) for _ in range(12)]
    return pl.Series(found, dtype=pl.Int64).sort()


def read(instants: pl.Series, zone: str) -> list[datetime]:
    """Return what the clock of a zone reads."""
    utc = instants.cast(pl.Datetime("us", "UTC"))
    return utc.dt.convert_time_zone(zone).to_list()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", SPANS)
@pytest.mark.parametrize("offset_us", [0, 25 * 60_000_000])
def test_every_instant_is_in_one_window(zone: str, every: str, offset_us: int) -> None:
    """Each begins where the one before it ends."""
    align, times = aligned(every, zone, offset_us), instants(zone)
    starts = align.floor(times)
    ends = align.next(starts)
    assert ((starts <= times) & (times < ends)).all()
    assert starts.is_sorted()
    assert (align.floor(starts) == starts).all()
    assert (align.floor(ends) == ends).all()
    assert (align.floor(ends - 1) == starts).all()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize("every", SPANS)
def test_windows_begin_where_polars_truncates(zone: str, every: str) -> None:
    """Also on the days on which the clock is changed."""
    if zone == "America/New_York" and every in {"7m", "40m", "1h30m"}:
        pytest.skip("polars truncates to what is behind, or lets windows overlap")
    times = instants(zone)
    zoned = times.cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    expected = zoned.dt.truncate(every).cast(pl.Int64)
    assert (aligned(every, zone).floor(times) == expected).all()


@pytest.mark.parametrize(
    ("day", "hours"),
    [((2024, 3, 10), 23), ((2024, 11, 3), 25), ((2024, 7, 1), 24)],
)
def test_a_day_in_new_york_has_23_24_or_25_hours(
    day: tuple[int, int, int], hours: int
) -> None:
    """As its clock has."""
    align = aligned("1d", "America/New_York")
    noon = datetime(*day, 12, tzinfo=NEW_YORK)
    start = align.floor(pl.Series([int(noon.timestamp() * 1e6)]))
    assert read(start, "America/New_York") == [datetime(*day, tzinfo=NEW_YORK)]
    assert (align.next(start) - start).to_list() == [hours * HOUR]


def test_hours_that_are_read_twice_are_two_windows() -> None:
    """Of an hour each; of longer ones the one that the change is in is longer."""
    first = datetime(2024, 11, 3, 1, 30, tzinfo=NEW_YORK)
    times = pl.Series([int(first.timestamp() * 1e6)]) + pl.Series([0, HOUR])
    hourly = aligned("1h", "America/New_York")
    starts = hourly.floor(times)
    assert (times - starts).to_list() == [HOUR // 2] * 2
    assert (hourly.next(starts) - starts).to_list() == [HOUR] * 2
    double = aligned("2h", "America/New_York")
    both = double.floor(times).unique()
    assert (double.next(both) - both).to_list() == [3 * HOUR]


def test_weeks_begin_on_mondays_also_before_1970() -> None:
    """In the zone's clock, shifted by the offset."""
    times = pl.Series([-9 * 24 * HOUR, -1, 0, 40 * 365 * 24 * HOUR])
    for zone in ZONES:
        starts = read(aligned("1w", zone).floor(times), zone)
        assert {one.weekday() for one in starts} == {0}
    sundays = aligned("1w", "UTC", -24 * HOUR).floor(times)
    assert {one.weekday() for one in read(sundays, "UTC")} == {6}


@pytest.mark.parametrize(("month", "days"), [(1, 31), (2, 29), (4, 30)])
def test_months_have_their_days(month: int, days: int) -> None:
    """And windows that end a month after their start end on its last day at most."""
    start = datetime(2024, month, 1, tzinfo=ZoneInfo("UTC"))
    align = aligned("1mo")
    begin = pl.Series([int(start.timestamp() * 1e6)])
    assert (align.next(begin) - begin).to_list() == [days * 24 * HOUR]


def test_a_fixed_length_is_added_as_it_is_and_days_by_the_clock() -> None:
    """A window of 24 hours is not one of a day."""
    start = datetime(2024, 3, 10, tzinfo=NEW_YORK)
    begin = pl.Series([int(start.timestamp() * 1e6)])
    align = aligned("1h", "America/New_York")
    by_hours = align.plus(begin, Span.of("24h", "size"))
    by_days = align.plus(begin, Span.of("1d", "size"))
    assert (by_hours - by_days).to_list() == [HOUR]
    assert timedelta(microseconds=(by_days - begin)[0]) == timedelta(hours=23)
