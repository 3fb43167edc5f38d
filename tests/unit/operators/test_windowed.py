"""Tumbling and hopping windows, on random streams that are cut at random."""

from __future__ import annotations

import random

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
