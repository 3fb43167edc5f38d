"""Which rows of two frames meet: equal keys, and a time within a range.

A join by key with a filter behind it would make all pairs of a key first: with 20,000
rows of one key on either side four hundred million. Here the rows of a key are sorted
by time, so that those that meet a row are a range, whose ends are looked up; the cost
is that of the rows, and of the pairs that meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

FROM, UNTIL, TIME = "_join_from", "_join_until", "_join_time"
_LEFT, _RIGHT = "_join_left", "_join_right"
_FIRST, _LAST = "_join_first", "_join_last"


def meeting(
    left: pl.DataFrame, right: pl.DataFrame, keys: Sequence[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows that meet, side by side.

    Args:
        left: Has the keys, and Int64 ``_join_from`` and ``_join_until``, µs; no nulls.
        right: Has the keys, and Int64 ``_join_time``, µs; no nulls.
        keys: Columns that must be equal.

    Returns:
        Left rows and right rows, as many of each; a left row meets a right one if
        ``_join_from`` ≤ ``_join_time`` ≤ ``_join_until``.
    """
    if left.is_empty() or right.is_empty():
        return left.clear(), right.clear()
    ordered = right.sort([*keys, TIME], maintain_order=True)
    ranges = (
        _begun(left, ordered, keys)
        .sort(UNTIL)
        .join_asof(
            ordered.select(*keys, TIME).with_row_index(_LAST),
            left_on=UNTIL,
            right_on=TIME,
            by=list(keys),
            strategy="backward",
            check_sortedness=False,
        )
    )
    places = pl.int_ranges(
        pl.col(_FIRST).cast(pl.Int64), pl.col(_LAST).cast(pl.Int64) + 1
    )
    pairs = ranges.select(_LEFT, places.alias(_RIGHT)).explode(_RIGHT)
    return left[pairs[_LEFT]], ordered[pairs[_RIGHT]]


def meet_any(left: pl.DataFrame, right: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """Return which left rows meet any right one; see :func:`meeting`."""
    if left.is_empty() or right.is_empty():
        return pl.repeat(value=False, n=left.height, eager=True)
    ordered = right.sort([*keys, TIME])
    found = _begun(left, ordered, keys)[_LEFT]
    return pl.int_range(left.height, eager=True, dtype=pl.UInt32).is_in(found.implode())


def _begun(
    left: pl.DataFrame, ordered: pl.DataFrame, keys: Sequence[str]
) -> pl.DataFrame:
    """Return the left rows that meet any, with the place of the first that they meet.

    Args:
        left: The left rows.
        ordered: The right rows in the order of their keys, then times.
        keys: Columns that must be equal.

    Returns:
        The keys, ``_join_until``, the row on the left and the place on the right.
    """
    return (
        left.select(*keys, FROM, UNTIL)
        .with_row_index(_LEFT)
        .sort(FROM)
        .join_asof(
            ordered.select(*keys, TIME).with_row_index(_FIRST),
            left_on=FROM,
            right_on=TIME,
            by=list(keys),
            strategy="forward",
            coalesce=False,
            check_sortedness=False,  # by key; within each the rows are in order
        )
        .filter(pl.col(TIME) <= pl.col(UNTIL))
        .select(*keys, UNTIL, _LEFT, _FIRST)
    )
