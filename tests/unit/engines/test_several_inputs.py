"""A worker of a pipeline with several inputs, against an oracle on the whole frames."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.memory import (
    Fail,
    Give,
    Lose,
    MemorySink,
    MemorySource,
    MemoryTopic,
    Revoke,
)
from streamlab.contracts import Schema
from streamlab.engines.local import Worker
from streamlab.errors import Unavailable
from streamlab.transforms.event_time import event_time

SCHEMA = Schema.of({"origin": pl.String(), "at": pl.Int64()})
TIME = event_time("at", bound="20s", unit="s")
HOUR_S = 3600


@sl.transform(window=sl.tumbling("1h", on=TIME), keys="origin")
def hourly(flights: pl.LazyFrame, weather: pl.LazyFrame) -> pl.LazyFrame:
    by = ["origin", "window_start"]
    return (
        flights.group_by(by)
        .len("flights")
        .join(weather.group_by(by).len("reports"), on=by, how="full", coalesce=True)
        .select("origin", "window_start", pl.col("flights", "reports").fill_null(0))
    )


def events(seed: int, partitions: int, count: int) -> dict[int, list[tuple[str, int]]]:
    """Return events of each partition, a little out of order."""
    chance = random.Random(seed)
    return {
        number: [
            (chance.choice(["EWR", "JFK"]), at * 30 + chance.randrange(20))
            for at in range(count)
        ]
        for number in range(partitions)
    }


FLIGHTS, WEATHER = events(1, 2, 700), events(2, 3, 650)


def topic(name: str, given: dict[int, list[tuple[str, int]]]) -> MemoryTopic:
    """Return a topic with the events as JSON."""
    return MemoryTopic(
        {
            number: [json.dumps({"origin": o, "at": a}).encode() for o, a in part]
            for number, part in given.items()
        },
        name=name,
    )


def expected() -> list[tuple[str, int, int, int]]:
    """Return the windows of all events, in plain Python."""
    counts: dict[tuple[str, int], list[int]] = {}
    for place, given in enumerate((FLIGHTS, WEATHER)):
        for origin, at in (one for part in given.values() for one in part):
            window = counts.setdefault((origin, at // HOUR_S * HOUR_S), [0, 0])
            window[place] += 1
    return sorted((o, start, f, w) for (o, start), (f, w) in counts.items())


def rows(sink: MemorySink) -> list[tuple[str, int, int, int]]:
    """Return what was written."""
    frame = sink.target.frame().with_columns(pl.col("window_start").dt.epoch("s"))
    return sorted(frame.iter_rows())


def pipeline(
    flights: MemorySource, weather: MemorySource, sink: MemorySink, **pace: int
) -> sl.Pipeline:
    """Return the pipeline of both inputs."""
    return sl.Pipeline(
        name="hourly",
        inputs={
            "flights": sl.Input(flights, "json", SCHEMA, TIME),
            "weather": sl.Input(weather, "json", SCHEMA),
        },
        transforms=(hourly,),
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
        pace=sl.Pace(**pace),
    )


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("max_rows", [50, 333, 50_000])
def test_windows_of_two_inputs_are_those_of_the_oracle(max_rows: int) -> None:
    """Whatever the epochs, each window has the events of both inputs."""
    sink = MemorySink()
    flights, weather = topic("flights", FLIGHTS), topic("weather", WEATHER)

    Worker(
        pipeline(MemorySource(flights), MemorySource(weather), sink, max_rows=max_rows)
    ).run(finish=True)

    assert rows(sink) == expected()


@pytest.mark.parametrize(
    "script",
    [
        [Give(100), Revoke((0,))],
        [Give(100), Give(100), Lose((1,))],
        [Give(100), Fail(Unavailable("away"))],
    ],
)
def test_what_happens_to_one_input_costs_no_row_of_any(
    script: Sequence[object],
) -> None:
    """Partitions that are taken away, and a source that is down for a while."""
    sink, once = MemorySink(), list(script)
    flights, weather = topic("flights", FLIGHTS), topic("weather", WEATHER)

    class Once(list[object]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            while once:
                yield once.pop(0)

    source = MemorySource(weather, script=Once())  # type: ignore[arg-type]
    Worker(pipeline(MemorySource(flights), source, sink, max_rows=90)).run(finish=True)

    assert rows(sink) == expected()
    assert not once


def test_a_second_run_goes_on_where_all_inputs_were() -> None:
    """Positions of all inputs and the state are one: a restart is not seen."""
    sink = MemorySink()
    flights = {number: part[:200] for number, part in FLIGHTS.items()}
    weather = {number: part[:300] for number, part in WEATHER.items()}
    topics = topic("flights", flights), topic("weather", weather)
    made = pipeline(*map(MemorySource, topics), sink, max_rows=64)
    Worker(made).run(until_caught_up=True)
    for one, given, begun in (
        (topics[0], FLIGHTS, flights),
        (topics[1], WEATHER, weather),
    ):
        rest = {n: part[len(begun[n]) :] for n, part in given.items()}
        for number, part in topic("rest", rest)._logs.items():
            one.append(number, [stored.event.value for stored in part])

    Worker(made).run(finish=True)

    assert rows(sink) == expected()


def test_dead_letters_say_which_input_they_are_of() -> None:
    """An event that does not decode is kept with the topic that it came from."""
    from streamlab.engines.local.dead_letters import DeadLetterFile

    sink = MemorySink()
    flights, weather = topic("flights", FLIGHTS), topic("weather", WEATHER)
    weather.append(1, [b"{broken"])

    Worker(pipeline(MemorySource(flights), MemorySource(weather), sink)).run(
        finish=True
    )

    (letter,) = DeadLetterFile(Path("dead.jsonl")).read()
    assert (letter.topic, letter.partition) == ("weather", 1)
    assert rows(sink) == expected()
