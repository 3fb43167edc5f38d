"""The fast path and the bounded slow one."""

from __future__ import annotations

import json
from unittest import mock

import polars as pl
import pytest

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError
from streamlab.formats import named
from streamlab.formats.json import judging, reading, text

SCHEMA = Schema.of({"id": pl.Int64, "text": pl.String})


def good(count: int) -> list[bytes]:
    return [b'{"id":%d,"text":"row %d"}' % (number, number) for number in range(count)]


def test_good_batch_is_read_in_one_call() -> None:
    """No value of a good batch is judged by itself, and polars is called once."""
    with (
        mock.patch.object(pl, "read_ndjson", wraps=pl.read_ndjson) as read,
        mock.patch.object(reading, "judge", wraps=judging.judge) as judged,
    ):
        decoded = named("json").decode(good(10_000), SCHEMA)

    assert decoded.frame.height == 10_000
    assert (read.call_count, judged.call_count) == (1, 0)


def test_texts_of_digits_are_not_judged_one_by_one() -> None:
    """That they are text is seen in the bytes, for all of them at once."""
    values = [b'{"id":%d, "text" : "%d"}' % (number, number) for number in range(1000)]

    with mock.patch.object(reading, "judge", wraps=judging.judge) as judged:
        decoded = named("json").decode(values, SCHEMA)

    assert decoded.rejected == ()
    assert judged.call_count == 0


def test_one_culprit_costs_few_judgements() -> None:
    """Only the part around a bad value is looked at value by value."""
    values: list[bytes] = good(50_000)
    values[31_337] = b"{"

    with mock.patch.object(reading, "judge", wraps=judging.judge) as judged:
        decoded = named("json").decode(values, SCHEMA)

    assert [r.row for r in decoded.rejected] == [31_337]
    assert judged.call_count <= reading.JUDGED_ROWS


@pytest.mark.parametrize("culprit", [b"{", None, b"", b'{"id":"x"}', b'{"text":5}'])
def test_all_bad_batch_is_linear(culprit: bytes | None) -> None:
    """Each value is judged once, and parts are read a bounded number of times."""
    count = 8 * reading.JUDGED_ROWS * reading.PARTS

    with (
        mock.patch.object(pl, "read_ndjson", wraps=pl.read_ndjson) as read,
        mock.patch.object(reading, "judge", wraps=judging.judge) as judged,
    ):
        decoded = named("json").decode([culprit] * count, SCHEMA)

    assert len(decoded.rejected) == count
    assert judged.call_count == count
    assert read.call_count <= 2 * count // reading.JUDGED_ROWS * reading.PARTS


def test_empty_value_beside_two_lines_does_not_cancel_out() -> None:
    """Polars makes two rows of one value and none of the other: the sum is right."""
    values = [b'{"id":1}\n{"id":2}', b" "]
    assert pl.read_ndjson(b"\n".join(values)).height == 2

    decoded = named("json").decode(values, SCHEMA)

    assert [r.code for r in decoded.rejected] == ["not-json", "empty-value"]


def test_value_that_only_polars_refuses_is_rejected_alone() -> None:
    """If the judge ever lets through what cannot be read, its neighbours still pass."""
    with mock.patch.object(reading, "judge", return_value=None):
        decoded = named("json").decode([*good(2), b"{", *good(2)], SCHEMA)

    assert [(r.row, r.code) for r in decoded.rejected] == [(2, "not-json")]
    assert decoded.frame["id"].to_list() == [0, 1, 0, 1]


def test_whatever_polars_writes_out_is_recognised() -> None:
    """The looks of a number, boolean, object or array that polars made into text."""
    for written in [
        "0",
        "-1.5e-7",
        "1E9",
        "true",
        "false",
        "[1]",
        '{"b":[]}',
        "[]",
        "{}",
    ]:
        value = b'{"text":%s}' % written.encode()
        frame = pl.read_ndjson(value, schema={"text": pl.String})
        texts = text.TextColumns.of(Schema.of({"text": pl.String}))
        assert texts.suspects(frame, [value]) == [0], written


@pytest.mark.parametrize(
    "name", ['a"b', "a\\b", "a/b", "a.b", "ä", "a b", "[a]", "\n", ""]
)
def test_names_of_any_characters(name: str) -> None:
    """A number is found in a text column also where the key is written with escapes."""
    values = [json.dumps({name: one}).encode() for one in ["5", 5, "x", None]]

    decoded = named("json").decode(values, Schema.of({name: pl.String}))

    assert decoded.frame[name].to_list() == ["5", "x", None]
    assert [(r.row, r.code) for r in decoded.rejected] == [(1, "type-mismatch")]


@pytest.mark.parametrize("beside", [b'{"id":1}', b"{"])
def test_first_of_two_same_keys_counts_for_the_type_too(beside: bytes) -> None:
    """The judge takes the key that polars takes, whether a neighbour is bad or not."""
    values = [b'{"text":"5","text":6}', b'{"text":5,"text":"6"}', beside]

    decoded = named("json").decode(values, SCHEMA)

    assert decoded.frame["text"][0] == "5"
    first = decoded.rejected[0]
    assert (first.row, first.code) == (1, "type-mismatch")


def test_same_key_deeper_does_not_hide_a_number() -> None:
    """A text under the same key in another object proves nothing."""
    values = [b'{"z":{"text":"5"},"text":5}', b'{"z":{"text":5},"text":"5"}']

    decoded = named("json").decode(values, SCHEMA)

    assert decoded.frame["text"].to_list() == ["5"]
    assert [r.row for r in decoded.rejected] == [0]


@pytest.mark.parametrize(
    ("dtype", "path"),
    [
        (pl.Duration("us"), "a"),
        (pl.Null(), "a"),
        (pl.Object(), "a"),
        (pl.Array(pl.Int64, 2), "a"),
        (pl.List(pl.Struct({"x": pl.Null})), "a[].x"),
    ],
)
def test_schema_that_json_cannot_carry_is_refused(
    dtype: pl.DataType, path: str
) -> None:
    """The message names the column, at every depth."""
    with pytest.raises(SchemaError) as refused:
        named("json").decode([], Schema((Field("a", dtype),)))

    assert refused.value.message.startswith(f"column {path!r} is ")


def test_schema_without_fields_is_refused() -> None:
    """Polars would infer one; we do not."""
    with pytest.raises(SchemaError, match="has no fields"):
        named("json").decode([b"{}"], Schema(()))


def test_empty_batch_gives_an_empty_typed_frame() -> None:
    """No values, no rows, all columns."""
    decoded = named("json").decode([], SCHEMA)

    assert decoded.frame.schema == SCHEMA.dtypes
    assert decoded.rejected == ()


def test_values_may_be_any_sequence() -> None:
    """A tuple decodes like a list, good or bad."""
    decoded = named("json").decode((b'{"id":1}', None), SCHEMA)

    assert decoded.kept(2) == [0]
