"""Tumbling and hopping windows, on random streams that are cut at random."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import streamlab as sl
from tests.unit.operators.changes import merged
from tests.unit.operators.streams import (
    accounted,
    chain_of,
    driven,
    marked,
    same,
    stream,
)

MINUTE = 60_000_000


def in_windows(
    events: pl.DataFrame, size: int, every: int, late_us: int
) -> pl.DataFrame:
    """Return the rows of each window by the definition; minutes, in UTC."""
    rows = []
    for row in marked(events).iter_rows(named=True):
        start = row["time"] // (every * MINUTE) * every * MINUTE
        while start + size * MINUTE > row["time"]:
            end = start + size * MINUTE
            if row["mark"] < end + late_us:
                rows.append({**row, "window_start": start, "window_end": end})
            start -= every * MINUTE
    schema = {
        **marked(events).schema,
        "window_start": pl.Int64,
        "window_end": pl.Int64,
    }
    frame = pl.DataFrame(rows, schema).sort("time", "_partition", "_offset")
    return frame.with_columns(
        pl.col("window_start", "window_end").cast(pl.Datetime("us", "UTC"))
    )


def listed(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give something that needs the rows, in their order."""
    return events.group_by("window_start", "window_end", "k").agg(
        pl.col("n"), pl.col("v").median().alias("middle")
    )


CASES = [
    (10, 10, 0),
    (60, 60, 5),
    (60, 10, 0),
    (60, 20, 15),
    (7, 3, 2),
    (10, 4, 0),
    (10, 30, 3),
    (30, 1, 1),
]


@pytest.mark.parametrize(("size", "every", "lateness"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_each_window_shows_its_rows_once_whatever_the_cuts(
    size: int, every: int, lateness: int, seed: int
) -> None:
    """Also those that are late for some windows only."""
    rng = random.Random(seed)
    events = stream(rng, partitions=3)
    window = sl.hopping(f"{size}m", f"{every}m", on="t", lateness=f"{lateness}m")
    chain = chain_of(sl.transform(window=window, keys="k")(listed))
    drive = driven(chain, events, rng, partitions=3)
    expected = in_windows(events, size, every, lateness * MINUTE)
    same(drive.output, expected.lazy().pipe(listed).collect())
    accounted(drive, events.height)
    (counts,) = drive.counts.values()
    assert counts.held == 0
    assert all(table.height == 0 for table in drive.tables.values())
    late = pl.concat(drive.late.get("events", [events.clear()]))
    assert set(late["n"]).isdisjoint(set(expected["n"]))


@pytest.mark.parametrize(("size", "every", "lateness"), CASES)
@pytest.mark.parametrize("keys", [["k"], []])
@pytest.mark.parametrize("early", ["0s", "3s"])
def test_updates_lead_to_the_final_results_whatever_the_cuts(
    size: int, every: int, lateness: int, keys: list[str], early: str
) -> None:
    """Each row of the changes changes something."""
    rng = random.Random(size)
    events = stream(rng, partitions=2)

    def positive(events: pl.LazyFrame) -> pl.LazyFrame:
        """A result may go away again."""
        totals = events.group_by("window_start", *keys).agg(
            pl.col("v").sum().alias("total"), pl.len()
        )
        return totals.filter(pl.col("total") >= 0)

    window = sl.hopping(f"{size}m", f"{every}m", on="t", lateness=f"{lateness}m")
    transform = sl.transform(window=window, keys=keys, emit="updates", early=early)
    drive = driven(chain_of(transform(positive)), events, rng)
    expected = in_windows(events, size, every, lateness * MINUTE)
    changes = pl.concat(drive.outputs)
    same(
        merged(changes, ["window_start", *keys]),
        expected.lazy().pipe(positive).collect(),
    )
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())


NEW_YORK = ZoneInfo("America/New_York")
DAY = timedelta(days=1)


def by_days(
    events: pl.DataFrame, days: int | None, late_us: int, first: datetime
) -> pl.DataFrame:
    """Return the rows of windows of days, or of 24 hours, that begin at midnight."""
    rows = []
    for row in marked(events).iter_rows(named=True):
        for number in range(40):
            start = (first + number * DAY).replace(tzinfo=NEW_YORK)
            end = start.astimezone(UTC) + DAY
            if days is not None:
                end = (first + (number + days) * DAY).replace(tzinfo=NEW_YORK)
            is_in = start <= row["t"] < end
            if is_in and row["mark"] < end.timestamp() * 1_000_000 + late_us:
                rows.append({**row, "window_start": start, "window_end": end})
    zoned = pl.Datetime("us", "America/New_York")
    schema = {**marked(events).schema, "window_start": zoned, "window_end": zoned}
    return pl.DataFrame(rows, schema).sort("time", "_partition", "_offset")


@pytest.mark.parametrize("month", [3, 10])
@pytest.mark.parametrize("size", ["1d", "2d", "24h"])
@pytest.mark.parametrize("seed", range(3))
def test_windows_of_days_follow_the_clock_of_their_zone(
    month: int, size: str, seed: int
) -> None:
    """Over both changes; 24 hours are no day: they overlap, or leave a gap."""
    rng = random.Random(seed)
    first = datetime(2024, month, 1) if month == 3 else datetime(2024, 10, 25)  # noqa: DTZ001 -- a reading of the clock
    begin = first + timedelta(days=2)
    events = stream(rng, begin=begin, span=timedelta(days=12), disorder=DAY / 2)
    window = sl.hopping(size, "1d", on="t", zone="America/New_York", lateness="6h")
    chain = chain_of(sl.transform(window=window, keys="k")(listed))
    drive = driven(chain, events, rng)
    days = {"1d": 1, "2d": 2, "24h": None}[size]
    expected = by_days(events, days, 6 * 60 * MINUTE, first)
    same(drive.output, expected.lazy().pipe(listed).collect())
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())


@pytest.mark.parametrize("seed", range(3))
def test_months_may_begin_every_week(seed: int) -> None:
    """Though they are not whole weeks."""
    rng = random.Random(seed)
    begin = datetime(1969, 11, 20)  # noqa: DTZ001 -- the frame says that it is UTC
    events = stream(rng, begin=begin, span=timedelta(days=90), disorder=4 * DAY)
    window = sl.hopping("1mo", "1w", on="t", lateness="3d")
    chain = chain_of(sl.transform(window=window)(counted))
    drive = driven(chain, events, rng)
    rows = []
    for row in marked(events).iter_rows(named=True):
        for number in range(30):
            start = datetime(1969, 10, 6, tzinfo=UTC) + 7 * number * DAY
            (end,) = pl.Series([start]).dt.offset_by("1mo")
            closes = (end + 3 * DAY).timestamp() * 1_000_000
            if start <= row["t"] < end and row["mark"] < closes:
                rows.append({"window_start": start, "window_end": end, "n": row["n"]})
    schema = dict.fromkeys(["window_start", "window_end"], pl.Datetime("us", "UTC"))
    expected = pl.DataFrame(rows, {**schema, "n": pl.Int64})
    same(drive.output, expected.lazy().pipe(counted).collect())
    accounted(drive, events.height)


def counted(events: pl.LazyFrame) -> pl.LazyFrame:
    """Count and add."""
    return events.group_by("window_start", "window_end").agg(pl.len(), pl.sum("n"))
