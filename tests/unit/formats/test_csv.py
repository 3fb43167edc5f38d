"""CSV rows, one a value: what is read, what is not, and that writing reads back."""

from __future__ import annotations

import csv
import datetime as dt
import io
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streamlab.contracts import Field, Schema
from streamlab.errors import RowsRefused, SchemaError, UnknownName, UsageError
from streamlab.formats import Context, named

TEXTS = Schema.of({"a": pl.String(), "b": pl.String()})


def of(**options):
    return named("csv", Context(options=options))


def outcome(value, dtype):
    """Return what becomes of one field: its value, or the code of its rejection."""
    decoded = of().decode([value + b",x"], Schema.of({"a": dtype, "b": pl.String()}))
    if decoded.rejected:
        return decoded.rejected[0].code
    return decoded.frame["a"].item()


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (b"a,b", ["a", "b"]),
        (b"a,b\n", ["a", "b"]),
        (b"a,b\r\n", ["a", "b"]),
        (b" a , b ", [" a ", " b "]),
        (b",", [None, None]),
        (b'"",x', ["", "x"]),
        (b'"a""b","x\r\ny, z"', ['a"b', "x\r\ny, z"]),
        ('ä,"€"'.encode(), ["ä", "€"]),
        (b"#a,b", ["#a", "b"]),
    ],
)
def test_rows_that_are_read(value, fields):
    """Each field is the text that RFC 4180 says, and nothing of it is trimmed."""
    decoded = of().decode([value], TEXTS)
    assert decoded.rejected == ()
    assert list(decoded.frame.row(0)) == fields


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "tombstone"),
        (b"", "empty-value"),
        (b"\n", "empty-value"),
        (b"a", "not-csv"),
        (b"a,b,c", "not-csv"),
        (b"a,b\nc,d", "not-csv"),
        (b'a"b,c', "not-csv"),
        (b'"a"b,c', "not-csv"),
        (b'"a,b', "not-csv"),
        (b"\xff,b", "not-utf8"),
    ],
)
def test_rows_that_are_rejected(value, code):
    """What is no row of two fields is set aside; the rows beside it pass."""
    decoded = of().decode([b"1,2", value, b'3,"4"'], TEXTS)
    assert [(one.row, one.code) for one in decoded.rejected] == [(1, code)]
    assert decoded.frame.rows() == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (b"12", pl.Int8(), 12),
        (b"-0", pl.Int64(), 0),
        (b"128", pl.Int8(), "type-mismatch"),
        (b"1.0", pl.Int64(), "type-mismatch"),
        (b"01", pl.Int64(), "type-mismatch"),
        (b"+1", pl.Int64(), "type-mismatch"),
        (b" 1", pl.Int64(), "type-mismatch"),
        (b"1e3", pl.Float64(), 1000.0),
        (b"1", pl.Float32(), 1.0),
        (b"NaN", pl.Float64(), "type-mismatch"),
        (b"1e999", pl.Float64(), "type-mismatch"),
        (b".5", pl.Float64(), "type-mismatch"),
        (b"true", pl.Boolean(), True),
        (b"True", pl.Boolean(), "type-mismatch"),
        (b"1", pl.Boolean(), "type-mismatch"),
        (b"2026-11-25", pl.Date(), dt.date(2026, 11, 25)),
        (b"25.11.2026", pl.Date(), "type-mismatch"),
        (
            b"2026-11-25T10:00:00Z",
            pl.Datetime("us", "UTC"),
            dt.datetime(2026, 11, 25, 10, tzinfo=dt.UTC),
        ),
        (b"2026-11-25T10:00:00", pl.Datetime("us", "UTC"), "type-mismatch"),
        (b"1.50", pl.Decimal(5, 2), Decimal("1.50")),
        (b"1.505", pl.Decimal(5, 2), "type-mismatch"),
        (b"aGk=", pl.Binary(), b"hi"),
        (b"x", pl.Enum(["x"]), "x"),
        (b"y", pl.Enum(["x"]), "type-mismatch"),
        (b"", pl.Int64(), None),
        (b'""', pl.Int64(), "type-mismatch"),
    ],
)
def test_types_are_taken_strictly(value, dtype, expected):
    """A field is what its column says, or its row is set aside."""
    assert outcome(value, dtype) == expected


def test_a_missing_required_field_is_rejected():
    """A null in a required column refuses the row."""
    schema = Schema((Field("a", pl.String(), required=True), Field("b", pl.String())))
    decoded = of().decode([b",x", b"y,"], schema)
    assert [(one.row, one.code) for one in decoded.rejected] == [(0, "missing-field")]


def test_separator_and_null_can_be_chosen():
    """Rows of other tools are read and written by their habits."""
    format_ = of(separator=";", null="NULL")
    decoded = format_.decode([b'NULL;"NULL"', b";a,b"], TEXTS)
    assert decoded.frame.rows() == [(None, "NULL"), ("", "a,b")]
    assert format_.encode(decoded.frame) == [b'NULL;"NULL"', b";a,b"]


EVERYTHING = st.fixed_dictionaries(
    {
        "text": st.none() | st.text(),
        "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
        "real": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "flag": st.none() | st.booleans(),
        "raw": st.none() | st.binary(),
        "day": st.none() | st.dates(),
        "at": st.none() | st.datetimes(dt.datetime(1, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    }
)
DTYPES = {
    "text": pl.String(),
    "whole": pl.Int64(),
    "real": pl.Float64(),
    "flag": pl.Boolean(),
    "raw": pl.Binary(),
    "day": pl.Date(),
    "at": pl.Datetime("us", "UTC"),
}


@settings(max_examples=200, deadline=None)
@given(st.lists(EVERYTHING, max_size=8))
def test_what_is_written_reads_back_equal(rows):
    """Also texts of quotes, separators and line ends, and empty ones beside nulls."""
    frame = pl.DataFrame(rows, schema=DTYPES)
    values = of().encode(frame)
    decoded = of().decode(values, Schema.of(DTYPES))
    assert decoded.rejected == ()
    assert_frame_equal(decoded.frame, frame)
    for value, row in zip(values, rows, strict=True):
        # Python's reader sees the same texts; it does not tell "" from nothing.
        [read] = csv.reader(io.StringIO(value.decode(), newline=""), strict=True)
        assert read[0] == (row["text"] or "")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.binary(max_size=12) | st.text('a",;\r\n', max_size=8).map(str.encode))
)
def test_any_bytes_are_a_row_or_a_rejection(values):
    """Nothing crashes, nothing gets lost, and no row depends on those beside it."""
    decoded = of().decode(values, TEXTS)
    assert decoded.frame.height + len(decoded.rejected) == len(values)
    alone = [of().decode([one], TEXTS) for one in values]
    assert decoded.frame.rows() == [row for one in alone for row in one.frame.rows()]


def test_the_schema_of_a_row_is_texts():
    """Types cannot be seen in CSV, so none are guessed."""
    assert of().infer([None, b'1,"2"']).dtypes == {
        "column_1": pl.String(),
        "column_2": pl.String(),
    }
    with pytest.raises(SchemaError, match="none of 1 values is a CSV row"):
        of().infer([None])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_float_that_is_no_number_refuses_its_row(value):
    """CSV has no agreed text for it."""
    with pytest.raises(RowsRefused) as refused:
        of().encode(pl.DataFrame({"a": [1.0, value]}))
    assert list(refused.value.reasons) == [1]


def test_a_row_that_would_be_nothing_is_refused():
    """The only column is null: the value would be empty, as a broken one is."""
    frame = pl.DataFrame({"a": [None, "x"]})
    with pytest.raises(RowsRefused):
        of().encode(frame)
    assert of(null="-").encode(frame) == [b"-", b"x"]


def test_nested_columns_are_refused():
    """The hint says what to do instead."""
    with pytest.raises(SchemaError, match="no CSV field"):
        of().encode(pl.DataFrame({"a": [[1]]}))


def test_options_are_checked():
    """A misspelt option or an impossible separator is told at once."""
    with pytest.raises(UnknownName, match="seperator"):
        of(seperator=";")
    with pytest.raises(UsageError, match="one character"):
        of(separator="||")
