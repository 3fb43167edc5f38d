"""Session windows, on random streams that are cut at random."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from tests.unit.operators.changes import merged
from tests.unit.operators.streams import (
    accounted,
    chain_of,
    driven,
    on_time,
    same,
    stream,
)

MINUTE = 60_000_000


def in_sessions(
    events: pl.DataFrame, gap: int, longest: int | None, late: int, by: list[str]
) -> pl.DataFrame:
    """Return the rows of each session by the definition; minutes."""
    rows_of = defaultdict[Any, list[dict[str, Any]]](list)
    for row in on_time(events, late * MINUTE).iter_rows(named=True):
        rows_of[tuple(row[key] for key in by)].append(row)
    found = []
    for rows in rows_of.values():
        sessions: list[list[dict[str, Any]]] = []
        for row in rows:
            begins = (
                not sessions
                or row["time"] - sessions[-1][-1]["time"] >= gap * MINUTE
                or (
                    longest is not None
                    and row["time"] >= sessions[-1][0]["time"] + longest * MINUTE
                )
            )
            if begins:
                sessions.append([])
            sessions[-1].append(row)
        for session in sessions:
            start, end = session[0]["time"], session[-1]["time"] + gap * MINUTE
            if longest is not None:
                end = min(end, start + longest * MINUTE)
            found += [{**r, "window_start": start, "window_end": end} for r in session]
    known = on_time(events, 0).schema
    schema = {**known, "window_start": pl.Int64, "window_end": pl.Int64}
    return (
        pl.DataFrame(found, schema)
        .sort("time", "_partition", "_offset")
        .with_columns(
            pl.col("window_start", "window_end").cast(pl.Datetime("us", "UTC"))
        )
    )


def listed(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give something that needs the rows, in their order."""
    return events.group_by("window_start", "window_end", "k").agg(
        pl.col("n"), pl.col("v").median().alias("middle")
    )


def of_all(events: pl.LazyFrame) -> pl.LazyFrame:
    """Give something of sessions that are not of a key."""
    return events.group_by("window_start", "window_end").agg("n")


CASES = [(5, None, 0), (10, None, 7), (3, 10, 0), (8, 20, 5), (30, 30, 30), (2, 1, 3)]


@pytest.mark.parametrize(("gap", "longest", "lateness"), CASES)
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_each_session_shows_its_rows_once_whatever_the_cuts(
    gap: int, longest: int | None, lateness: int, keyed: bool, seed: int
) -> None:
    """Also those that a late event bridges, and those that are cut for their length."""
    rng = random.Random(seed)
    events = stream(rng, partitions=3)
    window = sl.session(
        f"{gap}m",
        on="t",
        longest=longest and f"{longest}m",
        lateness=f"{lateness}m",
    )
    by, function = (["k"], listed) if keyed else ([], of_all)
    chain = chain_of(sl.transform(window=window, keys=by)(function))
    drive = driven(chain, events, rng, partitions=3)
    expected = in_sessions(events, gap, longest, lateness, by)
    same(drive.output, expected.lazy().pipe(function).collect())
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())


@pytest.mark.parametrize(("gap", "longest", "lateness"), CASES)
@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("early", ["0s", "3s"])
def test_updates_lead_to_the_final_results_whatever_the_cuts(
    gap: int, longest: int | None, lateness: int, keyed: bool, early: str
) -> None:
    """A session that begins earlier than thought takes the place of the one shown."""
    rng = random.Random(gap)
    events = stream(rng)
    window = sl.session(
        f"{gap}m",
        on="t",
        longest=longest and f"{longest}m",
        lateness=f"{lateness}m",
    )
    by, function = (["k"], listed) if keyed else ([], of_all)
    transform = sl.transform(window=window, keys=by, emit="updates", early=early)
    drive = driven(chain_of(transform(function)), events, rng)
    expected = in_sessions(events, gap, longest, lateness, by)
    same(
        merged(pl.concat(drive.outputs), ["window_start", *by]),
        expected.lazy().pipe(function).collect(),
    )
    accounted(drive, events.height)
    assert all(table.height == 0 for table in drive.tables.values())
