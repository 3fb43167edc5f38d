"""The plan of pipelines that join their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink
from streamlab.contracts import Schema
from streamlab.pipelines import DeadLetters, Input, Keyed, Pipeline
from streamlab.pipelines.grouping import Grouping, grouping_of
from streamlab.pipelines.plan import plan
from streamlab.transforms.joins import Join
from streamlab.transforms.transform import Transform

ORDERS = Schema.of({"order": pl.Int64(), "customer": pl.Int64(), "at": pl.Int64()})
CUSTOMERS = Schema.of({"id": pl.Int64(), "city": pl.String(), "at": pl.Int64()})


def joined(join: Join) -> Transform[Any, Any]:
    """Return a transform whose pairs pass through."""

    @sl.transform(join=join)
    def pairs_of(pairs: pl.LazyFrame) -> pl.LazyFrame:
        return pairs

    return pairs_of


def pipeline(join: Join) -> Pipeline:
    """Return a pipeline of orders and customers, each keyed by its key."""
    inputs = {
        "orders": Input(
            KafkaSource("orders"), "json", ORDERS, keyed_by=Keyed(("customer",))
        ),
        "customers": Input(
            KafkaSource("customers"), "json", CUSTOMERS, keyed_by=Keyed(("id",))
        ),
    }
    return Pipeline(
        name="enriched",
        inputs={name: inputs[name] for name in join.streams},
        transforms=(joined(join),),
        sink=MemorySink(),
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
    )


def test_a_table_is_said_to_be_read_first_and_not_to_come_the_same_again() -> None:
    """As of event time neither holds."""
    keys = [("customer", "id")]
    latest = str(plan(pipeline(sl.table_join("orders", "customers", keys=keys))))
    assert "none: a table, read to its end before the others" in latest
    as_of = sl.table_join("orders", "customers", keys=keys, as_of=("at", "at"))
    assert "read to its end" not in str(plan(pipeline(as_of)))


@pytest.mark.parametrize(
    ("keys", "grouping"),
    [
        ([("customer", "id")], Grouping.ALIGNED),
        ([("order", "id")], Grouping.TOGETHER),
    ],
)
def test_inputs_that_are_keyed_by_what_is_joined_are_a_task_for_each_partition(
    keys: Any, grouping: Grouping
) -> None:
    """Each by its own column."""
    join = sl.interval_join("orders", "customers", keys=keys, times="at", upper="1h")
    assert grouping_of(pipeline(join)).grouping is grouping


@pytest.mark.parametrize(
    ("keys", "grouping"),
    [
        ("customer", Grouping.ALIGNED),
        ([("customer", "order")], Grouping.TOGETHER),
    ],
)
def test_a_stream_meets_itself_in_one_partition_only_by_one_column(
    keys: Any, grouping: Grouping
) -> None:
    """By two, an event is needed in two partitions."""
    join = sl.interval_join("orders", "orders", keys=keys, times="at", upper="1h")
    assert grouping_of(pipeline(join)).grouping is grouping
