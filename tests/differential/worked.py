"""A case through the worker: bytes, epochs of random size, kills, state in files."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab import failpoints
from streamlab.connectors.memory import Give, MemorySink, MemorySource, MemoryTopic
from streamlab.engines.local import Worker
from streamlab.failpoints import PLACES, STATE_PLACES
from tests.differential.grammar import Case
from tests.differential.streams import COLUMNS, SCHEMA, Stream

MOST_KILLS = 2
KILLED_AT = (*PLACES, *STATE_PLACES)


class Killed(BaseException):
    """What a killed process cannot handle either."""


def worked(
    case: Case,
    streams: Mapping[str, Stream],
    chance: random.Random,
    patch: pytest.MonkeyPatch,
) -> pl.DataFrame:
    """Return what a case gives, in the rows of its sink.

    Args:
        case: The transform.
        streams: The events.
        chance: Where cuts and kills come from.
        patch: To be killed with; the working directory is the test's own.
    """
    topics = {name: _topic(streams[name]) for name in case.streams}
    sink = MemorySink()
    for _ in range(chance.randint(0, MOST_KILLS)):
        with _killed(chance, patch), suppress(Killed):
            Worker(_pipeline(case, topics, sink, chance)).run(until_caught_up=True)
    Worker(_pipeline(case, topics, sink, chance)).run(finish=True)
    return sink.target.frame()


def _topic(stream: Stream) -> MemoryTopic:
    """Return the events of a stream as bytes, partition by partition."""
    values: dict[int, list[bytes]] = {n: [] for n in range(stream.partitions)}
    lines = stream.frame.select(list(COLUMNS)).write_ndjson().encode().splitlines()
    for partition, line in zip(stream.frame["_partition"], lines, strict=True):
        values[partition].append(line)
    return MemoryTopic(values, name=stream.name)


def _pipeline(
    case: Case,
    topics: Mapping[str, MemoryTopic],
    sink: MemorySink,
    chance: random.Random,
) -> sl.Pipeline:
    inputs = {
        name: sl.Input(
            MemorySource(topic, [Give(chance.randint(1, 60)) for _ in range(4)]),
            "json",
            SCHEMA,
        )
        for name, topic in topics.items()
    }
    return sl.Pipeline(
        name="differential",
        inputs=inputs,
        transforms=case.transforms,
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
        pace=sl.Pace(max_rows=chance.choice([15, 70, 400])),
    )


@contextmanager
def _killed(chance: random.Random, patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kill the worker the n-th time that it passes some place."""
    place, left = chance.choice(KILLED_AT), chance.randint(1, 4)

    def passing(passed: str) -> None:
        nonlocal left
        left -= passed == place
        if left == 0:
            raise Killed(place)

    with patch.context() as patched:
        patched.setattr(failpoints, "passing", passing)
        yield
