"""Avro values that other people may have broken, and types against each other."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from decimal import Decimal

import fastavro
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats import Context, named, wire
from streamlab.formats.avro import reading
from streamlab.registry.recorded import recorded
from streamlab.registry.schemas import Registered

NUMBER = 7
WRITTEN = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "flag", "type": "boolean"},
        {"name": "note", "type": ["null", "string"]},
        {"name": "price", "type": ["double", "null"]},
        {
            "name": "state",
            "type": [
                "null",
                {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]},
            ],
        },
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "extra", "type": {"type": "map", "values": ["null", "int"]}},
        {
            "name": "at",
            "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}],
        },
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [
                        {"name": "sku", "type": "bytes"},
                        {"name": "n", "type": ["null", "int"]},
                    ],
                },
            },
        },
    ],
}


def avro(*schemas, **options):
    """Return the format with recorded schemas, the first of them of id 7."""
    known = {
        NUMBER + n: Registered(NUMBER + n, "AVRO", json.dumps(schema))
        for n, schema in enumerate(schemas or (WRITTEN,))
    }
    with recorded(known):
        return named("avro", Context("orders", "", options))


def value(record, schema=WRITTEN, number=NUMBER):
    """Return a value as fastavro writes it."""
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), record)
    return wire.header(number) + body.getvalue()


def record(n):
    return {
        "id": n,
        "flag": n % 2 == 0,
        "note": None if n % 3 else "ä" * (n % 50),
        "price": None if n % 5 == 0 else n / 7,
        "state": [None, "NEW", "PAID"][n % 3],
        "tags": ["x"] * (n % 4),
        "extra": {"k": n, "l": None} if n % 2 else {},
        "at": n * 1000 if n % 2 else None,
        "lines": [{"sku": b"\0\xff", "n": n}, {"sku": b"", "n": None}][: n % 3],
    }


GOOD = [value(record(n)) for n in range(200)]
SCHEMA = avro().infer(GOOD)
FRAME = avro().decode(GOOD, SCHEMA).frame


def only(name, written, dtype, *values):
    """Return what becomes of values of one field, read as a type."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": name, "type": written}],
    }
    encoded = [value({name: one}, schema) for one in values]
    return avro(schema).decode(encoded, Schema.of({name: dtype}))


def test_the_fast_and_the_exact_way_read_the_same(monkeypatch):
    """What polars reads of a good batch is what fastavro reads value by value."""
    fast = avro()
    exact = avro()
    monkeypatch.setattr(reading.Reading, "_read", lambda *_: None)
    slow = exact.decode(GOOD, SCHEMA)
    monkeypatch.undo()
    assert slow.rejected == ()
    assert_frame_equal(fast.decode(GOOD, SCHEMA).frame, slow.frame)
    assert slow.frame["extra"].to_list()[1] == [
        {"key": "k", "value": 1},
        {"key": "l", "value": None},
    ]


@pytest.mark.parametrize("count", [1, 200, 5000])
def test_broken_values_are_rejected_and_their_neighbours_pass(count):
    """Truncated, longer and random values among good ones, at random places."""
    chance = random.Random(count)
    values, broken = [], []
    for n in range(count):
        good = GOOD[n % len(GOOD)]
        if chance.random() < 0.05 or count == 1:
            broken.append(n)
            good = chance.choice(
                [good[:-1], good + b"\0", good[:6], wire.header(NUMBER) + b"\xff" * 9]
            )
        values.append(good)
    decoded = avro().decode(values, SCHEMA)
    assert [one.row for one in decoded.rejected] == broken
    assert {one.code for one in decoded.rejected} <= {"not-avro"}
    kept = [n % len(GOOD) for n in range(count) if n not in set(broken)]
    assert_frame_equal(decoded.frame, FRAME[kept])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=5), st.randoms(use_true_random=False))
def test_any_bytes_are_a_rejection_or_a_value_and_never_a_crash(bodies, chance):
    """Random bodies and flipped bits: every good value beside them is intact."""
    flipped = []
    for one in chance.sample(GOOD, 3):
        changed = bytearray(one)
        at = chance.randrange(5, len(changed))
        changed[at] ^= 1 << chance.randrange(8)
        flipped.append(bytes(changed))
    strange = [*(wire.header(NUMBER) + body for body in bodies), *flipped, *bodies]
    values = [(n, one) for n, one in enumerate(GOOD[:20])]
    mixed = [*values, *((None, one) for one in strange)]
    chance.shuffle(mixed)
    decoded = avro().decode([one for _, one in mixed], SCHEMA)
    assert decoded.frame.height + len(decoded.rejected) == len(mixed)
    rows = decoded.kept(len(mixed)) or list(range(len(mixed)))
    at = {row: place for place, row in enumerate(rows)}
    for row, (n, _) in enumerate(mixed):
        if n is not None:
            assert decoded.frame.row(at[row]) == FRAME.row(n)


def test_a_value_that_holds_a_whole_other_value_is_rejected():
    """Two values in one, of which the second could be taken for the next event."""
    decoded = avro().decode([GOOD[1] + GOOD[2], GOOD[3]], SCHEMA)
    assert [one.row for one in decoded.rejected] == [0]
    assert_frame_equal(decoded.frame, FRAME[[3]])


def test_without_seals_a_longer_value_would_shift_its_neighbours(monkeypatch):
    """Negative control: the seals are what finds a value that is too long."""
    schema = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "long"}],
    }
    values = [value({"a": n}, schema) for n in range(3)]
    values[1] += b"\x02"
    wanted = Schema.of({"a": pl.Int64()})
    assert avro(schema).decode(values, wanted).frame["a"].to_list() == [0, 2]
    monkeypatch.setattr(reading, "SEAL_BYTES", 1)
    monkeypatch.setattr(
        reading, "_seals", lambda _: ([b"\0"] * 9, pl.Series([b"\0"] * 9))
    )
    unsealed = avro(schema).decode([value({"a": 1}, schema) + b"\0"], wanted)
    assert unsealed.rejected == ()


MISFITS = [
    ("int", pl.Int8(), 127, 128),
    ("long", pl.UInt64(), 0, -1),
    ("long", pl.Int32(), -(2**31), 2**31),
    ("long", pl.Float64(), 2**53, 2**53 + 1),
    ("int", pl.Float32(), 2**24, 2**24 + 1),
    ("string", pl.Enum(["a"]), "a", "b"),
    ("bytes", pl.String(), b"a", b"\xff"),
    (
        {"type": "long", "logicalType": "timestamp-micros"},
        pl.Datetime("ms", "UTC"),
        1000,
        1,
    ),
    (
        {"type": "long", "logicalType": "timestamp-millis"},
        pl.Datetime("ns", "UTC"),
        1,
        2**60,
    ),
    ({"type": "int", "logicalType": "time-millis"}, pl.Time(), 0, 86_400_000),
    ({"type": "array", "items": "int"}, pl.List(pl.Int8), [1, 2], [1, 200]),
]


@pytest.mark.parametrize(("written", "dtype", "good", "bad"), MISFITS)
def test_a_value_that_would_change_is_rejected(written, dtype, good, bad):
    """Nothing is cast silently: the row is set aside, the one beside it passes."""
    decoded = only("a", written, dtype, good, bad, good)
    assert [(one.row, one.code) for one in decoded.rejected] == [(1, "type-mismatch")]
    assert decoded.frame.height == 2
    assert decoded.frame["a"].null_count() == 0


INCOMPATIBLE = [
    ("string", pl.Int64()),
    ("long", pl.String()),
    ("double", pl.Float32()),
    ("double", pl.Int64()),
    ("boolean", pl.Int64()),
    ("long", pl.Datetime("us", "UTC")),
    ({"type": "long", "logicalType": "timestamp-micros"}, pl.Datetime("us")),
    ({"type": "map", "values": "int"}, pl.List(pl.Int64)),
    ({"type": "array", "items": "string"}, pl.List(pl.Int64)),
    (["null", "int", "boolean"], pl.Int64()),
]


@pytest.mark.parametrize(("written", "dtype"), INCOMPATIBLE)
def test_a_type_that_cannot_be_read_as_another_is_told(written, dtype):
    """The reason names the column, the declared type and the written one."""
    example = {
        "string": "a",
        "long": 1,
        "double": 1.0,
        "boolean": True,
        "map": {},
        "array": [],
    }
    kind = written if isinstance(written, str) else None
    if isinstance(written, dict):
        kind = written["type"]
    decoded = only("a", written, dtype, example.get(kind, 1))
    [rejection] = decoded.rejected
    assert rejection.code == "incompatible-schema"
    assert "column 'a" in rejection.reason
    assert "it is written as" in rejection.reason


def test_a_union_of_several_types_is_read_as_one_of_them():
    """Values of the declared type pass, the others are rejected one by one."""
    decoded = only("a", ["null", "long", "string"], pl.String(), "x", 1, None, "y")
    assert decoded.frame["a"].to_list() == ["x", None, "y"]
    assert [(one.row, one.code) for one in decoded.rejected] == [(1, "type-mismatch")]


def test_fields_that_are_not_declared_are_not_read():
    """A column less costs nothing and hides nothing."""
    decoded = avro().decode(GOOD, SCHEMA.only(["note", "id"]))
    assert_frame_equal(decoded.frame, FRAME.select("id", "note"))


def test_columns_that_nobody_wrote_are_null():
    """A declared column that the writer does not know is null, not an error."""
    decoded = avro().decode(GOOD, Schema.of({"other": pl.List(pl.Int8)}))
    assert decoded.frame["other"].to_list() == [None] * len(GOOD)


def test_a_decimal_gains_digits_and_loses_none():
    """A finer scale is exact; a coarser one is another type."""
    kind = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    decoded = only("a", kind, pl.Decimal(12, 4), Decimal("-1.25"), Decimal("0.01"))
    assert decoded.frame["a"].to_list() == [Decimal("-1.2500"), Decimal("0.0100")]
    [rejection] = only("a", kind, pl.Decimal(12, 1), Decimal("1.20")).rejected
    assert rejection.code == "incompatible-schema"


def test_a_schema_that_is_a_plain_type_is_one_column():
    """A topic of Avro texts is read as the column value."""
    decoded = avro("string").decode(
        [wire.header(NUMBER) + b"\x02a"], Schema.of({"value": pl.String()})
    )
    assert decoded.frame["value"].to_list() == ["a"]


def test_a_batch_of_no_values_is_an_empty_frame():
    """It has the declared columns all the same."""
    assert_frame_equal(avro().decode([], SCHEMA).frame, SCHEMA.empty())


def test_no_schema_is_found_where_no_value_names_one():
    """The hint names what else these bytes may be."""
    with pytest.raises(SchemaError, match="none of 2 values names a schema"):
        avro().infer([b"{}", None])


def test_no_value_stands_in_a_reason():
    """Reasons may be logged, values may not."""
    secret = "4711-secret"
    decoded = only("a", "string", pl.Enum(["x"]), secret)
    assert secret not in decoded.rejected[0].reason


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("avro", "fastavro"),
        ("protobuf", "google.protobuf"),
        ("json-schema", "jsonschema_rs"),
    ],
)
def test_a_missing_library_is_told_with_the_command(name, library):
    """Without the extra the message says how to install it."""
    code = f"""
import sys
sys.modules[{library!r}] = None
from streamlab.errors import MissingExtra
from streamlab.formats import named
try:
    named({name!r})
except MissingExtra as error:
    print(error.hint)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "streamlab-data[registry]" in said.stdout
