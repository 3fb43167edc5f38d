"""Partial results that the user's own function merges."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import StreamlabError
from streamlab.operators.windows.holding import seen_by_function
from tests.unit.operators.changes import merged
from tests.unit.operators.streams import (
    EVENTS,
    accounted,
    chain_of,
    driven,
    same,
    stream,
)

SEEN = seen_by_function(EVENTS, pl.Datetime("us", "UTC"))


def three_highest(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return the three highest rows of each window and key."""
    ranked = events.sort("v", "n", descending=True, nulls_last=True)
    return (
        ranked.group_by("window_start", "k", maintain_order=True)
        .head(3)
        .select("window_start", "k", "v", "n")
    )


def of_both(partials: pl.LazyFrame) -> pl.LazyFrame:
    """Return the three highest of those."""
    return three_highest(partials)


def spread(events: pl.LazyFrame) -> pl.LazyFrame:
    """Return how far values are apart."""
    return events.group_by("window_start", "k").agg(
        pl.col("n").min().alias("low"), pl.col("n").max().alias("high")
    )


def widest(partials: pl.LazyFrame) -> pl.LazyFrame:
    """Return how far those are apart."""
    return partials.group_by("window_start", "k").agg(
        pl.col("low").min(), pl.col("high").max()
    )


def wrong(partials: pl.LazyFrame) -> pl.LazyFrame:
    """Forget the lowest."""
    return partials.group_by("window_start", "k").agg(
        pl.col("low").max(), pl.col("high").max()
    )


WINDOWS = [
    sl.tumbling("20m", on="t", lateness="10m"),
    sl.hopping("30m", "10m", on="t", lateness="15m"),
    sl.hopping("10m", "4m", on="t"),
    sl.hopping("5m", "12m", on="t"),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@pytest.mark.parametrize("functions", [(three_highest, of_both), (spread, widest)])
@pytest.mark.parametrize("seed", range(3))
def test_merged_results_are_those_of_all_rows(
    window: Any, functions: Any, seed: int
) -> None:
    """Whatever the cuts, and no row is kept."""
    rng = random.Random(seed)
    function, combine = functions
    events = stream(rng, 80)

    def on_rows(events: pl.LazyFrame) -> pl.LazyFrame:
        return function(events).map_batches(lambda frame: frame)

    declared: dict[str, Any] = {"window": window, "keys": "k"}
    chain = chain_of(sl.transform(**declared, combine=combine)(function))
    assert chain.operators[0].keeps == "partial results that combine= merges"
    drive = driven(chain, events, rng)
    whole = driven(chain_of(sl.transform(**declared)(on_rows)), events, rng)
    same(drive.output, whole.output)
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())
    (counts,) = drive.counts.values()
    assert counts.held == 0


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_updates_show_merged_results(window: Any) -> None:
    """Anew whenever they change."""
    rng = random.Random(3)
    events = stream(rng, 80)
    declared: dict[str, Any] = {"window": window, "keys": "k", "combine": widest}
    drive = driven(
        chain_of(sl.transform(**declared, emit="updates")(spread)), events, rng
    )
    whole = driven(chain_of(sl.transform(**declared)(spread)), events, rng)
    changes = pl.concat(drive.outputs)
    same(merged(changes, ["window_start", "k"]), whole.output)


def test_what_merges_wrongly_is_found_by_an_evaluation() -> None:
    """It cuts the sample into epochs at random, so that partial results are merged."""
    events = stream(random.Random(5), 300)
    window = sl.tumbling("20m", on="t")
    right = sl.transform(window=window, keys="k", combine=widest)(spread)
    assert sl.evaluate(right, events).rows.kind == "tested"
    broken = sl.transform(window=window, keys="k", combine=wrong)(spread)
    assert sl.evaluate(broken, events).rows.kind == "failed"


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"window": sl.session("5m", on="t"), "keys": "k"}, "depend on their rows"),
        ({"window": sl.count_window(5), "keys": "k"}, "depend on their rows"),
        ({"window": WINDOWS[0], "keys": "s"}, "lacks 's'"),
    ],
)
def test_what_cannot_be_merged_is_refused(declared: Any, message: str) -> None:
    """It says why."""
    with pytest.raises(StreamlabError, match=message):
        chain_of(sl.transform(**declared, combine=widest)(spread))


def test_a_merging_function_that_gives_other_columns_is_refused() -> None:
    """It names the column."""

    def other(partials: pl.LazyFrame) -> pl.LazyFrame:
        return partials.select("window_start", "k", "low")

    with pytest.raises(StreamlabError, match=r"other.. gives other columns.*'high'"):
        chain_of(
            sl.transform(window=sl.tumbling("20m", on="t"), keys="k", combine=other)(
                spread
            )
        )
