"""Origins: where events came from, a column at a time, when it is asked for."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from streamlab.positions import Position, TopicPartition

Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


class Origins(Protocol):
    """Where the events of a batch came from, a column at a time.

    A column is computed when it is asked for and not before: reading a timestamp
    for each of a million events costs 0.2 s that most pipelines need not pay.
    """

    def counts(self) -> Mapping[TopicPartition, int]:
        """Return how many events there are of each partition."""

    def partitions(self) -> Sequence[TopicPartition]:
        """Return the partition of each event."""

    def positions(self) -> Sequence[Position]:
        """Return the position of each event."""

    def timestamps_ms(self) -> Sequence[int | None]:
        """Return the source's own time of each event, ms since 1970 UTC."""

    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each event."""

    def timestamp_ms(self, row: int) -> int | None:
        """Return the source's own time of one event, ms since 1970 UTC."""

    def headers(self, row: int) -> Headers:
        """Return the headers of one event."""

    def headed(self) -> Mapping[int, Headers]:
        """Return row → headers, of the events that have any."""


@dataclass(frozen=True, slots=True)
class ListedOrigins:
    """Origins that are already in memory: of a test, of a replayed sample."""

    listed_partitions: Sequence[TopicPartition]
    listed_positions: Sequence[Position]
    listed_timestamps_ms: Sequence[int | None] = ()
    listed_keys: Sequence[bytes | None] = ()
    listed_headers: Mapping[int, Headers] = field(default_factory=dict)

    def counts(self) -> Mapping[TopicPartition, int]:
        """Return how many events there are of each partition."""
        return Counter(self.listed_partitions)

    def partitions(self) -> Sequence[TopicPartition]:
        """Return the partition of each event."""
        return self.listed_partitions

    def positions(self) -> Sequence[Position]:
        """Return the position of each event."""
        return self.listed_positions

    def timestamps_ms(self) -> Sequence[int | None]:
        """Return the time of each event, ms since 1970 UTC."""
        return self.listed_timestamps_ms or [None] * len(self.listed_partitions)

    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each event."""
        return self.listed_keys or [None] * len(self.listed_partitions)

    def timestamp_ms(self, row: int) -> int | None:
        """Return the time of one event, ms since 1970 UTC."""
        return self.listed_timestamps_ms[row] if self.listed_timestamps_ms else None

    def headers(self, row: int) -> Headers:
        """Return the headers of one event."""
        return self.listed_headers.get(row, ())

    def headed(self) -> Mapping[int, Headers]:
        """Return row → headers, of the events that have any."""
        return self.listed_headers


class JoinedOrigins:
    """The origins of several batches, one after another."""

    def __init__(self, parts: Sequence[tuple[int, Origins]]) -> None:
        self._parts = [origins for _, origins in parts]
        self._lengths = [length for length, _ in parts]
        self._ends = list(itertools.accumulate(self._lengths))

    def counts(self) -> Mapping[TopicPartition, int]:
        """Return how many events there are of each partition."""
        counted: Counter[TopicPartition] = Counter()
        for part in self._parts:
            counted.update(part.counts())
        return counted

    def partitions(self) -> Sequence[TopicPartition]:
        """Return the partition of each event."""
        return list(itertools.chain.from_iterable(p.partitions() for p in self._parts))

    def positions(self) -> Sequence[Position]:
        """Return the position of each event."""
        return list(itertools.chain.from_iterable(p.positions() for p in self._parts))

    def timestamps_ms(self) -> Sequence[int | None]:
        """Return the time of each event, ms since 1970 UTC."""
        return list(
            itertools.chain.from_iterable(p.timestamps_ms() for p in self._parts)
        )

    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each event."""
        return list(itertools.chain.from_iterable(p.keys() for p in self._parts))

    def timestamp_ms(self, row: int) -> int | None:
        """Return the time of one event, ms since 1970 UTC."""
        part, inner = self._place(row)
        return part.timestamp_ms(inner)

    def headers(self, row: int) -> Headers:
        """Return the headers of one event."""
        part, inner = self._place(row)
        return part.headers(inner)

    def headed(self) -> Mapping[int, Headers]:
        """Return row → headers, of the events that have any."""
        return {
            row + end - length: headers
            for end, length, part in zip(
                self._ends, self._lengths, self._parts, strict=True
            )
            for row, headers in part.headed().items()
        }

    def _place(self, row: int) -> tuple[Origins, int]:
        index = bisect_right(self._ends, row)
        return self._parts[index], row - (self._ends[index - 1] if index else 0)


class ChosenOrigins:
    """The origins of some events of a batch."""

    def __init__(self, origins: Origins, rows: Sequence[int]) -> None:
        self._origins, self._rows = origins, rows

    def counts(self) -> Mapping[TopicPartition, int]:
        """Return how many events there are of each partition."""
        return Counter(self.partitions())

    def partitions(self) -> Sequence[TopicPartition]:
        """Return the partition of each event."""
        every = self._origins.partitions()
        return [every[row] for row in self._rows]

    def positions(self) -> Sequence[Position]:
        """Return the position of each event."""
        every = self._origins.positions()
        return [every[row] for row in self._rows]

    def timestamps_ms(self) -> Sequence[int | None]:
        """Return the time of each event, ms since 1970 UTC."""
        every = self._origins.timestamps_ms()
        return [every[row] for row in self._rows]

    def keys(self) -> Sequence[bytes | None]:
        """Return the key of each event."""
        every = self._origins.keys()
        return [every[row] for row in self._rows]

    def timestamp_ms(self, row: int) -> int | None:
        """Return the time of one event, ms since 1970 UTC."""
        return self._origins.timestamp_ms(self._rows[row])

    def headers(self, row: int) -> Headers:
        """Return the headers of one event."""
        return self._origins.headers(self._rows[row])

    def headed(self) -> Mapping[int, Headers]:
        """Return row → headers, of the events that have any."""
        every = self._origins.headed()
        return {
            number: every[row] for number, row in enumerate(self._rows) if row in every
        }
