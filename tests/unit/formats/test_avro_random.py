"""Random Avro schemas: the fast way reads what the exact way reads, broken or not."""

from __future__ import annotations

import io
import itertools
import json
import random

import fastavro
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.formats import Context, named, wire
from streamlab.formats.avro import columnar
from streamlab.formats.avro.reading import Reading
from streamlab.formats.avro.types import parsed
from streamlab.formats.avro.writing import Rows
from streamlab.registry.recorded import recorded
from streamlab.registry.schemas import Registered

LEAVES = ("boolean", "int", "long", "float", "double", "bytes", "string")
LOGICAL = ("timestamp-millis", "timestamp-micros", "local-timestamp-millis")
NESTED = ("null", "array", "map", "record", "enum", "fixed", "logical", "decimal")


class Maker:
    """Makes schemas, values of them, and broken values, from one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._names = (f"N{number}" for number in itertools.count())

    def type(self, depth: int = 0):
        kind = self.chance.choice(LEAVES + (NESTED if depth < 3 else ()))
        if kind == "null":
            inner = self.type(depth + 1)
            nullable = [["null", inner], [inner, "null"]]
            return inner if isinstance(inner, list) else self.chance.choice(nullable)
        if kind == "record":
            return self.record(self.chance.randint(1, 3), depth)
        made = {
            "array": lambda: {"type": kind, "items": self.type(depth + 1)},
            "map": lambda: {"type": kind, "values": self.type(depth + 1)},
            "enum": lambda: {
                "type": kind,
                "name": next(self._names),
                "symbols": ["A", "B"],
            },
            "fixed": lambda: {"type": kind, "name": next(self._names), "size": 3},
            "logical": lambda: {
                "type": "long",
                "logicalType": self.chance.choice(LOGICAL),
            },
            "decimal": lambda: {
                "type": "bytes",
                "logicalType": "decimal",
                "precision": 12,
                "scale": 3,
            },
        }
        return made[kind]() if kind in made else kind

    def record(self, fields: int, depth: int = 0):
        return {
            "type": "record",
            "name": next(self._names),
            "fields": [
                {"name": f"x{number}", "type": self.type(depth + 1)}
                for number in range(fields)
            ],
        }

    def value(self, kind):
        """Return a value of a type, logical ones as their bytes are."""
        chance = self.chance
        if isinstance(kind, list):
            branch = chance.choice(kind)
            return None if branch == "null" else self.value(branch)
        node = kind if isinstance(kind, dict) else {"type": kind}
        if node.get("logicalType") == "decimal":
            digits = chance.randrange(-(10**12) + 1, 10**12)
            return digits.to_bytes(digits.bit_length() // 8 + 1, "big", signed=True)
        made = {
            "boolean": lambda: chance.random() < 0.5,
            "int": lambda: chance.randrange(-(2**31), 2**31),
            "long": lambda: chance.randrange(-(2**40), 2**40),
            "float": lambda: chance.randrange(-1000, 1000) / 4,
            "double": chance.random,
            "bytes": lambda: chance.randbytes(chance.randrange(6)),
            "string": lambda: "".join(chance.choices("aä€\0", k=chance.randrange(5))),
            "enum": lambda: chance.choice(node["symbols"]),
            "fixed": lambda: chance.randbytes(node["size"]),
            "array": lambda: [
                self.value(node["items"]) for _ in range(chance.randrange(4))
            ],
            "map": lambda: {
                str(n): self.value(node["values"]) for n in range(chance.randrange(3))
            },
            "record": lambda: {
                field["name"]: self.value(field["type"]) for field in node["fields"]
            },
        }
        return made[node["type"]]()

    def broken(self, good: bytes) -> bytes:
        """Return a value that is cut, longer, random, or has a flipped bit."""
        chance, value = self.chance, bytearray(good)
        how = chance.randrange(4)
        if how == 0:
            del value[chance.randrange(5, len(value) + 1) :]
        elif how == 1 and len(value) > 5:
            value[chance.randrange(5, len(value))] ^= 1 << chance.randrange(8)
        elif how == 2:
            value[5:] = chance.randbytes(chance.randrange(30))
        else:
            value += chance.choice([good, good[5:], b"\0", chance.randbytes(3)])
        return bytes(value)


def without_logical(node):
    """Return a schema of the bytes alone, for fastavro to write."""
    if isinstance(node, list):
        return [without_logical(each) for each in node]
    if isinstance(node, dict):
        return {k: without_logical(v) for k, v in node.items() if k != "logicalType"}
    return node


def encoded(maker, schema, count):
    parsed = fastavro.parse_schema(without_logical(schema))
    values = []
    for _ in range(count):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, maker.value(schema))
        values.append(wire.header(1) + body.getvalue())
    return values


def avro(schema):
    with recorded({1: Registered(1, "AVRO", json.dumps(schema))}):
        return named("avro", Context("events"))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_rows_are_written_as_fastavro_writes_them(seed, count):
    """Whatever the schema is, what was read is written with the same bytes."""
    maker = Maker(seed)
    schema = maker.record(maker.chance.randint(1, 6))
    values = encoded(maker, schema, count)
    format_ = avro(schema)
    frame = format_.decode(values, format_.infer(values)).frame
    kind = parsed(json.dumps(schema))
    assert Rows(1, kind, frame.schema)(frame) == values


SHORT = st.none() | st.text("aä", max_size=3)


@settings(deadline=None)
@example(  # as many bytes as rows
    [{"number": n, "text": text, "texts": None} for n, text in enumerate(["aa", ""])]
)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "number": st.integers(-(2**63), 2**63 - 1),
                "text": SHORT,
                "texts": st.none() | st.lists(SHORT, max_size=3),
            }
        ),
        max_size=20,
    )
)
def test_numbers_and_texts_are_written_as_fastavro_writes_them(rows):
    """Numbers of any size, and texts that are short, have the bytes of elsewhere."""
    text = ["null", "string"]
    kinds = {"number": "long", "text": text}
    kinds["texts"] = ["null", {"type": "array", "items": text}]
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    schema = {"type": "record", "name": "N", "fields": fields}
    expected = []
    for row in rows:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, fastavro.parse_schema(schema), row)
        expected.append(wire.header(1) + body.getvalue())
    columns = {"number": pl.Int64, "text": pl.String, "texts": pl.List(pl.String)}
    frame = pl.DataFrame(rows, schema=columns)
    assert Rows(1, parsed(json.dumps(schema)), frame.schema)(frame) == expected


def test_rows_of_several_parts_stay_in_order(monkeypatch):
    """A frame that is laid out in parts is the same as one that is laid out at once."""
    maker = Maker(5)
    schema = maker.record(4)
    values = encoded(maker, schema, 50)
    frame = avro(schema).decode(values, avro(schema).infer(values)).frame
    monkeypatch.setattr(columnar, "ROWS_AT_ONCE", 7)
    assert Rows(1, parsed(json.dumps(schema)), frame.schema)(frame) == values


@pytest.mark.parametrize("seed", range(25))
def test_both_ways_agree_and_broken_values_harm_nobody(seed, monkeypatch):
    """Good values are read equal by both ways, also with broken ones between them."""
    maker = Maker(seed)
    schema = maker.record(maker.chance.randint(1, 6))
    good = encoded(maker, schema, 60)
    declared = avro(schema).infer(good)
    fast = avro(schema).decode(good, declared)
    assert fast.rejected == ()
    with monkeypatch.context() as patched:
        patched.setattr(Reading, "_read", lambda *_: None)
        assert_frame_equal(avro(schema).decode(good, declared).frame, fast.frame)
    mixed = [(n, one) for n, one in enumerate(good)]
    for n in range(0, len(good), 7):
        at = maker.chance.randrange(len(mixed))
        mixed.insert(at, (None, maker.broken(good[n])))
    decoded = avro(schema).decode([one for _, one in mixed], declared)
    assert decoded.frame.height + len(decoded.rejected) == len(mixed)
    rows = decoded.kept(len(mixed)) or list(range(len(mixed)))
    place = {row: at for at, row in enumerate(rows)}
    kept = [place[row] for row, (n, _) in enumerate(mixed) if n is not None]
    assert_frame_equal(decoded.frame[kept], fast.frame)
