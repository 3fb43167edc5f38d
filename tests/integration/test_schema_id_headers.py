"""Values whose schema is named in a record header, by Confluent's own serializers.

Apicurio gives schemas no GUID, so Confluent's registry for tests stands in for the
server, and what it has is recorded for us.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf.message_factory import GetMessageClass

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.engines.local.worker import Worker
from streamlab.export.replay import replay
from streamlab.formats import Context, named, wire
from streamlab.formats.protobuf.compiling import compiled
from streamlab.pipelines.file import load
from streamlab.registry.recorded import recorded
from streamlab.registry.schemas import Registered
from streamlab.taps.sample import Sample

pytestmark = pytest.mark.integration

PATIENCE_S = 60
AVRO = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "note", "type": ["null", "string"]},
        {"name": "id", "type": "long"},
    ],
}
JSON = {
    "title": "Order",
    "type": "object",
    "properties": {"id": {"type": "integer"}, "note": {"type": "string"}},
}
PROTO = """syntax = "proto3";
message Other { int64 x = 1; }
message Order { int64 id = 1; optional string note = 2; }
"""
IN_HEADER = {"schema.id.serializer": header_schema_id_serializer}
ROWS = [{"id": 1, "note": None}, {"id": 2, "note": "b"}, {"id": 3, "note": None}]


@pytest.fixture
def mocked():
    """Return Confluent's own registry for tests, which gives schemas GUIDs."""
    return SchemaRegistryClient.new_client({"url": "mock://ids"})


def serializer_of(name, mocked, conf=None):
    """Return a function from a row to what Confluent's serializer takes, and that."""
    if name == "avro":
        return dict, AvroSerializer(mocked, json.dumps(AVRO), conf=conf)
    if name == "json-schema":

        def without_nulls(row):
            return {key: value for key, value in row.items() if value is not None}

        return without_nulls, JSONSerializer(json.dumps(JSON), mocked, conf=conf)
    kind = GetMessageClass(compiled(PROTO, {}).message_types_by_name["Order"])
    return lambda row: kind(**row), ProtobufSerializer(kind, mocked, conf=conf)


def sent(name, mocked, rows, topic="orders", conf=IN_HEADER):
    """Return values and headers of rows."""
    as_theirs, serializer = serializer_of(name, mocked, conf)
    messages = []
    for row in rows:
        headers: list[tuple[str, bytes]] = []
        context = SerializationContext(topic, MessageField.VALUE, headers)
        messages.append((serializer(as_theirs(row), context), headers))
    return messages


def known(mocked, topic="orders"):
    """Return what the registry has, as ours has it recorded."""
    found = mocked.get_latest_version(f"{topic}-value")
    kind, text = found.schema.schema_type, found.schema.schema_str
    number = found.schema_id
    return {number: Registered(number, kind, text, guid=found.guid)}


@pytest.mark.parametrize("name", ["avro", "json-schema", "protobuf"])
def test_values_whose_schema_is_in_a_header_are_read(name, mocked):
    """The header's GUID names the schema; other values of the batch keep their own."""
    in_headers = sent(name, mocked, ROWS)
    assert not any(value.startswith(b"\0\0\0\0\1") for value, _ in in_headers)
    framed = sent(name, mocked, ROWS[:1], conf=None)
    messages = [*in_headers, *framed, *in_headers[:1]]
    headers = {row: each for row, (_, each) in enumerate(messages) if each}
    with recorded(known(mocked)):
        format_ = named(name, Context("orders"))
    values = wire.whole(name, [value for value, _ in messages], lambda: headers)
    decoded = format_.decode(values, Schema.of({"id": pl.Int64(), "note": pl.String()}))
    assert decoded.rejected == ()
    assert decoded.frame.to_dicts() == [*ROWS, ROWS[0], ROWS[0]]


def test_a_guid_that_is_unknown_is_told(mocked):
    """A registry without that schema makes dead letters that name the GUID."""
    [(value, headers)] = sent("avro", mocked, ROWS[:1])
    with recorded({}):
        format_ = named("avro", Context("orders"))
    values = wire.whole("avro", [value, None], lambda: {0: headers, 1: headers})
    decoded = format_.decode(values, Schema.of({"id": pl.Int64()}))
    assert [one.code for one in decoded.rejected] == ["unknown-schema-id", "tombstone"]
    [guid] = [one.guid for one in known(mocked).values()]
    assert guid in decoded.rejected[0].reason
    assert "header" in decoded.rejected[0].reason


PIPELINE = """\
[pipeline]
name = "orders"
transforms = []

[source]
type = "kafka"
topic = "{topic}"
start = "earliest"
format = "avro"
schema = "schema.yaml"

[sink]
type = "parquet"
folder = "out"

[dead_letters]
file = "dead.jsonl"
"""
SCHEMA = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: draft
schema:
  - name: orders
    logicalType: object
    properties:
      - {name: id, logicalType: integer}
      - {name: note, logicalType: string}
"""


def test_a_tap_and_a_pipeline_look_at_headers(
    mocked, kafka_address, make_topic, tmp_path: Path, monkeypatch
):
    """A topic is tapped and goes through a pipeline; a sample needs no registry."""
    topic = make_topic(partitions=1)
    (tmp_path / "streamlab.toml").write_text(
        'default_profile = "t"\n[profiles.t.kafka]\n'
        f'"bootstrap.servers" = "{kafka_address}"\n'
    )
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(topic=topic))
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    monkeypatch.chdir(tmp_path)
    with Producer({"bootstrap.servers": kafka_address}) as producer:
        for value, headers in sent("avro", mocked, ROWS, topic):
            producer.produce(topic, value, headers=headers)
        producer.flush()
    with recorded(known(mocked, topic)):
        sample = sl.tap(topic, format="avro", progress=False)
        worker = Worker(load(tmp_path / "pipeline.toml"))
        worker.run(until_caught_up=True)
    assert sample.events.select("id", "note").to_dicts() == ROWS
    assert worker.status().counts["rows_out"] == len(ROWS)
    kept = Sample.load(sample.save(tmp_path / "sample.parquet"))
    replayed = replay(load(tmp_path / "pipeline.toml"), kept)
    assert replayed.output.select("id", "note").to_dicts() == ROWS
