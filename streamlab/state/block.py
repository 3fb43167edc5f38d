"""A block: some rows of a state table, sorted by the hash of their key.

It is in memory, and then sorted when first searched, or mapped from a file. Beside the
columns of its layout a block has hidden ones, which begin with ``streamlab:``::

    hash        UInt64, what it is sorted by; rows of a key in the order they were put
    sequence    UInt64, in which order rows were put; only in tables with a due time
    due_at      Int64, the due times sorted, nulls last; only in files
    due_row     UInt32, the row of each; only in files

A table without keys is sorted by the order in which its rows were put.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import polars as pl

from streamlab.state.hashing import HASH, SEQUENCE, by_hash, comparable

DUE_AT: Final = "streamlab:due_at"
DUE_ROW: Final = "streamlab:due_row"
INDEX: Final = (DUE_AT, DUE_ROW)


class Block:
    """Some rows with the key columns ``keys``, and a column ``due`` or None."""

    def __init__(
        self,
        rows: pl.DataFrame,
        keys: Sequence[str],
        due: str | None = None,
        *,
        is_sorted: bool = False,
    ) -> None:
        """Keep the rows as they are.

        Args:
            rows: With the layout's columns, and hidden ones.
            keys: The layout's.
            due: The layout's.
            is_sorted: Whether they are sorted by their the hash already.
        """
        self.rows = rows
        self.keys = list(keys)
        self.due = due
        self._is_sorted = is_sorted

    @property
    def height(self) -> int:
        """Return the number of rows."""
        return self.rows.height

    def copy(self) -> Block:
        """Return a block of the same rows that another thread may sort."""
        return Block(self.rows, self.keys, self.due, is_sorted=self._is_sorted)

    def taken(self, at: pl.Series) -> pl.DataFrame:
        """Return some rows, by their numbers."""
        return self.rows.drop(INDEX, strict=False)[at]

    @property
    def sorted_rows(self) -> pl.DataFrame:
        """Return the rows with their hash, sorted by it."""
        if not self._is_sorted:
            if self.keys:
                self.rows = by_hash(self.rows, self.keys)
            else:
                self.rows = self.rows.with_columns(pl.col(SEQUENCE).alias(HASH))
            self._is_sorted = True
        return self.rows

    def find(self, wanted: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Return where some keys are.

        Args:
            wanted: The key columns and the hash, sorted by it, each key once.

        Returns:
            Row in this block and row in ``wanted``, for each match, in the order of
            this block's rows.
        """
        rows = self.sorted_rows
        mine, theirs = rows[HASH], wanted[HASH]
        nothing = pl.Series(dtype=pl.UInt32)
        if not rows.height or not wanted.height:
            return nothing, nothing
        first = mine.search_sorted(theirs, "left")
        is_hit = mine.gather(first.clip(0, rows.height - 1)) == theirs
        asked = is_hit.arg_true()
        if asked.is_empty():
            return nothing, nothing
        first = first.gather(asked)
        last = mine.search_sorted(theirs.gather(asked), "right")
        if (last - first).max() != 1:
            spread = pl.DataFrame({"asked": asked, "first": first, "last": last})
            spread = spread.select(
                "asked", pl.int_ranges("first", "last", dtype=pl.UInt32).alias("row")
            ).explode("row")
            asked, first = spread["asked"], spread["row"]
        same = self._same(rows, first, wanted, asked)
        if not same.all():
            first, asked = first.filter(same), asked.filter(same)
        return first, asked

    def _same(
        self, rows: pl.DataFrame, at: pl.Series, wanted: pl.DataFrame, asked: pl.Series
    ) -> pl.Series:
        """Return whether the keys are equal; their hashes are."""
        same = pl.Series([True]).new_from_index(0, at.len())
        mine = comparable(rows.select(self.keys)[at], self.keys)
        theirs = comparable(wanted.select(self.keys)[asked], self.keys)
        for left, right in zip(mine, theirs, strict=True):
            if left.null_count() or right.null_count():
                same &= left.eq_missing(right)
            else:
                same &= left == right
        return same

    def due_rows(self, after: int | None, until: int) -> pl.Series:
        """Return the rows whose due time is in ``(after, until]``."""
        if DUE_AT in self.rows.columns:
            times = self._times()
            start = 0 if after is None else times.search_sorted(after, "right")
            end = times.search_sorted(until, "right")
            return self.rows[DUE_ROW].slice(start, max(0, end - start))
        times = self.rows[str(self.due)]
        is_due = times <= until
        if after is not None:
            is_due &= times > after
        return is_due.fill_null(value=False).arg_true()

    def next_due(self, after: int | None) -> int | None:
        """Return the earliest due time behind ``after``."""
        if self.due is None or not self.rows.height:
            return None
        if DUE_AT in self.rows.columns:
            times = self._times()
            start = 0 if after is None else times.search_sorted(after, "right")
            return int(times[start]) if start < times.len() else None
        times = self.rows[self.due]
        if after is not None:
            times = times.filter((times > after).fill_null(value=False))
        earliest = times.min()
        return earliest if isinstance(earliest, int) else None

    def _times(self) -> pl.Series:
        times = self.rows[DUE_AT]
        return times.slice(0, times.len() - times.null_count())


def with_due_index(rows: pl.DataFrame, due: str | None) -> pl.DataFrame:
    """Return the rows of a block with what they are found by when they are due."""
    if due is None:
        return rows
    # As in by_hash: one thread, and no other thread of polars is kept from an epoch.
    order = pl.DataFrame({DUE_AT: rows[due]}).with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(DUE_ROW)
    )
    order = order.sort(
        DUE_AT, nulls_last=True, maintain_order=True, multithreaded=False
    )
    return rows.hstack(order)
