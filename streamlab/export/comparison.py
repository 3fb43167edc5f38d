"""Comparing two outputs row by row, and saying where they differ first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from streamlab.operators.netting import near_rows

MOST_COLUMNS = 5  # differing columns that a message shows
MOST_ROWS = 1_000  # unexpected rows among which the one most like it is looked for


def difference(
    expected: pl.DataFrame, found: pl.DataFrame, *, aggregated: bool = False
) -> str:
    """Return how two frames differ, or "" where they hold the same rows.

    Order counts for nothing when the rows are the same: partitions of a stream come
    in any order. NaN equals NaN, and every float must be exact; but for aggregates,
    which depend on the order in which they are added, by 1e-9 of their size.

    Args:
        expected: What should be there.
        found: What is there.
        aggregated: Whether the rows come from a window, state or a join.
    """
    if expected.schema != found.schema:
        return _of_schemas(expected.schema, found.schema)
    if expected.equals(found) or (aggregated and near_rows(expected, found)):
        return ""
    missing = _without(expected, found)
    extra = _without(found, expected)
    if not missing and not extra:
        return ""
    if missing and extra:
        return _of_rows(expected, missing, found, extra[:MOST_ROWS])
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
    """Describe the first row that is missing, beside the one most like it."""
    wanted = {name: repr(value) for name, value in _row(expected, missing[0])}
    got = max(
        ({name: repr(value) for name, value in _row(found, row)} for row in extra),
        key=lambda row: sum(row[name] == wanted[name] for name in wanted),
    )
    columns = [name for name in wanted if wanted[name] != got[name]]
    listed = "; ".join(
        f"{name} should be {wanted[name]} and is {got[name]}"
        for name in columns[:MOST_COLUMNS]
    )
    more = len(columns) - MOST_COLUMNS
    tail = f"; and {more} columns more" if more > 0 else ""
    return f"row {missing[0]} of {expected.height}: {listed}{tail}"


def _row(frame: pl.DataFrame, row: int) -> Iterable[tuple[str, Any]]:
    return frame.row(row, named=True).items()


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
