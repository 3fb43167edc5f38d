"""Changes of a result go to a sink that can take them, and to no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink
from streamlab.connectors.parquet import ParquetSink
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.contracts import Schema
from streamlab.errors import PipelineError
from streamlab.formats.changes import OPERATIONS
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.pipelines.plan import plan
from streamlab.sinks import Sink

PLAIN = {"k": pl.String(), "v": pl.Int64()}


def pipeline(
    sink: Sink, *transforms: sl.Transform[Any, Any], **more: pl.DataType
) -> Pipeline:
    """Return a pipeline of a topic, whose events may have more columns."""
    schema = Schema.of({**PLAIN, **more})
    return Pipeline(
        name="newest",
        inputs=(Input(KafkaSource("events"), "json", schema),),
        sink=sink,
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
        transforms=transforms,
    )


@pytest.mark.parametrize(
    "sink",
    [
        PostgresSink("newest", mode="changes", key="k"),
        KafkaSink("newest", key="k"),
        MemorySink(),
    ],
)
def test_changes_go_where_they_can_be_applied(sink: Sink) -> None:
    """To a table that changes, or to a topic, which is a log."""
    assert plan(pipeline(sink, sl.latest("k")))


@pytest.mark.parametrize(
    "sink",
    [
        PostgresSink("newest"),
        PostgresSink("newest", mode="upsert", key="k"),
        ParquetSink(Path("newest")),
    ],
)
def test_changes_are_not_added_as_rows(sink: Sink) -> None:
    """A delete would be one more row; without ``_op`` there are no changes."""
    with pytest.raises(PipelineError, match=r"latest\(\) gives changes"):
        plan(pipeline(sink, sl.latest("k")))
    assert plan(pipeline(sink, sl.latest("k", changes=False)))


def test_a_log_of_changes_can_be_kept_by_another_name() -> None:
    """And a stream of changes that is handed through is an archive already."""

    @sl.transform
    def logged(changes: pl.LazyFrame) -> pl.LazyFrame:
        return changes.rename({"_op": "change"})

    assert plan(pipeline(ParquetSink(Path("log")), sl.latest("k"), logged))
    assert plan(pipeline(ParquetSink(Path("log")), _op=OPERATIONS))
