"""JSON Schema topics of other people's serializers, and theirs of ours."""

from __future__ import annotations

import datetime as dt
import functools
import json

import polars as pl
import pytest
from confluent_kafka.schema_registry import Schema as TheirSchema
from confluent_kafka.schema_registry import (
    SchemaReference,
    record_subject_name_strategy,
    topic_record_subject_name_strategy,
    topic_subject_name_strategy,
)
from confluent_kafka.schema_registry.json_schema import (
    JSONDeserializer,
    JSONSerializer,
)
from confluent_kafka.serialization import MessageField, SerializationContext
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.errors import RowsRefused
from streamlab.formats import wire

pytestmark = pytest.mark.integration

ORDER = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Order",
    "type": "object",
    "required": ["id"],
    "definitions": {
        "Line": {
            "type": "object",
            "properties": {
                "sku": {"type": "string"},
                "n": {"type": ["integer", "null"]},
            },
        }
    },
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "paid": {"type": "boolean"},
        "price": {"type": "number"},
        "note": {"oneOf": [{"type": "null"}, {"type": "string"}]},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "photo": {"type": "string", "contentEncoding": "base64"},
        "state": {"enum": ["new", "paid"]},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/Line"}},
        "open": {},
    },
}
ROWS = [
    {
        "id": 1,
        "paid": True,
        "price": 1.5,
        "note": "ä",
        "day": "2026-11-25",
        "at": "2026-11-25T10:00:00.123456Z",
        "photo": "AP8=",
        "state": "new",
        "lines": [{"sku": "a", "n": None}],
        "open": 5,
    },
    {"id": 2**53},
]
COLUMNS = {
    "id": pl.Int64(),
    "paid": pl.Boolean(),
    "price": pl.Float64(),
    "note": pl.String(),
    "day": pl.Date(),
    "at": pl.Datetime("us", "UTC"),
    "photo": pl.Binary(),
    "state": pl.String(),
    "lines": pl.List(pl.Struct({"sku": pl.String(), "n": pl.Int64()})),
    "open": pl.Int64(),
}


@pytest.fixture
def ours(format_on_registry):
    """Return a function that makes our format on the real registry."""
    return functools.partial(format_on_registry, "json-schema")


def value_context(topic):
    return SerializationContext(topic, MessageField.VALUE)


def serialized(theirs, schema, rows, topic, **options):
    """Return what Confluent's serializer makes of rows."""
    text = schema if isinstance(schema, TheirSchema) else json.dumps(schema)
    serializer = JSONSerializer(text, theirs, conf=options or None)
    return [serializer(row, value_context(topic)) for row in rows]


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (topic_subject_name_strategy, "topic"),
        (record_subject_name_strategy, "record"),
        (topic_record_subject_name_strategy, "topic-record"),
    ],
)
def test_their_values_are_read_with_the_types_of_their_schema(
    theirs, ours, topic_name, strategy, name
):
    """Columns come from the registered schema, what it leaves open from the values."""
    options = {"subject.name.strategy": strategy}
    values = serialized(theirs, ORDER, ROWS, topic_name, **options)
    format_ = ours(topic_name, subject_name_strategy=name)
    schema = format_.infer(values)
    assert dict(schema.dtypes) == COLUMNS
    decoded = format_.decode(values, schema)
    assert decoded.rejected == ()
    first, second = decoded.frame.to_dicts()
    assert first == {
        **ROWS[0],
        "day": dt.date(2026, 11, 25),
        "at": dt.datetime(2026, 11, 25, 10, 0, 0, 123456, dt.UTC),
        "photo": b"\x00\xff",
    }
    assert {k: v for k, v in second.items() if v is not None} == ROWS[1]


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        (topic_subject_name_strategy, "topic"),
        (record_subject_name_strategy, "record"),
        (topic_record_subject_name_strategy, "topic-record"),
    ],
)
def test_they_read_what_is_written_with_their_schema(
    theirs, ours, topic_name, strategy, name
):
    """Rows written with the newest schema of a subject mean the same to Confluent's."""
    titled = {**ORDER, "title": f"O-{topic_name}"}
    options = {"subject.name.strategy": strategy}
    values = serialized(theirs, titled, ROWS, topic_name, **options)
    format_ = ours(
        topic_name,
        subject_name_strategy=name,
        use_latest_version="true",
        record_name=titled["title"],
    )
    written = format_.encode(format_.decode(values, Schema.of(COLUMNS)).frame)
    reader = JSONDeserializer(json.dumps(titled), schema_registry_client=theirs)
    assert [reader(one, value_context(topic_name)) for one in written] == [
        reader(one, value_context(topic_name)) for one in values
    ]


def test_a_schema_made_from_columns_reads_back_equal(theirs, ours, topic_name):
    """With auto.register.schemas all of JSON's types make a schema that fits them."""
    frame = pl.DataFrame(
        {
            "n": pl.Series([1, None], dtype=pl.Int16),
            "x": [0.5, None],
            "day": [dt.date(2026, 1, 1), None],
            "at": pl.Series([0, None], dtype=pl.Datetime("us", "UTC")),
            "local": pl.Series([0, None], dtype=pl.Datetime("ms")),
            "raw": [b"\0", None],
            "parts": [[{"x": 1}, None], None],
            "kind": pl.Series(["a", None], dtype=pl.Enum(["a", "b"])),
        }
    )
    format_ = ours(topic_name, auto_register_schemas="true")
    values = format_.encode(frame)
    assert_frame_equal(format_.decode(values, Schema.of(frame.schema)).frame, frame)
    registered = theirs.get_schema(wire.schema_id(values[0]))
    reader = JSONDeserializer(registered.schema_str, schema_registry_client=theirs)
    assert reader(values[0], value_context(topic_name))["n"] == 1


def test_a_row_that_the_schema_does_not_allow_is_refused(theirs, ours, topic_name):
    """The reason names the column and the rule, and no value."""
    serialized(theirs, ORDER, ROWS, topic_name)
    format_ = ours(topic_name, use_latest_version="true")
    with pytest.raises(RowsRefused) as refused:
        format_.encode(pl.DataFrame({"id": [4711, -4711]}))
    assert list(refused.value.reasons) == [1]
    assert "column 'id': properties/id/minimum" in refused.value.reasons[1]
    assert "4711" not in str(refused.value)


def test_a_referenced_schema_is_found(theirs, ours, topic_name):
    """A property of another subject's schema is read, and written by its rules."""
    line = {"type": "object", "properties": {"sku": {"type": "string"}}}
    subject = f"{topic_name}-line"
    theirs.register_schema(subject, TheirSchema(json.dumps(line), "JSON"))
    order = {
        "title": "Order",
        "type": "object",
        "properties": {"line": {"$ref": "line.json"}},
    }
    schema = TheirSchema(
        json.dumps(order), "JSON", [SchemaReference("line.json", subject, 1)]
    )
    theirs.register_schema(f"{topic_name}-value", schema)
    format_ = ours(topic_name, use_latest_version="true")
    frame = pl.DataFrame({"line": [{"sku": "a"}]})
    values = format_.encode(frame)
    assert_frame_equal(format_.decode(values, format_.infer(values)).frame, frame)
    with pytest.raises(RowsRefused):
        format_.encode(pl.DataFrame({"line": [{"sku": 1}]}))


def test_a_body_is_as_strict_as_plain_json(theirs, ours, topic_name):
    """A number in a text column is a dead letter, its neighbours pass."""
    anything = {"$schema": ORDER["$schema"], "title": "Any", "type": "object"}
    values = serialized(theirs, anything, [{"a": "x"}, {"a": 5.1}], topic_name)
    values.append(values[0][:5])
    decoded = ours(topic_name).decode(values, Schema.of({"a": pl.String()}))
    assert decoded.frame["a"].to_list() == ["x"]
    codes = [(one.row, one.code) for one in decoded.rejected]
    assert codes == [(1, "type-mismatch"), (2, "empty-value")]
