"""Which partitions of a consumer are paused: all, or those of unwanted topics."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import confluent_kafka as ck

from streamlab.connectors.kafka.turns import Turns
from streamlab.positions import TopicPartition


class Pausing:
    """Pauses and resumes the partitions of one consumer.

    Args:
        consumer: The client.
        turns: Who may call it.
    """

    def __init__(self, consumer: Any, turns: Turns) -> None:
        self._consumer = consumer
        self._turns = turns
        self._held = False
        self._topics: frozenset[str] | None = None
        self._partitions: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._left_paused: set[TopicPartition] = set()

    def is_wanted(self, topic: str) -> bool:
        """Return whether events of a topic are to be delivered now."""
        return not self._held and (self._topics is None or topic in self._topics)

    def hold(self, *, held: bool) -> bool:
        """Pause or resume all partitions; return whether one was resumed."""
        self._held = held
        return self._apply()

    def only(self, topics: Collection[str] | None) -> bool:
        """Pause all other topics; return whether a partition was resumed."""
        self._topics = None if topics is None else frozenset(topics)
        return self._apply()

    def begin(self, partitions: Iterable[TopicPartition]) -> None:
        """Take up partitions that were just assigned.

        The client remembers over a rebalance that one was paused, so one that was and
        is wanted now is resumed.
        """
        given = set(partitions)
        self._partitions |= given
        self._paused -= given
        unwanted = {one for one in given if not self.is_wanted(one.topic)}
        if unwanted:
            self._consumer.pause(_to_kafka(unwanted))
            self._paused |= unwanted
        if resumed := (given & self._left_paused) - unwanted:
            self._consumer.resume(_to_kafka(resumed))
        self._left_paused -= given

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """Give up partitions."""
        gone = set(partitions)
        self._partitions -= gone
        self._left_paused |= self._paused & gone
        self._paused -= gone

    def _apply(self) -> bool:
        unwanted = {one for one in self._partitions if not self.is_wanted(one.topic)}
        to_pause, to_resume = unwanted - self._paused, self._paused - unwanted
        if to_pause:
            self._turns.commit(lambda: self._consumer.pause(_to_kafka(to_pause)))
        if to_resume:
            self._turns.commit(lambda: self._consumer.resume(_to_kafka(to_resume)))
        self._paused = unwanted
        return bool(to_resume)


def _to_kafka(partitions: Iterable[TopicPartition]) -> list[ck.TopicPartition]:
    return [ck.TopicPartition(*partition) for partition in partitions]
