"""What a changelog amounts to, and whether two results are the same."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.formats.changes import OP
from streamlab.transforms.checks import same_rows

RELATIVE = 1e-9  # how far the floats of an aggregation may be apart


def netted(rows: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """Return what is left when changes are carried out one after another.

    Args:
        rows: With ``_op`` where they are changes; others are returned as they are.
        key: Columns that name a row; none where a row is only inserted and deleted.
    """
    if OP not in rows.columns:
        return rows
    if key:
        last = rows.unique(key, keep="last", maintain_order=True)
        return last.filter(pl.col(OP) != "delete").drop(OP)
    columns = [name for name in rows.columns if name != OP]
    counted = rows.group_by(columns, maintain_order=True).agg(
        (pl.col(OP) != "delete").sum().cast(pl.Int64)
        - (pl.col(OP) == "delete").sum().cast(pl.Int64)
    )
    return (
        counted.select(pl.col(columns).repeat_by(pl.col(OP).clip(0)).explode())
        if columns
        else counted.drop(OP)
    )


def near_rows(left: pl.DataFrame, right: pl.DataFrame) -> bool:
    """Return whether two frames have the same multiset of rows.

    Floats may be apart by :data:`RELATIVE` of their size, NaN equals NaN, and null
    equals null.
    """
    if left.schema != right.schema or left.height != right.height:
        return False
    floats = [name for name, dtype in left.schema.items() if dtype.is_float()]
    nested = [name for name, dtype in left.schema.items() if dtype.is_nested()]
    if not floats or nested:
        return same_rows(left, right)
    order = [name for name in left.columns if name not in floats] + floats
    left, right = left.sort(order), right.sort(order)
    return all(_near(left[n], right[n], is_float=n in floats) for n in order)


def _near(left: pl.Series, right: pl.Series, *, is_float: bool) -> bool:
    same = left.eq_missing(right)
    if is_float:
        largest = left.abs().zip_with(left.abs() > right.abs(), right.abs())
        near = (left - right).abs() <= RELATIVE * largest
        same = same | near.fill_null(value=False)
    return bool(same.all())
