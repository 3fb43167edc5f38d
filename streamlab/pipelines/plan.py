"""The plan of a pipeline: what it would do, in words, and why it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from streamlab.connectors import BUILT_IN
from streamlab.errors import PipelineError, near_names
from streamlab.pipelines.pipeline import Pipeline
from streamlab.pipelines.sections import kind
from streamlab.sinks import Guarantee
from streamlab.transforms.application import Prepared, prepare
from streamlab.transforms.plan import Claims, claims

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
    prepared = prepare(pipeline.transforms, pipeline.input.schema, pipeline.folder)
    _require_key(pipeline, prepared)
    shown = claims(prepared.steps, prepared.input_schema)
    _require_claims(pipeline, shown)
    lines = tuple(_lines(pipeline, prepared))
    return Plan(pipeline.name, lines, tuple(_warnings(pipeline, shown)))


def refuse(pipeline: Pipeline) -> None:
    """Raise if the ends of a pipeline do not go together.

    Raises:
        PipelineError: With the reason.
    """
    if _is_transactional(pipeline):
        _require_same_broker(pipeline)
    for role, topic, profile in _written_topics(pipeline):
        if (topic, profile) == _read_topic(pipeline):
            message = f"the {role} go to topic {topic!r}, which the pipeline reads"
            raise PipelineError(message, hint="it would read its own output forever")


def _require_key(pipeline: Pipeline, prepared: Prepared) -> None:
    """A key that a sink names is made of columns that the rows have."""
    key = getattr(pipeline.sink, "key", ())
    known = prepared.output_schema.names()
    for column in (key,) if isinstance(key, str) else key:
        if column and column not in known:
            message = f"the rows have no column {column!r}, the sink's key"
            raise PipelineError(message, hint=near_names(column, known))


def _require_claims(pipeline: Pipeline, shown: Claims) -> None:
    """Refuse what polars' plan shows to be wrong; what it cannot show may run."""
    names = " and ".join(f"{one.name}()" for one in pipeline.transforms)
    if shown.rows.kind == "failed":
        raise PipelineError(f"{names} cannot run on a stream: {shown.rows.message}")
    if pipeline.sink.keeps_order and shown.order.kind == "failed":
        message = f"the sink keeps the order of rows, and {names} does not"
        raise PipelineError(f"{message}: {shown.order.message}")


def _require_same_broker(pipeline: Pipeline) -> None:
    """A Kafka transaction can hold the offsets of its own broker only."""
    source, sink = pipeline.input.source, pipeline.sink
    known = kind("source", source) if _is_built_in(pipeline) else ""
    if known != "kafka":
        message = "a transactional Kafka sink needs a Kafka source"
        raise PipelineError(message, hint="leave out transactional = true")
    if getattr(source, "profile", "") != getattr(sink, "profile", ""):
        message = "a transactional Kafka sink writes to the broker that is read"
        hint = "give source and sink the same profile, or leave out transactional"
        raise PipelineError(message, hint=hint)


def _is_built_in(pipeline: Pipeline) -> bool:
    module = type(pipeline.input.source).__module__
    return any(
        connector.source and module.startswith(connector.source.partition(":")[0])
        for connector in BUILT_IN.values()
    )


def _is_transactional(pipeline: Pipeline) -> bool:
    return bool(getattr(pipeline.sink, "transactional", False))


def _read_topic(pipeline: Pipeline) -> tuple[str, str]:
    source = pipeline.input.source
    return getattr(source, "topic", ""), getattr(source, "profile", "")


def _written_topics(pipeline: Pipeline) -> Iterator[tuple[str, str, str]]:
    """Yield what is written, the topic and the profile, for Kafka's topics."""
    sink, letters = pipeline.sink, pipeline.dead_letters
    if isinstance(topic := getattr(sink, "topic", None), str):
        yield "rows", topic, getattr(sink, "profile", "")
    if letters.topic is not None:
        yield "dead letters", letters.topic, letters.profile


def _lines(pipeline: Pipeline, prepared: Prepared) -> Iterator[tuple[str, str]]:
    stream, sink, pace = pipeline.input, pipeline.sink, pipeline.pace
    yield "reads", f"{stream.source.describe()}, format {stream.format}"
    yield "events", _columns(stream.schema.dtypes)
    for transform in pipeline.transforms:
        tables = [
            f"{name} ({table.path.name if table.path else table})"
            for name, table in transform.tables.items()
        ]
        joined = f" with {', '.join(tables)}" if tables else ""
        yield "transform", f"{transform.name}{joined}"
    if prepared.metadata:
        yield "metadata", ", ".join(prepared.metadata)
    yield "rows", _columns(prepared.output_schema)
    yield "writes", sink.describe()
    yield "guarantee", f"{sink.guarantee.value}: {GUARANTEES[sink.guarantee]}"
    yield "position", _position(pipeline)
    yield "dead letters", _dead_letters(pipeline)
    mebibytes = pace.max_bytes / 2**20
    limits = f"{pace.latency_ms} ms, {pace.max_rows:,} rows or {mebibytes:,.0f} MiB"
    yield "epochs", f"end after {limits}"


def _columns(schema: pl.Schema) -> str:
    return ", ".join(f"{name} {dtype}" for name, dtype in schema.items())


def _position(pipeline: Pipeline) -> str:
    place = pipeline.input.source.keeps_position_in(pipeline.name)
    if _is_transactional(pipeline):
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


def _warnings(pipeline: Pipeline, shown: Claims) -> Iterator[str]:
    if pipeline.sink.guarantee is Guarantee.AT_LEAST_ONCE:
        yield "rows can be doubled after a crash"
    if not pipeline.transforms:
        yield "no transform: events are written as they are"
    if shown.rows.kind == "unknown":
        yield f"one row for one event is not shown: {shown.rows.message}"
    if pipeline.sink.keeps_order and shown.order.kind == "unknown":
        yield f"the order of rows is not shown: {shown.order.message}"
