"""Regular joins: the result is kept up to date, and each change of it comes out.

What an epoch changes is found from what it adds and removes on either side: what is
removed leaves the pairs that it was in, what is added enters new ones, and a row whose
last partner goes, or whose first one comes, changes between having one and having
none. So the cost is that of the keys that an epoch touches.

How two inputs were read side by side decides which rows were without a partner for a
while; the result is the same once the changes are applied, but the changes are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from streamlab.errors import UsageError
from streamlab.formats.changes import OP, OPERATIONS
from streamlab.operators.joins.changing import table_columns
from streamlab.operators.joins.joining import PairsFunction, join_of
from streamlab.operators.joins.partners import NEVER, Delta, Keeping
from streamlab.operators.joins.sides import Sides, known
from streamlab.operators.operator import Counts, Moment, Operator, Outcome
from streamlab.state.table import StateTable
from streamlab.transforms.regular_join import RegularJoin
from streamlab.transforms.steps import Step

_LEFT: Final = "_join_left"
_RIGHT: Final = "_join_right"


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a transform that declares a regular join."""
    return RegularOperator(step, join_of(step, RegularJoin), inputs, name)


@dataclass(frozen=True)
class _Side:
    """One side in one epoch, as far as it concerns the keys that are touched.

    Attributes:
        delta: What was added and removed.
        kept: Rows that were and are there.
    """

    delta: Delta
    kept: pl.DataFrame

    @property
    def before(self) -> pl.DataFrame:
        """Return the rows that were there."""
        return pl.concat([self.kept, self.delta.removed])

    @property
    def after(self) -> pl.DataFrame:
        """Return the rows that are there."""
        return pl.concat([self.kept, self.delta.added])


class RegularOperator(Operator):
    """A regular join at work."""

    def __init__(
        self,
        step: Step,
        join: RegularJoin,
        inputs: Mapping[str, pl.Schema],
        name: str,
    ) -> None:
        """Check the columns; see ``operator_of``."""
        self.name = name
        self.inputs = join.streams
        self._join = join
        schemas = inputs[join.left], inputs[join.right]
        left, right = (
            pl.Schema({column: one[column] for column in table_columns(one)})
            for one in schemas
        )
        self._sides = Sides.of((join.left, join.right), (left, right), join.keys)
        _require_identity(join, inputs)
        self._left, self._right = (
            Keeping(side, schema, join.identity.get(side.stream, ()), name)
            for side, schema in zip(
                (self._sides.left, self._sides.right), schemas, strict=True
            )
        )
        # Then each pair comes once, whatever order the two inputs are read in.
        self.deterministic = (
            join.how == "inner"
            and join.ttl_us is None
            and not any(OP in schema for schema in schemas)
        )
        self.layouts = (*self._left.layouts, *self._right.layouts)
        schema = pl.Schema({**self._sides.schema, OP: OPERATIONS})
        self._function = PairsFunction(step, schema)
        self.output_schema = self._function.output_schema

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take in rows of both sides, and give what changes; see ``Operator.step``."""
        before = self._height(tables)
        both = (self._left, self._right)
        expired = sum(one.expire(moment.wall_us, tables) for one in both)
        due = NEVER if self._join.ttl_us is None else moment.wall_us + self._join.ttl_us
        deltas = [one.delta(frames[one.side.stream], due, tables) for one in both]
        left, right = self._touched(deltas, tables)
        changes = self._changes(left, right)
        for one, delta in zip(both, deltas, strict=True):
            one.store(delta, tables)
        output, sides, failed = self._function(changes)
        accepted = sum(frame.height for frame in frames.values())
        held = self._height(tables) - before
        counts = Counts(accepted, accepted - expired - held, expired)
        return Outcome(output, counts, failed, sides)

    def _height(self, tables: Mapping[str, StateTable]) -> int:
        return self._left.height(tables) + self._right.height(tables)

    def _touched(
        self, deltas: Iterable[Delta], tables: Mapping[str, StateTable]
    ) -> tuple[_Side, _Side]:
        """Return both sides, as far as an epoch concerns them."""
        left, right = deltas
        key = self._sides.key
        of_left, of_right = left.keys.select(key), right.keys.select(key)
        both = pl.concat([of_left, of_right])
        # A side's own keys matter where its partners may lose or gain their first row.
        inner, full = self._join.how == "inner", self._join.how == "full"
        wanted = (both if full else of_right, of_left if inner else both)
        sides = []
        for keeping, delta, keys in zip(
            (self._left, self._right), (left, right), wanted, strict=True
        ):
            were = keeping.before(keys.filter(known(key)).unique(), tables)
            kept = keeping.without(were, delta.removed)
            sides.append(_Side(delta, kept))
        return sides[0], sides[1]

    def _changes(self, left: _Side, right: _Side) -> pl.DataFrame:
        """Return what leaves and then what enters the result, as pairs with ``_op``."""
        gone = [
            self._met(left.delta.removed, right.before),
            self._met(left.kept, right.delta.removed),
        ]
        come = [
            self._met(left.delta.added, right.after),
            self._met(left.kept, right.delta.added),
        ]
        if self._join.how != "inner":
            lost, found = self._alone(left, right)
            gone.append(self._sides.only_left(lost))
            come.append(self._sides.only_left(found))
        if self._join.how == "full":
            lost, found = self._alone(right, left)
            gone.append(self._sides.only_right(lost))
            come.append(self._sides.only_right(found))
        return pl.concat(
            pl.concat(rows).with_columns(pl.lit(operation, OPERATIONS).alias(OP))
            for rows, operation in ((gone, "delete"), (come, "insert"))
        )

    def _met(self, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
        """Return all pairs of rows with equal keys."""
        key = self._sides.key
        places = (
            left.select(key)
            .with_row_index(_LEFT)
            .join(right.select(key).with_row_index(_RIGHT), on=key)
        )
        return self._sides.pairs(left[places[_LEFT]], right[places[_RIGHT]])

    def _alone(self, own: _Side, other: _Side) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return rows that are without a partner no more, and those that are now."""
        before, after = other.before, other.after
        lost = [
            self._without(own.delta.removed, before),
            self._with(self._without(own.kept, before), after),
        ]
        found = [
            self._without(own.delta.added, after),
            self._without(self._with(own.kept, before), after),
        ]
        return pl.concat(lost), pl.concat(found)

    def _with(self, rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
        return rows.join(others, on=self._sides.key, how="semi")

    def _without(self, rows: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
        return rows.join(others, on=self._sides.key, how="anti")


def _require_identity(join: RegularJoin, inputs: Mapping[str, pl.Schema]) -> None:
    for stream, columns in join.identity.items():
        missing = [one for one in columns if one not in inputs[stream]]
        if missing:
            message = (
                f"{stream} has no column {missing[0]!r}, which would name its rows"
            )
            names = ", ".join(inputs[stream])
            raise UsageError(message, hint=f"its columns are {names}")
