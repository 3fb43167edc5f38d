"""Avro topics of other people's serializers, and theirs of ours, on a real registry."""

from __future__ import annotations

import datetime as dt
import functools
import json
import uuid
from decimal import Decimal

import polars as pl
import pytest
from confluent_kafka.schema_registry import (
    Schema as TheirSchema,
)
from confluent_kafka.schema_registry import (
    SchemaReference,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from polars.testing import assert_frame_equal

from streamlab.contracts import Field, Schema
from streamlab.errors import Refused, RowsRefused, SchemaError
from streamlab.formats.avro.schemas import written
from streamlab.registry.client import Registry
from streamlab.registry.schemas import Registered

pytestmark = pytest.mark.integration

UTC = dt.UTC

EVERYTHING = {
    "type": "record",
    "name": "Everything",
    "namespace": "shop",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "small", "type": "int"},
        {"name": "large", "type": "long"},
        {"name": "half", "type": "float"},
        {"name": "whole", "type": "double"},
        {"name": "text", "type": "string"},
        {"name": "raw", "type": "bytes"},
        {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
        {
            "name": "colour",
            "type": {"type": "enum", "name": "Colour", "symbols": ["RED", "BLUE"]},
        },
        {"name": "other_colour", "type": ["null", "Colour"]},
        {
            "name": "price",
            "type": {
                "type": "bytes",
                "logicalType": "decimal",
                "precision": 20,
                "scale": 2,
            },
        },
        {
            "name": "fixed_price",
            "type": {
                "type": "fixed",
                "name": "Price",
                "size": 9,
                "logicalType": "decimal",
                "precision": 20,
                "scale": 4,
            },
        },
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "clock_ms", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "clock_us", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "at_us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "local_ms",
            "type": {"type": "long", "logicalType": "local-timestamp-millis"},
        },
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "maybe", "type": ["null", "string"]},
        {"name": "maybe_too", "type": ["long", "null"]},
        {"name": "numbers", "type": {"type": "array", "items": "int"}},
        {"name": "holes", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "counts", "type": {"type": "map", "values": "long"}},
        {
            "name": "nested",
            "type": {
                "type": "record",
                "name": "Nested",
                "fields": [
                    {"name": "x", "type": ["null", "int"]},
                    {"name": "deep", "type": {"type": "array", "items": "double"}},
                    {"name": "colour", "type": "Colour"},
                ],
            },
        },
        {"name": "maybe_nested", "type": ["null", "Nested"]},
        {"name": "many", "type": {"type": "array", "items": "Nested"}},
        {"name": "nothing", "type": "null"},
    ],
}

ROWS = [
    {
        "flag": True,
        "small": -(2**31),
        "large": 2**63 - 1,
        "half": 1.5,
        "whole": 0.1,
        "text": "ä\0€😀",
        "raw": b"\x00\xff",
        "four": b"1234",
        "colour": "BLUE",
        "other_colour": "RED",
        "price": Decimal("-123456789012345678.90"),
        "fixed_price": Decimal("1.2345"),
        "day": dt.date(1900, 2, 28),
        "clock_ms": dt.time(23, 59, 59, 999000),
        "clock_us": dt.time(1, 2, 3, 4),
        "at_ms": dt.datetime(1969, 12, 31, 23, 59, 59, 999000, UTC),
        "at_us": dt.datetime(2013, 1, 1, 10, 0, 0, 123456, UTC),
        "local_ms": dt.datetime(2013, 1, 1, 10, 0, 0, 123000),  # noqa: DTZ001
        "id": uuid.UUID(int=7),
        "maybe": None,
        "maybe_too": 5,
        "numbers": [1, -2, 3],
        "holes": ["a", None],
        "counts": {"a": 1, "b": 2**40},
        "nested": {"x": 1, "deep": [0.5], "colour": "RED"},
        "maybe_nested": None,
        "many": [{"x": None, "deep": [], "colour": "BLUE"}],
        "nothing": None,
    },
    {
        "flag": False,
        "small": 2**31 - 1,
        "large": -(2**63),
        "half": -0.0,
        "whole": 1e300,
        "text": "",
        "raw": b"",
        "four": b"\x00\x01\x02\x03",
        "colour": "RED",
        "other_colour": None,
        "price": Decimal("0.00"),
        "fixed_price": Decimal("-0.0001"),
        "day": dt.date(2026, 11, 25),
        "clock_ms": dt.time(0),
        "clock_us": dt.time(23, 59, 59, 999999),
        "at_ms": dt.datetime(9999, 12, 31, tzinfo=UTC),
        "at_us": dt.datetime(1, 1, 1, tzinfo=UTC),
        "local_ms": dt.datetime(1970, 1, 1),  # noqa: DTZ001
        "id": uuid.UUID(int=2**128 - 1),
        "maybe": "x",
        "maybe_too": None,
        "numbers": [],
        "holes": [],
        "counts": {},
        "nested": {"x": None, "deep": [], "colour": "BLUE"},
        "maybe_nested": {"x": 3, "deep": [1.0, 2.0], "colour": "RED"},
        "many": [],
        "nothing": None,
    },
]


@pytest.fixture
def ours(format_on_registry):
    """Return a function that makes our format on the real registry."""
    return functools.partial(format_on_registry, "avro")


def value_context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def serialized(theirs, schema, rows, topic, **options):
    """Return what Confluent's serializer makes of rows."""
    serializer = AvroSerializer(theirs, json.dumps(schema), conf=options or None)
    return [serializer(row, value_context(topic)) for row in rows]


def as_columns(row):
    """Return a row of theirs as a row of ours has it: a map is a list of entries."""
    counts = [{"key": key, "value": value} for key, value in row["counts"].items()]
    return {**row, "counts": counts, "id": str(row["id"])}


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (topic_subject_name_strategy, "topic"),
        (record_subject_name_strategy, "record"),
        (topic_record_subject_name_strategy, "topic-record"),
    ],
)
def test_all_types_of_their_serializer_are_read_equal(
    theirs, ours, topic_name, strategy, name
):
    """Each value of each type comes out as it went in, whatever the subject is."""
    options = {"subject.name.strategy": strategy}
    values = serialized(theirs, EVERYTHING, ROWS * 50, topic_name, **options)
    format_ = ours(topic_name, subject_name_strategy=name)
    schema = format_.infer(values)
    decoded = format_.decode(values, schema)
    assert decoded.rejected == ()
    assert decoded.frame.to_dicts() == [as_columns(row) for row in ROWS] * 50


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (topic_subject_name_strategy, "topic"),
        (record_subject_name_strategy, "record"),
        (topic_record_subject_name_strategy, "topic-record"),
    ],
)
def test_their_deserializer_reads_what_is_written_with_their_schema(
    theirs, ours, topic_name, strategy, name
):
    """Rows written with the newest schema of a subject mean the same to Confluent's."""
    unique = {**EVERYTHING, "namespace": topic_name.replace("-", "_")}
    record = f"{unique['namespace']}.Everything"
    subject = {
        "topic": f"{topic_name}-value",
        "record": record,
        "topic-record": f"{topic_name}-{record}",
    }[name]
    theirs.register_schema(subject, TheirSchema(json.dumps(unique), "AVRO"))
    format_ = ours(
        topic_name,
        subject_name_strategy=name,
        use_latest_version="true",
        record_name=record,
    )
    values = serialized(
        theirs, unique, ROWS, topic_name, **{"subject.name.strategy": strategy}
    )
    written = format_.encode(format_.decode(values, format_.infer(values)).frame)
    assert written == values
    reader = AvroDeserializer(theirs)
    assert [reader(v, value_context(topic_name)) for v in written] == [
        reader(v, value_context(topic_name)) for v in values
    ]


def test_their_deserializer_reads_a_schema_made_from_columns(theirs, ours, topic_name):
    """With auto.register.schemas the columns become a schema that they can read."""
    frame = pl.DataFrame(
        {
            "n": pl.Series([1, None], dtype=pl.Int16),
            "price": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(10, 2)),
            "at": pl.Series([0, 1], dtype=pl.Datetime("us", "UTC")),
            "parts": [[{"x": 1}], None],
            "kind": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
        }
    )
    format_ = ours(topic_name, auto_register_schemas="true")
    values = format_.encode(frame)
    reader = AvroDeserializer(theirs)
    read = [reader(value, value_context(topic_name)) for value in values]
    assert read == frame.to_dicts()
    assert_frame_equal(format_.decode(values, Schema.of(frame.schema)).frame, frame)


def test_a_schema_is_not_registered_unasked(ours, topic_name):
    """Without auto.register.schemas an unknown subject refuses, with the choices."""
    with pytest.raises(Refused, match=r"auto\.register\.schemas"):
        ours(topic_name).encode(pl.DataFrame({"n": [1]}))


def test_a_registered_schema_is_found_by_its_columns(ours, topic_name):
    """Columns whose schema the subject has are written without registering."""
    frame = pl.DataFrame({"n": [1]})
    registered = ours(topic_name, auto_register_schemas="true").encode(frame)
    assert ours(topic_name).encode(frame) == registered


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [{"name": "id", "type": "int"}, {"name": "note", "type": "string"}],
}
SECOND = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "remark", "type": "string", "aliases": ["note"]},
        {"name": "currency", "type": "string", "default": "EUR"},
        {"name": "count", "type": ["null", "int"], "default": None},
        {"name": "tags", "type": {"type": "array", "items": "string"}, "default": []},
        {
            "name": "state",
            "type": {"type": "enum", "name": "S", "symbols": ["A", "B"]},
            "default": "B",
        },
    ],
}


def test_versions_of_a_schema_are_read_in_one_batch(theirs, ours, topic_name):
    """Old and new values stand in their order; what one lacks is null."""
    old = serialized(theirs, ORDER, [{"id": 1, "note": "a"}], topic_name)
    new = serialized(
        theirs,
        SECOND,
        [
            {
                "id": 2**40,
                "remark": "b",
                "currency": "USD",
                "count": 3,
                "tags": ["x"],
                "state": "A",
            }
        ],
        topic_name,
    )
    values = [*old, *new, *old]
    format_ = ours(topic_name)
    decoded = format_.decode(values, format_.infer(values))
    assert decoded.rejected == ()
    assert decoded.frame["id"].to_list() == [1, 2**40, 1]
    assert decoded.frame["remark"].to_list() == [None, "b", None]
    assert decoded.frame["currency"].to_list() == [None, "USD", None]


def test_the_newest_schema_brings_defaults_and_aliases(theirs, ours, topic_name):
    """With use.latest.version values are read by the subject's newest schema."""
    old = serialized(theirs, ORDER, [{"id": 1, "note": "a"}], topic_name)
    theirs.register_schema(
        f"{topic_name}-value", TheirSchema(json.dumps(SECOND), "AVRO")
    )
    format_ = ours(topic_name, use_latest_version="true")
    schema = Schema.of(
        {
            "id": pl.Int64(),
            "remark": pl.String(),
            "currency": pl.String(),
            "count": pl.Int32(),
            "tags": pl.List(pl.String),
            "state": pl.Enum(["A", "B"]),
        }
    )
    assert format_.decode(old, schema).frame.to_dicts() == [
        {
            "id": 1,
            "remark": "a",
            "currency": "EUR",
            "count": None,
            "tags": [],
            "state": "B",
        }
    ]


def test_an_incompatible_writer_is_dead_letters_with_the_reason(
    theirs, ours, topic_name
):
    """Values that cannot be read as declared are set aside; their neighbours pass."""
    good = serialized(theirs, ORDER, [{"id": 1, "note": "a"}], topic_name)
    other = {
        "type": "record",
        "name": "Other",
        "fields": [{"name": "id", "type": "string"}],
    }
    bad = serialized(theirs, other, [{"id": "x"}], f"{topic_name}-other")
    decoded = ours(topic_name).decode(
        [*bad, *good, *bad], Schema.of({"id": pl.Int64()})
    )
    assert decoded.frame["id"].to_list() == [1]
    assert [one.code for one in decoded.rejected] == ["incompatible-schema"] * 2
    assert "column 'id' is Int64, it is written as string" in decoded.rejected[0].reason


def test_an_unknown_id_is_a_dead_letter(theirs, ours, topic_name):
    """A value whose schema nobody has is set aside; its neighbours pass."""
    [good] = serialized(theirs, ORDER, [{"id": 1, "note": "a"}], topic_name)
    unknown = b"\0" + (2**31 - 5).to_bytes(4, "big") + b"\x02"
    decoded = ours(topic_name).decode(
        [unknown, good, b"{}", b"", None], Schema.of({"id": pl.Int64()})
    )
    assert decoded.frame["id"].to_list() == [1]
    assert [one.code for one in decoded.rejected] == [
        "unknown-schema-id",
        "not-wire-format",
        "empty-value",
        "tombstone",
    ]


def test_a_missing_required_field_is_a_dead_letter(theirs, ours, topic_name):
    """A required column that the writer does not know refuses the value."""
    values = serialized(theirs, ORDER, [{"id": 1, "note": "a"}], topic_name)
    schema = Schema(
        (Field("id", pl.Int64()), Field("price", pl.Float64(), required=True))
    )
    decoded = ours(topic_name).decode(values, schema)
    assert [one.code for one in decoded.rejected] == ["missing-field"]
    assert decoded.frame.height == 0


def test_a_referenced_schema_is_found(theirs, ours, topic_name):
    """A schema that uses another one's record is read, and written with."""
    item = {
        "type": "record",
        "name": "Item",
        "namespace": "shop",
        "fields": [{"name": "sku", "type": "string"}],
    }
    subject = f"{topic_name}-item"
    theirs.register_schema(subject, TheirSchema(json.dumps(item), "AVRO"))
    order = {
        "type": "record",
        "name": "Order",
        "namespace": "shop",
        "fields": [{"name": "items", "type": {"type": "array", "items": "shop.Item"}}],
    }
    schema = TheirSchema(
        json.dumps(order), "AVRO", [SchemaReference("shop.Item", subject, 1)]
    )
    serializer = AvroSerializer(theirs, schema)
    rows = [{"items": [{"sku": "a"}]}]
    values = [serializer(row, value_context(topic_name)) for row in rows]
    format_ = ours(topic_name, use_latest_version="true")
    decoded = format_.decode(values, format_.infer(values))
    assert decoded.frame.to_dicts() == rows
    assert format_.encode(decoded.frame) == values


def test_a_union_of_records_is_read_by_the_record_of_each_value(
    theirs, ours, topic_name
):
    """A topic of several event types: the columns are taken from whichever it is."""
    union = [
        {"type": "record", "name": "A", "fields": [{"name": "x", "type": "int"}]},
        {
            "type": "record",
            "name": "B",
            "fields": [{"name": "y", "type": "string"}, {"name": "x", "type": "long"}],
        },
    ]
    values = serialized(
        theirs,
        union,
        [{"x": 1}, {"y": "b", "x": 2**40}, {"x": 3}],
        topic_name,
    )
    decoded = ours(topic_name).decode(
        values, Schema.of({"x": pl.Int64(), "y": pl.String()})
    )
    assert decoded.frame["x"].to_list() == [1, 2**40, 3]
    assert decoded.frame["y"].to_list() == [None, "b", None]


def test_a_recursive_schema_is_refused_clearly(theirs, ours, topic_name):
    """A tap says that the schema is recursive; in a pipeline values are set aside."""
    tree = {
        "type": "record",
        "name": "Tree",
        "fields": [{"name": "next", "type": ["null", "Tree"]}],
    }
    values = serialized(theirs, tree, [{"next": {"next": None}}], topic_name)
    format_ = ours(topic_name)
    with pytest.raises(SchemaError, match="recursive"):
        format_.infer(values)
    decoded = format_.decode(values, Schema.of({"next": pl.String()}))
    assert "recursive" in decoded.rejected[0].reason


def test_a_value_that_its_field_cannot_hold_refuses_its_row(theirs, ours, topic_name):
    """Only the rows that do not fit the registered schema are refused."""
    theirs.register_schema(
        f"{topic_name}-value", TheirSchema(json.dumps(ORDER), "AVRO")
    )
    format_ = ours(topic_name, use_latest_version="true")
    frame = pl.DataFrame({"id": [1, 2**40, None], "note": ["a", "b", "c"]})
    with pytest.raises(RowsRefused) as refused:
        format_.encode(frame)
    assert list(refused.value.reasons) == [1, 2]


def test_columns_that_the_registered_schema_lacks_are_an_error(
    theirs, ours, topic_name
):
    """A column without a field is told, not dropped."""
    theirs.register_schema(
        f"{topic_name}-value", TheirSchema(json.dumps(ORDER), "AVRO")
    )
    format_ = ours(topic_name, use_latest_version="true")
    with pytest.raises(SchemaError, match="no field for the column 'notes'"):
        format_.encode(pl.DataFrame({"id": [1], "note": [""], "notes": ["a"]}))


def test_a_schema_that_breaks_the_rule_of_its_subject_is_refused(
    theirs, ours, topic_name, registry_url
):
    """The registry's own rule holds for what we register, and can be asked for."""
    subject = f"{topic_name}-value"
    ours(topic_name, auto_register_schemas="true").encode(pl.DataFrame({"n": [1]}))
    theirs.set_compatibility(subject, "BACKWARD")
    format_ = ours(topic_name, auto_register_schemas="true")
    with pytest.raises(Refused, match="refuses"):
        format_.encode(pl.DataFrame({"n": ["text"]}))
    other = written(pl.Schema({"n": pl.String()}), "Other")
    longer = written(pl.Schema({"n": pl.Int64(), "m": pl.Int64()}), "N")
    named_alike = longer.replace('"N"', f'"{topic_name.replace("-", "_")}"')
    registry = Registry(registry_url)
    assert not registry.compatible(subject, Registered(0, "AVRO", other))
    assert registry.compatible(subject, Registered(0, "AVRO", named_alike))
