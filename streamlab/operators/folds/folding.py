"""Folds: ``(events, state) -> (output, state)``, for all keys of an epoch at once.

Without an event time, rows are folded in the order in which they come, which is one
order only where all rows of a key are of one partition. With one, they come in its
order behind the watermark (``streamlab.operators.ordering``).

A key's state is dropped when its latest event is older than the TTL. By event time
that is exact: an event that comes so much later finds no state, even if both are
folded in one epoch (``_lives``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import polars as pl

from streamlab.errors import UsageError, near_names
from streamlab.formats.changes import OP
from streamlab.operators.folds.pairs import Folding, Pairs
from streamlab.operators.operator import (
    REMOVED,
    Counts,
    Moment,
    Operator,
    Outcome,
)
from streamlab.operators.ordering import DUE, KEPT_PLACE, PLACE, EventOrder
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.declarations import Folded
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.steps import Step

_LIFE: Final = "_life"
_FIRST: Final = "_first"
_EXPIRES: Final = "_expires"


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a fold.

    Args:
        step: The function with its static tables.
        inputs: The one stream and its columns.
        name: Unique in its chain.

    Raises:
        UsageError: The declaration does not fit the columns.
        TransformError: The function fails on no rows, or its state is not the
            declared one.
    """
    declared = cast(Folded, step.transform.needs)
    ((stream, events),) = inputs.items()
    keys = _keys(declared, events, step.transform.name)
    own = declared.columns(events)
    for column in keys:
        if column in own:
            message = f"{column!r} is a key of {step.transform.name}() and in its state"
            raise UsageError(message, hint="a state has its keys by itself")
    order = None
    if declared.on is not None:
        declared.on.check(events, stream)
        table = f"{name}.rows"
        order = EventOrder(
            step.transform.name, events, declared.on, declared.lateness_us, table
        )
    takes_removals = getattr(step.transform.function, "takes_removals", False)
    # A removal has no event time, so it has no place in the order of one.
    if takes_removals and order is None and OP not in events:
        events = pl.Schema({**events, REMOVED: pl.Boolean()})
    pairs = Pairs.of(step, events, tuple(keys), pl.Schema({**keys, **own}))
    return FoldOperator(name, stream, declared.ttl_us, pairs, order)


def _keys(declared: Folded, events: pl.Schema, name: str) -> dict[str, pl.DataType]:
    if not declared.keys:
        message = f"{name}() keeps a state, and names no keys for it"
        raise UsageError(message, hint='give them: keys=["carrier"]')
    for column in declared.keys:
        if column not in events:
            message = f"the events have no column {column!r}, a key of {name}()"
            raise UsageError(message, hint=near_names(column, events.names()))
    for column in (DUE, *KEPT_PLACE, _LIFE):
        if column in events:
            message = f"{name}() cannot fold events with a column {column!r}"
            raise UsageError(message, hint="rename it before: the state has its own")
    return {column: events[column] for column in declared.keys}


@dataclass(eq=False)
class FoldOperator(Operator):
    """A fold at work on one task.

    Attributes:
        name: Unique in its chain.
        stream: Its input.
        ttl_us: After how long without events a key's state is dropped, in µs.
        pairs: The function.
        order: Has rows come in event time; None takes them as they come.
    """

    name: str
    stream: str
    ttl_us: int | None
    pairs: Pairs
    order: EventOrder | None
    inputs: tuple[str, ...] = field(init=False)
    layouts: tuple[TableLayout, ...] = field(init=False)
    output_schema: pl.Schema = field(init=False)
    times: Mapping[str, EventTime] = field(init=False)
    wants: tuple[str, ...] = field(init=False)
    needs_keyed_partitions: bool = field(init=False)
    result_key: tuple[str, ...] = field(init=False)
    tables: Mapping[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        """Lay out the tables."""
        self.inputs = (self.stream,)
        self.output_schema = self.pairs.output
        self.times = {self.stream: self.order.on} if self.order else {}
        self.wants = PLACE if self.order else ()
        self.needs_keyed_partitions = self.order is None
        self._removes = REMOVED in self.pairs.events
        self.tables = {self.stream: self.pairs.keys} if self._removes else {}
        function = self.pairs.function.step.transform.function
        self.result_key = getattr(function, "result_key", ())
        # Where expired states change nothing, nobody has to look for them.
        forgets = getattr(function, "forgets_by_itself", False)
        self._exact_ttl = self.ttl_us is not None and not forgets
        has_ttl = self.ttl_us is not None
        due = {DUE: pl.Int64()} if has_ttl else {}
        self._state = TableLayout(
            f"{self.name}.state",
            pl.Schema({**self.pairs.state, **due}),
            self.pairs.keys,
            DUE if has_ttl else None,
            unique=True,
        )
        waiting = (self.order.layout,) if self.order else ()
        self.layouts = (self._state, *waiting)

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return which events are late; see ``Operator.floors``."""
        del name
        return self.order.floors(times, watermarks) if self.order else None

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take in rows, and fold those whose turn it is; see ``Operator.step``."""
        rows = frames[self.stream]
        if self._removes and REMOVED not in rows.columns:
            rows = rows.with_columns(pl.lit(value=False).alias(REMOVED))
        state = tables[self._state.name]
        if self.order is None:
            forgotten = self._forget(state, moment.wall_us)
            ready = rows.with_columns(pl.lit(moment.wall_us, pl.Int64).alias(DUE))
            done = self._folded(ready, state)
            counts = Counts(rows.height, rows.height, forgotten=forgotten)
            return Outcome(done.output, counts, done.failed, done.sides)
        moment = self.order.moment(moment, rows)
        ready, failed = self.order.ready(rows, moment, tables[self.order.table])
        released = ready.height + sum(one.rows.height for one in failed)
        done = self.pairs.nothing
        for life in self._lives(ready):
            done += self._folded(life, state)
        # At the end of a bounded input the state stays, for what may follow it.
        mark = None if moment.ended else moment.after
        counts = Counts(rows.height, released, forgotten=self._forget(state, mark))
        return Outcome(done.output, counts, failed + done.failed, done.sides)

    def _folded(self, ready: pl.DataFrame, state: StateTable) -> Folding:
        """Fold rows, one life of each key at most, and store what they leave.

        Args:
            ready: Rows in their order, with ``DUE``: their time on the axis on which
                state expires.
            state: The table of states.
        """
        if ready.is_empty():
            return self.pairs.nothing
        keys = list(self.pairs.keys)
        names = self.pairs.state.names()
        touched = self._touched(ready)
        stored = known = state.get(touched.select(keys))
        if self._exact_ttl:
            known = stored.join(touched, on=keys, nulls_equal=True)
            known = known.filter(pl.col(DUE) > pl.col(_FIRST))
        events = ready.select(self.pairs.events.names())
        done = self.pairs.fold(events, known.select(names))
        kept = done.state
        if self.ttl_us is not None:
            kept = kept.join(touched, on=keys, nulls_equal=True)
            kept = kept.select(*names, pl.col(_EXPIRES).alias(DUE))
        gone = stored.join(kept, on=keys, how="anti", nulls_equal=True)
        if gone.height:
            state.take(gone.select(keys))
        if kept.height:
            state.put(kept)
        return done

    def _touched(self, ready: pl.DataFrame) -> pl.DataFrame:
        """Return the keys of rows, with the time of the first and of the expiry."""
        keys = list(self.pairs.keys)
        if self.ttl_us is None:
            return ready.select(keys).unique()
        first = pl.col(DUE).first().alias(_FIRST)
        expires = (pl.col(DUE).max() + self.ttl_us).alias(_EXPIRES)
        return ready.group_by(keys).agg(first, expires)

    def _forget(self, state: StateTable, until: int | None) -> int:
        """Drop the states that have expired, and return their number."""
        if self.ttl_us is None or until is None:
            return 0
        return state.take_due(until).height

    def _lives(self, ready: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Yield rows so that no key has a gap within that its state does not survive.

        Without such a gap, which is the rule, these are all rows at once.
        """
        if not self._exact_ttl or ready.is_empty():
            yield ready
            return
        is_gap = (pl.col(DUE).diff() >= self.ttl_us).fill_null(value=False)
        life = is_gap.cum_sum().over(self.pairs.keys).alias(_LIFE)
        lives = ready.with_columns(life).partition_by(
            _LIFE, maintain_order=True, include_key=False, as_dict=True
        )
        for _, rows in sorted(lives.items()):
            yield rows
