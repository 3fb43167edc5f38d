"""Debezium's envelopes in Avro, between other people's serializers and us."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import threading
import time
import uuid
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from polars.testing import assert_frame_equal

import streamlab as sl
from streamlab.contracts import Schema, odcs
from streamlab.engines.local.worker import Worker
from streamlab.formats.changes import change_schema
from streamlab.formats.debezium import DebeziumFormat
from streamlab.pipelines.file import load

pytestmark = pytest.mark.integration

PATIENCE_S = 60
OWN = pl.Schema(
    {
        "id": pl.Int32(),
        "kind": pl.Int16(),
        "note": pl.String(),
        "total": pl.Decimal(10, 2),
        "rate": pl.String(),
        "day": pl.Date(),
        "placed": pl.Datetime("us"),
        "paid": pl.Datetime("us", "UTC"),
        "token": pl.String(),
        "tags": pl.List(pl.String),
    }
)
ORDER = {
    "id": 1,
    "kind": 7,
    "note": "Zoë",
    "total": Decimal("-12.34"),
    "rate": "0.001",
    "day": dt.date(2024, 2, 29),
    "placed": dt.datetime(2024, 2, 29, 12, 30, 1, 123456),  # noqa: DTZ001 -- it has no zone
    "paid": dt.datetime(2024, 2, 29, 12, 30, 1, 500000, tzinfo=dt.UTC),
    "token": str(uuid.UUID(int=7)),
    "tags": ["a", None],
}
DAYS = (ORDER["day"] - dt.date(1970, 1, 1)).days
PLACED_US = 1_709_209_801_123_456
THEIR_ORDER = {
    **ORDER,
    "rate": {"scale": 3, "value": b"\x01"},
    "day": DAYS,
    "placed": PLACED_US,
    "paid": "2024-02-29T12:30:01.5Z",
}


def nullable(kind, *, default=...):
    """Return an optional field's type and default, as Connect's converter has them."""
    if default is ...:
        return {"type": ["null", kind], "default": None}
    return {"type": [{**kind, "connect.default": default}, "null"], "default": default}


def known(kind, name, **more):
    """Return a type with Connect's name of it."""
    return {"type": kind, "connect.version": 1, **more, "connect.name": name}


def schemas(table):
    """Return the schemas of keys and values that Debezium's PostgreSQL connector has.

    Confluent's ``AvroConverter`` writes them so; the default of ``kind`` comes first.
    """
    fields = {
        "id": {"type": "int"},
        "kind": nullable({"type": "int", "connect.type": "int16"}, default=0),
        "note": nullable("string"),
        "total": nullable(
            known(
                "bytes",
                "org.apache.kafka.connect.data.Decimal",
                scale=2,
                precision=10,
                logicalType="decimal",
                **{
                    "connect.parameters": {
                        "scale": "2",
                        "connect.decimal.precision": "10",
                    }
                },
            )
        ),
        "rate": nullable(
            {
                "type": "record",
                "name": "VariableScaleDecimal",
                "namespace": "io.debezium.data",
                "fields": [
                    {"name": "scale", "type": "int"},
                    {"name": "value", "type": "bytes"},
                ],
                "connect.doc": "Variable scaled decimal",
                "connect.version": 1,
                "connect.name": "io.debezium.data.VariableScaleDecimal",
            }
        ),
        "day": nullable(known("int", "io.debezium.time.Date")),
        "placed": nullable(known("long", "io.debezium.time.MicroTimestamp")),
        "paid": nullable(known("string", "io.debezium.time.ZonedTimestamp")),
        "token": nullable(known("string", "io.debezium.data.Uuid")),
        "tags": nullable({"type": "array", "items": ["null", "string"]}),
    }
    row = {
        "type": "record",
        "name": "Value",
        "fields": [{"name": name, **kind} for name, kind in fields.items()],
        "connect.name": f"{table}.Value",
    }
    texts, numbers = ("version", "connector", "name"), ("txId", "lsn", "xmin")
    source = [
        *({"name": name, "type": "string"} for name in texts),
        {"name": "ts_ms", "type": "long"},
        {
            "name": "snapshot",
            **nullable(
                known(
                    "string",
                    "io.debezium.data.Enum",
                    **{"connect.parameters": {"allowed": "true,last,false"}},
                ),
                default="false",
            ),
        },
        {"name": "db", "type": "string"},
        {"name": "sequence", **nullable("string")},
        *({"name": name, **nullable("long")} for name in ("ts_us", "ts_ns")),
        *({"name": name, "type": "string"} for name in ("schema", "table")),
        *({"name": name, **nullable("long")} for name in numbers),
    ]
    block = {
        "type": "record",
        "name": "block",
        "namespace": "event",
        "fields": [
            {"name": "id", "type": "string"},
            {"name": "total_order", "type": "long"},
            {"name": "data_collection_order", "type": "long"},
        ],
        "connect.version": 1,
        "connect.name": "event.block",
    }
    envelope = {
        "type": "record",
        "name": "Envelope",
        "namespace": table,
        "fields": [
            {"name": "before", **nullable(row)},
            {"name": "after", **nullable("Value")},
            {
                "name": "source",
                "type": {
                    "type": "record",
                    "name": "Source",
                    "namespace": "io.debezium.connector.postgresql",
                    "fields": source,
                    "connect.name": "io.debezium.connector.postgresql.Source",
                },
            },
            {"name": "transaction", **nullable(block)},
            {"name": "op", "type": "string"},
            *({"name": f"ts_{unit}", **nullable("long")} for unit in ("ms", "us")),
        ],
        "connect.version": 2,
        "connect.name": f"{table}.Envelope",
    }
    key = {
        "type": "record",
        "name": "Key",
        "namespace": table,
        "fields": [{"name": "id", "type": "int"}],
        "connect.name": f"{table}.Key",
    }
    return key, envelope


SOURCE = {
    "version": "3.6.0.Final",
    "connector": "postgresql",
    "name": "shop",
    "ts_ms": 1559033904863,
    "db": "shop",
    "sequence": '["24023119","24023128"]',
    "ts_us": 1559033904863001,
    "schema": "public",
    "table": "orders",
    "txId": 556,
    "lsn": 24023128,
}
NOTHING = {**dict.fromkeys(OWN), "id": 1}
PLACEHOLDER = "__debezium_unavailable_value"
ENVELOPES = [
    {"op": "r", "after": {**THEIR_ORDER, "id": 2}},
    {"op": "c", "after": THEIR_ORDER},
    {"op": "u", "before": NOTHING, "after": {**THEIR_ORDER, "note": PLACEHOLDER}},
    {"op": "d", "before": NOTHING, "after": None},
    None,
]
READ = [
    {**ORDER, "id": 2, "_op": "snapshot", "_unavailable": None},
    {**ORDER, "_op": "insert", "_unavailable": None},
    {**ORDER, "note": None, "_op": "update", "_unavailable": ["note"]},
    {**NOTHING, "_op": "delete", "_unavailable": None},
]


@pytest.fixture
def ours(format_on_registry):
    """Return a function that makes our format on the real registry."""
    return functools.partial(format_on_registry, "debezium-avro")


def messages(theirs, topic, table):
    """Return keys and values as Debezium with an Avro converter writes them."""
    key_schema, value_schema = schemas(table)
    keys = AvroSerializer(theirs, json.dumps(key_schema))
    values = AvroSerializer(theirs, json.dumps(value_schema))
    of_key = SerializationContext(topic, MessageField.KEY)
    of_value = SerializationContext(topic, MessageField.VALUE)
    return [
        (
            keys({"id": (each.get("after") or NOTHING)["id"] if each else 1}, of_key),
            values({"before": None, **each, "source": SOURCE, "ts_ms": 5}, of_value)
            if each
            else None,
        )
        for each in ENVELOPES
    ]


def test_their_envelopes_are_read_as_change_rows(theirs, ours, topic_name):
    """Operations and types of Debezium come out as changes; tombstones do not."""
    values = [value for _, value in messages(theirs, topic_name, "shop.public.orders")]
    format_ = ours(topic_name)
    schema = format_.infer(values)
    assert schema.dtypes == change_schema(OWN)
    decoded = format_.decode(values, schema)
    assert [(one.row, one.code) for one in decoded.rejected] == [(4, "tombstone")]
    assert decoded.frame.select(*OWN, "_op", "_unavailable").to_dicts() == READ
    assert decoded.frame["_before"].to_list()[3]["id"] == 1
    origin = decoded.frame.select("_lsn", "_xid", "_schema", "_table").unique()
    assert origin.rows() == [(24023128, 556, "public", "orders")]


def test_their_deserializer_reads_ours(theirs, ours, topic_name):
    """What is written means to Confluent's deserializer what the JSON envelope says."""
    their_values = [value for _, value in messages(theirs, topic_name, "t")]
    format_ = ours(f"{topic_name}-2", auto_register_schemas="true")
    schema = format_.infer(their_values)
    frame = format_.decode(their_values, schema).frame
    pairs = format_.encode_with_tombstones(frame, ["id"])
    context = SerializationContext(f"{topic_name}-2", MessageField.VALUE)
    reader = AvroDeserializer(theirs)
    read = [reader(value, context) for _, value in pairs if value is not None]
    text = [json.loads(one) for one in DebeziumFormat().encode(frame)]
    for envelope, as_json in zip(read, text, strict=True):
        for image in ("before", "after"):
            if as_json[image] is not None and as_json[image]["total"] is not None:
                raw = base64.b64decode(as_json[image]["total"])
                digits = int.from_bytes(raw, "big", signed=True)
                as_json[image]["total"] = Decimal(digits).scaleb(-2)
        assert {**envelope, "ts_ms": 0} == {**as_json, "ts_ms": 0}
    assert [value is None for _, value in pairs] == [False] * 4 + [True]
    assert [reader(key, context) for key, _ in pairs] == [
        {"id": number} for number in (2, 1, 1, 1, 1)
    ]
    subjects = [f"{topic_name}-2-{part}" for part in ("key", "value")]
    assert [theirs.get_latest_version(one).version for one in subjects] == [1, 1]


def test_ours_is_written_with_their_schema(theirs, ours, topic_name):
    """With use.latest.version rows are written with the schema that Debezium made."""
    own = OWN.copy()
    del own["rate"]  # a text of ours is no number of a scale of its own
    their_values = [value for _, value in messages(theirs, topic_name, "shop.t")]
    key_schema, value_schema = schemas("shop.t")
    row = value_schema["fields"][0]["type"][1]
    row["fields"] = [one for one in row["fields"] if one["name"] != "rate"]
    topic = f"{topic_name}-2"
    for schema, part in ((key_schema, MessageField.KEY), (value_schema, "value")):
        AvroSerializer(theirs, json.dumps(schema))(
            {"id": 1}
            if part == MessageField.KEY
            else {"source": {**SOURCE}, "op": "t", "before": None, "after": None},
            SerializationContext(topic, part),
        )
    format_ = ours(topic, use_latest_version="true")
    schema = Schema.of(change_schema(own))
    frame = format_.decode(their_values, schema).frame
    written = format_.encode(frame)
    assert {value[:5] for value in written} == {
        b"\0" + theirs.get_latest_version(f"{topic}-value").schema_id.to_bytes(4, "big")
    }
    again = format_.decode(written, schema).frame
    assert_frame_equal(again.drop("_index"), frame.drop("_index"))
    assert len(format_.encode_keys(frame, ["id"])) == frame.height


PIPELINE = """\
[pipeline]
name = "orders"
transforms = []

[source]
type = "kafka"
topic = "{topic}"
start = "earliest"
format = "debezium-avro"
schema = "schema.yaml"

[sink]
type = "kafka"
topic = "{sink}"
key = "id"
format = "debezium-avro"

[sink.format_options]
"auto.register.schemas" = true

[dead_letters]
file = "dead.jsonl"
"""


def test_a_pipeline_reads_and_writes_topics_of_envelopes(
    theirs,
    registry_url,
    kafka_address,
    make_topic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """A topic that Debezium filled is tapped, and goes through a pipeline."""
    topic, sink = make_topic(partitions=1), make_topic(partitions=1)
    (tmp_path / "streamlab.toml").write_text(
        f"""default_profile = "t"
[profiles.t.kafka]
"bootstrap.servers" = "{kafka_address}"
[profiles.t.registry]
url = "{registry_url}"
"""
    )
    monkeypatch.chdir(tmp_path)
    with Producer({"bootstrap.servers": kafka_address}) as producer:
        for key, value in messages(theirs, topic, "shop.public.orders"):
            producer.produce(topic, value, key)
        producer.flush()
    sample = sl.tap(topic, format="debezium-avro", progress=False)
    assert sample.counts_by_code() == {"tombstone": 1}
    odcs.save(sample.schema, tmp_path / "schema.yaml")
    (tmp_path / "pipeline.toml").write_text(PIPELINE.format(topic=topic, sink=sink))
    worker = Worker(load(tmp_path / "pipeline.toml"))
    running = threading.Thread(target=worker.run)
    running.start()
    give_up = time.monotonic() + PATIENCE_S
    while worker.status().counts["rows_out"] < len(READ):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    worker.stop()
    running.join(PATIENCE_S)
    written = sl.tap(sink, format="debezium-avro", progress=False)
    assert written.events.select(*OWN, "_op", "_unavailable").to_dicts() == READ
