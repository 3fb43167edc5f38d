"""Streams joined with tables that change, on real servers, over restarts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer

import streamlab as sl
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink
from streamlab.contracts import Schema
from streamlab.engines.local import Worker
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.pipelines import DeadLetters, Input, Pipeline
from tests.integration.test_postgres_source import Shop, shop

pytestmark = pytest.mark.integration
assert shop  # a fixture

ORDERS = Schema.of({"order": pl.Int64(), "item": pl.Int64()})
ITEMS = Schema.of({"id": pl.Int64(), "name": pl.String()})

Send = Callable[..., None]


@sl.transform(join=sl.table_join("orders", "items", keys=[("item", "id")], how="left"))
def named(pairs: pl.LazyFrame) -> pl.LazyFrame:
    return pairs.select("order", "name")


@pytest.fixture
def send(shop: Shop, kafka_address: str) -> Iterator[Send]:
    """Return what sends messages to a topic: keys and values."""
    (shop.folder / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
    )
    producer = Producer({"bootstrap.servers": kafka_address})

    def sent(topic: str, *messages: tuple[str, dict[str, object] | None]) -> None:
        for key, value in messages:
            text = None if value is None else json.dumps(value)
            producer.produce(topic, text, key)
        assert producer.flush(30) == 0

    yield sent
    producer.flush(30)


def pipeline(shop: Shop, orders: str, items: Input, sink: MemorySink) -> Pipeline:
    """Return a pipeline of orders with the names of their items."""
    return Pipeline(
        name=f"named-{shop.slot}",
        inputs={"orders": Input(KafkaSource(orders), "json", ORDERS), "items": items},
        transforms=(named,),
        sink=sink,
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
        folder=shop.folder,
    )


def found(sink: MemorySink) -> dict[int, str | None]:
    """Return the name of the item of each order."""
    return dict(sink.target.frame().rows())


def test_a_database_table_is_followed_over_a_restart(
    shop: Shop, send: Send, make_topic: Callable[..., str]
) -> None:
    """Its rows at first, then what became of them."""
    orders = make_topic(2)
    source = shop.source()
    sink = MemorySink()
    built = pipeline(shop, orders, Input(source, "rows", source.schema()), sink)
    send(orders, *((str(n), {"order": n, "item": n}) for n in (1, 2, 99)))
    Worker(built).run(until_caught_up=True)
    assert found(sink) == {1: "n1", 2: "n2", 99: None}

    shop.run(
        "update {t} set name = 'new' where id = 1",
        "delete from {t} where id = 2",
        "update {t} set id = 99 where id = 3",
    )
    send(orders, *((str(n), {"order": 100 + n, "item": n}) for n in (1, 2, 3, 4, 99)))
    Worker(built).run(until_caught_up=True)
    late = {key: name for key, name in found(sink).items() if key > 100}
    assert late == {101: "new", 102: None, 103: None, 104: "n4", 199: "n3"}


def test_a_compacted_topic_loses_what_has_no_value_over_a_restart(
    shop: Shop, send: Send, make_topic: Callable[..., str]
) -> None:
    """No such message is a dead letter."""
    orders, items = make_topic(2), make_topic(2)
    sink = MemorySink()
    built = pipeline(shop, orders, Input(KafkaSource(items), "json", ITEMS), sink)
    send(items, *((str(n), {"id": n, "name": f"i{n}"}) for n in range(1, 5)))
    send(items, ("2", None), ("3", {"id": 3, "name": "new"}))
    send(orders, *((str(n), {"order": n, "item": n}) for n in range(1, 4)))
    Worker(built).run(until_caught_up=True)
    assert found(sink) == {1: "i1", 2: None, 3: "new"}

    send(items, ("1", None), ("2", {"id": 2, "name": "back"}))
    send(orders, *((str(n), {"order": 10 + n, "item": n}) for n in range(1, 5)))
    Worker(built).run(until_caught_up=True)
    late = {key: name for key, name in found(sink).items() if key > 10}
    assert late == {11: None, 12: "back", 13: "new", 14: "i4"}
    assert list(DeadLetterFile(Path("dead.jsonl")).read()) == []
