"""An evaluation: what a transform makes of a sample, what holds, what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.sources import METADATA
from streamlab.transforms import checks, culprits, failure, metadata, plan
from streamlab.transforms.steps import (
    Step,
    collected,
    input_schema,
    on_no_rows,
    read_tables,
)
from streamlab.transforms.transform import Transform
from streamlab.transforms.verdicts import FAILS_ON_EMPTY, Verdict, failed

BUDGET_S = 2.0  # seconds that a person waits for an evaluation without noticing
PROBE_ROWS = 1_000  # the first run, which tells how many rows fit into the budget
EPOCH_ROWS = 50_000  # the cost is measured on as many rows as a worker takes at once
LONGEST_MEASUREMENT_S = 0.5  # seconds


class SampleLike(Protocol):
    """Events with their schema, such as ``streamlab.Sample``."""

    @property
    def name(self) -> str:
        """Return what to call it."""

    @property
    def frame(self) -> pl.DataFrame:
        """Return the events, with or without the metadata columns."""

    @property
    def schema(self) -> Schema:
        """Return the schema of the event's own columns."""


Transforms: TypeAlias = Transform[Any, Any] | Sequence[Transform[Any, Any]]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a transform made of a sample.

    Attributes:
        name: The function, or the functions in a row.
        sample: What it was evaluated on.
        output: The rows it gave.
        rows_in: Events it was given.
        head: Number of first events it was evaluated on, where the whole sample would
            have taken too long; None if it was the whole.
        rows: Whether each output row depends on one event.
        order: Whether the output has the order of the events.
        at_most_one: Whether each event is shown to give one row at most.
        metadata: Metadata columns that the function names.
        seconds_per_million: Time that a million events take, in seconds.
        conversion_seconds_per_million: The part of it that converts to pandas and
            back; None for a transform on polars frames.
    """

    name: str
    sample: str
    output: pl.DataFrame = field(repr=False)
    rows_in: int
    head: int | None
    rows: Verdict
    order: Verdict
    at_most_one: bool
    metadata: tuple[str, ...]
    seconds_per_million: float
    conversion_seconds_per_million: float | None

    @property
    def rows_out(self) -> int:
        """Return the number of rows that came out."""
        return self.output.height

    @property
    def schema(self) -> pl.Schema:
        """Return the columns and dtypes of the output."""
        return self.output.schema

    @property
    def filtered(self) -> int | None:
        """Return how many events gave no row; None where that is not known."""
        return self.rows_in - self.rows_out if self.at_most_one else None

    def __str__(self) -> str:
        """Return the evaluation as a few lines of text, without any row."""
        filtered = "" if self.filtered is None else f", {self.filtered:,} filtered"
        head = "" if self.head is None else f", on its first {self.head:,} events"
        converted = self.conversion_seconds_per_million
        pandas = "" if converted is None else f", {converted:.2f} s of it for pandas"
        columns = ", ".join(f"{name} {dtype}" for name, dtype in self.schema.items())
        lines = [
            f"{self.name} on {self.sample}{head}",
            f"in     {self.rows_in:,} events",
            f"out    {self.rows_out:,} rows{filtered}",
            f"schema {columns}",
            f"rows   {self.rows}",
            f"order  {self.order}",
            f"cost   {self.seconds_per_million:.2f} s per million events{pandas}",
        ]
        if self.metadata:
            lines.append(f"uses   {', '.join(self.metadata)}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class _Given:
    """What an evaluation is made on, with the columns chosen for the function."""

    name: str
    frame: pl.DataFrame
    schema: Schema
    partition: pl.Series | None

    @classmethod
    def of(
        cls, events: SampleLike | pl.DataFrame, partition: pl.Series | None
    ) -> _Given:
        if isinstance(events, pl.DataFrame):
            own = {k: v for k, v in events.schema.items() if k not in METADATA}
            name, frame, schema = "a frame", events, Schema.of(pl.Schema(own))
        else:
            name, frame, schema = events.name, events.frame, events.schema
        if partition is None and "_partition" in frame.columns:
            partition = frame["_partition"]
        return cls(name, frame, schema, partition)

    def columns(self, named: Sequence[str]) -> pl.DataFrame:
        """Return the event's own columns and the named metadata.

        Raises:
            UsageError: The frame lacks one.
        """
        wanted = input_schema(self.schema, named)
        missing = [name for name in wanted if name not in self.frame.columns]
        if missing:
            raise UsageError(
                f"{self.name} has no column {missing[0]!r}, which the transform uses",
                hint="a tapped Sample has the metadata columns",
            )
        return self.frame.select(wanted.names())


def evaluate(
    transform: Transforms,
    events: SampleLike | pl.DataFrame,
    *,
    base: Path | None = None,
    partition: pl.Series | None = None,
    budget_s: float = BUDGET_S,
) -> Evaluation:
    """Run a transform on a sample, and say what may be claimed of it.

    Args:
        transform: One transform, or several that follow one another.
        events: A sample, or a frame whose columns are the event's own (and metadata).
        base: Folder that the paths of tables count from.
        partition: Partition of each event; taken from ``_partition`` if left out.
        budget_s: Seconds it may take; a longer sample is evaluated on its head.

    Returns:
        The evaluation. A function that fails on no rows, or whose schema depends on
        the data, is evaluated too: its verdict says so.

    Raises:
        TransformError: The function fails on the events; points at the user's line,
            and its ``events`` are the origins of those it fails on.
        UsageError: A table cannot be read, or the frame lacks a column.
    """
    deadline = time.monotonic() + budget_s
    given = _Given.of(events, partition)
    transforms = [transform] if isinstance(transform, Transform) else list(transform)
    steps = read_tables(transforms, base or Path())
    try:
        named = metadata.named(steps, given.schema)
    except TransformError as error:
        return _fails_on_no_rows(steps, given, error)
    try:
        run = _Run.of(steps, given, named, budget_s)
    except TransformError as error:
        culprits.attach(error, steps, given.columns(named), given.frame)
        raise
    claims = plan.claims(steps, run.frame.schema)
    if claims.rows.kind == "failed":
        return run.evaluation(claims.rows, claims.order, at_most_one=False)
    tested = checks.Trial(
        steps,
        on_no_rows(steps, run.frame.clear()).schema,
        run.frame,
        None if given.partition is None else given.partition.head(run.frame.height),
        deadline,
    ).verdicts()
    return run.evaluation(
        _together(claims.rows, tested.rows),
        _together(claims.order, tested.order),
        at_most_one=claims.at_most_one,
    )


@dataclass(frozen=True, eq=False)
class _Run:
    """The first run on the sample, or on as much of it as fits into the budget."""

    steps: tuple[Step, ...]
    sample: str
    metadata: tuple[str, ...]
    frame: pl.DataFrame
    head: int | None
    output: pl.DataFrame
    seconds: float

    @classmethod
    def of(
        cls,
        steps: tuple[Step, ...],
        given: _Given,
        named: tuple[str, ...],
        budget_s: float,
    ) -> _Run:
        columns = given.columns(named)
        probe = columns.head(PROBE_ROWS)
        output, seconds = _timed(steps, probe)  # also warms polars up
        output, seconds = _timed(steps, probe)
        per_row = seconds / max(1, probe.height)
        # A half of the budget, because the first runs took their share already.
        affordable = int(budget_s / 2 / checks.WHOLE_RUNS / max(per_row, 1e-9))
        rows = max(PROBE_ROWS, affordable)
        head = rows if rows < columns.height else None
        frame = columns.head(rows)
        if frame.height > probe.height:
            output, seconds = _timed(steps, frame)
        return cls(steps, given.name, named, frame, head, output, seconds)

    def evaluation(
        self, rows: Verdict, order: Verdict, *, at_most_one: bool
    ) -> Evaluation:
        """Return the evaluation; the cost is measured at the size of an epoch."""
        frame, seconds = self.frame, self.seconds
        copies = EPOCH_ROWS // max(1, frame.height)
        # Repeated rows would make a function that looks across rows do other work.
        if rows.holds and copies > 1 and seconds * copies < LONGEST_MEASUREMENT_S:
            frame = pl.concat([frame] * copies, rechunk=True)
            seconds = min(_timed(self.steps, frame)[1] for _ in range(2))
        million = 1e6 / max(1, frame.height)
        in_pandas = any(step.transform.pandas for step in self.steps)
        return Evaluation(
            name=" and ".join(f"{step.transform.name}()" for step in self.steps),
            sample=self.sample,
            output=self.output,
            rows_in=self.frame.height,
            head=self.head,
            rows=rows,
            order=order,
            at_most_one=at_most_one,
            metadata=self.metadata,
            seconds_per_million=seconds * million,
            conversion_seconds_per_million=(
                _conversion_seconds(frame) * million if in_pandas else None
            ),
        )


def _timed(steps: Sequence[Step], frame: pl.DataFrame) -> tuple[pl.DataFrame, float]:
    begin = time.perf_counter()
    try:
        output = collected(steps, frame)
    except failure.RAISED as error:
        raise failure.explained(error, steps, frame) from None
    return output, time.perf_counter() - begin


def _conversion_seconds(frame: pl.DataFrame) -> float:
    """Return the time to convert a frame to pandas and back, in seconds."""
    begin = time.perf_counter()
    pl.from_pandas(frame.to_pandas(use_pyarrow_extension_array=True))
    return time.perf_counter() - begin


def _together(of_plan: Verdict, of_test: Verdict) -> Verdict:
    """Return the stronger statement: a refutation, else a proof, else the test."""
    ranks = ("failed", "shown", "tested", "unknown")
    return min(of_plan, of_test, key=lambda verdict: ranks.index(verdict.kind))


def _fails_on_no_rows(
    steps: tuple[Step, ...], given: _Given, error: TransformError
) -> Evaluation:
    """Return what the function makes of events, where it fails without any.

    Raises:
        TransformError: ``error``, because it fails on events, too.
    """
    named = tuple(name for name in METADATA if name in given.frame.columns)
    for metadata_tried in ((), named):
        try:
            run = _Run.of(steps, given, metadata_tried, 0.0)
        except TransformError:
            continue
        rows = failed(FAILS_ON_EMPTY, f"a batch may hold no event. {error.message}")
        order = Verdict("unknown", "not looked at, because it fails on no rows")
        return run.evaluation(rows, order, at_most_one=False)
    raise error
