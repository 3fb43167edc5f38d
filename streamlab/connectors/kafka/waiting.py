"""Messages that were taken and not delivered yet: batches of one topic, in line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from streamlab.connectors.kafka import messages
from streamlab.positions import Span, TopicPartition
from streamlab.sources import RawBatch


@dataclass
class _Taken:
    topic: str
    taken: Sequence[Message]
    spans: Sequence[Span]

    def without(self, gone: Collection[TopicPartition]) -> _Taken:
        numbers = {one.partition for one in gone if one.topic == self.topic}
        return _Taken(
            self.topic,
            [one for one in self.taken if one.partition() not in numbers],
            [one for one in self.spans if one.partition.partition not in numbers],
        )

    def batch(self) -> RawBatch:
        values = messages.values(self.taken)
        partitions = {one.partition.partition: one.partition for one in self.spans}
        return RawBatch(
            values=values,
            spans=tuple(self.spans),
            origins=messages.MessageOrigins(self.taken, partitions),
            size_bytes=sum(map(len, filter(None, values))),
        )


class Waiting:
    """A line of what a consumer gave at once, one topic after another."""

    def __init__(self) -> None:
        self._line: list[_Taken] = []

    def add(
        self, taken: Mapping[str, Sequence[Message]], spans: Sequence[Span]
    ) -> None:
        """Put what was taken at the end of the line.

        Args:
            taken: Topic → its messages.
            spans: What they cover; perhaps more, where a log has gaps.
        """
        by_topic: dict[str, list[Span]] = {}
        for span in spans:
            by_topic.setdefault(span.partition.topic, []).append(span)
        self._line += [
            _Taken(topic, taken.get(topic, ()), covered)
            for topic, covered in by_topic.items()
        ]

    def next(self, is_wanted: Callable[[str], bool]) -> RawBatch | None:
        """Return the next batch of a topic that is wanted; None without any."""
        for number, one in enumerate(self._line):
            if is_wanted(one.topic):
                return self._line.pop(number).batch()
        return None

    def drop(self, gone: Collection[TopicPartition]) -> None:
        """Drop the messages of partitions that went away."""
        left = [one.without(gone) for one in self._line]
        self._line = [one for one in left if one.spans]

    def clear(self) -> None:
        """Drop all."""
        self._line.clear()
