"""Where a stream has been read to: partitions, positions, spans, progress."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

Position: TypeAlias = int | tuple[int | str, ...]
"""The place of the next event to read in one partition.

Comparable, and JSON where a tuple is a list. For Kafka it is the next offset, for a
change stream ``(LSN, index in the commit)``; a text may follow the numbers, which is
what the source needs to read on from there and never decides a comparison. Nothing
above a connector may assume that positions are consecutive.
"""


def distance(start: Position, end: Position) -> int:
    """Return how far it is from one position to another, in the source's own measure.

    Offsets for Kafka, bytes of the log for a database: the difference of the first
    parts. Never negative.
    """
    first, last = leading(start), leading(end)
    return max(0, last - first)


def distances(
    starts: Mapping[TopicPartition, Position], ends: Mapping[TopicPartition, Position]
) -> dict[str, int]:
    """Return ``topic/partition`` → the distance, where both are known."""
    return {
        str(partition): distance(start, ends[partition])
        for partition, start in starts.items()
        if partition in ends
    }


def leading(position: Position) -> int:
    """Return the first part of a position, or the position if it is a number."""
    first = position[0] if isinstance(position, tuple) else position
    return first if isinstance(first, int) else 0


class TopicPartition(NamedTuple):
    """One ordered part of a stream, in Kafka's words."""

    topic: str
    partition: int

    def __str__(self) -> str:
        """Return ``topic/partition``, which is also how a task is named."""
        return f"{self.topic}/{self.partition}"

    @classmethod
    def parse(cls, text: str) -> TopicPartition:
        """Return the partition that ``str()`` wrote."""
        topic, _, partition = text.rpartition("/")
        return cls(topic, int(partition))


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of positions of one partition: ``[start, end)``."""

    partition: TopicPartition
    start: Position
    end: Position

    def __str__(self) -> str:
        """Return ``topic/partition [start, end)``."""
        return f"{self.partition} [{self.start}, {self.end})"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one task has come: what a sink stores in the transaction of the rows.

    A task is the unit of state and progress. For a stateless transform it is one
    partition, and its name is ``topic/partition``.

    Attributes:
        task: Name of the task.
        epoch: Number of the last finished epoch; 0 before the first.
        positions: Where to read on, for each partition of the task.
        incarnations: Topic → the incarnation (``cluster id/topic id``) that the
            positions belong to; a deleted and re-created topic has another.
        state_id: Name of the state that belongs to the epoch, if it has any.
        watermarks: Event time up to which each partition is complete, in
            microseconds since 1970 UTC.
    """

    task: str
    epoch: int
    positions: Mapping[TopicPartition, Position]
    incarnations: Mapping[str, str] = field(default_factory=dict)
    state_id: str | None = None
    watermarks: Mapping[TopicPartition, int] = field(default_factory=dict)

    def same_place(self, other: Progress) -> bool:
        """Return whether both name the same epoch, state and positions.

        This is the comparison of compare-and-set. Watermarks and incarnations follow
        from the positions, so they are not compared.
        """
        return (
            self.task == other.task
            and self.epoch == other.epoch
            and self.state_id == other.state_id
            and dict(self.positions) == dict(other.positions)
        )

    def from_the_start(self) -> Progress:
        """Return the same progress with every position 0, for a new partition."""
        return replace(
            self,
            positions={
                partition: (0,) * len(position) if isinstance(position, tuple) else 0
                for partition, position in self.positions.items()
            },
        )

    def to_json(self) -> dict[str, Any]:
        """Return the progress as JSON values, for a sink's own table or metadata."""
        return {
            "task": self.task,
            "epoch": self.epoch,
            "positions": {str(key): value for key, value in self.positions.items()},
            "incarnations": dict(self.incarnations),
            "state_id": self.state_id,
            "watermarks": {str(key): value for key, value in self.watermarks.items()},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Progress:
        """Return the progress that ``to_json`` wrote."""
        return cls(
            task=stored["task"],
            epoch=stored["epoch"],
            positions={
                TopicPartition.parse(key): (
                    tuple(value) if isinstance(value, list) else value
                )
                for key, value in stored["positions"].items()
            },
            incarnations=stored.get("incarnations", {}),
            state_id=stored.get("state_id"),
            watermarks={
                TopicPartition.parse(key): value
                for key, value in stored.get("watermarks", {}).items()
            },
        )


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return one span for each partition, from its lowest start to its highest end."""
    by_partition: dict[TopicPartition, Span] = {}
    for span in spans:
        known = by_partition.get(span.partition)
        by_partition[span.partition] = (
            span
            if known is None
            else Span(
                span.partition, min(known.start, span.start), max(known.end, span.end)
            )
        )
    return tuple(by_partition[key] for key in sorted(by_partition))
