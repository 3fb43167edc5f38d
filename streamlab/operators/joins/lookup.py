"""Joins of a stream with a table, whose latest row of a key counts.

The rows of the table that an epoch has are taken in first, so a row of the stream
meets the latest that came until then. What that is depends on how the two inputs were
read side by side, which a replay may do otherwise: so the output is not determined by
the input, and the operator says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from streamlab.operators.joins.changing import EMPTIES, GONE, Changing, table_columns
from streamlab.operators.joins.joining import PairsFunction, join_of
from streamlab.operators.joins.sides import Sides
from streamlab.operators.operator import Counts, Moment, Operator, Outcome
from streamlab.operators.watermarks import floors_behind
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.joins import TableJoin
from streamlab.transforms.steps import Step


def build(step: Step, inputs: Mapping[str, pl.Schema], name: str) -> Operator:
    """Return the operator of a transform that declares a join with a table."""
    join = join_of(step, TableJoin)
    if join.as_of is None:
        return LookupOperator(step, join, inputs, name)
    from streamlab.operators.joins.versions import VersionsOperator

    return VersionsOperator(step, join, inputs, name)


_PLACE: Final = "_join_place"


class LookupOperator(Operator):
    """A join with the latest rows of a table, at work."""

    deterministic = False
    keeps = "the latest row of each key of the table"

    def __init__(
        self, step: Step, join: TableJoin, inputs: Mapping[str, pl.Schema], name: str
    ) -> None:
        """Check the columns; see ``operator_of``."""
        self.name = name
        self.inputs = join.streams
        self.timeless = frozenset({join.right})
        self.tables = {join.right: tuple(key for _, key in join.keys)}
        self._join = join
        schemas = inputs[join.left], inputs[join.right]
        if join.on is not None:
            join.on.check(schemas[0], join.left)
            self.times = {join.left: join.on}
        self._sides = Sides.of(
            (join.left, join.right),
            schemas,
            join.keys,
            right_shown=table_columns(schemas[1]),
        )
        self._changing = Changing(self._sides.right, schemas[1])
        key = tuple(self._sides.key)
        layout = TableLayout(
            f"{name}.latest", self._sides.right.schema, key, unique=True
        )
        self.layouts = (layout,)
        self._function = PairsFunction(step, self._sides.schema)
        self.output_schema = self._function.output_schema

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return which events of the stream are late; those of a table never are."""
        if name == self._join.right:
            return None
        return floors_behind(times, watermarks, self._join.lateness_us)

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Change the table, then look up the rows of the stream.

        Raises:
            TransformError: The function gave another schema than on no rows, or a
                row of the table cannot be told what it does.
        """
        del moment
        (table,) = (tables[layout.name] for layout in self.layouts)
        before = table.height
        self._change(frames[self._join.right], table)
        shown = self._looked_up(frames[self._join.left], table)
        output, sides, failed = self._function(shown)
        accepted = sum(frame.height for frame in frames.values())
        counts = Counts(accepted, accepted - (table.height - before))
        return Outcome(output, counts, failed, sides)

    def _change(self, rows: pl.DataFrame, table: StateTable) -> None:
        if rows.is_empty():
            return
        changes = self._changing.changes(rows)
        emptied = changes[EMPTIES].arg_true()
        if len(emptied):
            _empty(table)
            changes = changes[int(emptied[-1]) + 1 :]
        key = self._sides.key
        history = changes
        if self._changing.may_lack:
            stored = table.get(changes.select(key).unique())
            history = pl.concat([self._changing.rows(stored), changes])
        last = self._changing.filled(history).unique(
            key, keep="last", maintain_order=True
        )
        table.take(last.filter(GONE).select(key))
        table.put(last.filter(~pl.col(GONE)).select(list(table.layout.schema)))

    def _looked_up(self, rows: pl.DataFrame, table: StateTable) -> pl.DataFrame:
        if rows.is_empty():
            return self._sides.schema.to_frame()
        rested = self._sides.left.rested(rows)
        key = self._sides.key
        rows = table.get(rested.select(key).unique())
        places = rested.select(key).join(
            rows.select(key).with_row_index(_PLACE),
            on=key,
            how="left",
            maintain_order="left",
        )[_PLACE]
        return self._sides.beside(rested, rows, places, how=self._join.how)


def _empty(table: StateTable) -> None:
    keys = [rows.select(table.layout.keys) for rows in table.scan()]
    for some in keys:
        table.take(some)
