"""The transactional Kafka sink on a real broker: all or nothing, one writer only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaPartition

import streamlab as sl
from streamlab.connectors.kafka import dead_letters
from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.kafka.source import KafkaSource
from streamlab.errors import Fenced, Refused, RowsRefused, UnknownName
from streamlab.positions import Progress, TopicPartition
from streamlab.sinks import DeadLetter, Guarantee, SinkBatch, SinkContext
from tests.integration.kafka_readers import (
    PATIENCE_S,
    Listening,
    poll_until,
    produce,
    progress_of,
    read,
)

pytestmark = pytest.mark.integration

LETTER = DeadLetter(
    topic="flights",
    partition=3,
    position=41,
    timestamp_ms=1356998400000,
    key=b"\x00key",
    value=b"{\xff",
    headers=[("trace", b"1"), ("trace", None)],
    stage="decode",
    code="not-json",
    reason="the value is not JSON: it ends early",
)


@pytest.fixture(autouse=True)
def settings(
    kafka_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the shared broker the default profile of the working directory."""
    (tmp_path / "streamlab.toml").write_text(
        f'[profiles.local.kafka]\n"bootstrap.servers" = "{kafka_address}"\n'
    )
    monkeypatch.delenv("STREAMLAB_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)


class Flow:
    """A source with ten events, and what a transactional sink needs of it."""

    def __init__(self, make_topic, address: str) -> None:
        self.topic, self.out, self.dead = make_topic(), make_topic(), make_topic()
        produce(address, self.topic, [b'{"n": %d}' % n for n in range(10)])
        self.listening = Listening()
        self.reader = KafkaSource(self.topic).open(self.topic, self.listening)
        self.batches = read(self.reader, 10)

    def writer(self, worker: str = "one"):
        schema = {"n": pl.Int64(), "text": pl.String()}
        context = SinkContext(self.topic, schema, worker, self.dead)
        return KafkaSink(self.out, transactional=True).open(context)

    def batch(self, *texts: str, epoch: int = 1, letters=()) -> SinkBatch:
        progress = progress_of(self.batches, self.listening.given[-1], epoch)
        frame = pl.DataFrame({"n": range(len(texts)), "text": list(texts)})
        ticket = self.reader.commit_ticket(progress)
        return SinkBatch(frame, [], progress, ticket, letters)

    def written(self, count: int = 0) -> list[str]:
        """Return the rows, waiting for ``count``.

        A commit is answered when it is certain; it becomes visible a moment later.
        """
        schema = sl.Schema.of({"text": pl.String()})
        until = time.monotonic() + PATIENCE_S
        while True:
            found = sl.tap(self.out, schema=schema).frame["text"].to_list()
            if len(found) >= count or time.monotonic() > until:
                return found

    def committed(self) -> int:
        asked = [KafkaPartition(self.topic, 0)]
        return self.reader._consumer.committed(asked, timeout=PATIENCE_S)[0].offset


@pytest.fixture
def flow(make_topic, kafka_address: str):
    """Return a source and a sink topic, both new."""
    made = Flow(make_topic, kafka_address)
    yield made
    made.reader.close()


def test_rows_letters_and_position_come_together(flow, kafka_address):
    """One transaction has the rows, the dead letters and the group's offset."""
    writer = flow.writer()
    assert flow.committed() == 0
    assert writer.write(flow.batch("a", "b", epoch=7, letters=[LETTER])) == 2
    writer.close()
    assert flow.written(2) == ["a", "b"]
    assert flow.committed() == 10
    (message,) = consumed(kafka_address, flow.dead, 1)
    assert dead_letters.letter(message) == LETTER
    flow.reader.close()
    again = Listening()
    reader = KafkaSource(flow.topic).open(flow.topic, again)
    poll_until(reader, lambda: bool(again.given))
    reader.close()
    partition = TopicPartition(flow.topic, 0)
    stored = again.given[0].committed[partition]
    assert (stored.epoch, stored.positions) == (7, {partition: 10})


def test_a_refused_row_leaves_nothing_behind(flow):
    """Neither the other rows nor the position are written; the row is named."""
    writer = flow.writer()
    with pytest.raises(RowsRefused) as caught:
        writer.write(flow.batch("a", "x" * 2_000_000, "b"))
    assert list(caught.value.reasons) == [1]
    assert "xxx" not in str(caught.value)
    assert (flow.written(), flow.committed()) == ([], 0)
    writer.write(flow.batch("a", "b"))
    writer.close()
    assert (flow.written(2), flow.committed()) == (["a", "b"], 10)


def test_a_newer_writer_of_the_same_name_fences_the_older(flow):
    """A stalled worker whose successor has begun writes nothing more."""
    older = flow.writer()
    newer = flow.writer()
    with pytest.raises(Fenced):
        older.write(flow.batch("stale"))
    newer.write(flow.batch("fresh"))
    older.close()
    newer.close()
    assert flow.written(1) == ["fresh"]


def test_a_ticket_of_an_older_generation_is_fenced(flow):
    """A worker that lost its partitions cannot commit what it has in hand."""
    writer = flow.writer()
    stale = flow.batch("stale")
    second = Listening()
    other = KafkaSource(flow.topic).open(flow.topic, second)
    poll_until(flow.reader, lambda: bool(flow.listening.revoked_ones), other)
    with pytest.raises(Fenced):
        writer.write(stale)
    writer.close()
    other.close()
    assert flow.written() == []


def test_a_source_elsewhere_is_refused(flow):
    """Rows and a position on another cluster cannot be one transaction."""
    writer = flow.writer()
    batch = flow.batch("a")
    elsewhere = [
        Progress(one.task, 1, one.positions, {flow.topic: "other/topic"})
        for one in batch.after
    ]
    with pytest.raises(Refused, match="one transaction"):
        writer.write(SinkBatch(batch.frame, [], elsewhere, batch.ticket))
    with pytest.raises(Refused, match="one transaction"):
        writer.write(SinkBatch(batch.frame, [], batch.after))
    writer.close()
    assert flow.written() == []


def test_a_killed_writer_is_replaced_at_once(flow, tmp_path):
    """What a SIGKILL leaves open is aborted by the successor of the same name."""
    code = (
        "import polars as pl, time\n"
        "from streamlab.connectors.kafka.sink import KafkaSink\n"
        "from streamlab.sinks import SinkContext\n"
        f"context = SinkContext({flow.topic!r}, {{'n': pl.Int64()}}, 'one')\n"
        f"writer = KafkaSink({flow.out!r}, transactional=True).open(context)\n"
        "producer = writer._outbox.producer\n"
        "producer.begin_transaction()\n"
        f'producer.produce({flow.out!r}, b\'{{"text": "torn"}}\')\n'
        "producer.flush()\n"
        "print('open', flush=True)\n"
        "time.sleep(60)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with killed:
        assert killed.stdout.readline() == b"open\n"
        os.kill(killed.pid, signal.SIGKILL)
    began = time.monotonic()
    writer = flow.writer()
    writer.write(flow.batch("whole"))
    assert flow.written(1) == ["whole"]
    assert time.monotonic() - began < 10
    writer.close()


def test_an_unknown_dead_letter_topic_is_refused_at_the_start(flow, make_topic):
    """A sink that takes dead letters checks where they go before it runs."""
    context = SinkContext("p", {"n": pl.Int64()}, "w", f"{flow.dead}x")
    with pytest.raises(UnknownName, match="no topic"):
        KafkaSink(flow.out, transactional=True).open(context)


def test_the_guarantee_is_said():
    """Atomic with transactions, at least once without; the plan says so."""
    assert KafkaSink("t", transactional=True).guarantee is Guarantee.ATOMIC
    assert KafkaSink("t").describe() == "kafka topic t (json, at-least-once)"


def test_dead_letters_are_durable_and_come_back_whole(make_topic, kafka_address):
    """A letter keeps bytes, headers, origin and reason; Connect's names are there."""
    topic = make_topic()
    writer = dead_letters.KafkaDeadLetterWriter(topic, "delays")
    tombstone = DeadLetter(
        "flights", 0, 0, None, None, None, (), "sink", "too-large", "why"
    )
    writer.write([LETTER, tombstone])
    writer.close()
    first, second = consumed(kafka_address, topic, 2)
    assert dead_letters.letter(first) == LETTER
    found = dead_letters.letter(second)
    assert (found.key, found.value, list(found.headers)) == (None, None, [])
    assert found.timestamp_ms is None
    headers = dict(first.headers())
    assert headers["__connect.errors.topic"] == b"flights"
    assert headers["__connect.errors.offset"] == b"41"
    assert headers["__connect.errors.connector.name"] == b"delays"


def test_a_dead_letter_that_the_topic_does_not_take_stops(make_topic):
    """A letter that cannot be kept is an error, so its event is not passed over."""
    writer = dead_letters.KafkaDeadLetterWriter(
        make_topic(max_message_bytes=1000), "delays"
    )
    large = DeadLetter("f", 0, 9, None, None, b"x" * 2000, (), "decode", "c", "r")
    with pytest.raises(Refused, match="f/0 offset 9"):
        writer.write([large])
    writer.close()


def consumed(address: str, topic: str, count: int):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "oracle"})
    consumer.assign([KafkaPartition(topic, 0, 0)])
    found = consumer.consume(count, PATIENCE_S)
    consumer.close()
    return found
