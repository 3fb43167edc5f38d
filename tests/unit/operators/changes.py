"""What changes lead to."""

from __future__ import annotations

from typing import Any

import polars as pl


def merged(changes: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """Return what a table holds after some changes; check that each is fit to be."""
    held: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    own = changes.drop("_op")
    for row, name, op in zip(
        own.iter_rows(), own.select(key).iter_rows(), changes["_op"], strict=True
    ):
        if op == "delete":
            assert held.pop(name) == row
        else:
            assert (name in held) == (op == "update")
            assert held.get(name) != row
            held[name] = row
    return pl.DataFrame(list(held.values()), own.schema, orient="row")
