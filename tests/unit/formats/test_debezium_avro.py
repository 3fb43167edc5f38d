"""Debezium's envelopes in Avro: the same change rows as those in JSON."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import re
from decimal import Decimal

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.contracts import Field, Schema
from streamlab.errors import RowsRefused, SchemaError, UnknownName, UsageError
from streamlab.formats import Context, named, wire
from streamlab.formats.changes import change_schema
from streamlab.formats.debezium import DebeziumFormat
from streamlab.registry.recorded import OwnSchemas, recorded, standing_in
from streamlab.registry.schemas import Registered

OWN = pl.Schema(
    {
        "id": pl.Int32(),
        "small": pl.Int16(),
        "name": pl.String(),
        "price": pl.Decimal(10, 2),
        "day": pl.Date(),
        "at": pl.Datetime("us", "UTC"),
        "local": pl.Datetime("us"),
        "clock": pl.Time(),
        "raw": pl.Binary(),
        "tags": pl.List(pl.String),
        "amounts": pl.List(pl.Decimal(6, 2)),
        "ok": pl.Boolean(),
        "ratio": pl.Float64(),
        "span": pl.Duration("us"),
        "place": pl.Struct({"x": pl.Float64, "seen": pl.Datetime("us", "UTC")}),
        "places": pl.List(pl.Struct({"x": pl.Int64, "cost": pl.Decimal(6, 2)})),
    }
)
CHANGES = change_schema(OWN, ["id"])
NONE = dict.fromkeys(OWN)
ROW = {
    "id": 1,
    "small": -5,
    "name": "Zoë",
    "price": Decimal("-12.34"),
    "day": dt.date(2024, 2, 29),
    "at": dt.datetime(2024, 2, 29, 12, 30, 1, 123456, tzinfo=dt.UTC),
    "local": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 -- it has no zone
    "clock": dt.time(23, 59, 59, 999999),
    "raw": b"\x00\xff",
    "tags": ["a", None, ""],
    "amounts": [Decimal("1.10"), None],
    "ok": True,
    "ratio": float("inf"),
    "span": dt.timedelta(days=-1, microseconds=5),
    "place": {"x": 0.5, "seen": dt.datetime(2024, 2, 29, tzinfo=dt.UTC)},
    "places": [{"x": 2**40, "cost": Decimal("-0.01")}, None],
}


def row(op, index, own=NONE, *, unavailable=None, before=None):
    at = dt.datetime(2024, 3, 1, 1, 2, 3, 456789, tzinfo=dt.UTC)
    place = {"_lsn": 1000, "_index": index, "_commit_time": at, "_xid": 77}
    table = {"_schema": "public", "_table": "orders"}
    seen = {"_unavailable": unavailable, "_before": before}
    return {**own, "_op": op, **place, **table, **seen}


ROWS = [
    row("snapshot", 0, ROW),
    row("insert", 2, {**NONE, "id": 2}),
    row(
        "update",
        4,
        {**ROW, "name": None, "raw": None, "tags": None},
        unavailable=["name", "raw", "tags"],
    ),
    row(
        "delete",
        6,
        {**NONE, "id": 1},
        unavailable=[name for name in OWN if name != "id"],
        before={"id": 1},
    ),
    row("truncate", 8),
]
FRAME = pl.DataFrame(ROWS, schema=CHANGES)


def debezium(topic="shop.public.orders", **options):
    """Return the format on a registry of its own."""
    given_ = {"auto.register.schemas": "true", **options}
    with standing_in(OwnSchemas()):
        return named("debezium-avro", Context(topic, options=given_))


def on(text):
    """Return the format on a registry that has one schema, number 1."""
    with recorded({1: Registered(1, "AVRO", text)}):
        return named("debezium-avro", Context("t"))


def written_with(format_):
    """Return the schemas that a format has registered, by the end of their names."""
    found = [json.loads(one.text) for one in format_.registry.all]
    return {schema["name"]: schema for schema in found}


def serialized(schema, envelope):
    """Return what another serializer makes of an envelope."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), envelope)
    return wire.header(1) + body.getvalue()


@pytest.mark.parametrize("mode", ["precise", "string"])
def test_change_rows_come_back_equal(mode):
    """Every operation, type, null and unavailable value is read back as it was."""
    format_ = debezium(**{"decimal.handling.mode": mode})
    decoded = format_.decode(format_.encode(FRAME), Schema.of(CHANGES))
    assert decoded.rejected == ()
    assert_frame_equal(decoded.frame, FRAME)


def test_the_columns_are_those_of_the_json_envelope():
    """Inferred from the schema, columns and types are what the JSON envelope gives."""
    format_, text = debezium(), DebeziumFormat(with_schema=True)
    whole = FRAME.with_columns(pl.lit(0.5).alias("ratio"))
    assert format_.infer(format_.encode(FRAME)) == text.infer(text.encode(whole))


def test_the_schema_is_as_kafka_connect_writes_it():
    """Records have the table's name, and types their names of Debezium's."""
    format_ = debezium()
    format_.encode(FRAME)
    envelope = written_with(format_)["Envelope"]
    assert envelope["namespace"] == "shop.public.orders"
    assert envelope["connect.name"] == "shop.public.orders.Envelope"
    before, after, source, *_ = [field["type"] for field in envelope["fields"]]
    assert after == ["null", "shop.public.orders.Value"]
    said = {field["name"]: field["type"][1] for field in before[1]["fields"]}
    assert said["small"] == {"type": "int", "connect.type": "int16"}
    assert said["day"] == {
        "type": "int",
        "connect.version": 1,
        "connect.name": "io.debezium.time.Date",
    }
    assert said["price"] == {
        "type": "bytes",
        "connect.version": 1,
        "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"},
        "connect.name": "org.apache.kafka.connect.data.Decimal",
        "logicalType": "decimal",
        "precision": 10,
        "scale": 2,
    }
    snapshot = next(f for f in source["fields"] if f["name"] == "snapshot")
    assert [snapshot["type"][1], snapshot["default"]] == ["null", "false"]


def test_keys_have_a_record_and_a_subject_of_their_own():
    """A key is a record of the key's columns, none of them null; a truncation has no
    key, and deletes are followed by tombstones."""
    format_ = debezium()
    pairs = format_.encode_with_tombstones(FRAME, ["id"])
    assert [value is None for _, value in pairs] == [False] * 4 + [True, False]
    assert [None if key is None else key[5:] for key, _ in pairs] == [
        b"\x02", b"\x04", b"\x02", b"\x02", b"\x02", None,
    ]  # fmt: skip
    key = written_with(format_)["Key"]
    assert key["connect.name"] == "shop.public.orders.Key"
    assert key["fields"] == [{"name": "id", "type": "int"}]
    lost = FRAME.with_columns(
        pl.when(pl.int_range(5) == 3).then(None).otherwise("id").alias("id")
    )
    with pytest.raises(RowsRefused) as refused:
        format_.encode_keys(lost.reverse(), ["id"])
    assert list(refused.value.reasons) == [1]


def connect(kind, name, **parameters):
    """Return a type as Connect's converter writes one that has a name."""
    said = {"connect.version": 1, "connect.name": name}
    if parameters:
        said["connect.parameters"] = parameters
    return {"type": kind, **said}


def envelope_of(fields, *, name="t.Envelope"):
    """Return the schema of an envelope with the columns of a row."""
    row_ = {"type": "record", "name": "Value", "namespace": "t", "fields": fields}
    source = {
        "type": "record",
        "name": "Source",
        "namespace": "io.debezium.connector.postgresql",
        "fields": [
            {"name": "version", "type": "string"},
            {"name": "ts_ms", "type": "long"},
            {
                "name": "snapshot",
                "type": [connect("string", "io.debezium.data.Enum"), "null"],
                "default": "false",
            },
            {"name": "schema", "type": "string"},
            {"name": "table", "type": "string"},
            {"name": "lsn", "type": ["null", "long"], "default": None},
        ],
    }
    return {
        "type": "record",
        "name": "Envelope",
        "namespace": "t",
        "fields": [
            {"name": "before", "type": ["null", row_], "default": None},
            {"name": "after", "type": ["null", "Value"], "default": None},
            {"name": "source", "type": source},
            {"name": "op", "type": "string"},
            {"name": "ts_ms", "type": ["null", "long"], "default": None},
        ],
        **({"connect.name": name} if name else {}),
    }


SOURCE = {
    "version": "3.6.0.Final",
    "ts_ms": 1559033904863,
    "snapshot": "false",
    "schema": "public",
    "table": "t",
    "lsn": 24023128,
}

VARIABLE = {
    "type": "record",
    "name": "VariableScaleDecimal",
    "namespace": "io.debezium.data",
    "fields": [{"name": "scale", "type": "int"}, {"name": "value", "type": "bytes"}],
    "connect.version": 1,
    "connect.name": "io.debezium.data.VariableScaleDecimal",
}
DECIMAL_64 = {
    **connect("bytes", "org.apache.kafka.connect.data.Decimal", scale="2"),
    "logicalType": "decimal",
    "precision": 64,
    "scale": 2,
}
OF_CONNECT = "org.apache.kafka.connect.data."
TYPES = {
    "int8": ({"type": "int", "connect.type": "int8"}, 5, pl.Int16(), 5),
    "int16": ({"type": "int", "connect.type": "int16"}, -5, pl.Int16(), -5),
    "int64": ("long", 2**62, pl.Int64(), 2**62),
    "float": ("float", 0.5, pl.Float32(), 0.5),
    "date": (connect("int", "io.debezium.time.Date"), 1, pl.Date(), "1970-01-02"),
    "connect date": (
        {**connect("int", f"{OF_CONNECT}Date"), "logicalType": "date"},
        dt.date(1970, 1, 2),
        pl.Date(),
        "1970-01-02",
    ),
    "time": (connect("int", "io.debezium.time.Time"), 1, pl.Time(), "00:00:00.001000"),
    "micro time": (
        *(connect("long", "io.debezium.time.MicroTime"), 1),
        *(pl.Time(), "00:00:00.000001"),
    ),
    "connect time": (
        {**connect("int", f"{OF_CONNECT}Time"), "logicalType": "time-millis"},
        dt.time(0, 0, 1),
        pl.Time(),
        "00:00:01",
    ),
    "timestamp": (
        *(connect("long", "io.debezium.time.Timestamp"), 1),
        *(pl.Datetime("ms"), "1970-01-01 00:00:00.001000"),
    ),
    "micro timestamp": (
        *(connect("long", "io.debezium.time.MicroTimestamp"), -1),
        *(pl.Datetime("us"), "1969-12-31 23:59:59.999999"),
    ),
    "nano timestamp": (
        *(connect("long", "io.debezium.time.NanoTimestamp"), 1000),
        *(pl.Datetime("ns"), "1970-01-01 00:00:00.000001"),
    ),
    "connect timestamp": (
        {
            **connect("long", f"{OF_CONNECT}Timestamp"),
            "logicalType": "timestamp-millis",
        },
        dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC),
        pl.Datetime("ms"),
        "1970-01-01 00:00:01",
    ),
    "zoned timestamp": (
        connect("string", "io.debezium.time.ZonedTimestamp"),
        "2024-02-29T12:30:01.5+02:00",
        pl.Datetime("us", "UTC"),
        "2024-02-29 10:30:01.500000+00:00",
    ),
    "zoned time": (
        *(connect("string", "io.debezium.time.ZonedTime"), "10:00:00Z"),
        *(pl.String(), "10:00:00Z"),
    ),
    "micro duration": (
        *(connect("long", "io.debezium.time.MicroDuration"), 1_000_000),
        *(pl.Duration("us"), "0:00:01"),
    ),
    "interval": (
        *(connect("string", "io.debezium.time.Interval"), "P1Y"),
        *(pl.String(), "P1Y"),
    ),
    "decimal without precision": (
        *(DECIMAL_64, Decimal("-1.50")),
        *(pl.Decimal(38, 2), "-1.50"),
    ),
    "variable decimal": (
        *(VARIABLE, {"scale": 3, "value": b"\xff"}),
        *(pl.String(), "-0.001"),
    ),
    "uuid": (connect("string", "io.debezium.data.Uuid"), "a-b", pl.String(), "a-b"),
    "json": (connect("string", "io.debezium.data.Json"), "{}", pl.String(), "{}"),
    "enum": (
        *(connect("string", "io.debezium.data.Enum", allowed="a,b"), "a"),
        *(pl.String(), "a"),
    ),
    "enum of Avro": (
        {"type": "enum", "name": "E", "symbols": ["A", "B"], "connect.name": "t.E"},
        *("B", pl.String(), "B"),
    ),
    "bits": (
        *(connect("bytes", "io.debezium.data.Bits", length="9"), b"\x01\x00"),
        *(pl.Binary(), b"\x01\x00"),
    ),
    "point": (
        {
            "type": "record",
            "name": "Point",
            "namespace": "io.debezium.data.geometry",
            "fields": [{"name": name, "type": "double"} for name in "xy"],
            "connect.name": "io.debezium.data.geometry.Point",
        },
        {"x": 1.0, "y": 2.0},
        pl.Struct({"x": pl.Float64, "y": pl.Float64}),
        {"x": 1.0, "y": 2.0},
    ),
    "array of decimals": (
        {"type": "array", "items": ["null", DECIMAL_64]},
        [Decimal("1.00"), None],
        pl.List(pl.Decimal(38, 2)),
        [Decimal("1.00"), None],
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "dtype", "expected"), TYPES.values(), ids=TYPES
)
@pytest.mark.parametrize("default", [False, True], ids=["null first", "null last"])
def test_each_type_of_debezium_is_read(kind, value, dtype, expected, default):
    """What a value means is in the schema; the column has its type and its value."""
    union = [kind, "null"] if default else ["null", kind]
    schema = envelope_of([{"name": "id", "type": "int"}, {"name": "x", "type": union}])
    images = [{"id": 1, "x": value}, {"id": 2, "x": None}]
    values = [
        serialized(
            schema, {"before": None, "after": image, "source": SOURCE, "op": "c"}
        )
        for image in images
    ]
    format_ = on(json.dumps(schema))
    inferred = format_.infer(values)
    assert inferred.dtypes["x"] == dtype
    decoded = format_.decode(values, inferred)
    assert decoded.rejected == ()
    found, nothing = decoded.frame["x"].to_list()
    assert nothing is None
    assert found == expected or str(found) == expected
    assert decoded.frame.select("_op", "_lsn", "_table").row(0) == (
        *("insert", 24023128, "t"),
    )


def test_without_connects_metadata_the_declared_types_decide():
    """Without names a number is what it is declared as; a decimal's scale is known."""
    format_ = debezium()
    values = format_.encode(FRAME)
    [text] = [one.text for one in format_.registry.all]

    def bare(node):
        if isinstance(node, list):
            return [bare(one) for one in node]
        if isinstance(node, dict):
            return {k: bare(v) for k, v in node.items() if not k.startswith("connect.")}
        return node

    anonymous = on(json.dumps(bare(json.loads(text))))
    values = [wire.header(1) + value[wire.HEADER_BYTES :] for value in values]
    decoded = anonymous.decode(values, Schema.of(CHANGES))
    assert decoded.rejected == ()
    assert_frame_equal(decoded.frame, FRAME)
    assert anonymous.infer(values).dtypes["local"] == pl.Int64()
    assert anonymous.infer(values).dtypes["price"] == pl.Decimal(10, 2)


@pytest.mark.parametrize(
    ("column", "dtype", "said"),
    [
        ("day", pl.Int32(), "'day' is declared Int32, but .* io.debezium.time.Date"),
        ("local", pl.Datetime("us", "UTC"), "MicroTimestamp; declare it Datetime"),
        ("name", pl.Int64(), "'name' is declared Int64"),
        ("tags", pl.List(pl.Int64), "'tags' is declared Int64"),
        ("price", pl.Float64(), "'price' is declared Float64"),
    ],
)
def test_a_declared_type_that_the_schema_denies_is_told(column, dtype, said):
    """Values whose schema says otherwise are rejected, with column and both types."""
    format_ = debezium()
    values = format_.encode(FRAME)
    wrong = change_schema(pl.Schema({"id": pl.Int32(), column: dtype}))
    decoded = format_.decode(values, Schema.of(wrong))
    assert {one.code for one in decoded.rejected} == {"incompatible-schema"}
    assert len(decoded.rejected) == len(values)
    assert re.search(said, decoded.rejected[0].reason)


def test_narrower_types_hold_what_fits():
    """A value that the declared type cannot hold is rejected, its neighbours pass."""
    fields = [
        {"name": "id", "type": "long"},
        {"name": "ratio", "type": "double"},
        {"name": "kind", "type": "string"},
        {"name": "sizes", "type": {"type": "array", "items": "int"}},
    ]
    schema = envelope_of(fields)
    good = {"id": 1, "ratio": 0.5, "kind": "a", "sizes": [1]}
    rows = [
        good,
        {**good, "id": 300},
        {**good, "ratio": 1e300},
        {**good, "kind": "c"},
        {**good, "sizes": [1, 2**20]},
        {**good, "id": -128},
    ]
    values = [
        serialized(schema, {"before": None, "after": one, "source": SOURCE, "op": "c"})
        for one in rows
    ]
    declared = {
        "id": pl.Int8(),
        "ratio": pl.Float32(),
        "kind": pl.Enum(["a", "b"]),
        "sizes": pl.List(pl.Int16),
    }
    decoded = on(json.dumps(schema)).decode(
        values, Schema.of(change_schema(pl.Schema(declared)))
    )
    assert decoded.frame["id"].to_list() == [1, -128]
    assert [one.code for one in decoded.rejected] == ["type-mismatch"] * 4
    assert [one.reason.split("'")[1] for one in decoded.rejected] == list(declared)


def test_columns_of_a_newer_table_are_null_in_older_envelopes():
    """A column that a writer's schema lacks is null, and undeclared ones are left."""
    format_ = debezium()
    values = format_.encode(FRAME)
    schema = change_schema(pl.Schema({"id": pl.Int32(), "new": pl.Float64()}))
    decoded = format_.decode(values, Schema.of(schema))
    assert decoded.rejected == ()
    assert decoded.frame["new"].null_count() == FRAME.height


def test_a_required_column_may_be_unavailable():
    """A column that must have a value in the table may be missing in a delete."""
    format_ = debezium()
    fields = [
        Field(name, dtype, required=name == "name") for name, dtype in CHANGES.items()
    ]
    decoded = format_.decode(format_.encode(FRAME), Schema(tuple(fields)))
    assert decoded.rejected == ()


def test_what_is_no_envelope_has_its_reason():
    """Tombstones, JSON and rows without an envelope are told apart."""
    (good,) = debezium().encode(FRAME.head(1))
    format_ = debezium()
    format_.encode(FRAME)
    decoded = format_.decode([good, None, b'{"op":"c"}', b""], Schema.of(CHANGES))
    codes = ["tombstone", "not-wire-format", "empty-value"]
    assert [one.code for one in decoded.rejected] == codes
    flat = {"type": "record", "name": "R", "fields": [{"name": "id", "type": "int"}]}
    plain = on(json.dumps(flat))
    decoded = plain.decode([wire.header(1) + b"\x02"], Schema.of(CHANGES))
    assert "no envelope of Debezium" in decoded.rejected[0].reason
    assert "format 'avro'" in decoded.rejected[0].reason
    with pytest.raises(SchemaError, match="no envelope of Debezium"):
        plain.infer([wire.header(1) + b"\x02"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"op": "x"}, "unknown-operation"),
        ({"op": "c", "after": None}, "no-image"),
        ({"op": "d"}, "no-image"),
    ],
)
def test_a_broken_envelope_is_rejected_and_its_neighbours_pass(change, code):
    """An envelope that is none has the reason that the JSON one has."""
    schema = envelope_of([{"name": "id", "type": "int"}])
    good = {"before": None, "after": {"id": 1}, "source": SOURCE, "op": "c"}
    values = [serialized(schema, one) for one in (good, {**good, **change}, good)]
    format_ = on(json.dumps(schema))
    decoded = format_.decode(values, format_.infer(values))
    assert decoded.frame["id"].to_list() == [1, 1]
    assert [(one.row, one.code) for one in decoded.rejected] == [(1, code)]


def test_rows_without_their_origin_are_refused_by_name():
    """The source of an envelope needs what the rows have a column for."""
    format_ = debezium()
    lost = FRAME.with_columns(pl.lit(None, dtype=pl.String).alias("_table"))
    with pytest.raises(RowsRefused, match="'_table'"):
        format_.encode(lost)
    less = FRAME.drop("_table", "_schema", "_commit_time", "_before")
    decoded = format_.decode(format_.encode(less[:3]), Schema.of(less.schema))
    assert_frame_equal(decoded.frame, less[:3])


def test_rows_that_are_no_changes_are_refused():
    """Plain rows are no change rows: what is missing is named."""
    with pytest.raises(SchemaError, match="'_op'"):
        debezium().encode(pl.DataFrame({"id": [1]}))
    values = debezium().encode(FRAME)
    format_ = debezium()
    format_.encode(FRAME)
    with pytest.raises(SchemaError, match="'_op'"):
        format_.decode(values, Schema.of({"id": pl.Int64()}))


def test_names_that_avro_does_not_allow_are_told():
    """The table's name is adjusted as Debezium does; a column is to be renamed."""
    format_ = debezium("shop-1.public.2nd orders")
    format_.encode(FRAME)
    assert written_with(format_)["Envelope"]["namespace"] == "shop_1.public._2nd_orders"
    with pytest.raises(SchemaError, match="'a b' has a name that Avro"):
        format_.encode(FRAME.with_columns(pl.lit(1).alias("a b")))


def test_columns_whose_structs_would_have_one_name_are_written():
    """Structs are named after their columns, and two of them never alike."""
    own = pl.Schema(
        {
            "a": pl.Struct({"b": pl.Struct({"x": pl.Int64})}),
            "a_b": pl.Struct({"y": pl.Int64}),
        }
    )
    rows = pl.DataFrame(
        [row("insert", 0, {"a": {"b": {"x": 1}}, "a_b": {"y": 2}})],
        schema=change_schema(own),
    )
    format_ = debezium()
    decoded = format_.decode(format_.encode(rows), Schema.of(rows.schema))
    assert_frame_equal(decoded.frame, rows)


def test_options_are_the_registrys_and_debeziums():
    """Options of both are known; others, and a name of no envelope, are told."""
    format_ = debezium(**{"topic.prefix": "shop", "record.name": "s.t.Envelope"})
    format_.encode(FRAME)
    assert written_with(format_)["Envelope"]["namespace"] == "s.t"
    with pytest.raises(UsageError, match="name of no envelope"):
        debezium(**{"record.name": "s.t.Order"})
    with pytest.raises(UnknownName, match="debezium-avro option"):
        debezium(**{"schemas.enable": "true"})


VALUES = {
    pl.Int16(): st.integers(-(2**15), 2**15 - 1),
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Float64(): st.floats(allow_nan=False, allow_infinity=False),
    pl.String(): st.text(max_size=5),
    pl.Binary(): st.binary(max_size=5),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.dates(),
    pl.Datetime("us"): st.datetimes(),
    pl.Datetime("ms"): st.just(dt.datetime(2000, 1, 1)),  # noqa: DTZ001 -- no zone
    pl.Datetime("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pl.Decimal(12, 3): st.decimals(-(10**8), 10**8, places=3),
    pl.Enum(["a", "b"]): st.sampled_from(["a", "b"]),
}


@st.composite
def tables(draw):
    """Return changes of a table of any columns."""
    leaves = st.sampled_from(list(VALUES))
    dtypes = draw(
        st.lists(
            leaves
            | leaves.map(pl.List)
            | leaves.map(lambda one: pl.Struct({"f": one})),
            min_size=1,
            max_size=4,
        )
    )
    own = pl.Schema({f"c{at}": dtype for at, dtype in enumerate(dtypes)})

    def value(dtype):
        if isinstance(dtype, pl.List):
            return st.none() | st.lists(value(dtype.inner), max_size=3)
        if isinstance(dtype, pl.Struct):
            return st.none() | st.fixed_dictionaries(
                {part.name: value(part.dtype) for part in dtype.fields}
            )
        return st.none() | VALUES[dtype]

    one = st.fixed_dictionaries({name: value(dtype) for name, dtype in own.items()})
    images = draw(st.lists(one, min_size=1, max_size=4))
    rows = [row("insert", index, image) for index, image in enumerate(images)]
    return pl.DataFrame(rows, schema=change_schema(own))


@settings(max_examples=60, deadline=None)
@given(tables())
def test_avro_and_json_say_the_same(frame):
    """Whatever the columns are, both envelopes are read as the rows they were."""
    schema = Schema.of(frame.schema)
    for format_ in (debezium(), DebeziumFormat(with_schema=True)):
        decoded = format_.decode(format_.encode(frame), schema)
        assert decoded.rejected == ()
        assert_frame_equal(decoded.frame, frame)


@pytest.fixture(scope="module")
def encoded():
    """Return a format, and what it has made of the rows."""
    format_ = debezium()
    return format_, format_.encode(FRAME)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_corrupted_envelopes_are_rejected_and_counted(encoded, data):
    """Whatever is broken in an envelope, each value is a row or a rejection."""
    format_, good = encoded
    values: list[bytes | None] = list(good)
    place = data.draw(st.integers(0, len(values) - 1))
    raw = values[place] or b""
    at = data.draw(st.integers(0, len(raw) - 1))
    values[place] = data.draw(
        st.sampled_from(
            [
                raw[:at],
                raw[:at] + data.draw(st.binary(max_size=3)) + raw[at + 1 :],
                raw[:5] + data.draw(st.binary(max_size=30)),
                data.draw(st.binary(max_size=30)),
                None,
            ]
        )
    )
    decoded = format_.decode(values, Schema.of(CHANGES))
    assert decoded.frame.height + len(decoded.rejected) == len(values)
    assert decoded.frame.schema == CHANGES
    assert {one.row for one in decoded.rejected} <= {place}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["scale", "type", "name"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None)
@given(
    st.sampled_from(["connect.name", "connect.parameters", "connect.type", "scale"]),
    JSON,
    st.sampled_from(["day", "price", "id", "amounts"]),
)
def test_a_schema_with_nonsense_is_told(name, nonsense, column):
    """Whatever the properties of a schema hold, there are rows or reasons."""
    format_ = debezium()
    values = [
        wire.header(1) + one[wire.HEADER_BYTES :] for one in format_.encode(FRAME)
    ]
    [envelope] = [json.loads(one.text) for one in format_.registry.all]
    row_ = envelope["fields"][0]["type"][1]
    field = next(field for field in row_["fields"] if field["name"] == column)
    kind = field["type"][1]
    field["type"][1] = {
        **(kind if isinstance(kind, dict) else {"type": kind}),
        name: nonsense,
    }
    broken = on(json.dumps(envelope))
    decoded = broken.decode(values, Schema.of(CHANGES))
    assert decoded.frame.height + len(decoded.rejected) == len(values)
    with contextlib.suppress(SchemaError):
        broken.infer(values)
