"""Random streams in partitions, cut into epochs at random, for tests of operators."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.operators.driving import PARTITION, Drive


@dataclass(frozen=True)
class Stream:
    """A stream in partitions.

    Attributes:
        rows: Its events with ``_partition``, in the order of each partition, and a
            column ``n`` that numbers them.
        time: Its event time, in µs.
        bound: How far it may be out of order, in µs.
    """

    rows: pl.DataFrame
    time: str
    bound: int

    def accepted(self, lateness: int) -> pl.DataFrame:
        """Return the events that are not late, by the definition."""
        marks = pl.col(self.time).cum_max().over(PARTITION) - self.bound - lateness
        return self.rows.filter(pl.col(self.time) >= marks)


def random_rows(
    chance: random.Random, count: int, time: str, *, keys: int, partitions: int = 2
) -> pl.DataFrame:
    """Return events of rising times that are out of order, twice, or without a key."""
    rows: list[dict[str, int | None]] = []
    now = 0
    for _ in range(count):
        now += chance.choice([0, 1, 1, 2, 5])
        key = None if chance.random() < 0.1 else chance.randrange(keys)
        row = {
            "k": key,
            time: now - chance.choice([0, 0, 1, 3, 9]),
            "span": chance.choice([None, 0, 2, 10]),
            PARTITION: chance.randrange(partitions),
        }
        rows += [row] * chance.choice([1, 1, 1, 2])
    schema = {"k": pl.Int64, time: pl.Int64, "span": pl.Int64, PARTITION: pl.Int32}
    return pl.DataFrame(rows, schema=schema)


def epochs(
    chance: random.Random, streams: Mapping[str, Stream]
) -> Iterator[dict[str, pl.DataFrame]]:
    """Yield the events of some streams, each partition in its order, cut at random."""
    left = {
        (name, int(number)): stream.rows.filter(pl.col(PARTITION) == number)
        for name, stream in streams.items()
        for number in stream.rows[PARTITION].unique().sort()
    }
    most = chance.choice([1, 3, 20, 1000])
    while any(rows.height for rows in left.values()):
        taken: dict[str, list[pl.DataFrame]] = {name: [] for name in streams}
        for one, rows in left.items():
            size = chance.randrange(most + 1)
            taken[one[0]].append(rows[:size])
            left[one] = rows[size:]
        yield {name: pl.concat(parts) for name, parts in taken.items() if parts}


def held(drive: Drive) -> int:
    """Return how many rows an only operator says that it holds."""
    (counts,) = drive.counts.values()
    assert counts.accepted == counts.held + counts.released + counts.expired
    return counts.held
