"""What JSON is written, and that it reads back equal."""

from __future__ import annotations

import datetime as dt
import decimal
import json

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.errors import RowsRefused, SchemaError
from streamlab.formats import named
from streamlab.formats.json.writing import FEW_ROWS

MOMENT = dt.datetime(2013, 1, 1, 10, 0, 0, 5)  # noqa: DTZ001 -- naive on purpose


def everything() -> pl.DataFrame:
    """A value and a null of every type that can be written and read."""
    return pl.DataFrame(
        {
            "text": ['a\n"\\\u2028é😀\0', None],
            "boolean": [True, None],
            "float": [0.1, None],
            "bytes": [b"\xff\n", None],
            "date": [dt.date(2013, 1, 1), None],
            "time": [dt.time(1, 2, 3, 4), None],
            "naive": [MOMENT, None],
            "decimal": [decimal.Decimal("-1.50"), None],
            "list": [[1, None], []],
            "struct": [{"raw": b"x", "times": [MOMENT, None]}, None],
        }
    ).with_columns(
        pl.lit(2**100).cast(pl.Int128).alias("int128"),
        pl.Series("int8", [-128, None], dtype=pl.Int8),
        pl.Series("uint64", [2**64 - 1, None], dtype=pl.UInt64),
        pl.Series("float32", [0.1, None], dtype=pl.Float32),
        pl.Series("enum", ["x", None], dtype=pl.Enum(["x"])),
        pl.col("naive").cast(pl.Datetime("ns")).alias("ns"),
        pl.col("naive").dt.replace_time_zone("Europe/Berlin").alias("berlin"),
        pl.col("naive").dt.cast_time_unit("ms").dt.replace_time_zone("UTC").alias("ms"),
    )


def test_few_rows_are_written_like_many() -> None:
    """There are two ways of writing, and they give the same bytes."""
    few = everything()
    many = pl.concat([few] * FEW_ROWS)
    assert named("json").encode(many) == named("json").encode(few) * FEW_ROWS


def test_every_type_reads_back_equal() -> None:
    """Encoding and decoding under the same schema is the identity."""
    frame = everything()

    decoded = named("json").decode(named("json").encode(frame), Schema.of(frame.schema))

    assert decoded.rejected == ()
    assert_frame_equal(decoded.frame, frame)


def test_values_are_plain_compact_json() -> None:
    """Any JSON parser reads the values; a zoned time is in UTC with Z."""
    [first, second] = named("json").encode(
        everything().select("text", "list", "berlin")
    )

    assert json.loads(first) == {
        "text": 'a\n"\\\u2028é😀\0',
        "list": [1, None],
        "berlin": "2013-01-01T09:00:00.000005Z",
    }
    assert second == b'{"text":null,"list":[],"berlin":null}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: {"y": [x]}])
def test_float_that_json_cannot_hold_is_refused_by_row(number: float, wrap) -> None:
    """NaN and infinity are refused with row and column, at every depth."""
    frame = pl.DataFrame({"x": [wrap(1.0), wrap(number), None, wrap(2.0)]})

    with pytest.raises(RowsRefused) as refused:
        named("json").encode(frame)

    assert list(refused.value.reasons) == [1]
    assert "column 'x' is NaN or infinite" in refused.value.reasons[1]


def test_type_without_json_form_is_refused_by_name() -> None:
    """A Python object cannot be written, and the message says which column."""
    frame = pl.DataFrame({"x": [object()]}, schema={"x": pl.Object})

    with pytest.raises(SchemaError, match="column 'x' is Object"):
        named("json").encode(frame)


@pytest.mark.parametrize("height", [0, 1, 3])
def test_one_value_a_row(height: int) -> None:
    """There are as many values as rows, also without rows and without columns."""
    column = pl.DataFrame({"x": pl.Series(range(height), dtype=pl.Int64)})

    assert len(named("json").encode(column)) == height
    assert named("json").encode(pl.DataFrame(height=height)) == [b"{}"] * height


def test_durations_and_fixed_arrays_are_written() -> None:
    """What cannot be declared for reading can still be written."""
    frame = pl.DataFrame(
        {
            "took": [dt.timedelta(seconds=90)],
            "pair": pl.Series([[1.5, 2.5]], dtype=pl.Array(pl.Float64, 2)),
            "at": pl.Series([[MOMENT]], dtype=pl.Array(pl.Datetime("us"), 1)),
            "nothing": [None],
        }
    )

    [value] = named("json").encode(frame)

    assert json.loads(value) == {
        "took": "PT90S",
        "pair": [1.5, 2.5],
        "at": ["2013-01-01T10:00:00.000005"],
        "nothing": None,
    }
