"""Random streams, cut at random, and what they are late for by the definition."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.operators.chain import Chain
from streamlab.operators.driving import OFFSET, PARTITION, Drive
from streamlab.transforms.transform import Transform

EVENTS = pl.Schema(
    {
        "t": pl.Datetime("us", "UTC"),
        "k": pl.String,
        "v": pl.Int64,
        "f": pl.Float64,
        "s": pl.String,
        "n": pl.Int64,
    }
)
"""Event time, key with nulls, values with nulls, and the number of the event."""

BEGIN = datetime(1969, 12, 31, 23, 0)  # noqa: DTZ001 -- the frame says that it is UTC


def stream(
    rng: random.Random,
    size: int = 120,
    *,
    partitions: int = 2,
    span: timedelta = timedelta(hours=3),
    disorder: timedelta = timedelta(minutes=20),
    begin: datetime = BEGIN,
    keys: str = "abc",
) -> pl.DataFrame:
    """Return events in the order of their arrival, with their partition.

    They are out of order, some twice, some with the same time, some far behind.
    """
    rows: list[tuple[Any, ...]] = []
    for number in range(size):
        at = begin + span * number / size
        at -= disorder * rng.random() * (4 if rng.random() < 0.1 else 1)
        if rng.random() < 0.3:
            at = at.replace(second=0, microsecond=0)
        key = rng.choice([*keys, None])
        value = rng.choice([None, rng.randrange(-50, 50)])
        fraction = rng.choice([None, rng.uniform(-9, 9), 0.5])
        text = rng.choice(["x", "yy", "", None])
        partition = rng.randrange(partitions)
        rows.append((at, key, value, fraction, text, number, partition))
        if rng.random() < 0.05:
            rows.append(rows[-1])
    schema = {**EVENTS, "t": pl.Datetime("us"), PARTITION: pl.Int64}
    frame = pl.DataFrame(rows, schema, orient="row")
    offset = pl.int_range(pl.len()).cast(pl.Int64).over(PARTITION)
    return frame.with_columns(
        pl.col("t").dt.replace_time_zone("UTC"), offset.alias(OFFSET)
    )


def marked(events: pl.DataFrame, bound: timedelta = timedelta(0)) -> pl.DataFrame:
    """Return events with the watermark ``mark`` of their partition, Int64 µs."""
    time = pl.col("t").dt.epoch("us")
    mark = time.cum_max().over(PARTITION) - bound // timedelta(microseconds=1)
    return events.with_columns(time.alias("time"), mark.alias("mark"))


def chain_of(
    transforms: Sequence[Transform[Any, Any]] | Transform[Any, Any],
    schemas: Mapping[str, pl.Schema] | None = None,
) -> Chain:
    """Return the chain of some transforms."""
    several = [transforms] if isinstance(transforms, Transform) else list(transforms)
    known = schemas or {"events": EVENTS}
    return Chain.of(
        several, {name: Schema.of(one) for name, one in known.items()}, Path()
    )


def driven(
    chain: Chain,
    streams: Mapping[str, pl.DataFrame] | pl.DataFrame,
    rng: random.Random,
    *,
    partitions: int = 2,
    epochs: int | None = None,
    ended: bool = True,
) -> Drive:
    """Run streams through a chain, cut into epochs at random."""
    if isinstance(streams, pl.DataFrame):
        streams = {next(iter(chain.entrance)): streams}
    drive = Drive.of(chain, dict.fromkeys(streams, partitions))
    count = epochs or rng.choice([1, 2, 5, 20, 60])
    cuts = {
        name: sorted(rng.randrange(one.height + 1) for _ in range(count - 1))
        for name, one in streams.items()
    }
    for number in range(count):
        frames = {
            name: one[([0, *cuts[name]][number]) : ([*cuts[name], one.height][number])]
            for name, one in streams.items()
        }
        drive.epoch(frames, ended=ended and number == count - 1, wall_us=number * 10**6)
    return drive


def same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Compare two frames as multisets of rows; floats to rounding."""
    assert_frame_equal(
        found.sort(found.columns),
        expected.sort(found.columns),
        check_row_order=False,
        rel_tol=1e-9,
        abs_tol=1e-9,
    )


def accounted(drive: Drive, events: int) -> None:
    """Check that each event is late, held, released, expired or has failed."""
    (counts,) = drive.counts.values()
    late = sum(one.height for frames in drive.late.values() for one in frames)
    refused = sum(one.rows.height for one in drive.failed)
    assert counts.accepted + late + refused == events
    assert counts.held >= 0


def on_time(events: pl.DataFrame, lateness_us: int) -> pl.DataFrame:
    """Return the events that are not behind their watermark by more than a lateness.

    In the order of their event time, with ``time`` in µs.
    """
    taken = marked(events).filter(pl.col("time") >= pl.col("mark") - lateness_us)
    return taken.sort("time", PARTITION, OFFSET)
