"""The Kafka source on a real broker: groups, gaps, re-created topics, outages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from streamlab.connectors.kafka.connection import connect
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.connectors.kafka.topics import topics
from streamlab.errors import (
    Fenced,
    OffsetExpired,
    TopicRecreated,
    Unavailable,
    UnknownName,
)
from streamlab.positions import Progress, TopicPartition
from streamlab.stack import Stack
from tests.integration.kafka_readers import (
    PATIENCE_S,
    POLL_S,
    Listening,
    poll_until,
    produce,
    progress_of,
    read,
)

pytestmark = pytest.mark.integration

PROTOCOLS = {
    "eager": {},
    "cooperative": {"partition.assignment.strategy": "cooperative-sticky"},
    "consumer": {"group.protocol": "consumer"},
}


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the options of each way to share a topic."""
    return PROTOCOLS[request.param]


@pytest.fixture(autouse=True)
def settings(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the shared broker the default profile of the working directory."""
    use_broker(kafka_address, tmp_path, monkeypatch)


def use_broker(address: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{address}"\n'
    )
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(folder)


def test_positions_go_past_the_markers_of_transactions(make_topic, kafka_address):
    """A topic that was filled in transactions is read up to its very end."""
    topic = make_topic()
    producer = Producer({"bootstrap.servers": kafka_address, "transactional.id": topic})
    producer.init_transactions(PATIENCE_S)
    for number in range(3):
        producer.begin_transaction()
        producer.produce(topic, b"%d" % number)
        producer.commit_transaction(PATIENCE_S)
    listening = Listening()
    reader = KafkaSource(topic).open(topic, listening)
    batches = []
    until = time.monotonic() + PATIENCE_S
    while not batches or batches[-1].spans[0].end < 6:
        assert time.monotonic() < until, "the last marker was not passed"
        batch = reader.poll(100, POLL_S)
        batches += [batch] if batch else []
    reader.close()
    assert [value for batch in batches for value in batch.values] == [b"0", b"1", b"2"]
    assert batches[0].spans[0].start == 0


def test_commits_reach_the_broker_while_another_thread_waits_for_messages(make_topic):
    """An idle reader does not hold up the thread that acknowledges."""
    topic = make_topic()
    listening = Listening()
    reader = KafkaSource(topic).open(topic, listening)
    poll_until(reader, lambda: bool(listening.given))
    took_s: list[float] = []

    def acknowledge() -> None:
        for epoch in range(20):
            began = time.monotonic()
            reader.acknowledge(
                [Progress(f"{topic}/0", epoch, {TopicPartition(topic, 0): 0})]
            )
            took_s.append(time.monotonic() - began)

    thread = threading.Thread(target=acknowledge)
    thread.start()
    while thread.is_alive():
        reader.poll(10, 2.0)
    reader.close()
    assert sorted(took_s)[10] < 0.2


def test_another_thread_can_commit_while_partitions_are_revoked(
    make_topic, kafka_address, protocol
):
    """What is in flight is committed before partitions go to another reader."""
    topic = make_topic(partitions=2)
    for partition in range(2):
        produce(kafka_address, topic, [b"{}"] * 5, partition=partition)
    first, second = Listening(), Listening()
    source = KafkaSource(topic, options=protocol)
    reader = source.open(topic, first)
    progress = progress_of(read(reader, 10), first.given[0])

    def commit_from_a_writing_thread() -> None:
        thread = threading.Thread(target=lambda: reader.acknowledge(progress))
        thread.start()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()

    first.when_revoked = commit_from_a_writing_thread
    other = source.open(topic, second)
    poll_until(reader, lambda: bool(second.given), other)
    taken = second.given[0].committed
    assert [one.positions for one in taken.values()] == [{p: 5} for p in taken]
    assert len(taken) == 1
    first.when_revoked = lambda: None
    reader.close()
    other.close()


def test_closing_lets_another_thread_commit(make_topic, kafka_address):
    """A drained reader's last epoch is committed by the writing thread."""
    topic = make_topic()
    produce(kafka_address, topic, [b"{}"] * 3)
    listening = Listening()
    reader = KafkaSource(topic).open(topic, listening)
    progress = progress_of(read(reader, 3), listening.given[0])

    def commit() -> None:
        thread = threading.Thread(target=lambda: reader.acknowledge(progress))
        thread.start()
        thread.join(PATIENCE_S)

    listening.when_revoked = commit
    reader.close()
    again = Listening()
    reader = KafkaSource(topic).open(topic, again)
    poll_until(reader, lambda: bool(again.given))
    reader.close()
    assert again.given[0].committed[TopicPartition(topic, 0)] == progress[0]


def test_partitions_that_went_away_cannot_be_acknowledged(make_topic, kafka_address):
    """A reader whose partitions another one has is fenced."""
    topic = make_topic()
    produce(kafka_address, topic, [b"{}"])
    listening = Listening()
    reader = KafkaSource(topic).open(topic, listening)
    progress = progress_of(read(reader, 1), listening.given[0])
    reader.close()
    with pytest.raises(Fenced, match="no longer assigned"):
        reader.acknowledge(progress)


def test_several_readers_share_and_lose_no_event(make_topic, kafka_address, protocol):
    """Through joins and leaves, acknowledged or not, each event arrives."""
    topic = make_topic(partitions=4)
    for partition in range(4):
        produce(
            kafka_address,
            topic,
            [b"%d" % (partition * 1000 + n) for n in range(500)],
            partition=partition,
        )
    seen: set[bytes] = set()
    first, second = Listening(), Listening()
    source = KafkaSource(topic, options=protocol)
    reader = source.open(topic, first)
    seen.update(_values(reader, 200))
    other = source.open(topic, second)
    until = time.monotonic() + PATIENCE_S
    while (len(seen) < 2000 or not second.given) and time.monotonic() < until:
        for each in (reader, other):
            batch = each.poll(50, POLL_S)
            seen.update(batch.values if batch else ())
    reader.close()
    other.close()
    assert len(seen) == 2000
    assert second.given


def _values(reader, count):
    return [value for batch in read(reader, count) for value in batch.values]


@pytest.mark.parametrize("start", ["latest", "2013-01-01T00:00:01Z"])
def test_the_first_start_is_stored_for_every_partition(
    make_topic, kafka_address, start
):
    """A partition that was quiet at first is not taken for a new one later."""
    topic = make_topic(partitions=2)
    for partition in range(2):
        for moment in (1356998400000, 1356998402000):
            produce(
                kafka_address, topic, [b"{}"], partition=partition, timestamp=moment
            )
    for _ in range(2):
        listening = Listening()
        reader = KafkaSource(topic, start=start).open(topic, listening)
        poll_until(reader, lambda given=listening.given: bool(given))
        reader.close()
    begins = 2 if start == "latest" else 1
    assert [one.positions for one in listening.given[0].committed.values()] == [
        {TopicPartition(topic, p): begins} for p in range(2)
    ]


def test_a_partition_that_is_added_is_read_from_its_start(make_topic, kafka_address):
    """A new partition of a topic with history starts at 0, whatever `start` says."""
    topic = make_topic()
    source = KafkaSource(
        topic, start="latest", options={"topic.metadata.refresh.interval.ms": "500"}
    )
    listening = Listening()
    reader = source.open(topic, listening)
    poll_until(reader, lambda: bool(listening.given))
    admin = AdminClient({"bootstrap.servers": kafka_address})
    admin.create_partitions([NewPartitions(topic, 2)])[topic].result(PATIENCE_S)
    produce(kafka_address, topic, [b"first"], partition=1)
    assert _values(reader, 1) == [b"first"]
    reader.close()


def test_an_expired_offset_stops_with_the_exact_gap(make_topic, kafka_address):
    """Events that went before they were read are named, and nothing is skipped."""
    topic = make_topic()
    produce(kafka_address, topic, [b"{}"] * 10)
    partition = TopicPartition(topic, 0)
    admin = AdminClient({"bootstrap.servers": kafka_address})
    for future in admin.delete_records([KafkaPartition(topic, 0, 7)]).values():
        future.result(PATIENCE_S)
    listening = Listening()
    listening.positions = {partition: 3}
    reader = KafkaSource(topic).open(topic, listening)
    with pytest.raises(OffsetExpired) as caught:
        poll_until(reader, lambda: False)
    reader.close()
    assert caught.value.gaps == {str(partition): (3, 7)}


def test_a_topic_created_again_stops_the_reader(make_topic, kafka_address):
    """A re-created topic is noticed while held, before anything commits."""
    topic = make_topic()
    produce(kafka_address, topic, [b"{}"] * 3)
    listening = Listening()
    reader = KafkaSource(topic).open(topic, listening)
    read(reader, 3)
    reader.hold(held=True)
    recreate(kafka_address, topic)
    reader.hold(held=False)
    with pytest.raises(TopicRecreated) as caught:
        reader.healthy()
    reader.close()
    assert caught.value.stored != caught.value.found


def recreate(address: str, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    admin.delete_topics([topic])[topic].result(PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(PATIENCE_S)
        except KafkaException:  # deletion goes on in the background
            time.sleep(0.1)
        else:
            return


def test_a_broker_that_was_away_is_read_on_without_a_restart(
    own_stack: Callable[..., Stack],
    make_topic,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """While the broker stands still the reader says so; then it goes on."""
    stack = own_stack("kafka")
    use_broker(stack.kafka, tmp_path, monkeypatch)
    topic = make_topic(address=stack.kafka)
    produce(stack.kafka, topic, [b"1"])
    listening = Listening()
    # Longer than the outage: the reader keeps its place in the group.
    options = {"socket.timeout.ms": "2000", "session.timeout.ms": "45000"}
    source = KafkaSource(topic, options=options)
    reader = source.open(topic, listening)
    progress = progress_of(read(reader, 1), listening.given[0])
    reader.acknowledge(progress)
    broker: psutil.Process = stack.server("kafka").process()
    broker.suspend()
    try:
        with pytest.raises(Unavailable):
            poll_until(reader, lambda: False)
    finally:
        broker.resume()
    produce(stack.kafka, topic, [b"2"])
    until = time.monotonic() + PATIENCE_S
    values: list[bytes | None] = []
    while not values and time.monotonic() < until:
        try:
            batch = reader.poll(10, POLL_S)
        except Unavailable:
            continue
        values = list(batch.values) if batch else []
    assert values == [b"2"]
    reader.healthy()
    reader.acknowledge(progress)
    reader.close()


def test_an_unknown_topic_names_near_ones(make_topic):
    """A mistyped topic is an error before anything runs."""
    topic = make_topic()
    with pytest.raises(UnknownName, match=f"no topic '{topic}x'") as caught:
        KafkaSource(f"{topic}x").open("p", Listening())
    assert topic in caught.value.hint


def test_topics_are_told_without_reading_them(make_topic, kafka_address):
    """Partitions, messages, first and last time are those of the messages."""
    topic = make_topic(partitions=2)
    for moment in (1_000_000, 2_000_000, 3_000_000):
        produce(kafka_address, topic, [b"{}"], partition=1, timestamp=moment)
    empty = make_topic()
    found = {row[0]: row[1:] for row in topics().rows()}
    partitions, messages, first, last = found[topic]
    assert (partitions, messages) == (2, 3)
    assert (first.timestamp(), last.timestamp()) == (1_000, 3_000)
    assert found[empty] == (1, 0, None, None)


def test_connect_says_who_answers(kafka_address):
    """A reachable broker is named, with its cluster and addresses."""
    cluster = connect()
    assert cluster.profile == "local"
    assert cluster.brokers == (kafka_address,)
    assert cluster.cluster_id
