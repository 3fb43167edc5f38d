"""Debezium's envelopes: written as theirs, and theirs read as change rows."""

from __future__ import annotations

import base64
import datetime as dt
import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab import formats
from streamlab.contracts import Schema
from streamlab.errors import RowsRefused, SchemaError, UsageError
from streamlab.formats import Context, named
from streamlab.formats.changes import change_schema
from streamlab.formats.debezium import DebeziumFormat, decimals

PLACEHOLDER = "__debezium_unavailable_value"
OWN = pl.Schema(
    {
        "id": pl.Int32(),
        "name": pl.String(),
        "price": pl.Decimal(10, 2),
        "day": pl.Date(),
        "at": pl.Datetime("us", "UTC"),
        "local": pl.Datetime("us"),
        "clock": pl.Time(),
        "raw": pl.Binary(),
        "tags": pl.List(pl.String),
        "numbers": pl.List(pl.Int32),
        "amounts": pl.List(pl.Decimal(6, 2)),
        "ok": pl.Boolean(),
        "ratio": pl.Float64(),
        "span": pl.Duration("us"),
    }
)
CHANGES = change_schema(OWN, ["id"])
ROW = {
    "id": 1,
    "name": "Zoë",
    "price": Decimal("-12.34"),
    "day": dt.date(2024, 2, 29),
    "at": dt.datetime(2024, 2, 29, 12, 30, 1, 123456, tzinfo=dt.UTC),
    "local": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001 -- it has no zone
    "clock": dt.time(23, 59, 59, 999999),
    "raw": b"\x00\xff",
    "tags": ["a", None, "NULL"],
    "numbers": [1, None],
    "amounts": [Decimal("1.10"), None],
    "ok": True,
    "ratio": 0.1,
    "span": dt.timedelta(days=-1, microseconds=5),
}
NONE = dict.fromkeys(OWN)


def row(op: str, index: int, own=NONE, *, unavailable=None, before=None):
    return {
        **own,
        "_op": op,
        "_lsn": 1000,
        "_index": index,
        "_commit_time": dt.datetime(2024, 3, 1, 1, 2, 3, 456789, tzinfo=dt.UTC),
        "_xid": 77,
        "_schema": "public",
        "_table": "orders",
        "_unavailable": unavailable,
        "_before": before,
    }


ELSE = [name for name in OWN if name != "id"]
ROWS = [
    row("snapshot", 0, ROW),
    row("insert", 2, {**NONE, "id": 2}),
    row(
        "update",
        4,
        {**ROW, "name": None, "raw": None, "tags": None, "numbers": None},
        unavailable=["name", "raw", "tags", "numbers"],
    ),
    row("delete", 6, {**NONE, "id": 1}, unavailable=ELSE, before={"id": 1}),
    row("truncate", 8),
]
FRAME = pl.DataFrame(ROWS, schema=CHANGES)


@pytest.mark.parametrize("with_schema", [False, True], ids=["bare", "with schema"])
@pytest.mark.parametrize("mode", ["precise", "string"])
def test_change_rows_come_back_equal(with_schema, mode):
    """Every operation, type, null and unavailable value is read back as it was."""
    debezium = DebeziumFormat(with_schema=with_schema, decimals=mode)
    decoded = debezium.decode(debezium.encode(FRAME), Schema.of(CHANGES))
    assert decoded.rejected == ()
    assert decoded.frame.equals(FRAME, null_equal=True)


def test_the_envelope_is_debeziums():
    """The parts are those that Debezium's documentation shows, with its numbers."""
    debezium = DebeziumFormat(server="shop", database="db", clock_ms=lambda: 5)
    envelope = json.loads(debezium.encode(FRAME.head(1))[0])
    assert list(envelope) == ["before", "after", "source", "op", "ts_ms", "transaction"]
    assert envelope["before"] is None
    assert envelope["op"] == "r"
    assert envelope["ts_ms"] == 5
    assert envelope["after"] == {
        "id": 1,
        "name": "Zoë",
        "price": base64.b64encode((-1234).to_bytes(2, "big", signed=True)).decode(),
        "day": 19782,
        "at": "2024-02-29T12:30:01.123456Z",
        "local": -1,
        "clock": 86_399_999_999,
        "raw": "AP8=",
        "tags": ["a", None, "NULL"],
        "numbers": [1, None],
        "amounts": ["bg==", None],
        "ok": True,
        "ratio": 0.1,
        "span": -86_399_999_995,
    }
    source = envelope["source"]
    assert source.pop("version").startswith("streamlab-")
    assert source == {
        "connector": "postgresql",
        "name": "shop",
        "ts_ms": 1709254923456,
        "snapshot": "true",
        "db": "db",
        "sequence": '["1000","0"]',
        "ts_us": 1709254923456789,
        "ts_ns": 1709254923456789000,
        "schema": "public",
        "table": "orders",
        "txId": 77,
        "lsn": 1000,
        "xmin": None,
    }


def test_unavailable_values_are_placeholders():
    """What was not sent is written as Debezium writes it, for each type that can be."""
    update = json.loads(DebeziumFormat().encode(FRAME)[2])["after"]
    assert update["name"] == PLACEHOLDER
    assert base64.b64decode(update["raw"]) == PLACEHOLDER.encode()
    assert update["tags"] == [PLACEHOLDER]
    assert update["numbers"] == list(PLACEHOLDER.encode())


def test_an_unavailable_value_without_placeholder_is_refused():
    """A value that nothing can stand for is no null: the row is refused by name."""
    lost = FRAME.tail(3).head(1).with_columns(
        pl.lit(["amounts"]).cast(pl.List(pl.String)).alias("_unavailable")
    )  # fmt: skip
    with pytest.raises(RowsRefused, match="'amounts'"):
        DebeziumFormat().encode(lost)


def test_the_schema_part_names_debeziums_types():
    """The schema part has Connect's types, Debezium's names and the table's name."""
    value = json.loads(DebeziumFormat("shop", with_schema=True).encode(FRAME)[0])
    schema = value["schema"]
    assert schema["name"] == "shop.public.orders.Envelope"
    parts = {part["field"]: part for part in schema["fields"]}
    assert parts["source"]["name"] == "io.debezium.connector.postgresql.Source"
    fields = {part["field"]: part for part in parts["after"]["fields"]}
    said = {name: (part["type"], part.get("name")) for name, part in fields.items()}
    assert said["day"] == ("int32", "io.debezium.time.Date")
    assert said["at"] == ("string", "io.debezium.time.ZonedTimestamp")
    assert said["local"] == ("int64", "io.debezium.time.MicroTimestamp")
    assert said["clock"] == ("int64", "io.debezium.time.MicroTime")
    assert said["price"] == ("bytes", "org.apache.kafka.connect.data.Decimal")
    assert fields["price"]["parameters"]["scale"] == "2"
    assert fields["tags"]["items"]["type"] == "string"
    assert set(value["payload"]["source"]) == {
        part["field"] for part in parts["source"]["fields"]
    }


def test_the_schema_part_gives_the_columns():
    """Columns and exact types are inferred from the schema part alone."""
    inferred = DebeziumFormat().infer(DebeziumFormat(with_schema=True).encode(FRAME))
    assert inferred.dtypes == change_schema(OWN)


def test_without_the_schema_part_json_is_what_there_is():
    """Without the schema part a day is a number, until it is declared."""
    inferred = DebeziumFormat().infer(DebeziumFormat().encode(FRAME))
    assert inferred.dtypes["day"] == pl.Int64
    assert inferred.dtypes["name"] == pl.String
    assert inferred.dtypes["_op"] == CHANGES["_op"]


def test_deletes_are_followed_by_tombstones_where_asked():
    """A deleted row has its key twice: with the envelope, and with nothing."""
    pairs = DebeziumFormat().encode_with_tombstones(FRAME, ["id"])
    assert [key for key, _ in pairs] == [
        b'{"id":1}', b'{"id":2}', b'{"id":1}', b'{"id":1}', b'{"id":1}', None,
    ]  # fmt: skip
    assert [value is None for _, value in pairs] == [False] * 4 + [True, False]


def test_a_tombstone_is_rejected_as_one():
    """A tombstone is no change row, and is told apart from a broken value."""
    (value,) = DebeziumFormat().encode(FRAME.head(1))
    decoded = DebeziumFormat().decode([value, None, b"nonsense"], Schema.of(CHANGES))
    assert [one.code for one in decoded.rejected] == ["tombstone", "not-json"]
    assert decoded.frame.height == 1


THEIRS = {
    "before": {"id": 7, "name": None, "at": None},
    "after": {"id": 7, "name": "Ann", "at": 1559033904863},
    "source": {
        "version": "2.6.2.Final", "connector": "postgresql", "name": "s",
        "ts_ms": 1559033904863, "snapshot": "false", "db": "d",
        "sequence": '["24023119","24023128"]', "schema": "public", "table": "t",
        "txId": 556, "lsn": 24023128, "xmin": None,
    },
    "op": "u", "ts_ms": 1559033904870, "transaction": None,
}  # fmt: skip


def test_debeziums_own_envelope_is_read():
    """An envelope as in Debezium's documentation, of an older version, is read."""
    own = pl.Schema({"id": pl.Int32, "name": pl.String, "at": pl.Datetime("ms")})
    schema = change_schema(own)
    decoded = DebeziumFormat().decode([json.dumps(THEIRS).encode()], Schema.of(schema))
    (read,) = decoded.frame.rows(named=True)
    assert read["_op"] == "update"
    assert str(read["at"]) == "2019-05-28 08:58:24.863000"
    assert read["_before"] == {"id": 7, "name": None, "at": None}
    assert (read["_lsn"], read["_xid"], read["_index"]) == (24023128, 556, None)
    assert read["_commit_time"].timestamp() == pytest.approx(1559033904.863)


def test_the_schema_part_decides_about_units():
    """Milliseconds that the schema part announces fit a column of microseconds."""
    fields = [
        {"type": "int32", "optional": False, "field": "id"},
        {
            "type": "int64", "optional": True, "field": "at",
            "name": "io.debezium.time.Timestamp",
        },
    ]  # fmt: skip
    value = {
        "schema": {"type": "struct", "fields": [{"field": "after", "fields": fields}]},
        "payload": THEIRS,
    }
    schema = change_schema(pl.Schema({"id": pl.Int32, "at": pl.Datetime("us")}))
    raw = json.dumps(value, separators=(",", ":")).encode()
    decoded = DebeziumFormat().decode([raw], Schema.of(schema))
    assert str(decoded.frame["at"][0]) == "2019-05-28 08:58:24.863000"


def test_a_declared_type_that_the_schema_part_denies_is_rejected():
    """Envelopes that say a column is something else are rejected by its name."""
    values = DebeziumFormat(with_schema=True).encode(FRAME)
    wrong = change_schema(pl.Schema({"id": pl.Int32, "day": pl.Int64}))
    decoded = DebeziumFormat().decode(values, Schema.of(wrong))
    assert {one.code for one in decoded.rejected} == {"schema-mismatch"}
    assert len(decoded.rejected) == len(values)
    assert "'day' is declared Int64" in decoded.rejected[0].reason


def test_mixed_envelopes_keep_their_order():
    """With and without schema part, in one batch, rows keep their places."""
    bare = DebeziumFormat().encode(FRAME)
    full = DebeziumFormat(with_schema=True).encode(FRAME)
    mixed = [bare[0], full[1], b"{", full[2], bare[3], full[4]]
    decoded = DebeziumFormat().decode(mixed, Schema.of(CHANGES))
    assert [one.row for one in decoded.rejected] == [2]
    assert decoded.frame.equals(FRAME, null_equal=True)


MIDNIGHT_US = 86_400_000_000
BROKEN = {
    "unknown op": ({"op": "x"}, "unknown-operation"),
    "no op": ({"op": None}, "missing-field"),
    "insert without a row": ({"op": "c", "after": None}, "no-image"),
    "delete without a row": ({"op": "d", "before": None}, "no-image"),
    "a text for a number": ({"after": {"id": "x"}}, "type-mismatch"),
    "a clock beyond the day": ({"after": {"clock": MIDNIGHT_US}}, "type-mismatch"),
    "no base64": ({"after": {"id": 1, "price": "***"}}, "type-mismatch"),
    "too many digits in a list": (
        {"after": {"id": 1, "amounts": ["Bg==", "AP//////////"]}},
        "type-mismatch",
    ),
    "too many digits": ({"after": {"id": 1, "price": "AP//////////"}}, "type-mismatch"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_envelope_is_rejected_and_its_neighbours_pass(change, code):
    """An envelope that is none has a reason without its value; the others pass."""
    good = DebeziumFormat().encode(FRAME)
    broken = json.dumps({**json.loads(good[1]), **change}).encode()
    decoded = DebeziumFormat().decode([good[0], broken, good[2]], Schema.of(CHANGES))
    (rejected,) = decoded.rejected
    assert (rejected.row, rejected.code) == (1, code)
    assert decoded.frame["id"].to_list() == [1, 1]


def test_a_sequence_beyond_64_bits_is_no_index():
    """A place that no column can hold is null, and the row is read."""
    (value,) = DebeziumFormat().encode(FRAME.head(1))
    far = value.replace(b'[\\"1000\\",\\"0\\"]', b'[\\"1\\",\\"' + b"9" * 30 + b'\\"]')
    assert far != value
    decoded = DebeziumFormat().decode([far], Schema.of(CHANGES))
    assert decoded.frame["_index"].to_list() == [None]


def test_rows_without_an_operation_are_refused():
    """Plain rows are no change rows: what is missing is named."""
    with pytest.raises(SchemaError, match="'_op'"):
        DebeziumFormat().encode(pl.DataFrame({"id": [1]}))
    with pytest.raises(SchemaError, match="'_op'"):
        DebeziumFormat().decode([], Schema.of({"id": pl.Int64()}))


@given(
    st.lists(st.none() | st.decimals(places=4, min_value=-(10**30), max_value=10**30))
)
def test_decimals_keep_every_digit(numbers):
    """Numbers come back from their bytes as they were."""
    column = pl.Series(numbers, dtype=pl.Decimal(38, 4))
    written = decimals.to_bytes(column)
    assert decimals.to_decimals(written, 4, pl.Decimal(38, 4)).equals(
        column, null_equal=True
    )


@pytest.mark.parametrize(
    "number", [0, 127, 128, -128, -129, 255, 256, -1, 32767, -32768]
)
def test_decimals_take_the_bytes_that_java_takes(number):
    """The bytes are the fewest that keep the sign, as BigInteger.toByteArray's."""
    (raw,) = decimals.to_bytes(pl.Series([Decimal(number)], dtype=pl.Decimal(10, 0)))
    assert int.from_bytes(raw, "big", signed=True) == number
    shorter = raw[1:]
    assert not shorter or int.from_bytes(shorter, "big", signed=True) != number


def test_the_format_has_its_name():
    """A pipeline file finds the format."""
    assert formats.named("debezium").name == "debezium"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_corrupted_envelopes_are_rejected_and_counted(data):
    """Whatever is broken in an envelope, each value is a row or a rejection."""
    with_schema = data.draw(st.booleans())
    values: list[bytes | None] = list(
        DebeziumFormat(with_schema=with_schema).encode(FRAME)
    )
    row_number = data.draw(st.integers(0, len(values) - 1))
    raw = values[row_number] or b""
    place = data.draw(st.integers(0, len(raw) - 1))
    values[row_number] = data.draw(
        st.sampled_from(
            [
                raw[:place],
                raw[:place] + data.draw(st.binary(max_size=3)) + raw[place + 1 :],
                data.draw(st.binary(max_size=30)),
                None,
            ]
        )
    )
    decoded = DebeziumFormat().decode(values, Schema.of(CHANGES))
    assert decoded.frame.height + len(decoded.rejected) == len(values)
    assert decoded.frame.schema == CHANGES
    assert {one.row for one in decoded.rejected} <= {row_number}


@pytest.mark.parametrize("payload", ["null", "[]", "1", '"x"', "{}", '{"op":1}'])
def test_a_payload_that_is_no_envelope_is_rejected(payload):
    """JSON that is no envelope is rejected, bare as well as behind a schema part."""
    full = f'{{"schema":{{"fields":[]}},"payload":{payload}}}'
    values = [payload.encode(), full.encode()]
    decoded = DebeziumFormat().decode(values, Schema.of(CHANGES))
    assert len(decoded.rejected) == 2


def test_another_layout_of_the_same_envelope_is_read():
    """Spaces, line ends and the payload first do not change what an envelope says."""
    (value,) = DebeziumFormat(with_schema=True).encode(FRAME.head(1))
    whole = json.loads(value)
    swapped = {"payload": whole["payload"], "schema": whole["schema"]}
    layouts = [json.dumps(whole, indent=1), json.dumps(swapped), json.dumps(whole)]
    decoded = DebeziumFormat().decode(
        [one.encode() for one in layouts], Schema.of(CHANGES)
    )
    assert decoded.rejected == ()
    assert decoded.frame["price"].to_list() == [Decimal("-12.34")] * 3


def test_a_column_named_payload_is_a_column():
    """A table may have columns of the envelope's own names."""
    own = pl.Schema({"payload": pl.String, "schema": pl.String, "op": pl.Int32})
    rows = pl.DataFrame(
        [row("insert", 0, {"payload": ',"payload":', "schema": "s", "op": 1})],
        schema=change_schema(own),
    )
    for with_schema in (False, True):
        debezium = DebeziumFormat(with_schema=with_schema)
        decoded = debezium.decode(debezium.encode(rows), Schema.of(rows.schema))
        assert decoded.frame.equals(rows, null_equal=True)


def test_options_have_debeziums_names() -> None:
    """A pipeline file sets the format up, and a wrong value is told."""
    options = {"topic.prefix": "shop", "schemas.enable": "true"}
    made = named("debezium", Context(options=options))

    assert made == DebeziumFormat(
        server="shop", with_schema=True, clock_ms=made.clock_ms
    )
    with pytest.raises(UsageError, match="mode is 'double'"):
        named("debezium", Context(options={"decimal.handling.mode": "double"}))
