"""A worker of pipelines that join their inputs."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.memory import (
    Fail,
    MemoryEvent,
    MemorySink,
    MemorySource,
    MemoryTopic,
)
from streamlab.contracts import Schema
from streamlab.engines.local import Worker
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.errors import Unavailable
from streamlab.transforms.joins import Join

ORDERS = Schema.of({"order": pl.Int64(), "customer": pl.Int64(), "at": pl.Int64()})
CUSTOMERS = Schema.of({"id": pl.Int64(), "city": pl.String()})


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def topic(name: str, *partitions: Sequence[dict[str, Any] | MemoryEvent]) -> Any:
    """Return a topic with values as JSON."""
    events = {
        number: [
            one
            if isinstance(one, MemoryEvent)
            else MemoryEvent(json.dumps(one).encode())
            for one in part
        ]
        for number, part in enumerate(partitions)
    }
    return MemorySource(MemoryTopic(events, name=name))


def customer(key: int, city: str | None, at: int = 0) -> MemoryEvent:
    """Return a message of a customer; without a city it has no value."""
    value = None if city is None else json.dumps({"id": key, "city": city}).encode()
    return MemoryEvent(value, str(key).encode(), at)


def order(number: int, key: int, at: int = 0) -> dict[str, Any]:
    """Return an order."""
    return {"order": number, "customer": key, "at": at}


def pipeline(
    join: Join, inputs: dict[str, sl.Input], sink: MemorySink, **pace: int
) -> sl.Pipeline:
    """Return a pipeline whose pairs are written."""

    @sl.transform(join=join)
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    return sl.Pipeline(
        name="joined",
        inputs=inputs,
        transforms=(joined,),
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
        pace=sl.Pace(**pace),
    )


def cities(sink: MemorySink) -> list[tuple[int, str | None]]:
    """Return the city of each order."""
    return sorted(sink.target.frame().select("order", "city").rows())


def test_a_table_is_read_first_and_loses_what_has_no_value_any_more() -> None:
    """A message without a key that can be read is a dead letter."""
    table = topic(
        "customers",
        [
            customer(1, "Oslo"),
            customer(2, "Rome"),
            customer(1, None),
            customer(2, "Bonn"),
            MemoryEvent(None, b"two"),
        ],
    )
    sink = MemorySink()
    inputs = {
        "orders": sl.Input(topic("orders", [order(1, 1), order(2, 2)]), "json", ORDERS),
        "customers": sl.Input(table, "json", CUSTOMERS),
    }
    join = sl.table_join("orders", "customers", keys=[("customer", "id")], how="left")
    worker = Worker(pipeline(join, inputs, sink))
    worker.run(finish=True)
    assert cities(sink) == [(1, None), (2, "Bonn")]
    (letter,) = DeadLetterFile(Path("dead.jsonl")).read()
    assert (letter.code, letter.position) == ("tombstone", 4)
    counts = worker.tally.counts()
    assert counts["decoded"] == counts["transformed"] + counts["late"] == 6


@pytest.mark.parametrize("max_rows", [1, 2, 1000])
def test_a_table_as_of_the_time_of_its_messages(max_rows: int) -> None:
    """Those without a value have no other."""
    table = topic(
        "customers",
        [customer(1, "Oslo", 10), customer(1, None, 20), customer(1, "X", 30)],
    )
    orders = topic("orders", [order(at, 1, at) for at in (5, 10, 19, 20, 29, 30)])
    sink = MemorySink()
    inputs = {
        "orders": sl.Input(orders, "json", ORDERS),
        "customers": sl.Input(table, "json", CUSTOMERS),
    }
    join = sl.table_join(
        "orders",
        "customers",
        keys=[("customer", "id")],
        how="left",
        as_of=("at", "_timestamp"),
    )
    Worker(pipeline(join, inputs, sink, max_rows=max_rows)).run(finish=True)
    assert cities(sink) == [
        (5, None), (10, "Oslo"), (19, "Oslo"), (20, None), (29, None), (30, "X"),
    ]  # fmt: skip


@pytest.mark.parametrize("max_rows", [9, 100, 50_000])
def test_an_interval_join_is_that_of_the_whole_frames(max_rows: int) -> None:
    """Whatever the epochs, and after a sink that failed in between."""
    chance = random.Random(5)
    parts = [
        [order(100 * part + n, chance.randrange(5), n * 10) for n in range(80)]
        for part in range(4)
    ]
    left, right = parts[:2], parts[2:]
    sink = MemorySink(script=[Fail(Unavailable("the sink"))])
    inputs = {
        "orders": sl.Input(topic("orders", *left), "json", ORDERS),
        "others": sl.Input(topic("others", *right), "json", ORDERS),
    }
    join = sl.interval_join(
        "orders",
        "others",
        keys="customer",
        times="at",
        lower="-30ms",
        upper="50ms",
        how="full",
    )
    Worker(pipeline(join, inputs, sink, max_rows=max_rows)).run(finish=True)
    frames = [pl.DataFrame([*one, *two]) for one, two in (left, right)]
    pairs = (
        frames[0]
        .join(frames[1], on="customer", suffix="_right")
        .filter((pl.col("at_right") - pl.col("at")).is_between(-30, 50))
    )
    alone = frames[0].join(pairs, on="order", how="anti").height
    met = pairs["order_right"].unique()
    other = frames[1].filter(~pl.col("order").is_in(met.implode())).height
    found = sink.target.frame()
    both = found.drop_nulls().select("order", "order_right")
    assert sorted(both.rows()) == sorted(pairs.select("order", "order_right").rows())
    assert found["order_right"].null_count() == alone
    assert found["order"].null_count() == other
