"""The connectors that need a server pass the conformance checks, on the real one."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from psycopg import sql

from streamlab import formats
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.postgres import progress
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.contracts import Schema
from streamlab.sinks import Sink
from streamlab.testing import (
    SINK_CHECKS,
    SINK_SCHEMA,
    SOURCE_CHECKS,
    SinkCase,
    SourceCase,
)

pytestmark = pytest.mark.integration

SECRET = "nobody may see this"
TOO_LARGE = SECRET + "x" * 2_000_000  # a topic takes 1 MiB by default
PATIENCE_S = 20


@pytest.fixture
def settings(
    kafka_address: str,
    postgres_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Make the shared servers the default profile of the working directory."""
    (tmp_path / "streamlab.toml").write_text(
        'default_profile = "shared"\n'
        f'[profiles.shared.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
        f'[profiles.shared.postgres]\ndsn = "{postgres_dsn}"\n'
    )
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def append(settings: None, postgres_dsn: str) -> SinkCase:
    """Return the PostgreSQL sink that appends."""
    return SinkCase(
        lambda: PostgresSink(_table()),
        lambda sink: read_postgres(sink, postgres_dsn),
        refused_text=f"{SECRET}\0",
    )


@pytest.fixture
def upsert(settings: None, postgres_dsn: str) -> SinkCase:
    """Return the PostgreSQL sink that replaces by key."""
    return SinkCase(
        lambda: PostgresSink(_table(), mode="upsert", key=("id",)),
        lambda sink: read_postgres(sink, postgres_dsn),
        refused_text=f"{SECRET}\0",
    )


@pytest.fixture
def kafka(
    settings: None, kafka_address: str, make_topic: Callable[..., str]
) -> SinkCase:
    """Return the Kafka sink that produces at least once."""
    return SinkCase(
        lambda: KafkaSink(make_topic(partitions=2), key="part"),
        lambda sink: read_kafka(sink, kafka_address),
        refused_text=TOO_LARGE,
    )


@pytest.mark.parametrize("name", ["append", "upsert", "kafka"])
@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_sink_conforms(
    check: Callable[[SinkCase], None], name: str, request: pytest.FixtureRequest
) -> None:
    """Each sink passes each check."""
    check(request.getfixturevalue(name))


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
def test_kafka_source_conforms(
    check: Callable[[SourceCase], None],
    settings: None,
    kafka_address: str,
    make_topic: Callable[..., str],
) -> None:
    """The Kafka source passes each check."""

    def make(events: Mapping[int, Sequence[bytes]]) -> KafkaSource:
        topic = make_topic(partitions=len(events))
        producer = Producer({"bootstrap.servers": kafka_address})
        for partition, values in events.items():
            for value in values:
                producer.produce(topic, value, partition=partition)
        assert producer.flush(PATIENCE_S) == 0
        return KafkaSource(topic)

    check(SourceCase(make))


def test_check_finds_a_sink_that_does_not_compare(
    append: SinkCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without compare-and-set a stale worker writes its rows again, and it is seen."""
    monkeypatch.setattr(progress, "require_same_place", lambda *_: None)
    fences = {check.__name__: check for check in SINK_CHECKS}["fences_a_stale_worker"]
    with pytest.raises(AssertionError, match="not Fenced"):
        fences(append)


def read_postgres(sink: Sink, dsn: str) -> pl.DataFrame:
    """Return the rows of a table in the order in which they were written."""
    query = sql.SQL("SELECT * FROM {} ORDER BY ctid").format(sql.Identifier(sink.table))
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(query).fetchall()
    return pl.DataFrame(rows, SINK_SCHEMA, orient="row")


def read_kafka(sink: Sink, address: str) -> pl.DataFrame:
    """Return the rows of a topic, one partition after another."""
    options = {"bootstrap.servers": address, "group.id": "unused"}
    consumer = Consumer({**options, "isolation.level": "read_committed"})
    try:
        values: list[bytes | None] = []
        for partition in (0, 1):
            place = TopicPartition(sink.topic, partition, 0)
            consumer.assign([place])
            _, end = consumer.get_watermark_offsets(place, PATIENCE_S)
            while end and consumer.position([place])[0].offset < end:
                values += [m.value() for m in consumer.consume(1_000, 0.1)]
    finally:
        consumer.close()
    decoded = formats.named("json").decode(values, Schema.of(SINK_SCHEMA))
    assert not decoded.rejected
    return decoded.frame


def _table() -> str:
    return f"conformance_{uuid.uuid4().hex[:12]}"
