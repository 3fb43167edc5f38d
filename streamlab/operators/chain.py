"""A chain: the transforms of a pipeline in a row, as one thing that takes epochs.

    entrance   stateless transforms before the first operator, one for each stream
    stages     from the first operator on: operators, and stateless transforms between

What an event is late for is decided where it is read, before the entrance, because
only there its partition and its place in it are known. Events that find the same
windows closed go through the entrance together, so that their rows know it, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError, near_names
from streamlab.operators.building import operator_of
from streamlab.operators.operator import (
    FLOOR,
    LATE,
    REMOVED,
    Counts,
    Failed,
    Moment,
    Operator,
    Outcome,
)
from streamlab.sources import METADATA, METADATA_DTYPES
from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.application import Prepared, prepare
from streamlab.transforms.event_time import EventTime
from streamlab.transforms.steps import Step, read_tables
from streamlab.transforms.transform import Transform

Stage: TypeAlias = "Operator | Prepared"


@dataclass(frozen=True)
class Passed:
    """What a chain made of one epoch.

    Attributes:
        output: Rows with the chain's ``output_schema``.
        counts: Operator → its account of the epoch.
        failed: Groups that a function failed on.
        sides: Side output → its rows.
    """

    output: pl.DataFrame
    counts: Mapping[str, Counts] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    sides: Mapping[str, pl.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Chain:
    """Transforms in a row, at least one of which is an operator.

    Attributes:
        entrance: Stream → the stateless transforms before the first operator.
        stages: The first operator and what follows it.
    """

    entrance: Mapping[str, Prepared]
    stages: tuple[Stage, ...]

    @classmethod
    def of(
        cls,
        transforms: Sequence[Transform[Any, Any]],
        schemas: Mapping[str, Schema],
        base: Path,
    ) -> Chain:
        """Build the operators of some transforms.

        Args:
            transforms: In the order of their application; one at least declares a
                need.
            schemas: Stream → the schema of its events.
            base: Folder that the paths of tables count from.

        Raises:
            UsageError: A declaration does not fit the columns, or the streams do not
                fit the first transform.
            TransformError: A function fails on empty frames.
        """
        first = next(i for i, one in enumerate(transforms) if one.needs is not None)
        before, after = transforms[:first], transforms[first:]
        _require_streams(after[0], before, schemas)
        steps = read_tables(after, base)
        # A function names metadata columns by using them: tried without, then with.
        try:
            return cls._built(before, steps, schemas, base, ())
        except (TransformError, UsageError) as without:
            try:
                chain = cls._built(before, steps, schemas, base, METADATA)
            except (TransformError, UsageError):
                raise without from None
        wanted = list(METADATA)
        for name in METADATA:
            try:
                fewer = [one for one in wanted if one != name]
                chain = cls._built(before, steps, schemas, base, fewer)
            except (TransformError, UsageError):
                continue
            wanted = fewer
        return chain

    @classmethod
    def _built(
        cls,
        before: Sequence[Transform[Any, Any]],
        steps: Sequence[Step],
        schemas: Mapping[str, Schema],
        base: Path,
        metadata: Sequence[str],
    ) -> Chain:
        entrance = {
            name: _entrance(before, schema, base, metadata)
            for name, schema in schemas.items()
        }
        columns = {name: one.output_schema for name, one in entrance.items()}
        stages: list[Stage] = []
        for number, step in enumerate(steps):
            transform = step.transform
            if transform.needs is None:
                (only,) = columns.values()
                own = Schema.of(only)
                stage: Stage = prepare([transform], own, base)
            else:
                if number:
                    columns = {transform.streams[0]: next(iter(columns.values()))}
                name = f"{transform.name}-{number}" if number else transform.name
                stage = operator_of(step, columns, name)
            stages.append(stage)
            columns = {"events": stage.output_schema}
        if not before:
            wants = _first_of(stages).wants
            entrance = {name: _with(one, wants) for name, one in entrance.items()}
        return cls(entrance, tuple(stages))

    @property
    def operators(self) -> tuple[Operator, ...]:
        """Return the operators, in the order of their application."""
        return tuple(one for one in self.stages if isinstance(one, Operator))

    @property
    def layouts(self) -> tuple[TableLayout, ...]:
        """Return the state tables of all operators."""
        return tuple(layout for one in self.operators for layout in one.layouts)

    @property
    def output_schema(self) -> pl.Schema:
        """Return the columns and dtypes of every output."""
        return self.stages[-1].output_schema

    @property
    def times(self) -> Mapping[str, EventTime]:
        """Return stream → its event time, as the first operator declares it."""
        return self.operators[0].times

    @property
    def late_reason(self) -> str:
        """Return why a late event is late, for its dead letter."""
        return self.operators[0].late_reason

    @property
    def timeless(self) -> frozenset[str]:
        """Return the streams that are tables to look up; see ``Operator.timeless``."""
        return self.operators[0].timeless

    @property
    def tables(self) -> Mapping[str, Sequence[str]]:
        """Return stream → the columns of its key; see ``Operator.tables``."""
        # Behind a stateless transform a row without values has lost its meaning.
        if any(one.steps for one in self.entrance.values()):
            return {}
        return self.operators[0].tables

    @property
    def deterministic(self) -> bool:
        """Return whether the same input gives the same output again."""
        return all(one.deterministic for one in self.operators)

    @property
    def result_key(self) -> Sequence[str]:
        """Return the columns that name a row of a changelog; see the operator's."""
        return self.operators[-1].result_key

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return what is closed for each event of a stream; see ``Operator.floors``."""
        return self.operators[0].floors(name, times, watermarks)

    def enter(
        self, name: str, events: pl.DataFrame, floors: pl.Series | None
    ) -> pl.DataFrame:
        """Return the rows of a stream's events at the first operator.

        Args:
            name: The stream.
            events: Events that are not late, with the columns of its entrance.
            floors: Of each event, as :meth:`floors` gave them.

        Raises:
            TransformError: A stateless function failed.
        """
        entrance = self.entrance[name]
        if REMOVED in events.columns:
            # Of a table: there is nothing before the operator that changes its rows.
            marked = [events[REMOVED]]
            return self.enter(name, events.drop(REMOVED), floors).hstack(marked)
        if floors is None:
            return entrance.apply(events)
        if floors.null_count() == len(floors):
            return entrance.apply(events).with_columns(
                pl.lit(None, pl.Int64).alias(FLOOR)
            )
        groups = events.with_columns(floors.alias(FLOOR)).partition_by(
            FLOOR, maintain_order=True, include_key=True
        )
        return pl.concat(
            entrance.apply(group.drop(FLOOR)).with_columns(
                pl.lit(group[FLOOR].first(), pl.Int64).alias(FLOOR)
            )
            for group in groups
        )

    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Passed:
        """Take in an epoch's rows behind the entrance, and give what it completes.

        Args:
            frames: Stream → rows, as :meth:`enter` gave them.
            moment: The event time.
            tables: All tables by the names of their layouts.

        Raises:
            TransformError: A function is at fault whatever the rows.
        """
        counts: dict[str, Counts] = {}
        failed: list[Failed] = []
        sides: dict[str, pl.DataFrame] = {}
        for stage in self.stages:
            if not isinstance(stage, Operator):
                (only,) = frames.values()
                frames = {"events": stage.apply(only)}
                continue
            if counts:
                frames = {_stream_of(stage): next(iter(frames.values()))}
            outcome: Outcome = stage.step(frames, moment, tables)
            counts[stage.name] = outcome.counts
            failed += outcome.failed
            sides.update(outcome.sides)
            frames = {"events": outcome.output}
        (output,) = frames.values()
        return Passed(output, counts, tuple(failed), sides)


def late(floors: pl.Series | None) -> pl.Series | None:
    """Return which events are late, or None where none can be."""
    return None if floors is None else (floors == LATE).fill_null(value=False)


def _stream_of(operator: Operator) -> str:
    """Return the one input of an operator behind another."""
    return operator.inputs[0]


def _entrance(
    transforms: Sequence[Transform[Any, Any]],
    schema: Schema,
    base: Path,
    metadata: Sequence[str],
) -> Prepared:
    """Return the stateless transforms of a stream; without any, its events as are."""
    if transforms:
        return prepare(transforms, schema, base)
    offered = tuple(name for name in metadata if name not in schema.dtypes)
    chosen = {name: METADATA_DTYPES[name] for name in offered}
    columns = pl.Schema({**chosen, **schema.dtypes})
    return Prepared((), schema, offered, columns, at_most_one=True)


def _first_of(stages: Sequence[Stage]) -> Operator:
    return next(one for one in stages if isinstance(one, Operator))


def _with(entrance: Prepared, wants: Sequence[str]) -> Prepared:
    """Return an entrance that hands more metadata through, which no function sees."""
    own = entrance.schema.dtypes
    asked = {*entrance.metadata, *(name for name in wants if name not in own)}
    return replace(entrance, metadata=tuple(n for n in METADATA if n in asked))


def _require_streams(
    first: Transform[Any, Any],
    before: Sequence[Transform[Any, Any]],
    schemas: Mapping[str, Schema],
) -> None:
    """Refuse streams that are not those that the first operator reads.

    Raises:
        UsageError: With both lists.
    """
    if len(schemas) == 1 and len(first.streams) == 1:
        return
    if before:
        message = f"{before[0].name}() is stateless, and {first.name}() reads "
        raise UsageError(
            f"{message}{len(first.streams)} streams",
            hint=f"do in {first.name}() what it does",
        )
    names = " and ".join(first.streams)
    for name in first.streams:
        if name not in schemas:
            message = f"{first.name}() reads {names}, and there is no stream {name!r}"
            raise UsageError(message, hint=near_names(name, list(schemas)))
    for name in schemas:
        if name not in first.streams:
            message = f"{first.name}() reads {names}, and nothing reads {name!r}"
            raise UsageError(message, hint=f"leave out {name!r}, or use it")
