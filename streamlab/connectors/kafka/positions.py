"""Where a consumer group stands in topics, seen and set without reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka as ck
from confluent_kafka import KafkaException

from streamlab.connectors.kafka import committed, connection, rights, topics
from streamlab.connectors.kafka.failures import kafka_error, translated
from streamlab.errors import Fenced
from streamlab.positions import Progress, TopicPartition
from streamlab.sources import Start


class GroupPositions:
    """See :class:`streamlab.sources.SourcePositions`."""

    def __init__(self, names: Sequence[str], group: str, profile: str) -> None:
        """Look the topics up.

        Raises:
            UnknownName: There is no such topic.
            Unavailable: The broker does not answer.
        """
        self._client = connection.admin(profile)
        self._topics = [topics.describe(self._client, name) for name in names]
        self._group = group
        self._needed = rights.group(group)
        self._options = connection.client_options(profile)

    def incarnations(self) -> Mapping[str, str]:
        """Return the incarnation of each topic now."""
        return {topic.name: topic.incarnation for topic in self._topics}

    def locate(self, start: Start) -> Mapping[TopicPartition, int]:
        """Return the offset that ``start`` points to in each partition."""
        return topics.starts(self._client, self._partitions, start)

    def stored(self) -> Mapping[TopicPartition, Progress]:
        """Return the group's offsets with what we stored beside them."""
        asked = [ck.TopicPartition(*partition) for partition in self._partitions]
        consumer = self._consumer()
        try:
            found = consumer.committed(asked, timeout=connection.REQUEST_TIMEOUT_S)
        except KafkaException as error:
            doing = f"asking for the offsets of group {self._group!r}"
            raise translated(kafka_error(error), doing, self._needed) from error
        finally:
            consumer.close()
        return committed.from_kafka(found)

    def store(self, progress: Sequence[Progress]) -> None:
        """Set the group's offsets; the broker refuses while the group has members."""
        consumer = self._consumer()
        doing = f"setting the offsets of group {self._group!r}"
        asked = committed.to_kafka(progress)
        try:
            answers = consumer.commit(offsets=asked, asynchronous=False)
        except KafkaException as error:
            raise translated(kafka_error(error), doing, self._needed) from error
        finally:
            consumer.close()
        for one in answers or ():
            if one.error is not None:
                raise translated(one.error, doing, self._needed)

    def forget(self) -> None:
        """Delete the group; the broker refuses while it has members."""
        (answer,) = self._client.delete_consumer_groups([self._group]).values()
        try:
            answer.result(connection.REQUEST_TIMEOUT_S)
        except KafkaException as error:
            cause = kafka_error(error)
            if cause.code() == ck.KafkaError.NON_EMPTY_GROUP:
                message = f"group {self._group!r} has members"
                raise Fenced(message, hint="stop its workers first") from error
            if cause.code() != ck.KafkaError.GROUP_ID_NOT_FOUND:
                doing = f"deleting group {self._group!r}"
                raise translated(cause, doing, self._needed) from error

    @property
    def _partitions(self) -> list[TopicPartition]:
        return [one for topic in self._topics for one in topic.partitions]

    def _consumer(self) -> Any:
        """Return a client that carries the group's name and is no member of it."""
        return connection.consumer(
            {
                **self._options,
                "group.id": self._group,
                "client.id": "streamlab-position",
                "enable.auto.commit": False,
            }
        )
