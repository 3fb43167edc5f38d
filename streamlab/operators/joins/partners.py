"""What a regular join keeps of one input: its rows by their key, and what changes them.

Rows of a plain input are added and never go, but by their age. Of an input whose rows
are changes, a second table has each row by its identity, so that an update or a delete
finds the row that it is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.errors import UsageError
from streamlab.formats.changes import OP
from streamlab.operators.joins.changing import EMPTIES, GONE, Changing
from streamlab.operators.joins.sides import Side, Sides, known
from streamlab.state.table import StateTable, TableLayout

DUE: Final = "_join_due"
"""When a row is dropped: Int64, µs of the clock."""

NEVER: Final = None
"""The due time of a row that is kept for ever."""

_NEW: Final = " new"


@dataclass(frozen=True)
class Delta:
    """What happened to the rows of an input, at rest, with ``DUE``.

    Attributes:
        removed: Rows that were there and are not.
        added: Rows that are new.
    """

    removed: pl.DataFrame
    added: pl.DataFrame

    @property
    def keys(self) -> pl.DataFrame:
        """Return both."""
        return pl.concat([self.removed, self.added])


class Keeping:
    """The rows of one input."""

    def __init__(
        self, side: Side, schema: pl.Schema, identity: tuple[str, ...], name: str
    ) -> None:
        """Lay out the tables.

        Args:
            side: The input's columns at rest.
            schema: Its columns as they come.
            identity: Columns that name a row of an input of changes.
            name: Begins the names of the tables.

        Raises:
            UsageError: Its rows are changes, and nothing names them.
        """
        self.side = side
        self._key = list(side.keys)
        due = {DUE: pl.Int64()}
        self._layout = TableLayout(
            f"{name}.{side.stream}",
            pl.Schema({**side.schema, **due}),
            tuple(self._key),
            DUE,
        )
        self.layouts: tuple[TableLayout, ...] = (self._layout,)
        self._changes: _Identified | None = None
        if OP in schema:
            self._changes = _Identified(side, schema, identity, name)
            self.layouts = (self._layout, self._changes.layout)

    @property
    def has_changes(self) -> bool:
        """Return whether the input's rows are changes."""
        return self._changes is not None

    def expire(self, now: int, tables: Mapping[str, StateTable]) -> int:
        """Drop the rows that are too old; return their number."""
        dropped = [tables[one.name].take_due(now).height for one in self.layouts]
        return dropped[0]

    def height(self, tables: Mapping[str, StateTable]) -> int:
        """Return the number of rows that are kept."""
        return tables[self._layout.name].height

    def delta(
        self, rows: pl.DataFrame, due: int | None, tables: Mapping[str, StateTable]
    ) -> Delta:
        """Return what an epoch's rows do; what names them is brought up to date.

        Args:
            rows: As they come.
            due: When they are dropped, in µs of the clock, or ``NEVER``.
            tables: The tables by name.
        """
        at = pl.lit(due, pl.Int64).alias(DUE)
        if self._changes is None:
            added = self.side.rested(rows, at)
            return Delta(added.clear(), added)
        removed, added = self._changes.apply(rows, due, tables)
        return Delta(self.side.rested(removed, at), self.side.rested(added, at))

    def before(
        self, keys: pl.DataFrame, tables: Mapping[str, StateTable]
    ) -> pl.DataFrame:
        """Return the rows of some keys, as they were before :meth:`store`."""
        return tables[self._layout.name].get(keys)

    def without(self, rows: pl.DataFrame, removed: pl.DataFrame) -> pl.DataFrame:
        """Return rows but for those that are removed."""
        if removed.is_empty() or self._changes is None:
            return rows
        return rows.join(
            removed, on=self._changes.at_rest, how="anti", nulls_equal=True
        )

    def store(self, delta: Delta, tables: Mapping[str, StateTable]) -> None:
        """Bring the table up to date."""
        table = tables[self._layout.name]
        added = delta.added
        if self._changes is None:
            added = added.filter(known(self._key))  # the others meet nothing, ever
        if delta.removed.height:
            were = table.take(delta.removed.select(self._key).unique())
            added = pl.concat([self.without(were, delta.removed), added])
        if added.height:
            table.put(added)


class _Identified:
    """The rows of an input of changes, by what names them."""

    def __init__(
        self, side: Side, schema: pl.Schema, identity: tuple[str, ...], name: str
    ) -> None:
        """Lay out the table; see :class:`Keeping`."""
        stream = side.stream
        if not identity:
            message = f"the rows of {stream} are changes, and nothing names its rows"
            raise UsageError(
                message, hint=f'say what does: identity={{"{stream}": "…"}}'
            )
        came = {**side.keys, **side.others}
        self.at_rest = [at for at, of in came.items() if of in identity]
        own = pl.Schema({of: schema[of] for of in came.values()})
        self._rows = Sides.of(
            (stream, stream),
            (own, own),
            [(one, one) for one in identity],
            right_shown=(),
        )
        left = self._rows.left
        self._changing = Changing(left, schema)
        self.layout = TableLayout(
            f"{name}.{stream}.identity",
            pl.Schema({**left.schema, DUE: pl.Int64()}),
            tuple(left.keys),
            DUE,
            unique=True,
        )

    def apply(
        self, rows: pl.DataFrame, due: int | None, tables: Mapping[str, StateTable]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows that are gone and those that are new, as they came."""
        table = tables[self.layout.name]
        key = list(self.layout.keys)
        changes = self._changing.changes(rows)
        emptied = changes[EMPTIES].arg_true()
        if len(emptied):
            changes = changes[int(emptied[-1]) + 1 :]
            old = table.take(pl.concat([one.select(key) for one in table.scan()]))
            stored = old.clear()
        else:
            old = stored = table.get(changes.select(key).unique())
        history = changes
        if self._changing.may_lack:
            history = pl.concat([self._changing.rows(stored.drop(DUE)), changes])
        last = self._changing.filled(history).unique(
            key, keep="last", maintain_order=True
        )
        new = last.filter(~pl.col(GONE)).select(list(self._rows.left.schema))
        old, new = self._different(old, new, key)
        table.take(old.select(key))
        table.put(new.with_columns(pl.lit(due, pl.Int64).alias(DUE)))
        return self._rows.left_rows(old), self._rows.left_rows(new)

    def _different(
        self, old: pl.DataFrame, new: pl.DataFrame, key: list[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Leave out the rows that are what they were."""
        others = list(self._rows.left.others)
        both = old.join(new, on=key, suffix=_NEW, nulls_equal=True)
        same = both.filter(
            pl.all_horizontal(
                pl.lit(value=True),
                *(pl.col(one).eq_missing(pl.col(one + _NEW)) for one in others),
            )
        ).select(key)
        return (
            old.join(same, on=key, how="anti", nulls_equal=True),
            new.join(same, on=key, how="anti", nulls_equal=True),
        )
