"""A dead letter topic, read back as dead letters, and its events sent once more."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

from streamlab.connectors.kafka import connection, rights, topics
from streamlab.connectors.kafka.dead_letters import letter
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.connectors.kafka.producing import OPTIONS, Outbox
from streamlab.errors import Unavailable
from streamlab.sinks import DeadLetter

CHUNK = 1_000
PATIENCE_S = 10.0


def read(topic: str, profile: str = "") -> Iterator[DeadLetter]:
    """Yield the dead letters of a topic up to its end, joining no group.

    An event that was set aside twice, because its epoch was replayed, comes twice.

    Raises:
        UnknownName: There is no such topic.
        UsageError: The topic holds something else.
        Unavailable: The broker does not answer.
    """
    client = connection.admin(profile)
    partitions = topics.describe(client, topic, needed=rights.read).partitions
    starts = topics.offsets(client, partitions, OffsetSpec.earliest())
    name = f"streamlab-dlq-{uuid.uuid4().hex[:12]}"
    consumer = connection.consumer(
        {
            **connection.client_options(profile),
            "client.id": name,
            "group.id": name,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.assign([ck.TopicPartition(*p, starts[p][0]) for p in partitions])
        yield from _letters(consumer, topic, len(partitions))
    finally:
        consumer.close()


def _letters(consumer: Any, topic: str, partitions: int) -> Iterator[DeadLetter]:
    ended: set[int] = set()
    while len(ended) < partitions:
        chunk = consumer.consume(CHUNK, PATIENCE_S)
        if not chunk:
            message = f"Kafka sent nothing for {PATIENCE_S:.0f} s"
            raise Unavailable(message)
        for message in chunk:
            error = message.error()
            if error is None:
                yield letter(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            elif not error.retriable():
                raise translated(error, "reading dead letters", rights.read(topic))


def send_again(letters: Sequence[DeadLetter], topic: str, profile: str = "") -> None:
    """Produce the events of dead letters as they were: key, value and own headers.

    An event that goes back into its own topic goes into its own partition: whatever
    placed its key there need not be what places keys here.

    Raises:
        UnknownName: There is no such topic.
        Unavailable: The broker does not answer; some may have been produced.
    """
    try:
        topics.describe(connection.admin(profile), topic, needed=rights.write)
        outbox = Outbox({**OPTIONS, **connection.client_options(profile)}, topic)
    except KafkaException as error:
        raise translated(kafka_error(error), "sending events again") from error
    try:
        for one in letters:
            event = (one.key, one.value, one.headers)
            if one.topic == topic:
                outbox.send_back(event, one.partition)
            else:
                outbox.send_letters([event])
        outbox.flush([(one.key, one.value or b"") for one in letters])
    finally:
        outbox.close()
