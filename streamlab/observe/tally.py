"""The tally: what one worker has done, counted so that it must add up.

Per partition, always: ``read = decoded + dead-lettered`` and ``decoded = transformed +
late``. A worker adds whole epochs, after they are committed; a reader of the tally
never sees half of one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamlab.observe.histogram import Histogram
from streamlab.positions import TopicPartition

WINDOW_S = 60.0  # what "recent" means for stage times and latencies
MOST_LATENCIES = 20_000  # looked at for a percentile, spread over the window

LATENCIES = ("broker", "event")
"""What latencies are counted from: the source's time of an event, its event time."""

STAGES = ("read", "decode", "transform", "write", "acknowledge")


@dataclass(frozen=True)
class EpochCounts:
    """What one committed epoch adds to the tally.

    Attributes:
        read: Events read, per partition.
        dead_lettered: Events that could not be processed, per partition.
        late: Events that came too late, per partition.
        rows_out: Rows written to the sink.
        stage_s: Seconds spent in each of :data:`STAGES`.
        broker_latency_ms: From the source's time of some events to the commit.
        event_latency_ms: From the event time of some events to the commit.
    """

    read: Mapping[TopicPartition, int]
    dead_lettered: Mapping[TopicPartition, int]
    rows_out: int
    stage_s: Mapping[str, float]
    broker_latency_ms: Sequence[float] = ()
    event_latency_ms: Sequence[float] = ()
    late: Mapping[TopicPartition, int] = field(default_factory=dict)


@dataclass
class Tally:
    """Counters of one worker since its start."""

    read: Counter[TopicPartition] = field(default_factory=Counter)
    dead_lettered: Counter[TopicPartition] = field(default_factory=Counter)
    late: Counter[TopicPartition] = field(default_factory=Counter)
    rows_out: int = 0
    epochs: int = 0
    retries: int = 0
    rebalances: int = 0
    latencies: dict[str, Histogram] = field(default_factory=dict)
    _recent: deque[tuple[float, EpochCounts]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, epoch: EpochCounts) -> None:
        """Count a committed epoch."""
        now = time.monotonic()
        with self._lock:
            self.read.update(epoch.read)
            self.dead_lettered.update(epoch.dead_lettered)
            self.late.update(epoch.late)
            self.rows_out += epoch.rows_out
            self.epochs += 1
            self._count_latencies(epoch)
            self._recent.append((now, epoch))
            while self._recent and self._recent[0][0] < now - WINDOW_S:
                self._recent.popleft()

    def counts(self) -> dict[str, int]:
        """Return the totals, as ``WorkerStatus.counts`` has them."""
        with self._lock:
            read, dead = self.read.total(), self.dead_lettered.total()
            late = self.late.total()
            return {
                "read": read,
                "decoded": read - dead,
                "dead_lettered": dead,
                "late": late,
                "transformed": read - dead - late,
                "rows_out": self.rows_out,
                "epochs": self.epochs,
                "retries": self.retries,
                "rebalances": self.rebalances,
            }

    def by_partition(self) -> dict[str, dict[str, int]]:
        """Return read, dead-lettered and late events of each partition."""
        with self._lock:
            return {
                str(partition): {
                    "read": count,
                    "dead_lettered": self.dead_lettered[partition],
                    "late": self.late[partition],
                }
                for partition, count in sorted(self.read.items())
            }

    def stage_ms(self) -> dict[str, float]:
        """Return the mean time of each stage over the recent epochs, in ms."""
        with self._lock:
            epochs = [epoch.stage_s for _, epoch in self._recent]
        if not epochs:
            return {}
        return {
            stage: 1000 * sum(e.get(stage, 0.0) for e in epochs) / len(epochs)
            for stage in STAGES
        }

    def latency_ms(self) -> dict[str, float]:
        """Return recent latencies: ``broker_p50``, ``broker_p99``, ``event_p50`` …."""
        with self._lock:
            recent = [epoch for _, epoch in self._recent]
        found = {}
        for kind in LATENCIES:
            measured = [
                value
                for epoch in recent
                for value in getattr(epoch, f"{kind}_latency_ms")
            ]
            # Thinned before it is sorted: cut behind, only the quickest would count.
            values = sorted(measured[:: 1 + len(measured) // MOST_LATENCIES])
            if values:
                found[f"{kind}_p50"] = values[len(values) // 2]
                found[f"{kind}_p99"] = values[int(len(values) * 0.99)]
        return found

    def latency_counts(self) -> dict[str, list[int]]:
        """Return all latencies as ``WorkerStatus.latency_counts`` has them."""
        with self._lock:
            return {kind: list(all_.counts) for kind, all_ in self.latencies.items()}

    def _count_latencies(self, epoch: EpochCounts) -> None:
        for kind in LATENCIES:
            if values := getattr(epoch, f"{kind}_latency_ms"):
                before = self.latencies.get(kind, Histogram())
                self.latencies[kind] = before + Histogram.of(values)
