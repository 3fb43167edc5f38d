"""The table in memory does what the interface says; the durable ones are held to it."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.errors import UsageError
from streamlab.state.memory import MemoryTable
from streamlab.state.table import TableLayout

SCHEMA = pl.Schema({"key": pl.String(), "n": pl.Int64(), "due": pl.Int64()})
MANY = TableLayout("many", SCHEMA, ("key",), "due")
ONE = TableLayout("one", SCHEMA, ("key",), "due", unique=True)


def rows(*values: tuple[str | None, int, int | None]) -> pl.DataFrame:
    """Return rows of the layouts above."""
    return pl.DataFrame(values, schema=SCHEMA, orient="row")


def keys(*values: str | None) -> pl.DataFrame:
    """Return keys of the layouts above."""
    return pl.DataFrame({"key": values}, schema={"key": pl.String})


def test_rows_of_a_key_come_in_the_order_they_were_put() -> None:
    """Null is a key like any other, and a key asked for twice counts once."""
    table = MemoryTable(MANY)
    table.put(rows(("a", 1, 5), (None, 2, 5)))
    table.put(rows(("a", 3, 4)))
    assert table.get(keys("a", "a")).rows() == [("a", 1, 5), ("a", 3, 4)]
    assert table.take(keys(None, "c")).rows() == [(None, 2, 5)]
    assert table.height == 2


def test_what_is_due_is_taken_once() -> None:
    """A null due time is never."""
    table = MemoryTable(MANY)
    table.put(rows(("a", 1, 5), ("b", 2, 4), ("c", 3, None), ("d", 4, 6)))
    assert table.take_due(5)["n"].to_list() == [2, 1]
    assert table.take_due(5).is_empty()
    assert table.take_due(9)["n"].to_list() == [4]
    assert table.height == 1


def test_a_unique_table_has_the_last_row_of_a_key() -> None:
    """Within one put, too."""
    table = MemoryTable(ONE)
    table.put(rows(("a", 1, 5), ("a", 2, 5)))
    table.put(rows(("a", 3, 7), ("b", 4, 7)))
    assert table.take_due(6).is_empty()
    assert sorted(table.get(keys("a", "b"))["n"]) == [3, 4]


def test_a_layout_refuses_columns_that_are_not_there() -> None:
    """A due time must be a whole number, too."""
    with pytest.raises(UsageError, match="no column 'nothing'"):
        TableLayout("t", SCHEMA, ("nothing",))
    with pytest.raises(UsageError, match="must be Int64"):
        TableLayout("t", SCHEMA, ("key",), due="key")


def test_the_size_is_that_of_a_file_with_the_rows_that_are_left() -> None:
    """A text takes an entry of 16 bytes, and its own bytes where it is long."""
    long = "a key of more than twelve bytes"
    table = MemoryTable(MANY)
    table.put(rows((long, 1, 5), *((f"{long} {n}", n, 5) for n in range(1000))))
    table.take(keys(*(f"{long} {n}" for n in range(1000))))
    assert table.height == 1
    assert table.size_bytes == 16 + len(long) + 8 + 8
