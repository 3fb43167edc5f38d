"""Many changes of the same rows to the one that is left of them.

Of several changes of a key in one epoch only the last counts, except for values that it
does not have: PostgreSQL does not send a long value that was not changed, so that
comes from an earlier change of the epoch, or stays as it is in the target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from streamlab.formats.changes import BEFORE, OP, UNAVAILABLE

_PLACE = "#place"


@dataclass(frozen=True, slots=True)
class Reduced:
    """What is left of some changes, each key once.

    Attributes:
        deleted: Rows whose key is to be deleted.
        whole: Rows to write with all columns.
        partial: Columns to leave as they are → rows to write without them.
    """

    deleted: pl.DataFrame
    whole: pl.DataFrame
    partial: tuple[tuple[tuple[str, ...], pl.DataFrame], ...]


def own_columns(names: Sequence[str]) -> list[str]:
    """Return the columns that belong to the row; those of the change begin with _."""
    return [name for name in names if not name.startswith("_")]


def behind_truncation(changes: pl.DataFrame) -> tuple[bool, pl.DataFrame]:
    """Return whether the table was emptied, and the changes behind the last time."""
    emptying = changes[OP] == "truncate"
    if not emptying.any():
        return False, changes
    return True, changes[int(emptying.arg_true()[-1]) + 1 :]


def reduced(changes: pl.DataFrame, key: Sequence[str]) -> Reduced:
    """Return what is left of changes without truncations, in the order of their keys.

    Args:
        changes: In the order in which they happened.
        key: Columns that identify a row.
    """
    lacking = _lacking(changes)
    if lacking:
        changes = _filled(changes.with_row_index(_PLACE), key, lacking)
    last = changes.unique(key, keep="last", maintain_order=True).sort(key)
    is_delete = last[OP] == "delete"
    if not is_delete.any() and not lacking:
        return Reduced(last.clear(), last, ())
    deleted, written = last.filter(is_delete), last.filter(~is_delete)
    if not lacking:
        return Reduced(deleted, written, ())
    whole = written.filter(pl.col(UNAVAILABLE).list.len().fill_null(0) == 0)
    left = written.filter(pl.col(UNAVAILABLE).list.len() > 0)
    groups = left.with_columns(pl.col(UNAVAILABLE).list.join("\0").alias("#set"))
    partial = tuple(
        (tuple(str(name).split("\0")), rows.drop("#set"))
        for (name,), rows in groups.partition_by(
            "#set", as_dict=True, maintain_order=True
        ).items()
    )
    return Reduced(deleted, whole, partial)


def is_whole(changes: pl.DataFrame) -> bool:
    """Return whether no change lacks a value, as far as that is seen at a glance."""
    if UNAVAILABLE not in changes.columns:
        return True
    return changes[UNAVAILABLE].null_count() == changes.height


def _lacking(changes: pl.DataFrame) -> list[str]:
    """Return the columns that some written row does not have."""
    if is_whole(changes):
        return []
    lists = changes.filter(pl.col(OP) != "delete")[UNAVAILABLE]
    names = lists.explode().drop_nulls().unique(maintain_order=True)
    return [str(name) for name in names]


def _filled(
    numbered: pl.DataFrame, key: Sequence[str], lacking: Sequence[str]
) -> pl.DataFrame:
    """Take missing values from the change of the same key before, if that has them.

    A delete has every value, so that nothing is taken from before it.
    """
    is_delete = pl.col(OP) == "delete"
    boxes = [
        pl.when(is_delete | ~_lacks(name))
        .then(pl.struct(pl.col(name).alias("v")))
        .forward_fill()
        .over(key, order_by=_PLACE)
        .alias(f"#{name}")
        for name in lacking
    ]
    boxed = numbered.with_columns(boxes)
    still = pl.concat_list(
        pl.when(pl.col(f"#{name}").is_null()).then(pl.lit(name)) for name in lacking
    ).list.drop_nulls()
    return boxed.with_columns(
        *(
            pl.when(is_delete | ~_lacks(name))
            .then(pl.col(name))
            .otherwise(pl.col(f"#{name}").struct.field("v"))
            .alias(name)
            for name in lacking
        ),
        pl.when(~is_delete).then(still).alias(UNAVAILABLE),
    ).drop(f"#{name}" for name in lacking)


def _lacks(name: str) -> pl.Expr:
    return pl.col(UNAVAILABLE).list.contains(name).fill_null(value=False)


def moved_incompletely(changes: pl.DataFrame) -> list[int]:
    """Return inserts that lack values: they stand under the key from before."""
    if BEFORE not in changes.columns or is_whole(changes):
        return []
    found = (
        (changes[OP] == "insert")
        & (changes[UNAVAILABLE].list.len().fill_null(0) > 0)
        & changes[BEFORE].is_not_null()
    )
    return [int(row) for row in found.arg_true()]
