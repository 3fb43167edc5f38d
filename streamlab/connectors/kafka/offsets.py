"""Offsets of consumer groups and ends of topics, looked up without joining."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaException
from confluent_kafka.admin._listoffsets import OffsetSpec

from streamlab.connectors.kafka import connection, topics
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.connectors.kafka.rights import Right
from streamlab.positions import TopicPartition


class GroupOffsets:
    """Asks a broker where groups and topics are.

    A group's offsets are asked for by a consumer that carries the group's name but
    never subscribes or assigns, so that it is no member and disturbs none. (The admin
    client's call for the same crashes confluent-kafka 2.16 on a broker that never had
    a group; librdkafka issue 5040.)
    """

    def __init__(self, profile: str = "") -> None:
        """Prepare; nothing is asked yet.

        Raises:
            UnknownName: There is no such profile.
        """
        self._profile = profile
        self._admin = connection.admin(profile)
        self._asking: dict[str, Any] = {}

    def groups(self) -> list[str]:
        """Return the names of the groups that the broker knows.

        Raises:
            Unavailable: The broker does not answer.
        """
        try:
            listed = self._admin.list_consumer_groups(
                request_timeout=connection.REQUEST_TIMEOUT_S
            ).result()
        except KafkaException as error:
            raise connection.unreachable(self._profile, error) from error
        return sorted(group.group_id for group in listed.valid)

    def partitions(self, topic: str) -> list[TopicPartition]:
        """Return the partitions of a topic.

        Raises:
            UnknownName: There is no such topic.
            Unavailable: The broker does not answer.
        """
        return list(topics.describe(self._admin, topic).partitions)

    def committed(self, group: str) -> Mapping[TopicPartition, int | None]:
        """Return the offsets of a group.

        Args:
            group: The consumer group.

        Returns:
            For each topic with a committed offset, all its partitions, also those
            without: their offset is None.

        Raises:
            Unavailable: The broker does not answer.
        """
        timeout_s = connection.REQUEST_TIMEOUT_S
        try:
            listed = self._admin.list_topics(timeout=timeout_s).topics
            asked = [
                ck.TopicPartition(name, number)
                for name, topic in listed.items()
                if not name.startswith("__")
                for number in topic.partitions
            ]
            answers = self._consumer(group).committed(asked, timeout=timeout_s)
        except KafkaException as error:
            doing = f"asking for the offsets of group {group!r}"
            needed = Right("DESCRIBE", "group", group)
            raise translated(kafka_error(error), doing, needed) from error
        offsets = {
            TopicPartition(answer.topic, answer.partition): (
                answer.offset if answer.offset >= 0 else None
            )
            for answer in answers
        }
        read = {each.topic for each, offset in offsets.items() if offset is not None}
        return {each: offset for each, offset in offsets.items() if each.topic in read}

    def ends(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where each partition ends now.

        Raises:
            Unavailable: The broker does not answer.
        """
        found = topics.offsets(self._admin, partitions, OffsetSpec.latest())
        return {each: offset for each, (offset, _time) in found.items()}

    def close(self) -> None:
        """Drop the connections; a second call does nothing."""
        while self._asking:
            self._asking.popitem()[1].close()

    def _consumer(self, group: str) -> Any:
        if group not in self._asking:
            options = connection.client_options(self._profile)
            self._asking[group] = connection.consumer(
                {
                    **options,
                    "group.id": group,
                    "client.id": "streamlab-lag",
                    "enable.auto.commit": False,
                }
            )
        return self._asking[group]
