"""The Kafka source: a topic read by a consumer group, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamlab.connectors.kafka import connection, rights
from streamlab.connectors.kafka.positions import GroupPositions
from streamlab.connectors.kafka.reader import KafkaReader
from streamlab.connectors.kafka.topics import (
    EARLIEST,
    check_name,
    check_start,
    describe,
)
from streamlab.sources import Listener, Reader, Source, Start


@dataclass(frozen=True)
class KafkaSource(Source):
    """A topic.

    Attributes:
        topic: Its name.
        profile: Profile of its broker; empty for the default one.
        start: Where a pipeline without history begins: ``earliest``, ``latest`` or an
            ISO time (UTC unless it says otherwise). Stored at the first start.
        group: Consumer group; ``streamlab.<pipeline>`` if empty.
        options: librdkafka options on top of the profile's, for tuning.
    """

    topic: str
    profile: str = ""
    start: Start = EARLIEST
    group: str = ""
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Refuse an empty name, and a start that no broker could understand."""
        check_name(self.topic)
        check_start(self.start)

    def open(self, pipeline: str, listener: Listener) -> Reader:
        """Join the consumer group; partitions arrive in the first polls.

        Raises:
            UnknownName: The topic does not exist.
            SettingsError: The profile or an option cannot be used.
            Unavailable: The broker does not answer.
        """
        options = connection.client_options(self.profile, self.options)
        client = connection.admin(self.profile, self.options)
        return KafkaReader(
            options,
            client,
            describe(client, self.topic, needed=rights.read),
            group=self.group or f"streamlab.{pipeline}",
            start=self.start,
            listener=listener,
        )

    def positions(self, pipeline: str) -> GroupPositions:
        """Return where the pipeline's consumer group stands.

        Raises:
            UnknownName: The topic does not exist.
            Unavailable: The broker does not answer.
        """
        group = self.group or f"streamlab.{pipeline}"
        return GroupPositions(self.topic, group, self.profile)

    def describe(self) -> str:
        """Return one line for the plan."""
        where = f" on {self.profile}" if self.profile else ""
        return f"kafka topic {self.topic}{where}, from {self.start}"
