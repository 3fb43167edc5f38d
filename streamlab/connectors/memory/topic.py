"""A topic in memory: events that can be appended to, trimmed and re-created."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streamlab.errors import UsageError
from streamlab.positions import Progress, TopicPartition
from streamlab.sources import Headers


class MemoryEvent(NamedTuple):
    """One event with more than a value; ``offset`` may leave a gap before it."""

    value: bytes | None
    key: bytes | None = None
    timestamp_ms: int | None = None
    headers: Headers = ()
    offset: int | None = None


class StoredEvent(NamedTuple):
    """An event with the offset it was given."""

    offset: int
    event: MemoryEvent


class MemoryTopic:
    """A topic in memory, with the positions that its one group has acknowledged.

    It may be appended to, trimmed and re-created from another thread while it is read.
    """

    def __init__(
        self,
        events: Mapping[int, Sequence[bytes | MemoryEvent | None]] | None = None,
        *,
        name: str = "events",
    ) -> None:
        """Make a topic.

        Args:
            events: Partition → values or events, in order; one empty partition 0
                if left out.
            name: Name of the topic.
        """
        self.name = name
        self.committed: dict[TopicPartition, Progress] = {}
        self.acknowledged: list[Sequence[Progress]] = []
        self.owner: object | None = None
        self.changed = threading.Condition()
        self._created = 0
        self._logs: dict[int, list[StoredEvent]] = {}
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        for partition, listed in (events or {0: ()}).items():
            self.append(partition, listed)

    @property
    def incarnation(self) -> str:
        """Return ``cluster id/topic id``; :meth:`recreate` changes it."""
        return f"memory/{self.name}-{self._created}"

    @property
    def partitions(self) -> tuple[TopicPartition, ...]:
        """Return the partitions, in order."""
        return tuple(TopicPartition(self.name, number) for number in sorted(self._logs))

    def append(
        self, partition: int, events: Sequence[bytes | MemoryEvent | None]
    ) -> None:
        """Add events to a partition, which is created if it is not there."""
        with self.changed:
            log = self._logs.setdefault(partition, [])
            end = self._ends.get(partition, 0)
            for item in events:
                event = item if isinstance(item, MemoryEvent) else MemoryEvent(item)
                offset = end if event.offset is None else event.offset
                if offset < end:
                    message = f"offset {offset} is behind the end, {end}"
                    raise UsageError(message)
                log.append(StoredEvent(offset, event))
                end = offset + 1
            self._ends[partition] = end
            self.changed.notify_all()

    def trim(self, partition: int, before: int) -> None:
        """Drop the events before an offset, as retention does."""
        with self.changed:
            log = self._logs[partition]
            self._logs[partition] = [
                stored for stored in log if stored.offset >= before
            ]
            self._starts[partition] = before

    def recreate(self) -> None:
        """Delete the topic and create it again, empty."""
        with self.changed:
            self._created += 1
            self._logs = {partition: [] for partition in self._logs}
            self._ends = dict.fromkeys(self._logs, 0)
            self._starts = {}

    def first(self, partition: TopicPartition) -> int:
        """Return the lowest offset that can be read."""
        return self._starts.get(partition.partition, 0)

    def end(self, partition: TopicPartition) -> int:
        """Return the offset that the next event will have."""
        return self._ends[partition.partition]

    def read(
        self, partition: TopicPartition, start: int, most: int
    ) -> Sequence[StoredEvent]:
        """Return at most ``most`` events from ``start`` on."""
        log = self._logs[partition.partition]
        first = bisect_left(log, start, key=lambda stored: stored.offset)
        return log[first : first + most]
