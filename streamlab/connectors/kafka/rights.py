"""Rights in Kafka, in the broker's own words: an operation on a resource.

Source: the table of operations and resources at
https://kafka.apache.org/documentation/#operations_resources_and_protocols.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal, TypeAlias

from confluent_kafka import KafkaError

Kind: TypeAlias = Literal["topic", "group", "cluster", "transactional-id"]

ANYBODY = "User:NAME"
"""Who a right is for, where it is not known under which name the broker knows us."""

DENIALS: dict[int, Kind] = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional-id",
}
"""Code of a refusal → the kind of resource on which a right is missing."""


@dataclass(frozen=True, slots=True)
class Right:
    """A right that something needs.

    Attributes:
        operation: Kafka's name of it, such as ``READ``.
        kind: The kind of resource.
        name: The resource's name; a cluster has none.
    """

    operation: str
    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        """Return ``READ on topic 'flights'``."""
        named = f" {self.name!r}" if self.name else ""
        return f"{self.operation} on {self.kind}{named}"

    def command(self, principal: str = ANYBODY) -> str:
        """Return the command with which an administrator gives the right."""
        named = f" {shlex.quote(self.name)}" if self.name else ""
        return (
            "kafka-acls --bootstrap-server BROKER --add "
            f"--allow-principal {shlex.quote(principal)} "
            f"--operation {self.operation} --{self.kind}{named}"
        )


def read(topic: str) -> Right:
    """Return the right to read a topic's events."""
    return Right("READ", "topic", topic)


def write(topic: str) -> Right:
    """Return the right to write to a topic."""
    return Right("WRITE", "topic", topic)


def describe(topic: str) -> Right:
    """Return the right to know of a topic: its partitions and where they end."""
    return Right("DESCRIBE", "topic", topic)


def group(name: str) -> Right:
    """Return the right to join a group and to commit its offsets."""
    return Right("READ", "group", name)


IDEMPOTENT_WRITE = Right("IDEMPOTENT_WRITE", "cluster")
"""What a producer without duplicates needs on brokers before Kafka 3.0; since then the
right to write to any topic is enough (KIP-679)."""
