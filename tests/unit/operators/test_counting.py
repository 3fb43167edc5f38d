"""Count windows, on random streams that are cut at random."""

from __future__ import annotations

import random

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import UsageError
from tests.unit.operators.streams import (
    accounted,
    chain_of,
    driven,
    on_time,
    same,
    stream,
)

MINUTE = 60_000_000


def numbered(ordered: pl.DataFrame, rows: int, by: list[str]) -> pl.DataFrame:
    """Return the rows of each full window by the definition."""
    over = by or [pl.lit(0)]
    start = pl.int_range(pl.len()).over(over) // rows * rows
    whole = ordered.with_columns(
        start.alias("window_start"),
        (start + rows).alias("window_end"),
        pl.len().over(over).cast(pl.Int64).alias("count"),
    )
    return whole.filter(pl.col("window_end") <= pl.col("count"))


def listed(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give something that needs the rows, in their order."""
    return events.group_by("window_start", "window_end", "k").agg("n")


def of_all(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give something of windows that are not of a key."""
    return events.group_by("window_start", "window_end").agg("n")


@pytest.mark.parametrize("rows", [1, 3, 10, 500])
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("lateness", [0, 10])
def test_rows_are_counted_in_the_order_of_their_event_time(
    rows: int, keyed: bool, lateness: int
) -> None:
    """Over all partitions, whatever the cuts; what is not full stays."""
    rng = random.Random(rows)
    events = stream(rng, partitions=3)
    by, function = (["k"], listed) if keyed else ([], of_all)
    window = sl.count_window(rows, on="t", lateness=f"{lateness}m")
    chain = chain_of(sl.transform(window=window, keys=by)(function))
    drive = driven(chain, events, rng, partitions=3)
    ordered = on_time(events, lateness * MINUTE)
    whole = numbered(ordered, rows, by)
    same(drive.output, whole.lazy().pipe(function).collect())
    accounted(drive, events.height)
    (counts,) = drive.counts.values()
    assert counts.held == ordered.height - whole.height


@pytest.mark.parametrize("rows", [1, 3, 10])
@pytest.mark.parametrize("keyed", [True, False])
def test_without_an_event_time_rows_are_counted_as_they_come(
    rows: int, keyed: bool
) -> None:
    """Which is one order only where a key stays in one partition."""
    rng = random.Random(rows)
    events = stream(rng, partitions=1)
    by, function = (["k"], listed) if keyed else ([], of_all)
    window = sl.count_window(rows)
    chain = chain_of(sl.transform(window=window, keys=by)(function))
    assert chain.operators[0].needs_keyed_partitions
    drive = driven(chain, events, rng, partitions=1)
    same(drive.output, numbered(events, rows, by).lazy().pipe(function).collect())
    accounted(drive, events.height)


def test_a_count_window_gives_no_updates() -> None:
    """It says why."""
    window = sl.count_window(3)
    with pytest.raises(UsageError, match="no result before it is full"):
        chain_of(sl.transform(window=window, emit="updates")(of_all))
