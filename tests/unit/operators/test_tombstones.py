"""Messages without a value, as rows that remove their key."""

from __future__ import annotations

import polars as pl

from streamlab.operators.joins.tombstones import removals
from streamlab.operators.operator import REMOVED

SCHEMA = pl.Schema({"id": pl.Int64, "day": pl.Date, "name": pl.String})


def test_a_key_of_one_column_is_its_text_or_a_json_object() -> None:
    """As a sink writes it, and as a stream of changes does."""
    texts = [b"7", b'{"id": 8}', b"x", None, b'{"nr": 9}', b"\xff", b"{"]
    rows, is_read = removals(SCHEMA, ["id"], texts)
    assert rows["id"].to_list() == [7, 8]
    assert is_read.to_list() == [True, True, *[False] * 5]
    assert rows.schema == {**SCHEMA, REMOVED: pl.Boolean}
    assert rows[REMOVED].all()
    assert rows["name"].to_list() == [None, None]


def test_a_key_of_several_columns_is_a_json_object() -> None:
    """Text alone does not say which."""
    texts = [b'{"name": "it\'s", "day": "2026-05-01"}', b"2026-05-01"]
    rows, is_read = removals(SCHEMA, ["name", "day"], texts)
    assert rows.select("name", pl.col("day").dt.day()).rows() == [("it's", 1)]
    assert is_read.to_list() == [True, False]


def test_no_messages_are_no_rows() -> None:
    """With all columns."""
    rows, is_read = removals(SCHEMA, ["id"], [])
    assert rows.schema == {**SCHEMA, REMOVED: pl.Boolean}
    assert is_read.is_empty()
