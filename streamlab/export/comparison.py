"""Comparing two outputs row by row, and saying where they differ first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

MOST_COLUMNS = 5  # differing columns that a message shows


def difference(expected: pl.DataFrame, found: pl.DataFrame) -> str:
    """Return how two frames differ, or "" where they hold the same rows.

    Order counts for nothing when the rows are the same: partitions of a stream come
    in any order. NaN equals NaN, and every float must be exact.

    Args:
        expected: What should be there.
        found: What is there.
    """
    if expected.schema != found.schema:
        return _of_schemas(expected.schema, found.schema)
    if expected.equals(found):
        return ""
    missing = _without(expected, found)
    extra = _without(found, expected)
    if not missing and not extra:
        return ""
    if missing and extra:
        return _of_rows(expected, missing, found, extra)
    if missing:
        shown = _shown(expected, missing[0])
        return f"row {missing[0]} of {expected.height} is missing: {shown}"
    shown = _shown(found, extra[0])
    return f"row {extra[0]} of {found.height} was not expected: {shown}"


def _of_schemas(expected: pl.Schema, found: pl.Schema) -> str:
    for name in [*expected, *found]:
        if expected.get(name) != found.get(name):
            wanted = expected.get(name, "no such column")
            return f"column {name!r} is {found.get(name, 'missing')}, not {wanted}"
    return "the columns come in another order"


def _of_rows(
    expected: pl.DataFrame,
    missing: Sequence[int],
    found: pl.DataFrame,
    extra: Sequence[int],
) -> str:
    """Describe the first row that is missing, beside the one in its place."""
    place = missing[0]
    row = place if place in extra else extra[0]
    wanted, got = expected.row(place, named=True), found.row(row, named=True)
    columns = [
        n for n in wanted if not pl.Series([wanted[n]]).equals(pl.Series([got[n]]))
    ]
    listed = "; ".join(
        f"{name} should be {wanted[name]!r} and is {got[name]!r}"
        for name in columns[:MOST_COLUMNS]
    )
    more = len(columns) - MOST_COLUMNS
    tail = f"; and {more} columns more" if more > 0 else ""
    return f"row {place} of {expected.height}: {listed}{tail}"


def _without(frame: pl.DataFrame, other: pl.DataFrame) -> list[int]:
    """Return the numbers of the rows that ``other`` does not have, as multisets."""
    left = Counter(map(repr, other.iter_rows()))
    missing: list[int] = []
    for number, row in enumerate(map(repr, frame.iter_rows())):
        if left[row]:
            left[row] -= 1
        else:
            missing.append(number)
    return missing


def _shown(frame: pl.DataFrame, row: int) -> str:
    values: dict[str, Any] = frame.row(row, named=True)
    shown = [f"{name} = {values[name]!r}" for name in list(values)[:MOST_COLUMNS]]
    return ", ".join(shown) + (", …" if len(values) > MOST_COLUMNS else "")
