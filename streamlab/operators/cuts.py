"""Cuts: the same events as epochs of several streams, cut in different ways."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from streamlab.operators.driving import PARTITION


def slices(
    frames: Mapping[str, pl.DataFrame], rows: int
) -> Iterator[Mapping[str, pl.DataFrame]]:
    """Yield epochs of some rows, in which every stream is as far as the others."""
    total = sum(frame.height for frame in frames.values())
    number = max(1, -(-total // rows))
    places = [
        [f.height * i // number for i in range(number + 1)] for f in frames.values()
    ]
    yield from _pieces(frames, places)


def random_slices(
    frames: Mapping[str, pl.DataFrame], number: int, chance: random.Random
) -> list[Mapping[str, pl.DataFrame]]:
    """Return epochs of consecutive events, cut at random places in each stream."""
    places = [
        [0, *sorted(chance.randint(0, f.height) for _ in range(number - 1)), f.height]
        for f in frames.values()
    ]
    return list(_pieces(frames, places))


def _pieces(
    frames: Mapping[str, pl.DataFrame], places: Sequence[Sequence[int]]
) -> Iterator[Mapping[str, pl.DataFrame]]:
    for i, j in itertools.pairwise(range(len(places[0]))):
        yield {
            name: frame.slice(at[i], at[j] - at[i])
            for (name, frame), at in zip(frames.items(), places, strict=True)
        }


def by_partition(
    frames: Mapping[str, pl.DataFrame],
) -> list[Mapping[str, pl.DataFrame]]:
    """Return one epoch for each partition of each stream."""
    return [
        {name: part}
        for name, frame in frames.items()
        for part in (
            frame.partition_by(PARTITION, maintain_order=True)
            if PARTITION in frame.columns
            else [frame]
        )
    ]
