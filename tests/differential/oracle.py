"""What a case must give, by DuckDB over all events at once, and how to compare."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from streamlab.operators.netting import netted
from tests.differential.grammar import Case
from tests.differential.streams import Stream

RELATIVE, ABSOLUTE = 1e-9, 1e-9


def expected(case: Case, streams: Mapping[str, Stream]) -> pl.DataFrame:
    """Return the right rows."""
    with duckdb.connect() as connection:
        for name, stream in streams.items():
            connection.register(name, stream.marked().to_arrow())
        return pl.DataFrame(connection.sql(case.sql).to_arrow_table())


def difference(case: Case, found: pl.DataFrame, right: pl.DataFrame) -> str:
    """Return how two frames differ as multisets of rows; empty where they do not.

    Args:
        case: Says how changes are carried out.
        found: Rows that came out, changes perhaps.
        right: Rows that must be there in the end.
    """
    found = netted(found, case.key)
    found = found.select(
        (
            pl.col(name).dt.epoch("ms")
            if isinstance(found.schema[name], pl.Datetime)
            else pl.col(name)
        ).cast(dtype)
        for name, dtype in right.schema.items()
    )
    if found.height != right.height:
        return f"{found.height} rows instead of {right.height}"
    floats = [name for name, dtype in right.schema.items() if dtype.is_float()]
    order = [name for name in right.columns if name not in floats] + floats
    found, right = found.sort(order), right.sort(order)
    for name in order:
        a, b = found[name], right[name]
        near = (
            (a - b).abs() <= ABSOLUTE + RELATIVE * b.abs() if name in floats else None
        )
        same = a.eq_missing(b) if near is None else near | (a.is_null() & b.is_null())
        if not same.fill_null(value=False).all():
            rows = found.filter(~same).head(3), right.filter(~same).head(3)
            return f"column {name} differs: {rows[0]} instead of {rows[1]}"
    return ""
