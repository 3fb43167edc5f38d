"""Transforms give the same on files that are reopened as on tables in memory."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.state import store
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState

SECOND = 1_000_000
EVENTS = pl.Schema({"key": pl.String, "t": pl.Int64, "n": pl.Int64})


@sl.transform(
    window=sl.tumbling("10s", on=sl.event_time("t", unit="s", bound="5s")), keys=["key"]
)
def windows(events: pl.LazyFrame) -> pl.LazyFrame:
    """Keep the rows of a window and key."""
    return events.group_by("window_start", "key").agg(
        pl.col("n").sum(), pl.col("n").sort().alias("all")
    )


@sl.transform(keys=["key"], state={"n": pl.Int64})
def fold(events: pl.LazyFrame, state: pl.LazyFrame) -> Any:
    """Count the events of a key, and forget a key at every seventh of it."""
    known = events.join(
        state.rename({"n": "before"}), on="key", how="left", nulls_equal=True
    )
    counted = known.group_by("key").agg(
        n=pl.len().cast(pl.Int64) + pl.col("before").first().fill_null(0)
    )
    return counted, counted.filter(pl.col("n") % 7 != 0)


def epochs(seed: int) -> list[pl.DataFrame]:
    """Return events in epochs, most of them nearly in order."""
    rng = random.Random(seed)
    frames, now = [], 0
    for _ in range(25):
        rows = []
        for _ in range(rng.randrange(12)):
            now += rng.choice([0, 0, 1, 3])
            time = max(0, now - rng.choice([0, 1, 4]))
            rows.append((rng.choice(["a", "b", "c", None]), time, rng.randrange(100)))
        frames.append(pl.DataFrame(rows, schema=EVENTS, orient="row"))
    return frames


@pytest.mark.parametrize("transform", [windows, fold])
@pytest.mark.parametrize("seed", range(3))
def test_a_transform_does_not_see_where_its_state_is(
    transform: sl.Transform[Any, Any],
    seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is saved after each epoch, often reopened, and compacted."""
    monkeypatch.setattr(store, "MOST_LOGS", 4)
    rng = random.Random(seed)
    chain = Chain.of([transform], {"events": Schema.of(EVENTS)}, tmp_path)
    memory, durable = Drive.of(chain), Drive.of(chain)
    home = StateHome(tmp_path)
    state = TaskState.open(home, "events/0", chain.layouts, None)
    frames = epochs(seed)
    for number, events in enumerate(frames, 1):
        durable.tables = dict(state.tables)
        for drive in (memory, durable):
            drive.epoch({"events": events}, ended=number == len(frames))
        state_id = state.save()
        state.confirm(state_id)
        if rng.random() < 0.4:
            state.close()
            state = TaskState.open(home, "events/0", chain.layouts, state_id)
    state.close()
    assert memory.output.height > 20
    assert sorted(map(repr, durable.output.rows())) == sorted(
        map(repr, memory.output.rows())
    )
    assert durable.counts == memory.counts
