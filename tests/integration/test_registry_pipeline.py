"""A pipeline and a tap of Avro topics, on a real broker and a real registry."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

import streamlab as sl
from streamlab import registry as registry_room
from streamlab.contracts import odcs
from streamlab.engines.local.worker import Worker
from streamlab.export.replay import replay
from streamlab.pipelines.file import load
from streamlab.stack import Stack
from streamlab.taps.sample import Sample

pytestmark = pytest.mark.integration

PATIENCE_S = 60
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": ["null", "double"]},
    ],
}
PIPELINE = """\
[pipeline]
name = "cheap"
transform = "cheap_flow:cheap"

[source]
type = "kafka"
topic = "{source}"
start = "earliest"
format = "avro"
schema = "schema.yaml"

[sink]
type = "kafka"
topic = "{sink}"
format = "avro"

[sink.format_options]
"auto.register.schemas" = true

[dead_letters]
file = "dead.jsonl"
"""
FLOW = """\
import polars as pl
import streamlab as sl

@sl.transform
def cheap(orders: pl.LazyFrame) -> pl.LazyFrame:
    return orders.filter(pl.col("price") < 5)
"""


@pytest.fixture
def registry(own_stack) -> Stack:
    """Run a registry of the test's own, to stop."""
    return own_stack("registry")


@pytest.fixture
def folder(registry, kafka_address, tmp_path, monkeypatch) -> Path:
    """Return a working directory whose settings name both servers."""
    (tmp_path / "streamlab.toml").write_text(
        f"""default_profile = "t"
[profiles.t.kafka]
"bootstrap.servers" = "{kafka_address}"
[profiles.t.registry]
url = "{registry.registry}"
"""
    )
    (tmp_path / "cheap_flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def send(kafka_address, registry, topic, rows, *more: bytes) -> None:
    """Write orders as Confluent's serializer does, and other bytes after them."""
    with SchemaRegistryClient({"url": registry.registry}) as client:
        serializer = AvroSerializer(client, json.dumps(ORDER))
        context = SerializationContext(topic, MessageField.VALUE)
        values = [serializer(row, context) for row in rows]
    with Producer({"bootstrap.servers": kafka_address}) as producer:
        for value in (*values, *more):
            producer.produce(topic, value)
        producer.flush()


def rows_of(first, count):
    return [{"id": n, "price": float(n % 10)} for n in range(first, first + count)]


def wait_until(fits) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not fits():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_pipeline_waits_for_its_registry(folder, registry, kafka_address, make_topic):
    """While the registry is down nothing is dead-lettered; then it goes on by itself.

    Unknown ids and broken values are dead letters, and the rest arrives in Avro. A
    sample has its schemas with it, so that it is replayed without the registry.
    """
    source, sink = make_topic(), make_topic()
    unknown = b"\0" + (2**31 - 5).to_bytes(4, "big") + b"\x02"
    send(kafka_address, registry, source, rows_of(0, 100), unknown, b"{}")
    sample = sl.tap(source, format="avro", progress=False)
    assert sample.schema.dtypes == {"id": pl.Int64(), "price": pl.Float64()}
    assert sample.counts_by_code() == {"unknown-schema-id": 1, "not-wire-format": 1}
    odcs.save(sample.schema, folder / "schema.yaml")
    (folder / "pipeline.toml").write_text(PIPELINE.format(source=source, sink=sink))
    server = registry.server("registry")
    server.stop()
    registry_room._known.clear()  # a new process knows no schema
    kept = Sample.load(sample.save(folder / "sample.parquet"))
    replayed = replay(load(folder / "pipeline.toml"), kept)
    assert (replayed.rows_in, replayed.output.height) == (102, 50)
    assert replayed.dead_letters == ()  # but for the two that are known
    worker = Worker(load(folder / "pipeline.toml"))
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        wait_until(lambda: worker.status().state == "paused")
        assert "schema registry" in worker.status().reason
        time.sleep(1)
        assert worker.status().counts["dead_lettered"] == 0
        server.start()
        wait_until(lambda: worker.status().counts["rows_out"] == 50)
        assert worker.status().state == "running"
        assert worker.status().counts["dead_lettered"] == 2
    finally:
        worker.stop()
        running.join(PATIENCE_S)
    written = sl.tap(sink, format="avro", progress=False)
    assert sorted(written.events["id"]) == [n for n in range(100) if n % 10 < 5]
    lines = (folder / "dead.jsonl").read_text().splitlines()
    codes = [json.loads(line)["code"] for line in lines]
    assert codes == ["unknown-schema-id", "not-wire-format"]


def test_a_stop_is_obeyed_while_the_registry_is_down(
    folder, registry, kafka_address, make_topic
):
    """A worker that waits for the registry ends soon, and its events are kept."""
    source, sink = make_topic(), make_topic()
    send(kafka_address, registry, source, rows_of(0, 10))
    sample = sl.tap(source, format="avro", progress=False)
    odcs.save(sample.schema, folder / "schema.yaml")
    (folder / "pipeline.toml").write_text(PIPELINE.format(source=source, sink=sink))
    registry.server("registry").stop()
    registry_room._known.clear()  # a new process knows no schema
    worker = Worker(load(folder / "pipeline.toml"))
    running = threading.Thread(target=worker.run)
    running.start()
    wait_until(lambda: worker.status().state == "paused")
    worker.stop()
    running.join(30)
    assert not running.is_alive()
    registry.server("registry").start()
    again = Worker(load(folder / "pipeline.toml"))
    assert again.run(until_caught_up=True).counts["rows_out"] == 5


def test_a_masked_tap_leaves_the_registry_as_it_is(
    folder, registry, kafka_address, make_topic
):
    """Masked values get a schema that the sample alone has; it replays without both."""
    topic = make_topic()
    send(kafka_address, registry, topic, rows_of(10**12 + 1, 20))
    options = {"auto.register.schemas": "true"}
    tapped = {"format": "avro", "format_options": options, "progress": False}
    plain = sl.tap(topic, **tapped)
    with SchemaRegistryClient({"url": registry.registry}) as client:
        before = client.get_versions(f"{topic}-value")
        masked = sl.tap(topic, personal=["id"], **tapped)
        assert client.get_versions(f"{topic}-value") == before
    assert plain.masked(["id"]).events.equals(masked.events)
    assert set(masked.events["id"]).isdisjoint(plain.events["id"])
    path = masked.save(folder / "masked.parquet")
    odcs.save(masked.schema, folder / "schema.yaml")
    (folder / "pipeline.toml").write_text(PIPELINE.format(source=topic, sink="none"))
    registry.server("registry").stop()
    registry_room._known.clear()  # a new process knows no schema
    replayed = sl.replay(load(folder / "pipeline.toml"), Sample.load(path))
    assert replayed.dead_letters == ()
    assert replayed.output.height == 10
