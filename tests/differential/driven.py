"""A case on random streams, cut into random epochs, in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl

from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from tests.differential.grammar import Case
from tests.differential.streams import SCHEMA, Stream


def chain_of(case: Case) -> Chain:
    """Return the operators of a case."""
    return Chain.of(case.transforms, dict.fromkeys(case.streams, SCHEMA), Path())


def epochs(
    streams: Mapping[str, Stream], chance: random.Random
) -> Iterator[dict[str, pl.DataFrame]]:
    """Yield the events of several streams, cut at random.

    Each partition goes on in its own time: it may be far ahead of the others, and one
    stream may be over before another begins.
    """
    parts = {
        (name, int(part["_partition"][0])): part
        for name, stream in streams.items()
        for part in stream.frame.filter(pl.col("ts").is_not_null()).partition_by(
            "_partition", maintain_order=True
        )
    }
    speeds = {key: chance.choice([3, 30, 300]) for key in parts}
    done = dict.fromkeys(parts, 0)
    while any(done[key] < part.height for key, part in parts.items()):
        taken: dict[str, list[pl.DataFrame]] = {}
        for key, part in parts.items():
            count = chance.randint(0, speeds[key])
            taken.setdefault(key[0], []).append(part.slice(done[key], count))
            done[key] = min(part.height, done[key] + count)
        yield {name: pl.concat(frames) for name, frames in taken.items()}


def driven(
    case: Case, streams: Mapping[str, Stream], chance: random.Random
) -> pl.DataFrame:
    """Return what a case gives, epoch by epoch."""
    chain = chain_of(case)
    used = {name: streams[name] for name in case.streams}
    drive = Drive.of(chain, {name: one.partitions for name, one in used.items()})
    for events in epochs(used, chance):
        drive.epoch(events)
    drive.epoch({}, ended=True)
    assert not drive.failed, drive.failed
    return drive.output
