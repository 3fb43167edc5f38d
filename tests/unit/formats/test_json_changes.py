"""Change rows as plain JSON: every type reads back equal under the same schema."""

from __future__ import annotations

import polars as pl
from polars.testing import assert_frame_equal

from streamlab.contracts import Schema
from streamlab.formats import named
from streamlab.formats.changes import BEFORE, METADATA, own_columns
from tests.unit.formats.test_debezium import FRAME

FLAT = FRAME.drop("span")  # no PostgreSQL type becomes a Duration


def read_back(frame: pl.DataFrame) -> pl.DataFrame:
    decoded = named("json").decode(named("json").encode(frame), Schema.of(frame.schema))
    assert decoded.rejected == ()
    return decoded.frame


def test_change_rows_read_back_equal():
    """Rows, metadata, old rows and the names of unavailable columns come back."""
    assert read_back(FLAT).equals(FLAT, null_equal=True)


def test_metadata_are_inferred_as_they_are():
    """A topic of change rows is told by their metadata, which has its exact types."""
    values = named("json").encode(FLAT)
    inferred = named("json").infer(values)
    assert {name: inferred.dtypes[name] for name in METADATA} == METADATA
    own = own_columns(inferred.dtypes, "the test")
    assert list(own) == [n for n in FLAT.columns if n not in {*METADATA, BEFORE}]
    decoded = named("json").decode(values, inferred)
    assert decoded.rejected == ()
    plain = [*METADATA, "id", "name", "ok"]
    found = decoded.frame.with_columns(pl.col("id").cast(pl.Int32))
    assert_frame_equal(found.select(plain), FLAT.select(plain))


def test_an_old_row_has_the_types_of_the_new_one():
    """Where old rows were not seen, or seen with nulls, they are as the columns are."""
    values = named("json").encode(FLAT)
    for sample in (values[:2], values[3:4], values):
        inferred = named("json").infer(sample)
        own_columns(inferred.dtypes, "the test")
        assert named("json").decode(sample, inferred).rejected == ()


def test_columns_that_look_alike_are_no_changes():
    """Rows without all of the metadata, or with others in it, stay as they look."""
    values = named("json").encode(FLAT)
    less = named("json").encode(FLAT.drop("_xid"))
    assert named("json").infer(less).dtypes["_commit_time"] == pl.String()
    other = [one.replace(b'"_lsn":1000', b'"_lsn":"1000"') for one in values]
    assert named("json").infer(other).dtypes["_commit_time"] == pl.String()


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
    decoded = named("json").decode(
        [b'{"day":"+2024-01-01"}'], Schema.of({"day": pl.Date()})
    )
    assert [one.code for one in decoded.rejected] == ["type-mismatch"]
