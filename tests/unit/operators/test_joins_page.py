"""The examples of docs/joins.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.operators.chain import Chain
from streamlab.operators.driving import Drive

PAGE = Path(__file__).parents[3] / "docs" / "joins.md"


@pytest.fixture(scope="module")
def defined() -> dict[str, Any]:
    """Return what the code of the page defines."""
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL):
        exec(compile(code, str(PAGE), "exec"), names)
    return names


def result(transforms: list[Any], **streams: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return what comes of some streams."""
    schemas = {name: Schema.of(rows.schema) for name, rows in streams.items()}
    drive = Drive.of(Chain.of(transforms, schemas, Path()))
    drive.epoch(streams)
    drive.epoch({}, ended=True)
    return sorted(drive.output.rows())


def test_bids_until_an_auction_expires(defined: dict[str, Any]) -> None:
    """And the highest of them in a window of the column that is the bound."""
    auctions = pl.DataFrame({"id": [1], "date_time": [1000], "expires": [5000]})
    bids = pl.DataFrame(
        {"auction": [1, 1, 1], "date_time": [1000, 5000, 5001], "price": [3, 2, 9]}
    )
    streams = {"auctions": auctions, "bids": bids}
    assert result([defined["bids_in_time"]], **streams) == [
        (1, 5000, 2, 5000),
        (1, 5000, 3, 1000),
    ]
    both = [defined["bids_in_time"], defined["highest"]]
    ((auction, _, price),) = result(both, **streams)
    assert (auction, price) == (1, 3)


def test_a_flight_and_the_next_ones_of_its_plane(defined: dict[str, Any]) -> None:
    """In three hours."""
    flights = pl.DataFrame(
        {
            "tailnum": ["N1", "N1", "N1"],
            "flight": [1, 2, 3],
            "scheduled": [0, 2 * 3_600_000, 9 * 3_600_000],
        }
    )
    found = result([defined["connections"]], flights=flights)
    assert [(flight, following) for _, flight, _, following in found] == [
        (1, 2),
        (2, None),
        (3, None),
    ]


def test_an_order_with_the_city_of_its_customer(defined: dict[str, Any]) -> None:
    """Or without."""
    orders = pl.DataFrame({"order": [1, 2], "customer": [7, 8]})
    customers = pl.DataFrame({"id": [7], "city": ["Oslo"]})
    assert result([defined["with_city"]], orders=orders, customers=customers) == [
        (1, 7, "Oslo"),
        (2, 8, None),
    ]


def test_an_order_in_the_rate_of_its_time(defined: dict[str, Any]) -> None:
    """Not in the one that came later."""
    orders = pl.DataFrame(
        {
            "order": [1, 2],
            "currency": ["USD"] * 2,
            "ordered": [5, 20],
            "price": [10.0] * 2,
        }
    )
    rates = pl.DataFrame(
        {"currency": ["USD"] * 2, "since": [0, 20], "rate": [0.5, 0.9]}
    )
    assert result([defined["in_euros"]], orders=orders, rates=rates) == [
        (1, 5, 5.0),
        (2, 20, 9.0),
    ]


def test_a_seller_that_comes_behind_the_auction(defined: dict[str, Any]) -> None:
    """The row without a seller is deleted then."""
    auctions = pl.DataFrame({"id": [1], "seller": [7]})
    persons = pl.DataFrame({"id": [7], "name": ["Ada"]})
    schemas = {
        "auctions": Schema.of(auctions.schema),
        "persons": Schema.of(persons.schema),
    }
    drive = Drive.of(Chain.of([defined["sellers"]], schemas, Path()))
    drive.epoch({"auctions": auctions})
    drive.epoch({"persons": persons})
    assert drive.output["_op"].to_list() == ["insert", "delete", "insert"]
    assert drive.output["name"].to_list() == [None, None, "Ada"]
