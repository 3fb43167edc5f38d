"""Which column takes which type, and the text that COPY reads."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.connectors.postgres.columns import CopyText, fits, sql_type
from streamlab.errors import SchemaError

FITS = [
    (pl.Int64(), "bigint", True),
    (pl.Int64(), "integer", True),  # refuses what is out of range
    (pl.Int64(), "numeric(20,0)", True),
    (pl.Int64(), "real", False),  # would round
    (pl.Int64(), "text", False),
    (pl.Float64(), "numeric", True),
    (pl.Float64(), "numeric(10,2)", False),  # would round
    (pl.Float64(), "real", False),  # would round
    (pl.Float32(), "double precision", True),
    (pl.String(), "character varying(10)", True),
    (pl.String(), "uuid", True),
    (pl.String(), "date", False),  # its reading depends on the session's DateStyle
    (pl.Datetime("us", "UTC"), "timestamp with time zone", True),
    (pl.Datetime("us", "UTC"), "timestamp without time zone", False),
    (pl.Datetime("us"), "timestamp(0) without time zone", False),  # would round
    (pl.Decimal(10, 2), "numeric(12,4)", True),
    (pl.Decimal(10, 2), "numeric(12,1)", False),  # would round
    (pl.Decimal(10, 2), "numeric", True),
    (pl.Struct({"a": pl.Int64()}), "json", True),
    (pl.Binary(), "bytea", True),
    (pl.Binary(), "text", False),
]


@pytest.mark.parametrize(("dtype", "found", "expected"), FITS)
def test_column_fits_when_it_keeps_or_refuses_a_value(
    dtype: pl.DataType, found: str, *, expected: bool
) -> None:
    """A column that would change a value silently does not fit."""
    assert fits(dtype, found) is expected


@pytest.mark.parametrize(
    "dtype",
    [
        pl.Object(),
        pl.Null(),
        pl.List(pl.Binary()),
        pl.Struct({"a": pl.List(pl.Struct({"b": pl.Binary()}))}),
    ],
    ids=str,
)
def test_type_without_a_column_is_refused_by_name(dtype: pl.DataType) -> None:
    """What no column can hold is said when the sink is opened."""
    with pytest.raises(SchemaError, match="'odd' has the type"):
        sql_type("odd", dtype)


def test_null_and_empty_text_differ_and_every_text_is_quoted() -> None:
    """A lone backslash-dot would otherwise end a COPY before PostgreSQL 17."""
    frame = pl.DataFrame({"v": [None, "", "\\.", 'a"b']})
    text = CopyText(frame.schema).encode(frame)
    assert bytes(text) == b'\n""\n"\\."\n"a""b"\n'


def test_columns_that_need_no_conversion_have_none() -> None:
    """The hot path of plain columns is one call of polars."""
    schema = pl.Schema({"a": pl.Int64, "b": pl.String, "c": pl.Datetime("us", "UTC")})
    assert CopyText(schema)._conversions == []
