"""Top: the best rows of each key, as a log of what enters and what leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import polars as pl

from streamlab.errors import UsageError
from streamlab.formats.changes import OP, OPERATIONS
from streamlab.transforms.event_time import EventTime, as_event_time, duration_us
from streamlab.transforms.library.function import Call, LibraryFunction, as_keys, given
from streamlab.transforms.transform import Transform

_TOP: Final = "_top"
_PLACE: Final = "_place"
_RANK: Final = "_rank"
_NOTHING: Final = -1


def top(
    n: int,
    *,
    by: str,
    keys: str | Sequence[str],
    descending: bool = True,
    on: str | EventTime | None = None,
    ttl: str | timedelta | None = None,
    name: str | None = None,
) -> Transform[Any, Any]:
    """Return a transform that keeps the best rows of each key.

    A row that enters comes out with ``_op`` ``insert``; the one that it pushes out
    with ``delete``. Of equal rows the first one stays. Rows whose ``by`` is null never
    enter. For the best of a window, write plain polars in the window's function.

    Args:
        n: How many rows of a key, at least 1. Each is one more pass over an epoch.
        by: What is compared.
        keys: Columns that name a ranking.
        descending: Whether the largest are the best.
        on: Event time: rows come in its order, behind the watermark; without it in the
            order of their partition.
        ttl: After how long without events a ranking begins anew, without deletes.
        name: What the transform is called; ``top_<n>`` if left out.

    Example:
        >>> dearest = sl.top(10, by="price", keys="auction")
    """
    if n < 1:
        raise UsageError(f"a ranking has at least one place, not {n}")
    descends = None if descending else False
    named = given(by=by, keys=keys, descending=descends, on=on, ttl=ttl, name=name)
    call = Call("top", (n,), named)
    function = _Top(name or f"top_{n}", as_keys(keys), call, n, by, descending)
    return function.transform(
        on=None if on is None else as_event_time(on),
        ttl_us=None if ttl is None else duration_us(ttl, "ttl"),
    )


@dataclass(frozen=True)
class _Top(LibraryFunction):
    """Keeps the best rows of a key.

    A row goes down the places of its ranking: at each it stays if it is better than
    what is there, and pushes that further down. So each place is a running maximum,
    and what it lets pass is the input of the next one: one pass a place, all rows and
    keys at once, and the same wherever an epoch ends.

    Attributes:
        n: Number of places.
        by: What is compared.
        descending: Whether the largest are the best.
    """

    n: int
    by: str
    descending: bool

    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Fold events; see the class."""
        schema = events.collect_schema()
        new = events.filter(pl.col(self.by).is_not_null()).collect(engine="in-memory")
        # The rows that are there enter first, in their order, and say nothing.
        there = state.collect(engine="in-memory").explode(_TOP, empty_as_null=False)
        old = there.select(*self.keys, pl.col(_TOP).struct.unnest())
        rows = pl.concat([old.select(schema.names()), new])
        ranked = self._ranked(rows)
        passing, places = ranked.select(*self.keys, _RANK, pushed=_RANK), []
        for _ in range(self.n):
            passing = passing.with_columns(
                best=pl.col("pushed").cum_max().over(self.keys)
            )
            before = pl.col("best").shift(1).over(self.keys).fill_null(_NOTHING)
            places.append(
                passing.group_by(self.keys).agg(pl.col("best").last().alias(_RANK))
            )
            passing = passing.with_columns(pushed=pl.min_horizontal("pushed", before))
        changes = self._changes(passing[old.height :])
        output = changes.join(ranked, on=_RANK, maintain_order="left")
        return output.select(*schema, OP), self._state(ranked, places)

    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return the ranking, the best first."""
        self.require(self.by, events)
        if self.by in self.keys:
            message = f"{self.called}() compares {self.by!r}, which is a key"
            raise UsageError(message, hint="all rows of a key are equal in it")
        values = {k: v for k, v in events.items() if k not in self.keys}
        return {_TOP: pl.List(pl.Struct(values))}

    def _ranked(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Number rows from the worst on; of equal ones the first is the best."""
        rows = rows.with_row_index(_PLACE)
        best_first = rows.sort(self.by, _PLACE, descending=[self.descending, False])
        rank = rows.height - 1 - pl.int_range(pl.len(), dtype=pl.Int64)
        return best_first.with_columns(rank.alias(_RANK)).sort(_PLACE)

    def _changes(self, passed: pl.DataFrame) -> pl.DataFrame:
        """Return rank and operation of what enters and of what that pushes out."""
        came = passed.with_row_index(_PLACE).filter(pl.col(_RANK) != pl.col("pushed"))
        gone = came.filter(pl.col("pushed") != _NOTHING)
        both = [
            rows.select(
                _PLACE,
                pl.col(rank).alias(_RANK),
                pl.lit(operation, OPERATIONS).alias(OP),
            )
            for rows, rank, operation in (
                (gone, "pushed", "delete"),
                (came, _RANK, "insert"),
            )
        ]
        return pl.concat(both).sort(_PLACE, maintain_order=True)

    def _state(
        self, ranked: pl.DataFrame, places: Sequence[pl.DataFrame]
    ) -> pl.DataFrame:
        values = [n for n in ranked.columns if n not in (*self.keys, _PLACE, _RANK)]
        held = pl.concat(places).filter(pl.col(_RANK) != _NOTHING)
        best_first = (
            held.select(_RANK).join(ranked, on=_RANK).sort(_RANK, descending=True)
        )
        return best_first.group_by(self.keys, maintain_order=True).agg(
            pl.struct(values).alias(_TOP)
        )
