"""The Kafka source: a topic read by a consumer group, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        return opened((self,), self.group_of(pipeline), listener)

    def positions(self, pipeline: str) -> GroupPositions:
        """Return where the pipeline's consumer group stands.

        Raises:
            UnknownName: The topic does not exist.
            Unavailable: The broker does not answer.
        """
        group = self.group_of(pipeline)
        return GroupPositions((self.topic,), group, self.profile)

    def together(self, others: Sequence[Source]) -> Source | None:
        """Return one consumer of the topics of all, if they are of one group."""
        alike = [
            other
            for other in others
            if isinstance(other, KafkaSource)
            and (other.profile, other.group) == (self.profile, self.group)
            and other.options == self.options
        ]
        if len(alike) < len(others):
            return None
        return KafkaTopics((self, *alike))

    def group_of(self, pipeline: str) -> str:
        """Return the consumer group of a pipeline."""
        return self.group or f"streamlab.{pipeline}"

    def keeps_position_in(self, pipeline: str) -> str:
        """Return the group, for the plan."""
        return f"the offsets of group {self.group_of(pipeline)}"

    def describe(self) -> str:
        """Return one line for the plan."""
        where = f" on {self.profile}" if self.profile else ""
        return f"kafka topic {self.topic}{where}, from {self.start}"


@dataclass(frozen=True)
class KafkaTopics(Source):
    """Several topics of one broker, read by one consumer.

    Their partitions are assigned together, so that a rebalance is one event, and a
    transaction can hold the offsets of all.

    Attributes:
        sources: The topics; they have one profile, group and options.
    """

    sources: tuple[KafkaSource, ...]

    def open(self, pipeline: str, listener: Listener) -> Reader:
        """Join the consumer group; see ``KafkaSource.open``."""
        return opened(self.sources, self.sources[0].group_of(pipeline), listener)

    def positions(self, pipeline: str) -> GroupPositions:
        """Return where the pipeline's consumer group stands in all of them."""
        first = self.sources[0]
        names = tuple(one.topic for one in self.sources)
        return GroupPositions(names, first.group_of(pipeline), first.profile)

    def topics(self, pipeline: str) -> tuple[str, ...]:
        """Return their names."""
        del pipeline
        return tuple(one.topic for one in self.sources)

    def keeps_position_in(self, pipeline: str) -> str:
        """Return the group, for the plan."""
        return self.sources[0].keeps_position_in(pipeline)

    def describe(self) -> str:
        """Return one line for the plan."""
        return "; ".join(one.describe() for one in self.sources)


def opened(
    sources: Sequence[KafkaSource], group: str, listener: Listener
) -> KafkaReader:
    """Return a reader of topics of one broker; see ``KafkaSource.open``."""
    first = sources[0]
    client = connection.admin(first.profile, first.options)
    return KafkaReader(
        connection.client_options(first.profile, first.options),
        client,
        [describe(client, one.topic, needed=rights.read) for one in sources],
        group=group,
        starts={one.topic: one.start for one in sources},
        listener=listener,
    )
