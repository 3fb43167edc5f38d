"""Joins of a stream with a table as it was at the time of each row.

    stream ─► waiting ── watermark past the row's time ─┐
                                                        ├─► the version valid then
    table  ─► coming ─── watermark at the version's ────┤
                         time: it is settled            │
              current  ◄────────────────────────────────┘

A row waits until no version can come that would be valid at its time. A version is
settled once no row can come that is older; of a key's settled versions the last is
kept, because only that can be asked for. So the output is determined by the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from streamlab.errors import UsageError
from streamlab.operators.joins.bounds import DUE
from streamlab.operators.joins.changing import EMPTIES, GONE, Changing, table_columns
from streamlab.operators.joins.joining import PairsFunction
from streamlab.operators.joins.ranges import TIME
from streamlab.operators.joins.sides import Sides
from streamlab.operators.operator import Counts, Moment, Operator, Outcome
from streamlab.operators.watermarks import floors_behind
from streamlab.sources import METADATA
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.joins import TableJoin
from streamlab.transforms.steps import Step

_BEHIND_US: Final = 1
"""A row waits for versions of its own time, too."""

_PLACE: Final = "_join_place"


class VersionsOperator(Operator):
    """A join with a table as of event time, at work."""

    keeps = "the table, and rows and versions until the watermark has passed them"

    def __init__(
        self, step: Step, join: TableJoin, inputs: Mapping[str, pl.Schema], name: str
    ) -> None:
        """Check the columns; see ``operator_of``."""
        if join.on is None or join.as_of is None:
            message = f"{name} needs as_of=(the stream's time, the table's time)"
            raise UsageError(message)
        self.name = name
        self.inputs = join.streams
        self.times = {join.left: join.on, join.right: join.as_of}
        if join.as_of.column in METADATA:
            # Of a message without a value only the log says when it was.
            self.tables = {join.right: tuple(key for _, key in join.keys)}
        self._join = join
        schemas = inputs[join.left], inputs[join.right]
        for (stream, time), schema in zip(self.times.items(), schemas, strict=True):
            time.check(schema, stream)
        shown = table_columns(schemas[1])
        if join.as_of.column not in shown:
            shown.append(join.as_of.column)
        self._sides = Sides.of(
            (join.left, join.right), schemas, join.keys, right_shown=shown
        )
        self._changing = Changing(self._sides.right, schemas[1])
        self._row_time = join.on.expression(schemas[0][join.on.column])
        self._version_time = join.as_of.expression(schemas[1][join.as_of.column])
        self.layouts = tuple(self._layouts())
        self._function = PairsFunction(step, self._sides.schema)
        self.output_schema = self._function.output_schema

    def _layouts(self) -> list[TableLayout]:
        timed = {TIME: pl.Int64(), DUE: pl.Int64()}
        waiting = pl.Schema({**self._sides.left.schema, **timed})
        coming = pl.Schema({**self._changing.columns, **timed})
        current = pl.Schema({**self._sides.right.schema, TIME: pl.Int64()})
        key = tuple(self._sides.key)
        return [
            TableLayout(f"{self.name}.waiting", waiting, due=DUE),
            TableLayout(f"{self.name}.coming", coming, due=DUE),
            TableLayout(f"{self.name}.current", current, key, unique=True),
        ]

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
        """Take in rows and versions, and give the rows whose version is settled.

        Raises:
            TransformError: The function gave another schema than on no rows, or a
                row of the table cannot be told what it does.
        """
        waiting, coming, current = (tables[one.name] for one in self.layouts)
        before = waiting.height + coming.height + current.height
        due_rows = (self._row_time + self._join.lateness_us + _BEHIND_US).alias(DUE)
        due_versions = (self._version_time + self._join.lateness_us).alias(DUE)
        rows = self._sides.left.rested(
            frames[self._join.left], self._row_time.alias(TIME), due_rows
        )
        versions = self._changing.changes(
            frames[self._join.right], self._version_time.alias(TIME), due_versions
        )
        rows = _turned(waiting, rows, moment.after)
        versions = _turned(coming, versions, moment.after)
        output, sides, failed = self._function(self._settled(rows, versions, current))
        accepted = sum(frame.height for frame in frames.values())
        held = waiting.height + coming.height + current.height - before
        return Outcome(output, Counts(accepted, accepted - held), failed, sides)

    def _settled(
        self, rows: pl.DataFrame, versions: pl.DataFrame, current: StateTable
    ) -> pl.DataFrame:
        """Return the rows with the version of their time, and keep the last ones."""
        if rows.is_empty() and versions.is_empty():
            return self._sides.schema.to_frame()
        key = self._sides.key
        versions = self._without_truncations(versions, current)
        keys = pl.concat([rows.select(key), versions.select(key)]).unique()
        stored = self._changing.rows(current.get(keys))
        columns = [*self._changing.columns, TIME]
        history = pl.concat([stored.select(columns), versions.select(columns)])
        whole = self._changing.filled(history)
        shown = self._as_of(rows, whole)
        last = whole.unique(key, keep="last", maintain_order=True)
        current.take(last.filter(GONE).select(key))
        kept = last.filter(~pl.col(GONE)).select(list(current.layout.schema))
        current.put(kept.join(versions, on=key, how="semi"))
        return shown

    def _as_of(self, rows: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
        if rows.is_empty():
            return self._sides.schema.to_frame()
        key = self._sides.key
        ordered = rows.sort(TIME, maintain_order=True)
        places = history.select(*key, TIME, GONE).with_row_index(_PLACE)
        found = ordered.select(*key, TIME).join_asof(
            places.sort(TIME, maintain_order=True),
            on=TIME,
            by=key,
            strategy="backward",
            check_sortedness=False,  # by key; within each the rows are in order
        )
        there = found.select(pl.when(~pl.col(GONE)).then(_PLACE)).to_series()
        return self._sides.beside(ordered, history, there, how=self._join.how)

    def _without_truncations(
        self, versions: pl.DataFrame, current: StateTable
    ) -> pl.DataFrame:
        """Return versions with a truncation as the removal of each key there is."""
        versions = versions.sort(TIME, maintain_order=True)
        if not versions[EMPTIES].any():
            return versions
        key = self._sides.key
        known = [piece.select(key) for piece in current.scan()]
        own = versions.filter(~pl.col(EMPTIES)).select(key)
        keys = pl.concat([*known, own]).unique()
        numbered = versions.with_row_index(_PLACE)
        emptied = numbered.filter(EMPTIES).select(_PLACE, TIME, DUE)
        removals = self._changing.removals(keys).join(emptied, how="cross")
        others = numbered.filter(~pl.col(EMPTIES))
        both = pl.concat([others, removals.select(others.columns)])
        return both.sort(_PLACE, maintain_order=True).drop(_PLACE)


def _turned(table: StateTable, new: pl.DataFrame, until: int | None) -> pl.DataFrame:
    """Lay new rows to rest, and return what is due."""
    if until is None:
        table.put(new)
        return new.clear()
    is_due = new[DUE] <= until
    table.put(new.filter(~is_due))
    return pl.concat([table.take_due(until), new.filter(is_due)])
