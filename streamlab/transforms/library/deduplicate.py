"""Deduplicate: the first event of a key, and none that comes soon after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import polars as pl

from streamlab.transforms.event_time import EventTime, as_event_time, duration_us
from streamlab.transforms.library.function import Call, LibraryFunction, as_keys, given
from streamlab.transforms.transform import Transform

_TIME: Final = "_time"
_UNTIL: Final = "_until"
_SEEN: Final = "_seen"
_ROW: Final = "_row"
_KEY: Final = "_key"
_AT: Final = "_at"
_PLACE: Final = "_place"


def deduplicate(
    keys: str | Sequence[str],
    *,
    within: str | timedelta | None,
    on: str | EventTime | None = None,
    name: str = "deduplicate",
) -> Transform[Any, Any]:
    """Return a transform that keeps the first event of each key, and drops the others.

    Args:
        keys: Columns whose values make two events the same.
        within: How long after an event that is kept the others are dropped, in event
            time; the next one behind that is kept again. None drops them for ever,
            and then the state grows with the number of keys.
        on: Event time: events come in its order, behind the watermark. Without it
            they come as they are read, and ``within`` is time of the clock since the
            key's latest event, so what a restart gives may be another.
        name: What the transform is called, if a pipeline has several.

    Example:
        >>> once = sl.deduplicate("order_id", within="1d", on="ordered")
    """
    event_time = None if on is None else as_event_time(on)
    within_us = None if within is None else duration_us(within, "within")
    more = given(on=on, name=None if name == "deduplicate" else name)
    call = Call("deduplicate", (keys,), {"within": within, **more})
    if event_time is None or within_us is None:
        seen = _Seen(name, as_keys(keys), call)
        return seen.transform(on=event_time, ttl_us=within_us)
    first = _FirstWithin(name, as_keys(keys), call, event_time, within_us)
    return first.transform(on=event_time, ttl_us=within_us)


@dataclass(frozen=True)
class _Seen(LibraryFunction):
    """Keeps the first event of a key for as long as its state lives."""

    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        """Fold events; see the class."""
        # Of one column a struct is not needed, and costs.
        key = pl.col(self.keys[0]) if len(self.keys) == 1 else pl.struct(self.keys)
        first = events.filter(key.is_first_distinct())
        new = first.join(state, on=list(self.keys), how="anti", nulls_equal=True)
        seen = first.select(*self.keys, pl.lit(value=True).alias(_SEEN))
        columns = list(events.collect_schema())
        return new.select(columns), seen

    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return what says that a key was seen."""
        del events
        return {_SEEN: pl.Boolean()}


@dataclass(frozen=True)
class _FirstWithin(LibraryFunction):
    """Keeps an event unless one was kept less than a horizon before it.

    Attributes:
        on: The event time.
        within_us: The horizon, in µs.
    """

    on: EventTime
    within_us: int

    @property
    def forgets_by_itself(self) -> bool:
        """Return True: a horizon that has ended drops no event."""
        return True

    def __call__(
        self, events: pl.LazyFrame, state: pl.LazyFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Fold events, which come in the order of their time; see the class."""
        columns = list(events.collect_schema())
        time = self.on.expression(events.collect_schema()[self.on.column])
        rows = self.known(events.with_columns(time.alias(_TIME)), state)
        kept = self._kept(rows.with_row_index(_ROW).collect(engine="in-memory"))
        until = pl.col(_TIME).last() + self.within_us
        # A key none of whose events is kept has the horizon that it had.
        ends = kept.group_by(self.keys).agg(until.alias(_UNTIL))
        before = state.collect(engine="in-memory").join(
            ends, on=list(self.keys), how="anti", nulls_equal=True
        )
        return kept.select(columns), pl.concat([before, ends])

    def state(self, events: pl.Schema) -> Mapping[str, pl.DataType]:
        """Return until when the events of a key are dropped, in µs."""
        del events
        return {_UNTIL: pl.Int64()}

    def _kept(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that are kept, in their order."""
        outside = rows.filter(
            pl.col(_UNTIL).is_null() | (pl.col(_TIME) >= pl.col(_UNTIL))
        )
        if outside.select(self.keys).is_unique().all():
            return outside
        number = pl.struct(self.keys).rank("dense").alias(_KEY)
        grouped = outside.with_columns(number).sort(_KEY, _ROW)
        following = _following(grouped, self.within_us)
        first = grouped[_KEY].is_first_distinct()
        return grouped.filter(_reached(first, following)).sort(_ROW)


def _following(grouped: pl.DataFrame, within_us: int) -> pl.Series:
    """Return for each row the place of the next one of its key behind the horizon.

    The place behind the last row where there is none.
    """
    places = grouped.select(_KEY, pl.col(_TIME).alias(_AT)).with_row_index(_PLACE)
    first = places.unique([_KEY, _AT], keep="first", maintain_order=True)
    ends = grouped.select(_KEY, (pl.col(_TIME) + within_us).alias(_AT))
    found = ends.join_asof(
        first, on=_AT, by=_KEY, strategy="forward", check_sortedness=False
    )
    return found[_PLACE].fill_null(grouped.height)


def _reached(first: pl.Series, following: pl.Series) -> pl.Series:
    """Return which rows are reached from the first ones, hop by hop.

    The hops double with each round, so a long chain takes few.
    """
    size = first.len()
    reached = first.append(pl.Series([False]))
    hop = following.append(pl.Series([size], dtype=following.dtype))
    while (hop != size).any():
        reached = reached.scatter(hop.filter(reached), True)
        hop = hop.gather(hop)
    return reached.head(size)
