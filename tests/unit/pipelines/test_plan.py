from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink, MemorySource
from streamlab.contracts import Schema
from streamlab.errors import PipelineError
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.pipelines.plan import GUARANTEES, plan
from streamlab.sinks import Guarantee

SCHEMA = Schema.of({"carrier": pl.String(), "arr_delay": pl.Int64()})


@sl.transform
def delayed(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.filter(pl.col("arr_delay") > 15)


@sl.transform(
    tables={"airlines": pl.DataFrame({"carrier": ["UA"], "name": ["United"]})}
)
def named(flights: pl.LazyFrame, airlines: pl.LazyFrame) -> pl.LazyFrame:
    return flights.join(airlines, on="carrier", how="left")


@sl.transform
def first(flights: pl.LazyFrame) -> pl.LazyFrame:
    return flights.head(1)


@dataclass(frozen=True)
class OrderedSink(MemorySink):
    @property
    def keeps_order(self) -> bool:
        return True


PIPELINE = Pipeline(
    name="delayed",
    inputs=(Input(KafkaSource("flights"), "json", SCHEMA),),
    transforms=(delayed,),
    sink=KafkaSink("late"),
    dead_letters=DeadLetters(file=Path("dead.jsonl")),
)


def test_a_plan_says_what_happens_from_end_to_end() -> None:
    """The text names source, transform, sink, guarantee, position and dead letters."""
    text = str(plan(PIPELINE))

    for expected in (
        "kafka topic flights",
        "carrier String, arr_delay Int64",
        "delayed",
        "late",
        GUARANTEES[Guarantee.AT_LEAST_ONCE],
        "group streamlab.delayed, committed after the rows",
        "file dead.jsonl",
        "warning: rows can be doubled",
    ):
        assert expected in text


def test_every_guarantee_has_a_sentence() -> None:
    """No guarantee is left without words."""
    assert set(GUARANTEES) == set(Guarantee)


def test_a_transactional_sink_needs_a_kafka_source() -> None:
    """Offsets of another system cannot be in a Kafka transaction."""
    pipeline = replace(
        PIPELINE,
        inputs=(Input(MemorySource(), "json", SCHEMA),),
        sink=KafkaSink("late", transactional=True),
    )

    with pytest.raises(PipelineError, match="needs a Kafka source"):
        plan(pipeline)


def test_a_transactional_sink_needs_the_same_broker() -> None:
    """Offsets of another broker cannot be in a Kafka transaction."""
    sink = KafkaSink("late", transactional=True, profile="work")

    with pytest.raises(PipelineError, match="the broker that is read"):
        plan(replace(PIPELINE, sink=sink))


@pytest.mark.parametrize(
    "changed",
    [
        replace(PIPELINE, sink=KafkaSink("flights")),
        replace(PIPELINE, dead_letters=DeadLetters(topic="flights")),
    ],
)
def test_a_pipeline_that_reads_its_own_output_is_refused(changed: Pipeline) -> None:
    """Rows or dead letters into the topic that is read would never end."""
    with pytest.raises(PipelineError, match="which the pipeline reads"):
        plan(changed)


def test_an_order_sensitive_sink_refuses_a_transform_without_order() -> None:
    """A left join without maintain_order does not go into a sink that keeps order."""
    pipeline = replace(PIPELINE, transforms=(named,), sink=OrderedSink())

    with pytest.raises(PipelineError, match="maintain_order"):
        plan(pipeline)


def test_a_transform_that_looks_across_rows_is_refused() -> None:
    """What the plan shows to depend on where a batch ends cannot run."""
    with pytest.raises(PipelineError, match=r"first\(\) cannot run on a stream"):
        plan(replace(PIPELINE, transforms=(first,)))


def test_a_key_that_the_rows_do_not_have_is_refused() -> None:
    """The plan finds a misspelt key column, before anything is connected."""
    with pytest.raises(PipelineError, match=r"'carier'.*\n.*did you mean 'carrier'"):
        plan(replace(PIPELINE, sink=KafkaSink("late", key="carier")))
