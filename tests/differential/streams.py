"""Random streams: out of order, late, doubled, without key, without time, idle."""

from __future__ import annotations

import random
from dataclasses import dataclass

import polars as pl

from streamlab import Schema

START_MS = 1_700_000_000_000
COLUMNS = {
    "ts": pl.Int64(),
    "key": pl.String(),
    "v": pl.Int64(),
    "w": pl.Float64(),
    "id": pl.Int64(),
}
SCHEMA = Schema.of(pl.Schema(COLUMNS))


@dataclass(frozen=True)
class Stream:
    """One stream.

    Attributes:
        name: Its name.
        bound_ms: How far out of order its events are taken to be.
        frame: Its events in the order in which they come, with ``_partition``.
        partitions: How many partitions it has; some may be without events.
    """

    name: str
    bound_ms: int
    frame: pl.DataFrame
    partitions: int

    def marked(self) -> pl.DataFrame:
        """Return the events that have a time, with the watermark ``wm`` of each.

        That is the definition: the highest time of the partition up to and with the
        event, less the bound.
        """
        known = self.frame.filter(pl.col("ts").is_not_null())
        highest = pl.col("ts").cum_max().over("_partition")
        return known.with_columns(wm=highest - self.bound_ms)


def stream(name: str, chance: random.Random, count: int) -> Stream:
    """Return a random stream of about ``count`` events."""
    partitions = chance.randint(1, 4)
    bound = chance.choice([0, 500, 3_000])
    disorder = chance.choice([0, 400, 2_500, 9_000])
    # A partition of weight 0 is without events from its beginning to the end.
    weights = [1.0, *(chance.choice([0.0, 0.1, 1.0]) for _ in range(partitions - 1))]
    now = START_MS
    rows: list[tuple[int | None, str | None, int, float | None, int, int]] = []
    for number in range(count):
        now += int(chance.expovariate(1 / 150))
        if chance.random() < 0.01:
            now += chance.randint(5_000, 40_000)
        row = (
            None if chance.random() < 0.01 else now - chance.randint(0, disorder),
            None if chance.random() < 0.05 else chance.choice("abcd"),
            chance.randint(-5, 20),
            None if chance.random() < 0.1 else round(chance.uniform(-50, 50), 3),
            number,
            chance.choices(range(partitions), weights)[0],
        )
        rows += [row] * (2 if chance.random() < 0.03 else 1)
    schema = {**COLUMNS, "_partition": pl.Int32()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Stream(name, bound, frame, partitions)
