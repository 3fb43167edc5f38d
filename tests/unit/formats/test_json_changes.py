"""Change rows as plain JSON: every type reads back equal under the same schema."""

from __future__ import annotations

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats.json import JsonFormat
from tests.unit.formats.test_debezium import FRAME

FLAT = FRAME.drop("span")  # no PostgreSQL type becomes a Duration


def read_back(frame: pl.DataFrame) -> pl.DataFrame:
    decoded = JsonFormat().decode(JsonFormat().encode(frame), Schema.of(frame.schema))
    assert decoded.rejected == ()
    return decoded.frame


def test_change_rows_read_back_equal():
    """Rows, metadata, old rows and the names of unavailable columns come back."""
    assert read_back(FLAT).equals(FLAT, null_equal=True)


def test_far_years_read_back_equal():
    """Years before Christ and after 9999, which PostgreSQL has, travel with a sign."""
    days = pl.Series([-2_440_222, -719_528, -719_893, 2_932_896, 2_932_897, 95_026_236])
    frame = pl.DataFrame(
        {
            "day": days.cast(pl.Int32).cast(pl.Date),
            "local": (days * 86_400_000_000 + 1).cast(pl.Datetime("us")),
            "at": (days * 86_400_000_000 - 1).cast(pl.Datetime("us", "UTC")),
        }
    )
    assert read_back(frame).equals(frame)


def test_a_sign_is_for_far_years_only():
    """A year that needs no sign must not have one, so that a day has one form."""
    decoded = JsonFormat().decode(
        [b'{"day":"+2024-01-01"}'], Schema.of({"day": pl.Date()})
    )
    assert [one.code for one in decoded.rejected] == ["type-mismatch"]
