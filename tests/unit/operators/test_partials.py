"""Partial results: the same as from rows, for random functions of a small grammar."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from tests.unit.operators.streams import accounted, chain_of, driven, same, stream

col = pl.col

VALUES: list[Callable[[random.Random], pl.Expr]] = [
    lambda _: col("v"),
    lambda _: col("f"),
    lambda _: col("v") * 2 + 1,
    lambda _: col("n").cast(pl.Int8, strict=False),
    lambda _: col("v") > 0,
    lambda _: col("s").str.len_bytes(),
    lambda _: pl.when(col("v") > 3).then(1).otherwise(0),
    lambda rng: col("v").filter(col("f") > rng.uniform(-9, 9)),
    lambda _: col("f").drop_nulls(),
]

AGGREGATES: list[Callable[[pl.Expr, random.Random], pl.Expr]] = [
    lambda value, _: value.sum(),
    lambda value, _: value.min(),
    lambda value, _: value.max(),
    lambda value, _: value.mean(),
    lambda value, _: value.count(),
    lambda value, _: value.len(),
    lambda value, _: value.n_unique(),
    lambda value, _: value.null_count(),
    lambda value, rng: value.std(ddof=rng.choice([0, 1])),
    lambda value, rng: value.var(ddof=rng.choice([0, 1, 2])),
    lambda _value, _: pl.len(),
    lambda _value, _: (col("v") > 0).any(),
    lambda _value, _: col("v").is_null().all(),
    lambda _value, _: col("s").min(),
    lambda _value, _: col("t").max(),
    lambda _value, _: (col("t") - col("t").dt.truncate("1h")).sum(),
    lambda _value, rng: (
        col("s").sort_by("t", "n", descending=rng.random() < 0.5).first()
    ),
    lambda _value, _: col("n").sort_by(col("t").dt.minute(), col("n")).last(),
    lambda value, _: value.sum() / pl.len(),
    lambda value, _: value.max().cast(pl.Float64) - value.min().cast(pl.Float64),
]

Step = Callable[[pl.LazyFrame], pl.LazyFrame]

BEFORE: list[Step] = [
    lambda events: events,
    lambda events: events.filter(col("v") > -20),
    lambda events: events.with_columns(v=col("v") * 3, w=col("f").round(1)),
    lambda events: events.select("window_start", "window_end", *"tkvfsn"),
    lambda events: events.filter(col("k") == "nobody"),
]

AFTER: list[Step] = [
    lambda results: results,
    lambda results: results.filter(col("a0").is_not_null()),
    lambda results: results.with_columns(b=col("a0").is_null()),
    lambda results: results.sort("window_start", "a0"),
    lambda results: results.select("window_start", pl.exclude("window_start")),
]

KEYS: list[list[Any]] = [
    [],
    ["k"],
    ["window_end", "k"],
    [col("s").str.to_uppercase(), "k"],
    [col("v") % 3],
]


def function_of(seed: int) -> tuple[Step, list[Any]]:
    """Return a random function, and what it groups by beside the window."""
    rng = random.Random(seed)
    before, after = rng.choice(BEFORE), rng.choice(AFTER)
    keys = rng.choice(KEYS)
    aggregates = []
    for number in range(rng.randint(1, 4)):
        value = rng.choice(VALUES)(rng)
        aggregates.append(rng.choice(AGGREGATES)(value, rng).alias(f"a{number}"))

    def aggregated(events: pl.LazyFrame) -> pl.LazyFrame:
        groups = before(events).group_by("window_start", *keys)
        return after(groups.agg(aggregates))

    return aggregated, keys


WINDOWS = [
    sl.tumbling("20m", on="t", lateness="10m"),
    sl.hopping("1h", "20m", on="t", lateness="15m"),
    sl.hopping("10m", "4m", on="t"),
    sl.hopping("5m", "12m", on="t", offset="1m"),
    sl.tumbling("1d", on="t", zone="America/New_York", lateness="1h"),
    sl.hopping("2d", "1d", on="t", zone="Asia/Kolkata"),
]


@pytest.mark.parametrize("seed", range(120))
def test_partial_results_give_what_rows_give(seed: int) -> None:
    """For random functions, windows and cuts, with the same dtypes."""
    rng = random.Random(seed)
    function, _ = function_of(seed)
    window = rng.choice(WINDOWS)
    events = stream(rng, 80)

    def on_rows(events: pl.LazyFrame) -> pl.LazyFrame:
        return function(events).map_batches(lambda frame: frame)

    split = chain_of(sl.transform(window=window)(function))
    whole = chain_of(sl.transform(window=window)(on_rows))
    assert split.operators[0].keeps.startswith("partial results of ")
    assert whole.operators[0].keeps == "rows"
    drive = driven(split, events, rng)
    same(drive.output, driven(whole, events, rng).output)
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())
