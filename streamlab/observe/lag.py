"""Lag: how many events a consumer group has still to read, and for how long.

Offsets are looked up the way a monitoring tool does: nothing joins the group, and
nothing is committed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from streamlab.connectors.kafka.offsets import GroupOffsets
from streamlab.errors import UnknownName
from streamlab.observe.sampling import Sampler
from streamlab.positions import TopicPartition

GROUP_PREFIX = "streamlab."
"""The consumer group of pipeline ``delays`` is ``streamlab.delays``."""

LAG_SCHEMA = pl.Schema(
    {
        "topic": pl.String(),
        "partition": pl.Int32(),
        "position": pl.Int64(),
        "end": pl.Int64(),
        "lag": pl.Int64(),
        "seconds_to_drain": pl.Float64(),
    }
)

RATE_WINDOW_S = 10.0
SECOND_MS = 1_000


class Offsets(Protocol):
    """What lag is computed from: a broker's word on a group and its topics."""

    def groups(self) -> list[str]:
        """Return the names of the groups that the broker knows."""

    def committed(self, group: str) -> Mapping[TopicPartition, int | None]:
        """Return the offsets of a group, over the whole of each topic it reads."""

    def ends(
        self, partitions: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, int]:
        """Return where each partition ends now."""

    def close(self) -> None:
        """Drop the connection."""


@dataclass(frozen=True)
class LagReading:
    """The lag of one consumer group at one moment.

    Attributes:
        group: The consumer group.
        at_ms: When it was read, ms since 1970 UTC.
        frame: One row a partition: ``topic`` String, ``partition`` Int32, ``position``
            Int64 (next offset to read; null before the first commit), ``end`` Int64,
            ``lag`` Int64 (null where the position is), ``seconds_to_drain`` Float64
            (null while unknown or while the lag grows).
        drain_per_s: Events by which the lag shrinks in a second; negative while it
            grows; None before there are two readings to compare.
    """

    group: str
    at_ms: int
    frame: pl.DataFrame
    drain_per_s: float | None = None

    @property
    def total(self) -> int:
        """Return the lag of all partitions together, in events."""
        return int(self.frame["lag"].sum())

    @property
    def uncommitted(self) -> int:
        """Return how many partitions have events but no commit yet."""
        return self.frame["lag"].null_count()

    @property
    def seconds_to_drain(self) -> float | None:
        """Return in how many seconds nothing is left; None if that is unknown."""
        if self.total == 0:
            return 0.0
        if not self.drain_per_s or self.drain_per_s < 0:
            return None
        return self.total / self.drain_per_s

    def since(self, earlier: LagReading) -> LagReading:
        """Return this reading with the rates it shows against an earlier one."""
        seconds = (self.at_ms - earlier.at_ms) / SECOND_MS
        if seconds <= 0:
            return self
        before = earlier.frame.select("topic", "partition", before=pl.col("lag"))
        drained = (pl.col("before") - pl.col("lag")) / seconds
        to_drain = (
            pl.when(pl.col("lag") == 0)
            .then(0.0)
            .when(drained > 0)
            .then(pl.col("lag") / drained)
        )
        frame = self.frame.join(
            before, on=["topic", "partition"], how="left", maintain_order="left"
        ).with_columns(to_drain.alias("seconds_to_drain"))
        return LagReading(
            self.group,
            self.at_ms,
            frame.select(LAG_SCHEMA.names()),
            (earlier.total - self.total) / seconds,
        )


def lag(pipeline_or_group: str, *, profile: str = "") -> LagReading:
    """Return how far a pipeline, or any consumer group, is behind.

    Args:
        pipeline_or_group: Name of a pipeline, or of a consumer group.
        profile: Which broker; empty for the default profile.

    Returns:
        One reading. Its rates are unknown; :class:`LagWatch` has them.

    Raises:
        UnknownName: The broker has no such group, or it never committed an offset.
        Unavailable: The broker does not answer.
    """
    offsets = GroupOffsets(profile)
    try:
        return read(group_named(pipeline_or_group, offsets), offsets)
    finally:
        offsets.close()


def group_names(profile: str = "") -> list[str]:
    """Return the pipelines and consumer groups that :func:`lag` can be asked about.

    Raises:
        Unavailable: The broker does not answer.
    """
    offsets = GroupOffsets(profile)
    try:
        return _asked_for(offsets.groups())
    finally:
        offsets.close()


def _asked_for(groups: Iterable[str]) -> list[str]:
    return [name.removeprefix(GROUP_PREFIX) for name in groups]


def group_named(pipeline_or_group: str, offsets: Offsets) -> str:
    """Return the consumer group of a pipeline, or the group of that very name.

    Raises:
        UnknownName: There is neither.
    """
    known = offsets.groups()
    for candidate in (GROUP_PREFIX + pipeline_or_group, pipeline_or_group):
        if candidate in known:
            return candidate
    # Of a pipeline that reads several systems, each broker has a group of its own.
    prefix = f"{GROUP_PREFIX}{pipeline_or_group}."
    parts = [group for group in known if group.startswith(prefix)]
    if len(parts) == 1:
        return parts[0]
    raise UnknownName(
        "pipeline or consumer group",
        pipeline_or_group,
        _asked_for(known),
        hint="a group appears when its worker first runs, and to those who have "
        "DESCRIBE or READ on it",
    )


def read(group: str, offsets: Offsets) -> LagReading:
    """Take one reading of a group."""
    committed = offsets.committed(group)
    ends = offsets.ends(committed)
    rows = [
        (topic, partition, position, ends[TopicPartition(topic, partition)])
        for (topic, partition), position in sorted(committed.items())
        if TopicPartition(topic, partition) in ends
    ]
    columns = ("topic", "partition", "position", "end")
    frame = pl.DataFrame(
        rows, schema={name: LAG_SCHEMA[name] for name in columns}, orient="row"
    ).with_columns(
        # Nothing was written and nothing committed: nothing is left to read.
        lag=pl.when(pl.col("end") == 0)
        .then(0)
        .otherwise((pl.col("end") - pl.col("position")).clip(lower_bound=0)),
        seconds_to_drain=pl.lit(None, pl.Float64),
    )
    now_ms = time.time_ns() // 1_000_000
    return LagReading(group, now_ms, frame.cast(LAG_SCHEMA))


class LagWatch:
    """Follows the lag of one group; see :class:`Sampler` for how to listen.

    Attributes:
        group: The consumer group.
        sampler: Where the readings are; each has its rates over the last 10 s.
    """

    EVERY_S = 0.5

    def __init__(self, pipeline_or_group: str, *, profile: str = "") -> None:
        """Find the group and take a first reading.

        Raises:
            UnknownName: There is no such group.
            Unavailable: The broker does not answer.
        """
        self._offsets = GroupOffsets(profile)
        try:
            self.group = group_named(pipeline_or_group, self._offsets)
            first = read(self.group, self._offsets)
        except BaseException:
            self._offsets.close()
            raise
        self.sampler: Sampler[LagReading] = Sampler(
            self._read, every_s=self.EVERY_S, close=self._offsets.close
        )
        self.sampler.readings.append(first)

    @property
    def latest(self) -> LagReading:
        """Return the newest reading."""
        return self.sampler.readings[-1]

    def _read(self) -> LagReading:
        now = read(self.group, self._offsets)
        window_ms = RATE_WINDOW_S * SECOND_MS
        earlier = next(
            (r for r in self.sampler.readings if now.at_ms - r.at_ms <= window_ms),
            None,
        )
        return now.since(earlier) if earlier is not None else now
