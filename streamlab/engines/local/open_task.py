"""An open task: its state and its event time, in the computing thread's hands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streamlab.engines.local.epoch import Clock
from streamlab.engines.local.state_home import State
from streamlab.operators.operator import Counts, Moment
from streamlab.operators.watermarks import Watermarks
from streamlab.positions import Progress, TopicPartition

WATERMARKS, COUNTS, WALL = "watermarks", "counts", "wall_us"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a task stood after the last epoch that was computed.

    Attributes:
        watermark: Its event time, in µs since 1970 UTC; None while there is none.
        ended: Whether its input has ended.
        watermarks: Partition → its own watermark, in µs since 1970 UTC.
        idle: Partitions that are set aside.
        idled: How often one was.
        held: Operator → rows that it holds.
        bytes: About how large the state is.
    """

    watermark: int | None = None
    ended: bool = False
    watermarks: Mapping[TopicPartition, int] = field(default_factory=dict)
    idle: tuple[TopicPartition, ...] = ()
    idled: int = 0
    held: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0

    def told(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "watermark_us": None if self.ended else self.watermark,
            "ended": self.ended,
            "watermarks_us": {str(key): one for key, one in self.watermarks.items()},
            "idle": [str(one) for one in self.idle],
            "idled": self.idled,
            "held": dict(self.held),
            "state_bytes": self.bytes,
        }


@dataclass
class OpenTask:
    """A task with its state, as of the last epoch that was computed.

    Attributes:
        name: Name of the task.
        state: Its tables.
        watermarks: Its event time.
        state_id: Name of the state as it was saved last.
        counts: Operator → its account since the task's first epoch.
        wall_us: The latest clock that an epoch has brought, in µs since 1970 UTC.
    """

    name: str
    state: State
    watermarks: Watermarks
    state_id: str | None
    counts: dict[str, Counts] = field(default_factory=dict)
    wall_us: int = 0

    @classmethod
    def of(
        cls, progress: Progress, state: State, bounds_us: Mapping[str, int]
    ) -> OpenTask:
        """Return a task as its state was saved.

        Args:
            progress: Names the state.
            state: The state, opened.
            bounds_us: Topic → bound of its events, for those with event time.
        """
        meta = state.meta
        stored = meta.get(WATERMARKS)
        watermarks = (
            Watermarks(bounds_us)
            if stored is None
            else Watermarks.from_json(stored, bounds_us)
        )
        watermarks.add(key for key in progress.positions if key.topic in bounds_us)
        counts = {name: Counts(*three) for name, three in meta.get(COUNTS, {}).items()}
        wall_us = meta.get(WALL, 0)
        return cls(progress.task, state, watermarks, progress.state_id, counts, wall_us)

    def moment(self, clock: Clock, seen: set[TopicPartition]) -> Moment:
        """Bring the event time up to an epoch.

        Args:
            clock: What the epoch brings beside its events.
            seen: Partitions that it has events of.
        """
        for partition in sorted(clock.idle - seen):
            if partition in self.watermarks.highest:
                self.watermarks.set_aside(partition)
        if clock.ended:
            self.watermarks.end()
        # A clock that was set back must not make what is shown early wait.
        self.wall_us = max(self.wall_us, clock.wall_us)
        return self.watermarks.advance(self.wall_us)

    def count(self, counts: Mapping[str, Counts]) -> None:
        """Add an epoch's account."""
        for name, one in counts.items():
            self.counts[name] = self.counts.get(name, Counts()) + one

    def save(self) -> str:
        """Save the state under a new name, and return it."""
        self.state.meta.update(self._meta())
        self.state_id = self.state.save()
        return self.state_id

    def reached(self) -> Mapping[TopicPartition, int]:
        """Return the watermark of each partition that has one, in µs since 1970 UTC."""
        marks = ((one, self.watermarks.of(one)) for one in self.watermarks.highest)
        return {one: mark for one, mark in marks if mark is not None}

    def standing(self) -> Standing:
        """Return how the task stands."""
        marks = self.watermarks
        return Standing(
            watermark=marks.reached,
            ended=marks.ended,
            watermarks=self.reached(),
            idle=tuple(sorted(marks.idle)),
            idled=marks.idled,
            held={name: one.held for name, one in self.counts.items()},
            bytes=self.state.size_bytes,
        )

    def _meta(self) -> dict[str, Any]:
        return {
            WATERMARKS: self.watermarks.to_json(),
            COUNTS: {
                name: [one.accepted, one.released, one.expired]
                for name, one in sorted(self.counts.items())
            },
            WALL: self.wall_us,
        }
