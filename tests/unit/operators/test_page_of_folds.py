"""The code on the page of folds runs, and holds what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.operators.chain import Chain

PAGE = Path(__file__).parents[3] / "docs/folds.md"


def names() -> dict[str, Any]:
    """Return what the page's code defines."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    found: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_the_first_fold_gives_the_same_on_any_cut() -> None:
    """As the page promises of its three habits."""
    flights = pl.DataFrame(
        {"tailnum": ["a", "b", None, "a"] * 20, "distance": [1.0, 2.0, 4.0, 8.0] * 20}
    )
    shown = sl.evaluate(names()["odometer"], flights)
    assert shown.rows.kind == "tested"
    assert shown.output["miles"].max() == 180


def test_the_librarys_examples_fit_their_columns() -> None:
    """Each is made, and builds on events that have what it names."""
    columns = {
        "order_id": pl.Int64(),
        "customer": pl.String(),
        "account_id": pl.Int64(),
        "auction": pl.Int64(),
        "ordered": pl.Datetime("us", "UTC"),
        "amount": pl.Int64(),
        "seconds": pl.Float64(),
        "price": pl.Int64(),
    }
    streams = {"events": Schema.of(pl.Schema(columns))}
    defined = names()
    for name in ("once", "spent", "slowest", "accounts", "dearest"):
        assert Chain.of([defined[name]], streams, Path()).output_schema


def test_the_regular_join_builds() -> None:
    """On orders and customers as the page has them."""
    orders = {"order_id": pl.Int64(), "customer_id": pl.Int64(), "amount": pl.Int64()}
    customers = {"customer_id": pl.Int64(), "city": pl.String()}
    streams = {
        "orders": Schema.of(pl.Schema(orders)),
        "customers": Schema.of(pl.Schema(customers)),
    }
    chain = Chain.of([names()["enriched"]], streams, Path())
    assert chain.output_schema.names() == ["order_id", "city", "amount", "_op"]
