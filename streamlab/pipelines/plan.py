"""The plan of a pipeline: what it would do, in words, and why it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from streamlab.operators.chain import Chain
from streamlab.pipelines.declared import described
from streamlab.pipelines.grouping import Grouping, grouping_of
from streamlab.pipelines.pipeline import Pipeline
from streamlab.pipelines.prepared import Ready, entrances, event_times, prepared_of
from streamlab.pipelines.refusals import is_transactional, refuse, refuse_rows
from streamlab.sinks import Guarantee
from streamlab.sources import METADATA
from streamlab.transforms.event_time import EventTime, duration_text
from streamlab.transforms.plan import Claims

GUARANTEES = {
    Guarantee.ATOMIC: "each row once: rows and position are in one transaction",
    Guarantee.IDEMPOTENT: "each row once in the end: a row written again replaces "
    "itself",
    Guarantee.AT_LEAST_ONCE: "no row is lost; after a crash the rows of the last "
    "epoch can be written again",
}
"""What a sink's promise means, in a sentence."""


@dataclass(frozen=True)
class Plan:
    """What a pipeline would do.

    Attributes:
        name: Name of the pipeline.
        lines: ``(subject, text)``, in the order of the flow.
        warnings: What may surprise, though it can run.
    """

    name: str
    lines: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the plan as text, one subject a line."""
        width = max(len(subject) for subject, _ in self.lines)
        indent = " " * (width + 4)
        shown = [
            f"  {subject:<{width}}  " + text.replace("\n", f"\n{indent}")
            for subject, text in self.lines
        ]
        warned = [f"  warning: {text}" for text in self.warnings]
        return "\n".join([f"pipeline {self.name}", *shown, *warned])


def plan(pipeline: Pipeline) -> Plan:
    """Return what a pipeline would do; connects to nothing.

    Raises:
        PipelineError: It cannot run as it is described.
        TransformError: A transform fails on an empty frame.
    """
    refuse(pipeline)
    ready = prepared_of(pipeline)
    shown = refuse_rows(pipeline, ready)
    lines = tuple(_lines(pipeline, ready))
    return Plan(pipeline.name, lines, tuple(_warnings(pipeline, ready, shown)))


def guarantee_of(pipeline: Pipeline, ready: Ready) -> Guarantee:
    """Return what the sink promises of the rows of a pipeline.

    A row that may come out otherwise the second time does not replace itself.
    """
    if isinstance(ready, Chain) and not ready.deterministic:
        atomic = pipeline.sink.guarantee is Guarantee.ATOMIC
        return Guarantee.ATOMIC if atomic else Guarantee.AT_LEAST_ONCE
    return pipeline.sink.guarantee


def _lines(pipeline: Pipeline, ready: Ready) -> Iterator[tuple[str, str]]:
    sink, pace = pipeline.sink, pipeline.pace
    yield from _input_lines(pipeline, ready)
    for transform in pipeline.transforms:
        tables = [
            f"{name} ({table.path.name if table.path else table})"
            for name, table in transform.tables.items()
        ]
        joined = f" with {', '.join(tables)}" if tables else ""
        yield "transform", f"{transform.name}{joined}"
    used = {n for one in entrances(pipeline, ready).values() for n in one.metadata}
    if used:
        yield "metadata", ", ".join(name for name in METADATA if name in used)
    if isinstance(ready, Chain):
        yield from _state_lines(pipeline, ready)
    yield "rows", _columns(ready.output_schema)
    yield "writes", sink.describe()
    yield "guarantee", _guarantee(pipeline, ready)
    yield "position", _position(pipeline)
    yield "dead letters", _dead_letters(pipeline)
    mebibytes = pace.max_bytes / 2**20
    limits = f"{pace.latency_ms} ms, {pace.max_rows:,} rows or {mebibytes:,.0f} MiB"
    yield "epochs", f"end after {limits}"


def _input_lines(pipeline: Pipeline, ready: Ready) -> Iterator[tuple[str, str]]:
    times = event_times(pipeline, ready) if isinstance(ready, Chain) else {}
    for name, stream in pipeline.inputs.items():
        of = f" {name}" if len(pipeline.inputs) > 1 else ""
        yield f"reads{of}", f"{stream.source.describe()}, format {stream.format}"
        yield f"events{of}", _columns(stream.schema.dtypes)
        if isinstance(ready, Chain) and name in ready.timeless:
            yield f"event time{of}", "none: a table, read to its end before the others"
        elif name in times:
            yield f"event time{of}", _time(times[name])


def _time(time: EventTime) -> str:
    order = (
        f"up to {duration_text(time.bound_us)} out of order"
        if time.bound_us
        else "in order within a partition"
    )
    idle = (
        "a partition without events is waited for"
        if time.idle_after_us is None
        else f"a partition without events for {duration_text(time.idle_after_us)} is "
        "set aside"
    )
    return f"{time.column}, {order}; {idle}"


def _state_lines(pipeline: Pipeline, chain: Chain) -> Iterator[tuple[str, str]]:
    declaring = [one for one in pipeline.transforms if one.needs is not None]
    for transform, operator in zip(declaring, chain.operators, strict=True):
        yield "operator", described(transform, operator)
    grouped = grouping_of(pipeline)
    workers = (
        "; one worker at a time"
        if grouped.grouping is Grouping.TOGETHER
        else "; more workers share them"
    )
    yield "tasks", f"{grouped.grouping.value}: {grouped.why}{workers}"
    state = pipeline.state
    place = state.url or "in a folder of this machine"
    yield "state", f"{place}, up to {state.limit_mb:,} MiB a task"


def _columns(schema: pl.Schema) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in schema.items())


def _guarantee(pipeline: Pipeline, ready: Ready) -> str:
    guarantee = guarantee_of(pipeline, ready)
    text = f"{guarantee.value}: {GUARANTEES[guarantee]}"
    if guarantee is pipeline.sink.guarantee:
        return text
    return f"{text}, and may differ, as they met another version of a table"


def _position(pipeline: Pipeline) -> str:
    place = pipeline.source.keeps_position_in(pipeline.name)
    if is_transactional(pipeline):
        return f"{place}, in the transaction of the rows"
    if pipeline.sink.guarantee is Guarantee.ATOMIC:
        return f"in the sink, with the rows; then {place}, to show the lag"
    return f"{place}, committed after the rows are written"


def _dead_letters(pipeline: Pipeline) -> str:
    letters = pipeline.dead_letters
    if letters.file is not None:
        # Not its folder: a plan is shown in notebooks, and these are shared.
        return f"file {letters.file.name}"
    inside = pipeline.sink.takes_dead_letters
    return f"topic {letters.topic}" + (", with the rows" if inside else "")


def _warnings(
    pipeline: Pipeline, ready: Ready, shown: tuple[Claims, ...]
) -> Iterator[str]:
    if guarantee_of(pipeline, ready) is Guarantee.AT_LEAST_ONCE:
        yield "rows can be doubled after a crash"
    if not pipeline.transforms:
        yield "no transform: events are written as they are"
    for one in shown:
        if one.rows.kind == "unknown":
            yield f"one row for one event is not shown: {one.rows.message}"
        if pipeline.sink.keeps_order and one.order.kind == "unknown":
            yield f"the order of rows is not shown: {one.order.message}"
    if isinstance(ready, Chain) and pipeline.sink.keeps_order:
        yield "rows of one epoch come in no order: they are complete groups"
