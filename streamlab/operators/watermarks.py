"""Watermarks: how far the event time of a task has come.

A partition's watermark is the running maximum of its event times less the bound of
its stream. A task's is the smallest of its partitions', without those set aside as
idle, and never goes back. Only the decision to set one aside uses the clock; so it is
part of the state, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from streamlab.operators.operator import END_OF_TIME, LATE, Moment
from streamlab.positions import TopicPartition


def floors_behind(
    times: pl.Series, watermarks: pl.Series, lateness_us: int
) -> pl.Series:
    """Call events late that are behind their watermark by more than a lateness.

    Args:
        times: Int64, µs.
        watermarks: Of the partition of each, Int64, µs.
        lateness_us: How far behind is not late, in µs.

    Returns:
        As ``Operator.floors`` does: ``LATE``, or null.
    """
    late = times < watermarks - lateness_us
    nothing = pl.Series([None], dtype=pl.Int64).new_from_index(0, len(times))
    return pl.Series([LATE], dtype=pl.Int64).zip_with(late, nothing)


@dataclass
class Watermarks:
    """The event time of one task.

    Attributes:
        bounds_us: Topic → how far its events may be out of order, in µs.
        highest: Partition → the largest event time seen, in µs; None before the first.
        idle: Partitions that are set aside.
        passed: Partition that came back → what the task had reached without it, in
            µs: that is closed for its events, whatever its own watermark says.
        idled: How often a partition was set aside.
        ended: Whether all input has ended.
        reached: The watermark of the task, in µs; None before the first.
    """

    bounds_us: Mapping[str, int]
    highest: dict[TopicPartition, int | None] = field(default_factory=dict)
    idle: set[TopicPartition] = field(default_factory=set)
    passed: dict[TopicPartition, int] = field(default_factory=dict)
    idled: int = 0
    ended: bool = False
    reached: int | None = None

    def add(self, partitions: Iterable[TopicPartition]) -> None:
        """Take partitions into the task; those without events hold its watermark."""
        for partition in partitions:
            self.highest.setdefault(partition, None)

    def observe(self, partition: TopicPartition, times: pl.Series) -> pl.Series:
        """Take in the event times of a partition's next events.

        Args:
            partition: The partition.
            times: Int64, µs since 1970 UTC, in the order of their positions, no nulls.

        Returns:
            The watermark of the partition at each event, Int64 µs: of a partition that
            was idle, at least what the task had reached without it.
        """
        if times.is_empty():
            return times
        known = self.highest.get(partition)
        running = times.cum_max()
        if known is not None:
            running = running.clip(lower_bound=known)
        self.highest[partition] = int(running[-1])
        marks = running - self.bounds_us.get(partition.topic, 0)
        if partition in self.idle:
            self.idle.discard(partition)
            if self.reached is not None:
                self.passed[partition] = self.reached
        closed = self.passed.get(partition)
        return marks if closed is None else marks.clip(lower_bound=closed)

    def observe_each(
        self, partitions: Sequence[TopicPartition], numbers: pl.Series, times: pl.Series
    ) -> pl.Series:
        """Take in the next events of several partitions.

        Args:
            partitions: The partitions.
            numbers: For each event the number of its partition in that list.
            times: Event time of each, as :meth:`observe` takes them.

        Returns:
            The watermark of its own partition at each event, Int64 µs.
        """
        present = numbers.unique().to_list()
        if len(present) <= 1:
            return self.observe(partitions[present[0]], times) if present else times
        # Each partition's own, put back into the order of the events.
        parts = (
            pl.DataFrame([numbers.alias("number"), times.alias("time")])
            .with_row_index("at")
            .partition_by("number", maintain_order=True)
        )
        marked = []
        for part in parts:
            partition = partitions[part["number"][0]]
            marked.append(part.select("at", mark=self.observe(partition, part["time"])))
        return pl.concat(marked).sort("at")["mark"]

    def set_aside(self, partition: TopicPartition) -> None:
        """Go on without a partition until its next event."""
        if partition not in self.idle:
            self.idle.add(partition)
            self.idled += 1

    def end(self) -> None:
        """Say that no event can come any more: every window closes."""
        self.ended = True

    def of(self, partition: TopicPartition) -> int | None:
        """Return the watermark of one partition, in µs."""
        known = self.highest.get(partition)
        if known is None:
            return None
        return known - self.bounds_us.get(partition.topic, 0)

    def advance(self, wall_us: int) -> Moment:
        """Bring the task's watermark up to its partitions', at the end of an epoch."""
        before = self.reached
        marks = [self.of(one) for one in self.highest if one not in self.idle]
        known = [mark for mark in marks if mark is not None]
        if self.ended:
            self.reached = END_OF_TIME
        elif known and len(known) == len(marks):
            self.reached = min(known) if before is None else max(before, min(known))
        return Moment(before, self.reached, wall_us)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, for the state of the task."""
        return {
            "highest": {str(key): value for key, value in self.highest.items()},
            "idle": sorted(map(str, self.idle)),
            "idled": self.idled,
            "ended": self.ended,
            "passed": {str(key): value for key, value in self.passed.items()},
            "reached": self.reached,
        }

    @classmethod
    def from_json(
        cls, stored: Mapping[str, Any], bounds_us: Mapping[str, int]
    ) -> Watermarks:
        """Return what ``to_json`` wrote."""
        return cls(
            bounds_us,
            {TopicPartition.parse(k): v for k, v in stored["highest"].items()},
            {TopicPartition.parse(key) for key in stored["idle"]},
            {TopicPartition.parse(k): v for k, v in stored["passed"].items()},
            stored["idled"],
            stored["ended"],
            stored["reached"],
        )
