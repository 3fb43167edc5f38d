"""A regular join is, at every moment, what polars makes of the rows of both sides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import UsageError
from streamlab.formats.changes import OPERATIONS
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive
from streamlab.transforms.regular_join import RegularHow, RegularJoin

ORDERS = pl.Schema({"id": pl.Int64, "customer": pl.Int64, "amount": pl.Int64})
CUSTOMERS = pl.Schema({"customer": pl.Int32, "city": pl.String, "amount": pl.Int64})
CHANGES = {"_op": OPERATIONS}
HOWS: Sequence[RegularHow] = ("inner", "left", "full")
Row: TypeAlias = tuple[Any, ...]


def driven(join: RegularJoin, orders: pl.Schema, customers: pl.Schema) -> Drive:
    """Return the drive of a join whose function hands its changes through."""

    @sl.transform(join=join)
    def joined(changes: pl.LazyFrame) -> pl.LazyFrame:
        return changes

    streams = {"orders": Schema.of(orders), "customers": Schema.of(customers)}
    return Drive.of(Chain.of([joined], streams, Path()))


def join(how: RegularHow, **more: Any) -> RegularJoin:
    """Return a join of orders with customers that lasts."""
    return sl.regular_join(
        "orders", "customers", keys="customer", how=how, ttl="1d", **more
    )


def applied(result: Counter[Row], changes: pl.DataFrame) -> None:
    """Bring a result up to date; a row that is not there cannot be deleted."""
    for *row, operation in changes.iter_rows():
        if operation == "delete":
            assert result[tuple(row)] > 0
            result[tuple(row)] -= 1
        else:
            assert operation == "insert"
            result[tuple(row)] += 1


def expected(orders: pl.DataFrame, customers: pl.DataFrame, how: RegularHow) -> Any:
    """Return what polars makes of all rows at once."""
    met = orders.join(
        customers.with_columns(pl.col("customer").cast(pl.Int64)),
        on="customer",
        how=how,
        coalesce=True,
    )
    columns = ["id", "customer", "amount", "city", "amount_right"]
    return Counter(met.select(columns).iter_rows())


def random_rows(chance: random.Random, kind: str) -> list[Row]:
    """Return rows of orders or customers, with few keys, some null, some twice."""
    rows: list[Row] = []
    for number in range(40):
        key = chance.choice([1, 2, 3, 4, 5, None])
        row = (
            (number, key, chance.randrange(3))
            if kind == "orders"
            else (key, chance.choice(["x", "y", None]), chance.randrange(2))
        )
        rows += [row] * chance.choice([1, 1, 2])
    return rows


def cut(
    chance: random.Random, streams: Mapping[str, Sequence[Row]]
) -> Iterable[dict[str, list[Row]]]:
    """Yield epochs of some streams, read side by side as chance has it."""
    left = {name: list(rows) for name, rows in streams.items()}
    most = chance.choice([3, 15, 100])
    while any(left.values()):
        sizes = {name: chance.randint(0, most) for name in left}
        yield {name: rows[: sizes[name]] for name, rows in left.items()}
        left = {name: rows[sizes[name] :] for name, rows in left.items()}


def framed(rows: Sequence[Row], schema: pl.Schema) -> pl.DataFrame:
    """Return rows as a frame."""
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("seed", range(4))
def test_rows_that_are_added_meet_all_others(seed: int, how: RegularHow) -> None:
    """After each epoch, and however the two sides are read."""
    chance = random.Random(seed)
    rows = {name: random_rows(chance, name) for name in ("orders", "customers")}
    schemas = {"orders": ORDERS, "customers": CUSTOMERS}
    drive = driven(join(how), ORDERS, CUSTOMERS)
    result: Counter[Row] = Counter()
    so_far: dict[str, list[Row]] = {name: [] for name in rows}
    for epoch in cut(chance, rows):
        frames = {name: framed(part, schemas[name]) for name, part in epoch.items()}
        passed = drive.epoch(frames)
        applied(result, passed.output)
        for name, part in epoch.items():
            so_far[name] += part
        both = [framed(so_far[name], schemas[name]) for name in schemas]
        assert +result == expected(*both, how)
    counts = drive.counts["joined"]
    assert counts.accepted == sum(map(len, rows.values()))
    assert counts.held == sum(
        row[position] is not None
        for name, position in (("orders", 1), ("customers", 0))
        for row in rows[name]
    )


def random_changes(chance: random.Random, kind: str) -> list[Row]:
    """Return changes of a few rows; some change the key, some a row that is not there.

    A delete has the columns that name the row, as a database sends it.
    """
    rows: list[Row] = []
    for _ in range(80):
        operation = chance.choice(["insert", "update", "update", "snapshot", "delete"])
        number, key = chance.randrange(8), chance.choice([1, 2, 3, None])
        gone = operation == "delete"
        if kind == "orders":
            values = (None, None) if gone else (key, chance.randrange(3))
            rows.append((number, *values, operation))
        else:
            values = (None, None) if gone else (chance.choice("xy"), 1)
            rows.append((1 + number % 4, *values, operation))
    return rows


def table(rows: Sequence[Row], schema: pl.Schema) -> pl.DataFrame:
    """Return what is there after some changes; the first column names a row."""
    there: dict[Any, Row] = {}
    for *row, operation in rows:
        if operation == "delete":
            there.pop(row[0], None)
        else:
            there[row[0]] = tuple(row)
    return framed(list(there.values()), schema)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("changing", ["orders", "both"])
def test_changes_of_a_side_change_the_result(
    seed: int, how: RegularHow, changing: str
) -> None:
    """An update of a row finds it by what names it, also under another key."""
    chance = random.Random(seed)
    customers = random_changes(chance, "customers")
    schemas = {"orders": pl.Schema({**ORDERS, **CHANGES}), "customers": CUSTOMERS}
    identity = {"orders": "id"}
    rows = {"orders": random_changes(chance, "orders")}
    rows["customers"] = random_rows(chance, "customers")
    if changing == "both":
        schemas["customers"] = pl.Schema({**CUSTOMERS, **CHANGES})
        identity["customers"] = "customer"
        rows["customers"] = customers
    drive = driven(join(how, identity=identity), *schemas.values())
    result: Counter[Row] = Counter()
    so_far: dict[str, list[Row]] = {name: [] for name in rows}
    for epoch in cut(chance, rows):
        frames = {name: framed(part, schemas[name]) for name, part in epoch.items()}
        applied(result, drive.epoch(frames).output)
        for name, part in epoch.items():
            so_far[name] += part
        both = [table(so_far["orders"], ORDERS), framed([], CUSTOMERS)]
        both[1] = (
            table(so_far["customers"], CUSTOMERS)
            if changing == "both"
            else framed(so_far["customers"], CUSTOMERS)
        )
        assert +result == expected(*both, how)


def test_a_result_without_one_change_is_found_out() -> None:
    """The negative control of the tests above."""
    drive = driven(join("left"), ORDERS, CUSTOMERS)
    orders, customers = framed([(1, 1, 0)], ORDERS), framed([(1, "x", 0)], CUSTOMERS)
    result: Counter[Row] = Counter()
    applied(result, drive.epoch({"orders": orders}).output)
    later = drive.epoch({"customers": customers}).output
    assert later["_op"].to_list() == ["delete", "insert"]
    applied(result, later.filter(pl.col("_op") == "insert"))
    assert +result != expected(orders, customers, "left")


def test_a_row_that_is_too_old_meets_nothing() -> None:
    """What came out of it stays."""
    short = sl.regular_join("orders", "customers", keys="customer", ttl="10us")
    drive = driven(short, ORDERS, CUSTOMERS)
    orders, customers = framed([(1, 1, 0)], ORDERS), framed([(1, "x", 0)], CUSTOMERS)
    drive.epoch({"orders": orders}, wall_us=0)
    assert drive.epoch({"customers": customers}, wall_us=9).output.height == 1
    assert drive.epoch({"customers": customers}, wall_us=10).output.is_empty()
    assert drive.counts["joined"].expired == 1
    assert drive.counts["joined"].held == 2


def test_a_change_that_changes_nothing_is_silent() -> None:
    """A repeated snapshot gives no rows."""
    schema = pl.Schema({**ORDERS, **CHANGES})
    drive = driven(join("left", identity={"orders": "id"}), schema, CUSTOMERS)
    rows = framed([(1, 1, 0, "snapshot")], schema)
    assert drive.epoch({"orders": rows}).output.height == 1
    assert drive.epoch({"orders": rows}).output.is_empty()


def test_a_table_that_is_emptied_leaves_the_result() -> None:
    """A TRUNCATE removes all rows of its side, and what comes behind it stays."""
    schema = pl.Schema({**ORDERS, **CHANGES})
    drive = driven(join("left", identity={"orders": "id"}), schema, CUSTOMERS)
    drive.epoch({"orders": framed([(1, 1, 0, "insert"), (2, 2, 0, "insert")], schema)})
    rows = [(3, 1, 0, "insert"), (None, None, None, "truncate"), (2, 9, 0, "insert")]
    output = drive.epoch({"orders": framed(rows, schema)}).output
    changes = sorted(output.select("id", "customer", "_op").rows())
    assert changes == [(1, 1, "delete"), (2, 2, "delete"), (2, 9, "insert")]


def test_changes_need_a_name_for_their_rows() -> None:
    """Without it an update could not find the row that it is of."""
    schema = pl.Schema({**ORDERS, **CHANGES})
    with pytest.raises(UsageError, match="nothing names its rows"):
        driven(join("left"), schema, CUSTOMERS)
    with pytest.raises(UsageError, match="has no column 'order'"):
        driven(join("left", identity={"orders": "order"}), schema, CUSTOMERS)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"how": "right"}, "how is 'right'"),
        ({"right": "orders"}, "both inputs of the join are orders"),
        ({"ttl": "long"}, "ttl is 'long'"),
        ({"identity": {"planes": "id"}}, "identity names 'planes'"),
    ],
)
def test_arguments_that_are_none_are_refused(
    given: dict[str, Any], message: str
) -> None:
    """When the join is declared."""
    arguments = {"right": "customers", "keys": "customer", "ttl": "1h", **given}
    with pytest.raises(UsageError, match=message):
        sl.regular_join("orders", **arguments)
