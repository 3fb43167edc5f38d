"""Partial results: the same as from rows, for random functions of a small grammar."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from tests.unit.operators.changes import merged
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
    # With ddof=0 polars gives 0 or null for the one null of a frame of one row.
    lambda value, _: value.std(ddof=1),
    lambda value, rng: value.var(ddof=rng.choice([1, 2])),
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
    lambda results: results.filter(col("a1").is_not_null()),
    lambda results: results.with_columns(b=col("a1") * 2, c=col("a0")),
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
    aggregates.append(rng.choice(AGGREGATES)(col("f"), rng).alias("a0"))
    aggregates.append(col("v").max().alias("a1"))
    for number in range(2, rng.randint(2, 5)):
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


@pytest.mark.parametrize("seed", range(40))
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


def test_a_row_that_makes_it_fail_is_found_though_no_row_is_kept() -> None:
    """The others of its group count."""
    events = stream(random.Random(2), 50).with_columns(s=col("n").cast(pl.String))
    bad = col("n").is_in([7, 31])
    events = events.with_columns(s=pl.when(bad).then(pl.lit("secret")).otherwise("s"))

    @sl.transform(window=sl.tumbling("1d", on="t", lateness="9d"), keys="k")
    def total(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "k").agg(col("s").cast(pl.Int64).sum())

    chain = chain_of(total)
    assert chain.operators[0].keeps == "partial results of 1 aggregation"
    drive = driven(chain, events, random.Random(2), epochs=3)
    wrong = pl.concat([one.rows for one in drive.failed])
    assert set(wrong["n"]) == {7, 31}
    assert drive.output["s"].sum() == events.filter(~bad)["n"].sum()
    assert all("total() failed" in one.reason for one in drive.failed)
    assert all("secret" not in one.reason for one in drive.failed)


ROWS_NEEDED: dict[str, Callable[[pl.LazyFrame], pl.LazyFrame]] = {
    "median": lambda e: e.group_by("window_start").agg(col("v").median()),
    "a list": lambda e: e.group_by("window_start").agg("v"),
    "first by arrival": lambda e: e.group_by("window_start").agg(col("v").first()),
    "no window": lambda e: e.group_by("k").agg(
        col("v").sum(), col("window_start").min()
    ),
    "the window's own": lambda e: e.group_by("window_start").agg(
        (col("t") - col("window_start")).max()
    ),
    "a window of its own": lambda e: (
        e.with_columns(window_start=col("t"))
        .group_by("window_start")
        .agg(col("v").sum())
    ),
    "across rows before": lambda e: (
        e.filter(col("v") > col("v").mean())
        .group_by("window_start")
        .agg(col("v").sum())
    ),
    "across rows after": lambda e: (
        e.group_by("window_start")
        .agg(col("v").sum())
        .filter(col("v") == col("v").max())
    ),
    "a window function": lambda e: e.group_by("window_start").agg(
        (col("v") - col("v").mean()).sum()
    ),
    "float32": lambda e: e.group_by("window_start").agg(
        col("f").cast(pl.Float32).sum()
    ),
    "a float key": lambda e: e.group_by("window_start", "f").len(),
    "two group_bys": lambda e: (
        e.group_by("window_start", "k")
        .len()
        .group_by("window_start")
        .agg(col("len").sum())
    ),
    "digits that decide": lambda e: e.group_by("window_start").agg(
        col("f").mean().round(1)
    ),
    "digits that filter": lambda e: (
        e.group_by("window_start").agg(col("f").sum()).filter(col("f") > 1)
    ),
    "digits that are read": lambda e: (
        e.group_by("window_start")
        .agg(col("v").std())
        .with_columns(col("v").cast(pl.Int64))
    ),
    "having": lambda e: (
        e.group_by("window_start").having(col("v").sum() > 0).agg(col("v").sum())
    ),
    "unique": lambda e: e.unique("n").group_by("window_start").len(),
    "Python": lambda e: e.group_by("window_start").agg(
        col("v").map_batches(lambda values: values, pl.Int64).sum()
    ),
    "eager": lambda e: e.collect().group_by("window_start").len().lazy(),
    "a constant": lambda e: e.group_by("window_start").agg(pl.lit(1).sum()),
}


@pytest.mark.parametrize("name", ROWS_NEEDED)
def test_what_the_plan_does_not_show_to_split_keeps_rows(name: str) -> None:
    """And works."""
    function = ROWS_NEEDED[name]

    def wrapped(events: pl.LazyFrame) -> pl.LazyFrame:
        return function(events)

    chain = chain_of(sl.transform(window=sl.tumbling("1h", on="t"))(wrapped))
    assert chain.operators[0].keeps == "rows"


def test_a_key_that_the_function_changes_keeps_rows_with_updates() -> None:
    """They are held by the key as it comes."""

    @sl.transform(window=sl.tumbling("1h", on="t"), keys="k", emit="updates")
    def upper(events: pl.LazyFrame) -> pl.LazyFrame:
        changed = events.with_columns(col("k").str.to_uppercase())
        return changed.group_by("window_start", "k").len()

    assert chain_of(upper).operators[0].keeps == "rows"


@pytest.mark.parametrize("seed", range(20))
def test_updates_of_partial_results_lead_to_the_final_ones(seed: int) -> None:
    """As those of rows do."""
    rng = random.Random(seed)
    window = rng.choice(WINDOWS)
    events = stream(rng, 60)

    def total(events: pl.LazyFrame) -> pl.LazyFrame:
        groups = events.group_by("window_start", "k")
        return groups.agg(col("v").sum(), col("n").max(), col("s").n_unique())

    final = chain_of(sl.transform(window=window, keys="k")(total))
    updates = chain_of(sl.transform(window=window, keys="k", emit="updates")(total))
    assert updates.operators[0].keeps.startswith("partial")
    drive = driven(updates, events, rng)
    found = merged(pl.concat(drive.outputs), ["window_start", "k"])
    same(found, driven(final, events, rng).output)
    assert all(table.height == 0 for table in drive.tables.values())
