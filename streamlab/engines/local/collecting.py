"""Collecting: when does what was read become an epoch?

Small epochs are quick and dear, large ones cheap and late. The rule needs no tuning:
an epoch ends when it is full; or when its time is up; or when the source has nothing
more to give at the moment and the next stage is free to take it. So a stream that
trickles goes through event by event, and a backlog goes through in full batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamlab.pipelines import Pace
from streamlab.sources import RawBatch

BACKLOG_ROWS = 2_000  # a poll that brings as many means that there is more to come


@dataclass
class Collector:
    """Batches that are not yet an epoch.

    Attributes:
        pace: How large an epoch may grow.
        clock: Monotonic seconds; tests give their own.
        input_of: Returns which input a batch is of.
        more_to_come: Whether the last poll brought so much that more must be there;
            that holds beyond the epoch that it became.
    """

    pace: Pace
    clock: Callable[[], float] = time.monotonic
    input_of: Callable[[RawBatch], str] = lambda _: "events"
    _batches: list[RawBatch] = field(default_factory=list, init=False)
    _rows: int = field(default=0, init=False)
    _bytes: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)
    more_to_come: bool = field(default=False, init=False)

    @property
    def room(self) -> int:
        """Return how many rows may still be added."""
        if self._bytes >= self.pace.max_bytes:
            return 0
        return max(0, self.pace.max_rows - self._rows)

    @property
    def empty(self) -> bool:
        """Return whether there is nothing to make an epoch of."""
        return not self._batches

    @property
    def age_s(self) -> float:
        """Return the seconds since the first batch came."""
        return self.clock() - self._began

    def add(self, batch: RawBatch | None) -> None:
        """Take what a poll returned; None means that the source ran dry."""
        if batch is None:
            self.more_to_come = False
            return
        if not self._batches:
            self._began = self.clock()
        self._batches.append(batch)
        self._rows += len(batch)
        self._bytes += batch.size_bytes
        self.more_to_come = len(batch) >= min(BACKLOG_ROWS, self.pace.max_rows)

    def ready(self) -> bool:
        """Return whether the collected batches should go on as an epoch now."""
        if not self._batches:
            return False
        if self.room == 0 or not self.more_to_come:
            return True
        return (self.clock() - self._began) * 1000 >= self.pace.latency_ms

    def take(self) -> Mapping[str, RawBatch]:
        """Return the epoch's events, by their inputs, and begin a new one."""
        by_input: dict[str, list[RawBatch]] = {}
        for batch in self._batches:
            by_input.setdefault(self.input_of(batch), []).append(batch)
        self.clear()
        return {name: RawBatch.concat(parts) for name, parts in by_input.items()}

    def clear(self) -> None:
        """Drop what was collected; it will be read again from the stored position."""
        self._batches = []
        self._rows = self._bytes = 0
