"""The limit: a loop of ``consume`` on the bare client, which does nothing else."""

from __future__ import annotations

import time
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from demo.flights import PARTITIONS

BATCH = 10_000
IDLE_S = 30.0
"""After this time without a message the topic does not hold what it should."""


def limit(kafka: str, topic: str, messages: int) -> float:
    """Return how many messages a second the bare client reads from a topic.

    The clock runs from the first batch, which does not count: connecting is not
    reading. Of the client's settings only ``fetch.queue.backoff.ms`` differs from
    the defaults, in the limit's favour: with it the loop is about twice as fast.

    Args:
        kafka: Address of the broker.
        topic: A topic with :data:`~demo.flights.PARTITIONS` partitions.
        messages: How many it holds.

    Raises:
        RuntimeError: It holds fewer.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"bare-{uuid.uuid4().hex}",  # required, never joined
            "enable.auto.commit": False,
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.assign(
        [TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(PARTITIONS)]
    )
    try:
        first = len(consumer.consume(BATCH, IDLE_S))
        started, read = time.perf_counter(), first
        while read < messages:
            batch = consumer.consume(min(BATCH, messages - read), IDLE_S)
            if not batch:
                message = f"{topic} holds {read} messages, not {messages}"
                raise RuntimeError(message)
            read += len(batch)
        return (read - first) / (time.perf_counter() - started)
    finally:
        consumer.close()
