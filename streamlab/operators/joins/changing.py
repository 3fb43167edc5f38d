"""What the rows of a table's input do to the table.

A row is the new row of its key. Where the input has the column ``_op``, it says what
happened instead (see ``streamlab.formats.changes``): ``delete`` removes the row of the
key, ``truncate`` all rows, and an ``update`` that changes the key removes the old one.
A message without a value removes the row of its key, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.errors import TransformError, UsageError
from streamlab.formats.changes import BEFORE, METADATA, OP, OPERATIONS, UNAVAILABLE
from streamlab.operators.joins.sides import Side
from streamlab.operators.operator import REMOVED

GONE: Final = "_join_gone"
"""Boolean column of a change: the row of its key is removed."""

EMPTIES: Final = "_join_empties"
"""Boolean column of a change: all rows are removed, and it is none itself."""

LACKS: Final = "_join_lacks"
"""List of columns that a change has no value of: they are what they were."""

_PLACE, _MOVED, _BOX = "_join_place", "_join_moved", "_join_box "


def table_columns(schema: pl.Schema) -> list[str]:
    """Return the columns of the table's rows, without what says what happened."""
    if OP not in schema:
        return list(schema)
    return [name for name in schema if name not in METADATA and name != BEFORE]


@dataclass(frozen=True, eq=False)
class Changing:
    """How the rows of an input change a table.

    Attributes:
        side: The table's columns at rest.
        schema: Columns of the input.
    """

    side: Side
    schema: pl.Schema

    def __post_init__(self) -> None:
        """Refuse an ``_op`` that is no text.

        Raises:
            UsageError: It is not.
        """
        dtype = self.schema.get(OP, pl.String())
        if not isinstance(dtype, pl.String | pl.Enum | pl.Categorical):
            message = f"the column {OP!r} of {self.side.stream} is {dtype}, not a text"
            raise UsageError(message)

    @property
    def columns(self) -> pl.Schema:
        """Return the columns of a change."""
        flags = {GONE: pl.Boolean(), EMPTIES: pl.Boolean()}
        lacks = {LACKS: pl.List(pl.String)} if self.may_lack else {}
        return pl.Schema({**self.side.schema, **flags, **lacks})

    def changes(self, rows: pl.DataFrame, *more: pl.Expr) -> pl.DataFrame:
        """Return rows of the input as changes, in their order.

        Args:
            rows: The rows; may have ``REMOVED`` beside the input's columns.
            more: Further columns, as expressions on the rows.

        Returns:
            The ``columns``, then those of ``more``. Rows without a key are left out,
            because nothing meets them.

        Raises:
            TransformError: An ``_op`` is none, or a row came to another key and
                without all of its values.
        """
        marked = rows.with_columns(self._flags(rows)).with_row_index(_PLACE)
        parts = [marked]
        moved = self._moved(marked)
        if moved is not None and moved.height:
            old = [pl.col(BEFORE).struct.field(name).alias(name) for name in self._keys]
            # Stands before the row itself, because the sort keeps that order.
            parts = [moved.with_columns(*old, pl.lit(value=True).alias(GONE)), marked]
        ordered = pl.concat(parts).sort(_PLACE, maintain_order=True)
        flags = [name for name in self.columns if name not in self.side.schema]
        rested = self.side.rested(ordered, *(pl.col(name) for name in flags), *more)
        has_key = pl.all_horizontal(pl.col(key).is_not_null() for key in self.side.keys)
        return rested.filter(has_key | pl.col(EMPTIES))

    def filled(self, history: pl.DataFrame) -> pl.DataFrame:
        """Give changes the values that they lack, from the one of their key before.

        Args:
            history: Changes in their order, behind the rows that they change.
        """
        if not self.may_lack:
            return history
        named = history.filter(~pl.col(GONE))[LACKS].explode().drop_nulls().unique()
        at_rest = {name: at for at, name in self.side.others.items()}
        lacking = [(name, at_rest[name]) for name in named if name in at_rest]
        if not lacking:
            return history
        place = pl.int_range(pl.len())
        boxes = [
            pl.when(pl.col(GONE) | ~_lacks(name))
            .then(pl.struct(pl.when(~pl.col(GONE)).then(at).alias("value")))
            .forward_fill()
            .over(list(self.side.keys), order_by=_PLACE)
            .alias(f"{_BOX}{at}")
            for name, at in lacking
        ]
        boxed = history.with_columns(place.alias(_PLACE)).with_columns(boxes)
        return boxed.with_columns(
            pl.col(f"{_BOX}{at}").struct.field("value").alias(at) for _, at in lacking
        ).select(history.columns)

    def rows(self, stored: pl.DataFrame) -> pl.DataFrame:
        """Return rows at rest as changes that bring them."""
        lacks = [pl.lit(None, pl.List(pl.String)).alias(LACKS)] if self.may_lack else []
        flags = [pl.lit(value=False).alias(name) for name in (GONE, EMPTIES)]
        more = [name for name in stored.columns if name not in self.side.schema]
        return stored.with_columns(*flags, *lacks).select(*self.columns, *more)

    def removals(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return changes that remove the rows of some keys."""
        missing = {
            name: dtype
            for name, dtype in self.columns.items()
            if name not in self.side.keys
        }
        return keys.with_columns(
            pl.lit(None).cast(dtype).alias(name) for name, dtype in missing.items()
        ).with_columns(
            pl.lit(value=True).alias(GONE), pl.lit(value=False).alias(EMPTIES)
        )

    @property
    def _keys(self) -> Sequence[str]:
        return tuple(self.side.keys.values())

    @property
    def may_lack(self) -> bool:
        """Return whether a change may be without some values of its row."""
        return OP in self.schema and self.schema.get(UNAVAILABLE) == pl.List(pl.String)

    def _flags(self, rows: pl.DataFrame) -> list[pl.Series]:
        nothing = pl.repeat(value=False, n=rows.height, eager=True)
        removed = rows[REMOVED] if REMOVED in rows.columns else nothing
        removed = removed.fill_null(value=False)
        if OP not in self.schema:
            return [removed.alias(GONE), nothing.alias(EMPTIES)]
        done = rows[OP].cast(pl.String).cast(OPERATIONS, strict=False)
        if done.null_count() > rows[OP].null_count():
            known = ", ".join(OPERATIONS.categories)
            message = (
                f"the column {OP!r} of {self.side.stream} has a value that is none "
            )
            raise TransformError(f"{message}of {known}")
        gone = (done == "delete").fill_null(value=False) | removed
        flags = [
            gone.alias(GONE),
            (done == "truncate").fill_null(value=False).alias(EMPTIES),
        ]
        if self.may_lack:
            flags.append(rows[UNAVAILABLE].alias(LACKS))
        return flags

    def _moved(self, marked: pl.DataFrame) -> pl.DataFrame | None:
        """Return the rows that had another key before; None where nothing says so.

        Raises:
            TransformError: One of them has not all values: they are under the old key.
        """
        before = self.schema.get(BEFORE) if OP in self.schema else None
        if not isinstance(before, pl.Struct):
            return None
        if not set(self._keys) <= {part.name for part in before.fields}:
            return None
        was_other = pl.any_horizontal(
            pl.col(BEFORE).struct.field(name).ne_missing(pl.col(name))
            for name in self._keys
        )
        is_row = ~pl.col(GONE) & ~pl.col(EMPTIES) & pl.col(BEFORE).is_not_null()
        moved = marked.filter(is_row & was_other)
        if self.may_lack and moved[LACKS].list.len().sum():
            raise TransformError(
                f"a row of {self.side.stream} came to another key, and its source did "
                "not send all of its values",
                hint="let the database log whole rows: ALTER TABLE … REPLICA IDENTITY "
                "FULL",
            )
        return moved


def _lacks(name: str) -> pl.Expr:
    return pl.col(LACKS).list.contains(name).fill_null(value=False)
