"""Several inputs of real servers: topics by one consumer, a topic and a database."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

import streamlab as sl
from streamlab.connectors.combined import CombinedSource
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.memory import MemorySink
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.contracts import Schema
from streamlab.engines.local import Worker, position
from streamlab.errors import Fenced, OffsetExpired, TopicRecreated, UsageError
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.positions import Progress, TopicPartition
from streamlab.sinks import Guarantee, Sink, SinkBatch, SinkContext
from streamlab.transforms.event_time import event_time
from streamlab.values import FrameValues
from tests.integration.kafka_readers import (
    PATIENCE_S,
    POLL_S,
    Listening,
    poll_until,
    produce,
    read,
)

pytestmark = pytest.mark.integration

PROTOCOLS = {
    "eager": {},
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}


@pytest.fixture(autouse=True)
def settings(
    kafka_address: str,
    postgres_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Make the shared servers the default profile of the working directory."""
    (tmp_path / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
    )
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)


class Topics:
    """Two topics with ten events in each of two partitions."""

    def __init__(self, make_topic, address: str, options=None) -> None:
        self.flights, self.weather = make_topic(2), make_topic(2)
        for topic in (self.flights, self.weather):
            for number in range(2):
                values = [b"%s/%d/%d" % (topic.encode(), number, n) for n in range(10)]
                produce(address, topic, values, partition=number)
        self.source = CombinedSource(
            {
                "flights": KafkaSource(self.flights, options=options or {}),
                "weather": KafkaSource(self.weather, options=options or {}),
            }
        )
        self.name = f"several-{uuid.uuid4().hex[:8]}"

    @property
    def partitions(self) -> list[TopicPartition]:
        names = sorted((self.flights, self.weather))
        return [TopicPartition(name, number) for name in names for number in range(2)]


@pytest.fixture
def topics(make_topic, kafka_address: str) -> Topics:
    """Return two topics that are new."""
    return Topics(make_topic, kafka_address)


def test_topics_are_read_by_one_member_of_one_group(topics: Topics, kafka_address):
    """All partitions are assigned at once, and each batch is of one topic."""
    listening = Listening()
    reader = topics.source.open(topics.name, listening)

    batches = read(reader, 40)

    (given,) = listening.given
    assert list(given.partitions) == topics.partitions
    values = [value for batch in batches for value in batch.values]
    assert len(set(values)) == len(values) == 40
    for batch in batches:
        (topic,) = {span.partition.topic for span in batch.spans}
        assert {one.topic for one in batch.origins.partitions()} == {topic}
        assert all(value.startswith(topic.encode()) for value in batch.values)
        assert sum(batch.origins.counts().values()) == len(batch)
    admin = AdminClient({"bootstrap.servers": kafka_address})
    (group,) = admin.describe_consumer_groups([f"streamlab.{topics.name}"]).values()
    assert len(group.result(PATIENCE_S).members) == 1
    reader.close()


def test_the_positions_of_one_task_are_committed_and_found_together(topics: Topics):
    """A task with partitions of both topics goes on where both were."""
    listening = Listening()
    reader = topics.source.open(topics.name, listening)
    read(reader, 40)
    progress = Progress(
        "*",
        3,
        dict.fromkeys(topics.partitions, 10),
        listening.given[0].incarnations,
        "state-3",
    )
    reader.acknowledge([progress])
    reader.close()

    again = Listening()
    reader = topics.source.open(topics.name, again)
    poll_until(reader, lambda: bool(again.given))
    reader.close()

    committed = again.given[0].committed
    assert {p: one.positions[p] for p, one in committed.items()} == progress.positions
    assert {(one.task, one.epoch, one.state_id) for one in committed.values()} == {
        ("*", 3, "state-3")
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_partitions_move_between_readers_and_no_event_is_lost(
    make_topic, kafka_address: str, protocol: str
):
    """Through a join and a leave each event of each topic arrives."""
    topics = Topics(make_topic, kafka_address, PROTOCOLS[protocol])
    seen: set[bytes] = set()
    first, second = Listening(), Listening()
    reader = topics.source.open(topics.name, first)
    seen.update(value for one in read(reader, 5) for value in one.values)
    other = topics.source.open(topics.name, second)
    until = time.monotonic() + PATIENCE_S
    while (len(seen) < 40 or not second.given) and time.monotonic() < until:
        for each in (reader, other):
            batch = each.poll(3, POLL_S)
            seen.update(batch.values if batch else ())
    reader.close()
    other.close()

    assert len(seen) == 40
    assert second.given


def test_partitions_of_equal_number_go_to_the_same_reader(topics: Topics):
    """So a task of both topics is whole in one worker."""
    first, second = Listening(), Listening()
    reader = topics.source.open(topics.name, first)
    poll_until(reader, lambda: bool(first.given))
    other = topics.source.open(topics.name, second)
    poll_until(reader, lambda: bool(second.given) and len(first.given) > 1, other)
    reader.close()
    other.close()

    for listening in (first, second):
        given = listening.given[-1].partitions
        numbers = {one.partition for one in given if one.topic == topics.flights}
        assert {one.partition for one in given} == numbers
        assert len(given) == 2


def test_one_transaction_holds_the_positions_of_both_topics(
    topics: Topics, make_topic, kafka_address: str
):
    """Rows and the offsets of all inputs are committed together, or not at all."""
    out, listening = make_topic(), Listening()
    reader = topics.source.open(topics.name, listening)
    read(reader, 40)
    context = SinkContext(topics.name, {"text": pl.String()}, "one", None)
    writer = KafkaSink(out, transactional=True).open(context)
    after = Progress("*", 1, dict.fromkeys(topics.partitions, 10))
    ticket = reader.commit_ticket([after])

    writer.write(SinkBatch(pl.DataFrame({"text": ["a"]}), [], [after], ticket, ()))

    writer.close()
    reader.close()
    stored = topics.source.positions(topics.name).stored()
    assert {p: one.positions[p] for p, one in stored.items()} == dict.fromkeys(
        topics.partitions, 10
    )


def test_a_table_is_read_to_its_end_before_the_first_event(topics: Topics):
    """The other topic is paused meanwhile, in the same consumer."""
    source = CombinedSource(topics.source.inputs, first=frozenset({"weather"}))
    reader = source.open(topics.name, Listening())

    batches = read(reader, 40)
    reader.close()

    order = [one.spans[0].partition.topic == topics.flights for one in batches if one]
    assert order == sorted(order)
    assert any(order)


def test_a_topic_can_be_left_out_for_a_while(topics: Topics):
    """What was taken of it already waits, in its order, until it is wanted again."""
    reader = topics.source.open(topics.name, Listening())
    until = time.monotonic() + PATIENCE_S
    first = None
    while first is None:
        assert time.monotonic() < until
        first = reader.poll(25, POLL_S)
    seen = list(first.values)
    reader.only({topics.flights})
    while sum(v.startswith(topics.flights.encode()) for v in seen) < 20:
        assert time.monotonic() < until
        batch = reader.poll(3, POLL_S)
        if batch is not None:
            assert batch.spans[0].partition.topic == topics.flights
            seen += batch.values
    reader.only(None)
    seen += [value for one in read(reader, 40 - len(seen)) for value in one.values]
    reader.close()

    assert len(seen) == len(set(seen)) == 40
    for partition in topics.partitions:
        own = [v for v in seen if v.startswith(f"{partition}/".encode())]
        assert own == sorted(own)


def test_a_second_topic_that_is_created_again_stops_the_reader(
    topics: Topics, kafka_address: str
):
    """Every topic is watched."""
    listening = Listening()
    reader = topics.source.open(topics.name, listening)
    read(reader, 40)
    admin = AdminClient({"bootstrap.servers": kafka_address})
    admin.delete_topics([topics.weather])[topics.weather].result(PATIENCE_S)
    time.sleep(1)
    recreate(admin, topics.weather)

    with pytest.raises(TopicRecreated, match=topics.weather):
        poll_until(reader, lambda: bool(reader.healthy()))
    reader.close()


def recreate(admin: AdminClient, name: str) -> None:
    from confluent_kafka.admin import NewTopic

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            admin.create_topics([NewTopic(name, 2, 1)])[name].result(PATIENCE_S)
        except Exception:  # noqa: BLE001 -- the old one is still being deleted
            assert time.monotonic() < until
            time.sleep(0.5)
        else:
            return


def test_an_expired_offset_of_a_second_topic_names_it(topics: Topics, kafka_address):
    """The gap is told of the partition that has it."""
    from confluent_kafka import TopicPartition as KafkaPartition

    admin = AdminClient({"bootstrap.servers": kafka_address})
    place = KafkaPartition(topics.weather, 1, 4)
    for answer in admin.delete_records([place]).values():
        answer.result(PATIENCE_S)
    listening = Listening()
    listening.positions = {TopicPartition(topics.weather, 1): 1}
    reader = topics.source.open(topics.name, listening)

    with pytest.raises(OffsetExpired, match=f"{topics.weather}/1"):
        poll_until(reader, lambda: False)
    reader.close()


SCHEMA = Schema.of({"n": pl.Int64(), "at": pl.Datetime("us", "UTC")})


@sl.transform(window=sl.tumbling("1h", on="at"))
def counted(flights: pl.LazyFrame, weather: pl.LazyFrame) -> pl.LazyFrame:
    both = pl.concat([flights, weather])
    return both.group_by("window_start").len()


def test_positions_of_all_inputs_are_seen_and_set_from_outside(topics: Topics):
    """One task moves in one step, also where only one of its partitions is named."""
    pipeline = Pipeline(
        name=topics.name,
        inputs={
            name: Input(source, "json", SCHEMA)
            for name, source in topics.source.inputs.items()
        },
        transforms=(counted,),
        sink=MemorySink(promise=Guarantee.AT_LEAST_ONCE),
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
    )
    reader = topics.source.open(topics.name, Listening())
    read(reader, 40)
    progress = Progress("*", 3, dict.fromkeys(topics.partitions, 10), {}, "state-3")
    reader.acknowledge([progress])
    with pytest.raises(Fenced, match="is running"):
        position.reset(pipeline, position.planned(pipeline, "earliest"))
    reader.close()
    assert [one.position for one in position.places(pipeline)] == [10] * 4
    with pytest.raises(UsageError, match="no partition 0"):
        position.planned(pipeline, "0=5")

    moves = position.planned(pipeline, f"{topics.weather}/1=4")
    position.reset(pipeline, moves)

    assert len(moves) == 4
    assert {str(one).rpartition(", ")[2] for one in moves} == {
        "as it was",
        "repeats 6 offsets",
    }
    stored = position.places(pipeline)
    assert {one.position for one in stored} == {10, 4}
    assert {(one.progress.task, one.progress.epoch) for one in stored} == {("*", 4)}
    assert {one.progress.state_id for one in stored} == {None}
    position.forget(pipeline)
    assert [one.position for one in position.places(pipeline)] == [None] * 4


TIMED = Schema.of({"id": pl.Int64(), "at": pl.Int64()})
TIME = event_time("at", unit="s")


@sl.transform(window=sl.tumbling("1h", on=TIME), changelog=True)
def both(flights: pl.LazyFrame, planes: pl.LazyFrame) -> pl.LazyFrame:
    counted = flights.group_by("window_start").len("flights")
    others = planes.group_by("window_start").len("planes")
    return (
        counted.join(others, on="window_start", how="full", coalesce=True)
        .with_columns(pl.col("flights", "planes").fill_null(0))
        .select(pl.col("window_start").dt.hour().cast(pl.Int32), "flights", "planes")
    )


def pipeline_of(name: str, flights: Input, planes: Input, sink: Sink) -> Pipeline:
    return Pipeline(
        name=name,
        inputs={"flights": flights, "planes": planes},
        transforms=(both,),
        sink=sink,
        dead_letters=DeadLetters(file=Path("dead.jsonl")),
    )


def timed(address: str, topic: str, hours: range) -> None:
    """Write ten events an hour into each of two partitions."""
    for number in range(2):
        values = [
            json.dumps({"id": n, "at": hour * 3600 + n}).encode()
            for hour in hours
            for n in range(10)
        ]
        produce(address, topic, values, partition=number)


def hours(frame: pl.DataFrame) -> list[tuple[int, int, int]]:
    return sorted(frame.select("window_start", "flights", "planes").iter_rows())


def test_a_worker_joins_two_topics_in_windows_across_restarts(
    make_topic, kafka_address: str
):
    """Three workers, one after the other, give each window once, with both inputs."""
    flights, planes, sink = make_topic(2), make_topic(2), MemorySink()
    made = pipeline_of(
        f"both-{uuid.uuid4().hex[:8]}",
        Input(KafkaSource(flights), "json", TIMED),
        Input(KafkaSource(planes), "json", TIMED),
        sink,
    )
    for run in range(3):
        timed(kafka_address, flights, range(run * 3, run * 3 + 3))
        timed(kafka_address, planes, range(run * 3, run * 3 + 3))
        Worker(made).run(until_caught_up=run < 2, finish=run == 2)

    assert hours(sink.target.frame()) == [(hour, 20, 20) for hour in range(9)]


def test_a_transaction_has_the_rows_of_two_inputs_and_their_positions(
    make_topic, kafka_address: str
):
    """A transactional sink keeps the one task of both topics in the group's offsets."""
    flights, planes, out = make_topic(2), make_topic(2), make_topic()
    made = pipeline_of(
        f"both-{uuid.uuid4().hex[:8]}",
        Input(KafkaSource(flights), "json", TIMED),
        Input(KafkaSource(planes), "json", TIMED),
        KafkaSink(out, transactional=True),
    )
    for run in range(2):
        timed(kafka_address, flights, range(run * 3, run * 3 + 3))
        timed(kafka_address, planes, range(run * 3, run * 3 + 3))
        Worker(made).run(until_caught_up=run < 1, finish=run == 1)

    schema = Schema.of(dict.fromkeys(("window_start", "flights", "planes"), pl.Int64()))
    frame = sl.tap(out, schema=schema).frame
    assert hours(frame) == [(hour, 20, 20) for hour in range(6)]
    places = position.places(made)
    assert {one.position for one in places} == {60}
    assert len({(one.progress.task, one.progress.epoch) for one in places}) == 1


def test_a_worker_joins_a_topic_and_a_database_in_windows(
    make_topic, kafka_address: str, planes: str, postgres_dsn: str
):
    """Rows of a table and events of a topic meet; positions of both are in the sink."""
    flights, sink = make_topic(2), MemorySink()
    source = PostgresSource(tables=(f"public.{planes}",), dsn=postgres_dsn)
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"alter table {planes} add at bigint default 60 not null")
    made = pipeline_of(
        f"both-{uuid.uuid4().hex[:8]}",
        Input(KafkaSource(flights), "json", TIMED),
        Input(source, "rows", source.schema()),
        sink,
    )
    try:
        timed(kafka_address, flights, range(2))
        Worker(made).run(until_caught_up=True)
        timed(kafka_address, flights, range(2, 4))
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(
                f"insert into {planes} select 100 + i, 'x', 7200 + i "
                "from generate_series(1, 5) i"
            )
        Worker(made).run(finish=True)

        assert hours(sink.target.frame()) == [
            (0, 20, 10),
            (1, 20, 0),
            (2, 20, 5),
            (3, 20, 0),
        ]
        (progress,) = sink.stored(made.name)
        assert {one.topic for one in progress.positions} == set(made.topics)
    finally:
        position.forget(made)


@pytest.fixture
def planes(postgres_dsn: str) -> Iterator[str]:
    """Return the name of a table with ten rows."""
    name = f"planes_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"create table {name} (id int primary key, model text)")
        connection.execute(
            f"insert into {name} select i, 'm' || i from generate_series(1, 10) i"
        )
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"drop table {name}")


def test_a_database_is_read_beside_a_topic(
    topics: Topics, planes: str, postgres_dsn: str
):
    """Rows of the table come first, then both are followed; each keeps its position."""
    source = CombinedSource(
        {
            "flights": topics.source.inputs["flights"],
            "planes": PostgresSource(tables=(f"public.{planes}",), dsn=postgres_dsn),
        },
        first=frozenset({"planes"}),
    )
    slot = next(
        t for t, name in source.streams(topics.name).items() if name == "planes"
    )
    listening = Listening()
    reader = source.open(topics.name, listening)
    try:
        batches = read(reader, 30)
        (given,) = listening.given
        assert {one.topic for one in given.partitions} == {topics.flights, slot}
        kinds = [isinstance(one.values, FrameValues) for one in batches if one]
        assert kinds == sorted(kinds, reverse=True)
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(f"insert into {planes} values (11, 'new')")
        assert sum(map(len, read(reader, 1))) == 1
        ends = {s.partition: s.end for one in batches for s in one.spans}
        reader.acknowledge([Progress("*", 1, ends, given.incarnations)])
        reader.close()
        stored = source.positions(topics.name).stored()
        assert {p: one.positions[p] for p, one in stored.items()} == ends
    finally:
        reader.close()
        source.positions(topics.name).forget()
