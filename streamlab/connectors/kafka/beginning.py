"""Where a reader begins in Kafka topics, and whether a position can be read at all."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka.admin import AdminClient, OffsetSpec

from streamlab.connectors.kafka import topics
from streamlab.connectors.kafka.topics import Topic
from streamlab.errors import OffsetExpired, PositionLost, TopicRecreated
from streamlab.positions import TopicPartition
from streamlab.sources import Start


def current(client: AdminClient, known: Iterable[Topic]) -> list[Topic]:
    """Return topics as they are now.

    Args:
        client: Asks the broker.
        known: The topics as they were.

    Raises:
        TopicRecreated: One is another topic now.
        Unavailable: The broker does not answer.
    """
    found = []
    for before in known:
        topic = topics.describe(client, before.name)
        if topic.incarnation != before.incarnation:
            raise TopicRecreated(
                topic.name, stored=before.incarnation, found=topic.incarnation
            )
        found.append(topic)
    return found


def starts(
    client: AdminClient, topic: Topic, start: Start, *, begun: bool
) -> dict[TopicPartition, int]:
    """Return where the partitions of a topic begin that have no position.

    The whole topic is looked at: a partition without an offset in a group that has
    others of the topic is a new one, and is read from 0. A group without any begins
    at ``start``, for all partitions at once and stored at once, so that the next
    start does not take a partition that was quiet for a new one.

    Args:
        client: Asks the broker.
        topic: The topic.
        start: Where the pipeline begins.
        begun: Whether the group has offsets of the topic.

    Raises:
        Unavailable: The broker does not answer.
    """
    if begun:
        return dict.fromkeys(topic.partitions, 0)
    return topics.starts(client, topic.partitions, start)


def require_readable(
    client: AdminClient, partition: TopicPartition, position: int
) -> None:
    """Refuse a position that is not in the log.

    Raises:
        OffsetExpired: It is before the first event that is kept.
        PositionLost: It is behind the end.
        Unavailable: The broker does not answer.
    """
    low = _offset_of(client, partition, OffsetSpec.earliest())
    high = _offset_of(client, partition, OffsetSpec.latest())
    if position < low:
        raise OffsetExpired({str(partition): (position, low)})
    if position > high:
        raise PositionLost(
            f"position {position} of {partition} is behind its end {high}: "
            "the broker lost events that were already read",
            hint="find out what the broker lost, then reset the position: "
            f"streamlab position reset PIPELINE --to {high}",
        )


def _offset_of(client: AdminClient, at: TopicPartition, spec: OffsetSpec) -> int:
    return topics.offsets(client, [at], spec)[at][0]
