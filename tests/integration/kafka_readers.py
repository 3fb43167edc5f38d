"""What the Kafka tests share: a listener that notes what it is told, and polling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Producer

from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Assignment, RawBatch, Reader

PATIENCE_S = 30.0
POLL_S = 0.1


class Listening:
    """Goes on where the group is, or else at the start; notes everything."""

    def __init__(self) -> None:
        self.given: list[Assignment] = []
        self.revoked_ones: list[Sequence[TopicPartition]] = []
        self.lost_ones: list[Sequence[TopicPartition]] = []
        self.when_revoked: Callable[[], None] = lambda: None
        self.positions: Mapping[TopicPartition, Position] = {}

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        self.given.append(given)
        return {p: self._position(given, p) for p in given.partitions}

    def _position(self, given: Assignment, partition: TopicPartition) -> Position:
        if partition in self.positions:
            return self.positions[partition]
        stored = given.committed.get(partition)
        return stored.positions[partition] if stored else given.start[partition]

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.revoked_ones.append(partitions)
        self.when_revoked()

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.lost_ones.append(partitions)


def produce(address: str, topic: str, values: Sequence[bytes], **at: int) -> None:
    """Write values, and wait until they are acknowledged."""
    producer = Producer({"bootstrap.servers": address})
    for value in values:
        producer.produce(topic, value, **at)
    assert producer.flush(PATIENCE_S) == 0


def poll_until(reader: Reader, done: Callable[[], bool], *others: Reader) -> None:
    """Poll readers in turn until something holds."""
    until = time.monotonic() + PATIENCE_S
    while not done():
        assert time.monotonic() < until, "it did not happen in time"
        for each in (reader, *others):
            each.poll(100, POLL_S)


def read(reader: Reader, count: int) -> list[RawBatch]:
    """Return batches with that many events."""
    until = time.monotonic() + PATIENCE_S
    batches: list[RawBatch] = []
    while sum(map(len, batches)) < count:
        assert time.monotonic() < until, "the events did not come in time"
        batch = reader.poll(1_000, POLL_S)
        if batch is not None:
            batches.append(batch)
    return batches


def progress_of(
    batches: Sequence[RawBatch], given: Assignment, epoch: int = 1
) -> list[Progress]:
    """Return the progress that the batches make, one task a partition."""
    ends = {s.partition: s.end for batch in batches for s in batch.spans}
    return [
        Progress(str(partition), epoch, {partition: end}, given.incarnations)
        for partition, end in ends.items()
    ]
