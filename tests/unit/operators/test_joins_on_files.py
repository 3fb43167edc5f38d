"""Joins on durable tables that are closed and opened again between epochs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl
import pytest

from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.state.home import StateHome
from streamlab.state.store import TaskState
from tests.unit.operators import test_interval as interval
from tests.unit.operators import test_versions as versions
from tests.unit.operators.partitioned import Stream, epochs

Streams = Mapping[str, Stream]


def an_interval_join(seed: int) -> tuple[Chain, Streams, pl.DataFrame]:
    """Return a join with its streams, and what must come of them."""
    how = interval.HOWS[seed % len(interval.HOWS)]
    lower, upper = list(interval.BOUNDS.values())[seed % len(interval.BOUNDS)]
    streams = interval.streams_of(seed)
    schemas = [one.rows.drop("_partition").schema for one in streams.values()]
    chain = interval.chain_of(how, lower, upper, *schemas)
    return chain, streams, interval.expected(streams, how, lower, upper)


def a_join_as_of(seed: int) -> tuple[Chain, Streams, pl.DataFrame]:
    """Return a join with its streams, and what must come of them."""
    streams = versions.streams_of(seed)
    schemas = [one.rows.drop("_partition").schema for one in streams.values()]
    return (
        versions.chain_of("left", *schemas),
        streams,
        versions.expected(streams, "left"),
    )


def reopened(
    chain: Chain, streams: Streams, folder: Path, chance: random.Random
) -> Drive:
    """Run random epochs on durable tables."""
    home = StateHome(folder)
    counts = {name: one.rows["_partition"].n_unique() for name, one in streams.items()}
    drive = Drive.of(chain, counts)
    state = TaskState.open(home, "task", chain.layouts, None)
    for events in [*epochs(chance, streams), None]:
        drive.tables = dict(state.tables)
        drive.epoch(events or {}, ended=events is None)
        state_id = state.save()
        state.confirm(state_id)
        if chance.random() < 0.3:
            state.compact()
        if chance.random() < 0.3:
            state.close()
            state = TaskState.open(home, "task", chain.layouts, state_id)
    state.close()
    return drive


@pytest.mark.parametrize("join", [an_interval_join, a_join_as_of])
@pytest.mark.parametrize("seed", range(20, 23))
def test_pairs_are_the_same(
    seed: int,
    join: Callable[[int], tuple[Chain, Streams, pl.DataFrame]],
    tmp_path: Path,
) -> None:
    """As on tables in memory, and on the whole frames."""
    chain, streams, wanted = join(seed)
    drive = reopened(chain, streams, tmp_path, random.Random(seed))
    interval.same(drive.output, wanted)
