"""Joins with a table: its latest row of a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.formats.changes import change_schema
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.operators.operator import REMOVED
from tests.unit.operators.partitioned import held

ORDERS = pl.Schema({"order": pl.Int64, "customer": pl.Int64})
CUSTOMERS = pl.Schema({"id": pl.Int32, "name": pl.String, "city": pl.String})


def driven(table: pl.Schema, *, how: Any = "left", keys: Any = None) -> Drive:
    """Return a join of orders with a table, whose pairs pass through."""

    @sl.transform(
        join=sl.table_join(
            "orders", "customers", keys=keys or [("customer", "id")], how=how
        )
    )
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    schemas = {"orders": Schema.of(ORDERS), "customers": Schema.of(table)}
    return Drive.of(Chain.of([joined], schemas, Path()))


def orders(*customers: int | None) -> pl.DataFrame:
    """Return an order of each of some customers."""
    rows = [(number, one) for number, one in enumerate(customers)]
    return pl.DataFrame(rows, schema=ORDERS, orient="row")


def names(drive: Drive, *customers: int | None) -> list[str | None]:
    """Return whose orders those of some customers are."""
    return drive.epoch({"orders": orders(*customers)}).output["name"].to_list()


def changes(*rows: dict[str, Any]) -> pl.DataFrame:
    """Return rows in the shape of changes."""
    return pl.DataFrame(list(rows), schema=change_schema(CUSTOMERS))


def row(op: str, key: int | None, name: str | None = None, **more: Any) -> Any:
    """Return a change."""
    return {"_op": op, "id": key, "name": name, "city": None, **more}


def test_the_latest_row_of_a_key_counts_and_order_is_kept() -> None:
    """Also one that came in the same epoch, and behind another."""
    drive = driven(CUSTOMERS)
    table = pl.DataFrame(
        [(1, "Ada", "Paris"), (2, "Bob", "Rome"), (1, "Eve", "Oslo")],
        schema=CUSTOMERS,
        orient="row",
    )
    out = drive.epoch({"customers": table, "orders": orders(2, 3, None, 1)}).output
    assert out.rows() == [
        (0, 2, 2, "Bob", "Rome"),
        (1, 3, None, None, None),
        (2, None, None, None, None),
        (3, 1, 1, "Eve", "Oslo"),
    ]
    assert out.schema["id"] == pl.Int32
    assert held(drive) == drive.tables["joined.latest"].height == 2


def test_an_inner_join_leaves_out_what_has_no_row() -> None:
    """And a null key, which meets none."""
    drive = driven(CUSTOMERS, how="inner")
    drive.epoch({"customers": pl.DataFrame([(1, "Ada", "x")], CUSTOMERS, orient="row")})
    assert names(drive, 1, 2, None) == ["Ada"]


def test_deleted_rows_and_truncated_tables_are_gone() -> None:
    """A row that was deleted can come back."""
    drive = driven(change_schema(CUSTOMERS))
    drive.epoch(
        {"customers": changes(row("snapshot", 1, "Ada"), row("insert", 2, "Bob"))}
    )
    drive.epoch({"customers": changes(row("update", 2, "Ben"), row("delete", 1))})
    assert names(drive, 1, 2) == [None, "Ben"]
    drive.epoch({"customers": changes(row("insert", 1, "Amy"))})
    assert names(drive, 1, 2) == ["Amy", "Ben"]
    drive.epoch(
        {
            "customers": changes(
                row("insert", 3, "Cat"), row("truncate", None), row("insert", 2, "Bea")
            )
        }
    )
    assert names(drive, 1, 2, 3) == [None, "Bea", None]
    assert held(drive) == 1


def test_a_message_without_a_value_removes_its_key() -> None:
    """As compaction of a topic means it."""
    drive = driven(CUSTOMERS)
    table = pl.DataFrame([(1, "Ada", "x"), (2, "Bob", "y")], CUSTOMERS, orient="row")
    gone = pl.DataFrame([(1, None, None)], CUSTOMERS, orient="row")
    drive.epoch({"customers": table})
    drive.epoch({"customers": gone.with_columns(pl.lit(value=True).alias(REMOVED))})
    assert names(drive, 1, 2) == [None, "Bob"]
    assert drive.chain.tables == {"customers": ("id",)}


def test_a_row_that_came_to_another_key_has_left_the_old_one() -> None:
    """Where the change says what the key was."""
    drive = driven(change_schema(CUSTOMERS))
    drive.epoch({"customers": changes(row("insert", 1, "Ada"))})
    before = {"id": 1, "name": "Ada", "city": None}
    drive.epoch({"customers": changes(row("update", 5, "Ada", _before=before))})
    assert names(drive, 1, 5) == [None, "Ada"]


def test_values_that_were_not_sent_are_what_they_were() -> None:
    """From the table, and from the change before in the same epoch."""
    drive = driven(change_schema(CUSTOMERS))
    drive.epoch(
        {
            "customers": changes(
                {**row("insert", 1, "Ada"), "city": "Paris"},
                {**row("insert", 2, "Bob"), "city": "Rome"},
            )
        }
    )
    drive.epoch(
        {
            "customers": changes(
                row("update", 1, "Eve", _unavailable=["city"]),
                {**row("update", 2, "Ben"), "city": None},
                row("update", 2, "Bea", _unavailable=["city"]),
                {**row("insert", 3, "Cat"), "city": "Oslo"},
                row("update", 3, "Cid", _unavailable=["city"]),
            )
        }
    )
    out = drive.epoch({"orders": orders(1, 2, 3)}).output
    assert out.select("name", "city").rows() == [
        ("Eve", "Paris"),
        ("Bea", None),
        ("Cid", "Oslo"),
    ]


def test_a_row_that_came_to_another_key_without_its_values_stops() -> None:
    """It says what the database must do."""
    drive = driven(change_schema(CUSTOMERS))
    before = {"id": 1, "name": None, "city": None}
    moved = row("insert", 2, "Ada", _before=before, _unavailable=["city"])
    with pytest.raises(TransformError, match="did not send all of its values"):
        drive.epoch({"customers": changes(moved)})


def test_an_operation_that_is_none_stops() -> None:
    """Rather than being taken for a row."""
    schema = pl.Schema({**CUSTOMERS, "_op": pl.String})
    drive = driven(schema)
    rows = pl.DataFrame([(1, "Ada", "x", "d")], schema, orient="row")
    with pytest.raises(TransformError, match="none of snapshot, insert"):
        drive.epoch({"customers": rows})


def test_the_columns_of_a_change_are_not_in_a_pair() -> None:
    """Only those of the table."""
    drive = driven(change_schema(CUSTOMERS))
    assert drive.output.columns == ["order", "customer", "id", "name", "city"]


def test_the_chain_says_that_a_replay_may_come_otherwise() -> None:
    """And that the table does not hold the event time back."""
    drive = driven(CUSTOMERS)
    assert not drive.chain.deterministic
    assert drive.chain.timeless == {"customers"}


def test_the_event_time_of_the_stream_is_passed_on() -> None:
    """To a window behind the join, with late events kept apart."""

    @sl.transform(join=sl.table_join("orders", "customers", keys="id", on="at"))
    def joined(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    schemas = {
        "orders": Schema.of(pl.Schema({"id": pl.Int64, "at": pl.Int64})),
        "customers": Schema.of(pl.Schema({"id": pl.Int64, "name": pl.String})),
    }
    drive = Drive.of(Chain.of([joined], schemas, Path()))
    rows = pl.DataFrame({"id": [1, 1, 1], "at": [10, 5, 20]})
    drive.epoch({"orders": rows})
    assert drive.late["orders"][0]["at"].to_list() == [5]
    assert drive.moment.after == 20_000


def test_a_table_without_the_key_is_refused() -> None:
    """With the columns that it has."""
    with pytest.raises(UsageError, match="customers has no column 'nr' to join by"):
        driven(CUSTOMERS, keys=[("customer", "nr")])
