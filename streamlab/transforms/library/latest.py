"""Latest: the newest row of each key, as a log of changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import polars as pl

from streamlab.errors import TransformError
from streamlab.formats.changes import OP, OPERATIONS, UNAVAILABLE, own_columns
from streamlab.transforms.event_time import EventTime, as_event_time, duration_us
from streamlab.transforms.library.function import Call, LibraryFunction, as_keys, given
from streamlab.transforms.transform import Transform

REMOVED: Final = "_removed"
"""Column of an input whose messages may have no value; see the operators."""

_STATE: Final = "_latest_"
_WAS: Final = "_was_"
_EXISTED: Final = "_existed"
_THERE: Final = "_there"
_FIRST: Final = "_is_first"
_BEFORE: Final = "_before_it"


def latest(
    keys: str | Sequence[str],
    *,
    on: str | EventTime | None = None,
    changes: bool = True,
    ttl: str | timedelta | None = None,
    name: str = "latest",
) -> Transform[Any, Any]:
    """Return a transform that keeps the newest row of each key, and says what changed.

    Takes plain events, each of which is the newest of its key, and change rows whose
    ``_op`` says ``insert``, ``update``, ``delete`` or ``snapshot``. Columns that
    describe a change (``_lsn`` …) are left out. A row that equals the one before it
    changes nothing, and does not come out; so a repeated snapshot is silent.

    Args:
        keys: Columns that name a row.
        on: Event time: rows come in its order, behind the watermark; without it in the
            order of their partition.
        changes: Whether rows come out with ``_op``: ``insert`` for a key that was not
            there, ``update``, and ``delete`` with the row that is gone. Without it
            there is no row for a delete.
        ttl: After how long without events a row is forgotten, without a delete.
        name: What the transform is called, if a pipeline has several.

    Example:
        >>> accounts = sl.latest("account_id")
    """
    named = given(
        on=on,
        changes=None if changes else False,
        ttl=ttl,
        name=None if name == "latest" else name,
    )
    function = _Latest(name, as_keys(keys), Call("latest", (keys,), named), changes)
    return function.transform(
        on=None if on is None else as_event_time(on),
        ttl_us=None if ttl is None else duration_us(ttl, "ttl"),
        changelog=True,
    )


@dataclass(frozen=True)
class _Latest(LibraryFunction):
    """Keeps the newest row of a key.

    Attributes:
        changes: Whether rows come out with ``_op``.
    """

    changes: bool

    @property
    def takes_removals(self) -> bool:
        """Return True: a message without a value deletes the row of its key."""
        return True

    @property
    def result_key(self) -> tuple[str, ...]:
        """Return the keys: a later row replaces an earlier one."""
        return self.keys

    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        """Fold events; see the class."""
        schema = events.collect_schema()
        values = self._values(schema)
        rows = self._in_order(events, state, schema, values)
        is_delete, existed = pl.col(OP) == "delete", pl.col(_EXISTED)
        differs = pl.any_horizontal(
            pl.lit(value=False), *(pl.col(n).ne_missing(_was(n)) for n in values)
        )
        happens = (existed & (is_delete | differs)) | (~existed & ~is_delete)
        stays = pl.when(existed).then(pl.lit("update")).otherwise(pl.lit("insert"))
        done = pl.when(is_delete).then(pl.lit("delete")).otherwise(stays)
        gone = [
            pl.when(is_delete).then(_was(n)).otherwise(pl.col(n)).alias(n)
            for n in values
        ]
        columns = [name for name in schema if name in (*self.keys, *values)]
        changed = rows.filter(happens)
        if self.changes:
            output = changed.with_columns(*gone, done.cast(OPERATIONS).alias(OP))
            output = output.select(*columns, OP)
        else:
            output = changed.filter(~is_delete).select(columns)
        last = rows.group_by(self.keys).agg(
            (pl.col(OP) != "delete").last().alias(_THERE),
            *(pl.col(n).last().alias(_STATE + n) for n in values),
        )
        return output, last.filter(_THERE)

    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return the row's columns."""
        for column in self.keys:
            self.require(column, events)
        kept = {_STATE + name: events[name] for name in self._values(events)}
        return {_THERE: pl.Boolean(), **kept}

    def _values(self, events: pl.Schema) -> list[str]:
        own = own_columns(events, f"{self.called}()") if OP in events else events
        return [name for name in own if name not in (*self.keys, REMOVED)]

    def _in_order(
        self,
        events: pl.LazyFrame,
        state: pl.LazyFrame,
        schema: pl.Schema,
        values: Sequence[str],
    ) -> pl.LazyFrame:
        """Return each row with what its key was before it."""
        key = pl.col(self.keys[0]) if len(self.keys) == 1 else pl.struct(self.keys)
        first = key.is_first_distinct().alias(_FIRST)
        rows = self.known(self._checked(events, schema), state).with_columns(first)
        if UNAVAILABLE in schema:
            # An update may leave out a large value that did not change.
            rows = rows.with_columns(self._filled(name) for name in values)
        # Where the row before stands is looked for once, and not for each column.
        rows = rows.with_row_index(_BEFORE)
        place = pl.col(_BEFORE).shift(1).over(self.keys)
        was = [
            pl.when(_FIRST)
            .then(pl.col(_STATE + name))
            .otherwise(pl.col(name).gather(pl.col(_BEFORE)))
            .alias(_WAS + name)
            for name in values
        ]
        existed = (
            pl.when(_FIRST)
            .then(pl.col(_THERE).fill_null(value=False))
            .otherwise(pl.col(OP).gather(pl.col(_BEFORE)) != "delete")
            .alias(_EXISTED)
        )
        return rows.with_columns(place).with_columns(*was, existed)

    def _checked(self, events: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
        """Return rows with an operation each.

        Raises:
            TransformError: A table was emptied, which is said of no key.
        """
        if OP not in schema:
            removed = pl.col(REMOVED) if REMOVED in schema else pl.lit(value=False)
            operation = (
                pl.when(removed).then(pl.lit("delete")).otherwise(pl.lit("insert"))
            )
            return events.with_columns(operation.alias(OP))
        rows = events.with_columns(pl.col(OP).cast(pl.String).fill_null("insert"))
        if not rows.filter(pl.col(OP) == "truncate").limit(1).collect().is_empty():
            message = f"{self.called}() got a TRUNCATE, which is said of no key"
            raise TransformError(
                message, hint='filter it before: pl.col("_op") != "truncate"'
            )
        return rows

    def _filled(self, name: str) -> pl.Expr:
        """Return a column with the values that an update left out."""
        is_left_out = pl.col(UNAVAILABLE).list.contains(name).fill_null(value=False)
        known = pl.when(~is_left_out).then(pl.struct(pl.col(name).alias(name)))
        before = pl.struct(pl.col(_STATE + name).alias(name))
        value = pl.coalesce(known, pl.when(_FIRST).then(before))
        return value.forward_fill().over(self.keys).struct.field(name).alias(name)


def _was(name: str) -> pl.Expr:
    return pl.col(_WAS + name)
