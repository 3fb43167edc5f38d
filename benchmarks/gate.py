"""A topic whose messages appear all at once, when the readers are ready.

The messages are written in one transaction that stays open: readers see committed
messages only, so they find an empty topic, join their group and wait. Committing the
transaction is the starting shot. What is then measured is the work, not the start of
a process, and several workers have shared the partitions before the first message.
"""

from __future__ import annotations

import time

from confluent_kafka import Producer

from demo import flights

TIMEOUT_MS = 300_000
"""How long the broker keeps the transaction open at most."""


class Gate:
    """Messages behind a gate. ``open`` lets them through."""

    def __init__(self, kafka: str, topic: str, batch: flights.Messages) -> None:
        """Create the topic and write the messages behind the gate."""
        self.topic = topic
        self.messages = len(batch)
        flights.create_topic(kafka, topic)
        self._producer: Producer = flights.producer(
            kafka,
            **{
                "transactional.id": f"gate-{topic}",
                "transaction.timeout.ms": TIMEOUT_MS,
            },
        )
        self._producer.init_transactions()
        self._producer.begin_transaction()
        flights.send(self._producer, topic, batch)

    def open(self) -> float:
        """Let the messages through and return the time, as ``perf_counter`` tells."""
        started = time.perf_counter()
        self._producer.commit_transaction()
        return started
