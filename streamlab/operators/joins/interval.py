"""Interval joins: rows of two streams whose keys are equal and whose times are near.

    new left  × (held + new) right   ─┐
    held left × new right            ─┴─►  each pair once, as soon as both are there

A row is held until no partner can come any more: a left one until the watermark has
passed the end of its range, a right one until no left row can come that reaches back
to it. What has met none comes out then, where the join asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.errors import TransformError
from streamlab.operators.cascading import is_behind
from streamlab.operators.joins.bounds import Bounds
from streamlab.operators.joins.halves import Half
from streamlab.operators.joins.joining import PairsFunction, join_of
from streamlab.operators.joins.ranges import FROM, TIME, UNTIL, meet_any, meeting
from streamlab.operators.joins.sides import Sides, known
from streamlab.operators.operator import Counts, Failed, Moment, Operator, Outcome
from streamlab.operators.watermarks import floors_behind
from streamlab.state.table import StateTable
from streamlab.transforms.joins import IntervalJoin
from streamlab.transforms.steps import Step


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a transform that declares an interval join."""
    return IntervalOperator(step, join_of(step, IntervalJoin), inputs, name)


@dataclass(frozen=True)
class _New:
    """The new rows of one side, at rest.

    Attributes:
        rows: Those that may meet others.
        alone: Those that meet none whatever comes, such as with a null key.
    """

    rows: pl.DataFrame
    alone: pl.DataFrame

    @property
    def height(self) -> int:
        return self.rows.height + self.alone.height


@dataclass(frozen=True)
class _Met:
    """What came of an epoch.

    Attributes:
        shown: What the function sees.
        released: How many rows are done with.
    """

    shown: list[pl.DataFrame]
    released: int


class IntervalOperator(Operator):
    """An interval join at work."""

    keeps = "rows for as long as one can come that they meet"

    def __init__(
        self,
        step: Step,
        join: IntervalJoin,
        inputs: Mapping[str, pl.Schema],
        name: str,
    ) -> None:
        """Check the columns; see ``operator_of``."""
        schemas = inputs[join.left], inputs[join.right]
        self.name = name
        self.inputs = join.streams
        self.times = dict(zip((join.left, join.right), join.times, strict=True))
        self._join = join
        self._bounds = Bounds(join, *schemas)
        self._filters = join.how in {"semi", "anti"}
        self._sides = Sides.of(
            (join.left, join.right),
            schemas,
            join.keys,
            right_shown=() if self._filters else None,
        )
        self._left = Half.of(
            f"{name}.left",
            {**self._sides.left.schema, FROM: pl.Int64(), UNTIL: pl.Int64()},
            self._sides.key,
            (FROM, UNTIL),
            remembers=join.how not in {"inner", "right"},
        )
        self._right = Half.of(
            f"{name}.right",
            {**self._sides.right.schema, TIME: pl.Int64()},
            self._sides.key,
            (TIME,),
            remembers=join.how in {"right", "full"},
        )
        self.layouts = (*self._left.layouts, *self._right.layouts)
        self._function = PairsFunction(step, self._sides.schema)
        self.output_schema = self._function.output_schema

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return which events are late: behind by more than the lateness."""
        del name
        return floors_behind(times, watermarks, self._join.lateness_us)

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take in rows of both sides; give their pairs, and what has met none.

        Raises:
            TransformError: The function gave another schema than on no rows, or the
                rows come from another operator.
        """
        lefts, rights = frames[self._join.left], frames[self._join.right]
        self._require_first(lefts)
        refused = self._bounds.refused(lefts)
        failed = self._failed(lefts.filter(refused))
        left = self._new_left(lefts.filter(~refused))
        right = self._new_right(rights)
        meet = self._filtered if self._filters else self._paired
        met = meet(left, right, moment.after, tables)
        shown = pl.concat([self._sides.schema.to_frame(), *met.shown])
        output, sides, more = self._function(shown)
        broken = lefts.height - left.height
        accepted = left.height + right.height + broken
        counts = Counts(accepted, met.released, broken)
        return Outcome(output, counts, (*failed, *more), sides)

    def _require_first(self, rows: pl.DataFrame) -> None:
        if rows.height and is_behind(rows):
            message = f"{self.name} joins what another transform with state gives"
            raise TransformError(message, hint="a join comes first in a pipeline")

    def _failed(self, rows: pl.DataFrame) -> tuple[Failed, ...]:
        if rows.is_empty():
            return ()
        reason = (
            f"{self._join.lower!r}, the lower bound of {self.name}, is before "
            f"{self._join.times[0]}"
        )
        columns = list(self._bounds.left)
        return (Failed(rows.select(columns), reason, self._join.left),)

    def _new_left(self, rows: pl.DataFrame) -> _New:
        rested = self._sides.left.rested(rows, *self._bounds.of_left)
        is_known = known((*self._sides.key, FROM, UNTIL))
        return _split(rested, is_known & (pl.col(FROM) <= pl.col(UNTIL)))

    def _new_right(self, rows: pl.DataFrame) -> _New:
        rested = self._sides.right.rested(rows, *self._bounds.of_right)
        return _split(rested, known((*self._sides.key, TIME)))

    def _paired(
        self,
        left: _New,
        right: _New,
        until: int | None,
        tables: Mapping[str, StateTable],
    ) -> _Met:
        """Return all new pairs, and rows alone."""
        sides, key = self._sides, self._sides.key
        held_right = self._right.held(left.rows, tables)
        held_left = self._left.held(right.rows, tables)
        new = meeting(left.rows, pl.concat([held_right, right.rows]), key)
        late = meeting(held_left, right.rows, key)
        lefts, rights = (pl.concat([a, b]) for a, b in zip(new, late, strict=True))
        gone_left = self._left.turned(left.rows, lefts, until, tables)
        gone_right = self._right.turned(right.rows, rights, until, tables)
        shown = [sides.pairs(lefts, rights)]
        if self._join.how in {"left", "full"}:
            shown += map(sides.only_left, (left.alone, gone_left.unmet))
        if self._join.how in {"right", "full"}:
            shown += map(sides.only_right, (right.alone, gone_right.unmet))
        alone = left.alone.height + right.alone.height
        return _Met(shown, gone_left.count + gone_right.count + alone)

    def _filtered(
        self,
        left: _New,
        right: _New,
        until: int | None,
        tables: Mapping[str, StateTable],
    ) -> _Met:
        """Return left rows that met their first one, or will meet none.

        A left row that meets one at once is not laid to rest.
        """
        key = self._sides.key
        held_right = self._right.held(left.rows, tables)
        held_left = self._left.held(right.rows, tables)
        at_once = meet_any(left.rows, pl.concat([held_right, right.rows]), key)
        now = held_left.filter(meet_any(held_left, right.rows, key))
        first = self._left.not_met(now, tables)
        gone_left = self._left.turned(left.rows.filter(~at_once), now, until, tables)
        gone_right = self._right.turned(right.rows, right.rows.clear(), until, tables)
        shown = (
            (left.rows.filter(at_once), first)
            if self._join.how == "semi"
            else (left.alone, gone_left.unmet)
        )
        alone = left.alone.height + right.alone.height + int(at_once.sum())
        return _Met(
            [self._sides.left_rows(rows) for rows in shown],
            gone_left.count + gone_right.count + alone,
        )


def _split(rows: pl.DataFrame, can_meet: pl.Expr) -> _New:
    is_able = rows.select(can_meet.fill_null(value=False)).to_series()
    return _New(rows.filter(is_able), rows.filter(~is_able))
