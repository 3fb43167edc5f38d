"""What a broker says of its topics: partitions, incarnation, offsets, times.

Nothing here creates a topic. ``list_topics(name)`` of the client can, where the
broker creates topics by itself, so a single topic is asked for by ``describe``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import confluent_kafka as ck
import polars as pl
from confluent_kafka import IsolationLevel, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec

from streamlab.connectors.kafka import connection, rights
from streamlab.connectors.kafka.failures import UNKNOWN_TOPIC, kafka_error, translated
from streamlab.connectors.kafka.rights import Right
from streamlab.errors import UnknownName, UsageError
from streamlab.positions import TopicPartition
from streamlab.sources import Start

EARLIEST, LATEST = "earliest", "latest"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is now.

    Attributes:
        name: Its name.
        incarnation: ``cluster id/topic id``; another after deletion and creation.
        partitions: Its partitions, by rising number.
    """

    name: str
    incarnation: str
    partitions: tuple[TopicPartition, ...]


def check_name(name: str) -> None:
    """Refuse a topic without a name; the client takes it for a programming error.

    Raises:
        UsageError: The name is empty.
    """
    if not name:
        message = "a topic needs a name"
        raise UsageError(message, hint="list them: streamlab topics")


def describe(
    client: AdminClient,
    name: str,
    *,
    needed: Callable[[str], Right] = rights.describe,
    timeout_s: float = connection.REQUEST_TIMEOUT_S,
) -> Topic:
    """Return a topic as it is now.

    Args:
        client: Asks the broker.
        name: The topic.
        needed: The right that what comes next takes; it includes that to describe,
            and is what an error names, so that nobody has to ask twice.
        timeout_s: How long to wait for each answer.

    Raises:
        UnknownName: There is no such topic; the message has near names.
        Unavailable: The broker does not answer.
        Refused: The broker does not let us ask.
    """
    check_name(name)
    doing = f"describing topic {name!r}"
    described = client.describe_topics(
        TopicCollection([name]), request_timeout=timeout_s
    )
    cluster = client.describe_cluster(request_timeout=timeout_s)
    try:
        found = described[name].result()
        cluster_id = cluster.result().cluster_id
    except KafkaException as error:
        if kafka_error(error).code() in UNKNOWN_TOPIC:
            raise unknown(client, name) from error
        raise translated(kafka_error(error), doing, needed(name)) from error
    return Topic(
        name=name,
        incarnation=f"{cluster_id}/{found.topic_id}",
        partitions=tuple(
            TopicPartition(name, number)
            for number in sorted(partition.id for partition in found.partitions)
        ),
    )


def max_message_bytes(client: AdminClient, name: str) -> int:
    """Return how large a message the topic takes, in bytes.

    Raises:
        Unavailable: The broker does not answer.
    """
    asked = ConfigResource(ConfigResource.Type.TOPIC, name)
    answers = client.describe_configs(
        [asked], request_timeout=connection.REQUEST_TIMEOUT_S
    )
    try:
        found = answers[asked].result()
    except KafkaException as error:
        doing = f"asking for the settings of topic {name!r}"
        needed = Right("DESCRIBE_CONFIGS", "topic", name)
        raise translated(kafka_error(error), doing, needed) from error
    return int(found["max.message.bytes"].value)


def names(client: AdminClient) -> list[str]:
    """Return the names of the topics, internal ones left out.

    Raises:
        Unavailable: The broker does not answer.
    """
    try:
        found = client.list_topics(timeout=connection.REQUEST_TIMEOUT_S).topics
    except KafkaException as error:
        raise translated(kafka_error(error), "listing topics") from error
    return sorted(name for name in found if not name.startswith("__"))


def unknown(client: AdminClient, name: str) -> UnknownName:
    """Return the error of a topic that is not there, with near names."""
    return UnknownName("topic", name, names(client), hint="list them: streamlab topics")


def offsets(
    client: AdminClient, partitions: Iterable[TopicPartition], spec: OffsetSpec
) -> dict[TopicPartition, tuple[int, int]]:
    """Return offset and timestamp (ms) of one place in each partition.

    Args:
        client: Asks the broker.
        partitions: Where to look.
        spec: ``OffsetSpec.earliest()``, ``latest()``, ``for_timestamp(ms)``, …;
            "latest" is the end of what a ``read_committed`` reader can see.

    Returns:
        For each partition ``(offset, timestamp)``; the offset is -1 where no message
        fits (a time after the last one), the timestamp -1 where Kafka gives none.

    Raises:
        Unavailable: The broker does not answer.
    """
    asked = {ck.TopicPartition(p.topic, p.partition): spec for p in partitions}
    if not asked:
        return {}
    answers: Mapping[ck.TopicPartition, Future[Any]] = client.list_offsets(
        asked,
        isolation_level=IsolationLevel.READ_COMMITTED,
        request_timeout=connection.REQUEST_TIMEOUT_S,
    )
    found = {}
    for key, answer in answers.items():
        try:
            found[key] = answer.result()
        except KafkaException as error:
            needed = rights.describe(key.topic)
            doing = f"asking for the offsets of topic {key.topic!r}"
            raise translated(kafka_error(error), doing, needed) from error
    return {
        TopicPartition(key.topic, key.partition): (place.offset, place.timestamp)
        for key, place in found.items()
    }


def starts(
    client: AdminClient, partitions: Sequence[TopicPartition], start: Start
) -> dict[TopicPartition, int]:
    """Return the offset in each partition that ``start`` points to.

    Args:
        client: Asks the broker.
        partitions: Where to look.
        start: ``earliest``, ``latest`` or an ISO time; a time without a zone is UTC.
            Behind the last event it is the end.

    Raises:
        UsageError: ``start`` is none of these.
        Unavailable: The broker does not answer.
    """
    if start == EARLIEST:
        return _offsets_only(offsets(client, partitions, OffsetSpec.earliest()))
    ends = _offsets_only(offsets(client, partitions, OffsetSpec.latest()))
    if start == LATEST:
        return ends
    spec = OffsetSpec.for_timestamp(_milliseconds(start))
    at_time = _offsets_only(offsets(client, partitions, spec))
    return {key: at if at >= 0 else ends[key] for key, at in at_time.items()}


def check_start(start: Start) -> None:
    """Raise UsageError unless ``start`` is ``earliest``, ``latest`` or an ISO time."""
    if start not in {EARLIEST, LATEST}:
        _milliseconds(start)


def _milliseconds(start: Start) -> int:
    try:
        moment = dt.datetime.fromisoformat(start)
    except ValueError:
        raise UsageError(
            f"{start!r} does not say where to start",
            hint="write earliest, latest or a time such as 2013-01-01T05:00:00Z",
        ) from None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return int(zoned.timestamp() * 1000)


def _offsets_only(
    found: Mapping[TopicPartition, tuple[int, int]],
) -> dict[TopicPartition, int]:
    return {key: offset for key, (offset, _) in found.items()}


def topics(profile: str = "") -> pl.DataFrame:
    """Return the topics of a broker, without reading a single message.

    Returns:
        One row a topic, by name: ``topic`` String, ``partitions`` Int32, ``messages``
        Int64 (offsets between start and end: compaction and transaction markers
        make the true number lower), ``first`` and ``last`` Datetime(ms, UTC), the
        times of its oldest and newest message, null where it is empty.

    Raises:
        UnknownName: There is no such profile.
        Unavailable: The broker does not answer.
    """
    client = connection.admin(profile)
    try:
        listed = client.list_topics(timeout=connection.REQUEST_TIMEOUT_S).topics
    except KafkaException as error:
        raise connection.unreachable(profile, error) from error
    partitions = [
        TopicPartition(name, number)
        for name, topic in listed.items()
        if not name.startswith("__")
        for number in topic.partitions
    ]
    low = offsets(client, partitions, OffsetSpec.earliest())
    high = offsets(client, partitions, OffsetSpec.latest())
    oldest = offsets(client, partitions, OffsetSpec.for_timestamp(0))
    newest = offsets(client, partitions, OffsetSpec.max_timestamp())
    return (
        pl.DataFrame(
            {
                "topic": [p.topic for p in partitions],
                "messages": [high[p][0] - low[p][0] for p in partitions],
                "first": [_time_or_none(oldest[p]) for p in partitions],
                "last": [_time_or_none(newest[p]) for p in partitions],
            },
            schema={
                "topic": pl.String,
                "messages": pl.Int64,
                "first": pl.Int64,
                "last": pl.Int64,
            },
        )
        .group_by("topic")
        .agg(
            pl.len().cast(pl.Int32).alias("partitions"),
            pl.col("messages").sum(),
            pl.col("first").min().cast(pl.Datetime("ms", "UTC")),
            pl.col("last").max().cast(pl.Datetime("ms", "UTC")),
        )
        .sort("topic")
    )


def _time_or_none(place: tuple[int, int]) -> int | None:
    offset, timestamp = place
    return timestamp if offset >= 0 and timestamp >= 0 else None
