"""A sample as a source: its events again, as they were read, without a broker."""

from __future__ import annotations

import hashlib
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from streamlab.errors import UsageError
from streamlab.positions import Position, Progress, Span, TopicPartition
from streamlab.sources import (
    METADATA,
    Assignment,
    Headers,
    ListedOrigins,
    Listener,
    RawBatch,
    Reader,
    Source,
)

if TYPE_CHECKING:
    from streamlab.taps.sample import Sample

MS_PER_S = 1_000


@dataclass(frozen=True)
class SampleSource(Source):
    """The events of a sample, in one order that depends on nothing but the sample.

    Within a partition that is the order of the offsets; between partitions, that of
    the timestamps. However the events are cut into epochs, and at any speed, the
    sequence is the same. The source ends with the last event, and a worker on it
    ends there. It keeps no position and leaves nothing behind.

    Attributes:
        sample: The sample; values that were rejected are in their places.
        speed: How many times as fast as the events were written, by ``_timestamp``;
            None is as fast as possible.
    """

    sample: Sample = field(repr=False)
    speed: float | None = None

    def __post_init__(self) -> None:
        """Refuse a speed at which time stands still."""
        if self.speed is not None and not 0 < self.speed < float("inf"):
            raise UsageError(
                f"a replay cannot run at speed {self.speed}",
                hint="1 is the original pace, 10 ten times that, None the fastest",
            )

    @property
    def bounded(self) -> bool:
        """Whether it ends: with the last event."""
        return True

    def open(self, pipeline: str, listener: Listener) -> SampleReader:
        """Return a reader of all partitions of the sample."""
        del pipeline
        return SampleReader(Recording.of(self.sample), self.speed, listener)

    def describe(self) -> str:
        """Return one line for the plan."""
        pace = "" if self.speed is None else f", {self.speed:g} times as fast"
        return f"sample {self.sample.name} of topic {self.sample.topic}{pace}"


@dataclass(frozen=True)
class Recording:
    """The events of a sample in the order of a replay, in columns.

    Attributes:
        topic: The topic.
        frame: ``_partition`` Int32, ``_offset`` Int64, ``_timestamp`` Int64 (ms since
            1970 UTC), ``_key`` Binary, ``_value`` Binary, ``at`` Int64 (ms after the
            first event, rising).
        headers: Place → headers, of those that have any.
    """

    topic: str
    frame: pl.DataFrame
    headers: Mapping[tuple[int, int], Headers]

    @classmethod
    def of(cls, sample: Sample) -> Recording:
        """Return the recording of a sample, the rejected values in their places.

        A sample of an earlier streamlab does not know these places; there they are
        left out.
        """
        events = sample.frame.select(METADATA).with_columns(_value=sample.values)
        if sample.rejected_places.height:
            rejected = pl.Series("_value", sample.rejected_values, dtype=pl.Binary)
            events = events.vstack(sample.rejected_places.with_columns(rejected))
        # A clock may go back within a partition; its events keep their order all the
        # same, because time is taken as the latest so far.
        placed = (
            events.drop("_topic")
            .with_columns(pl.col("_timestamp").dt.epoch("ms"))
            .sort("_partition", "_offset")
            .with_columns(
                at=pl.col("_timestamp").cum_max().forward_fill().over("_partition")
            )
            .sort("at", "_partition", "_offset", nulls_last=False)
        )
        begin = placed["at"].min()
        return cls(
            sample.topic,
            placed.with_columns((pl.col("at") - begin).fill_null(0)),
            sample.headers,
        )

    @property
    def incarnation(self) -> str:
        """Return the name of what a position in it belongs to: these very events."""
        digest = hashlib.sha256(self.topic.encode())
        events = self.frame.select("_partition", "_offset", "_value")
        for partition, offset, value in events.iter_rows():
            size = "none" if value is None else len(value)
            digest.update(f"/{partition}@{offset} {size} ".encode() + (value or b""))
        return f"sample/{digest.hexdigest()[:16]}"

    def bounds(self) -> dict[TopicPartition, tuple[int, int]]:
        """Return where each partition begins, and where it ends.

        One that is empty stands for a sample without events, so that a worker has
        something to be at the end of.
        """
        found = self.frame.group_by("_partition").agg(
            pl.col("_offset").min().alias("first"),
            pl.col("_offset").max().alias("last"),
        )
        return {
            TopicPartition(self.topic, number): (first, last + 1)
            for number, first, last in found.sort("_partition").iter_rows()
        } or {TopicPartition(self.topic, 0): (0, 0)}


@dataclass(frozen=True)
class _Columns:
    """What is still to be delivered, as Python lists."""

    partitions: list[TopicPartition]
    offsets: list[int]
    timestamps_ms: list[int | None]
    keys: list[bytes | None]
    values: list[bytes | None]
    at_ms: list[int]

    @classmethod
    def of(
        cls, frame: pl.DataFrame, positions: Mapping[TopicPartition, Position]
    ) -> _Columns:
        """Return the events of a recording that are not before the positions."""
        named = {partition.partition: partition for partition in positions}
        begins = pl.col("_partition").replace_strict(
            {number: positions[partition] for number, partition in named.items()},
            return_dtype=pl.Int64,
        )
        left = frame.filter(pl.col("_offset") >= begins)
        return cls(
            [named[number] for number in left["_partition"]],
            *(
                left[name].to_list()
                for name in ("_offset", "_timestamp", "_key", "_value", "at")
            ),
        )


class SampleReader(Reader):
    """An open sample."""

    def __init__(
        self, recording: Recording, speed: float | None, listener: Listener
    ) -> None:
        """Keep the parts; the first poll asks where to begin."""
        self._recording, self._speed, self._listener = recording, speed, listener
        self._bounds = recording.bounds()
        self._positions: dict[TopicPartition, Position] = {}
        self._left: _Columns | None = None
        self._next = 0
        self._began_s = 0.0
        self._held = self._closed = False

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return the events whose time has come."""
        if self._closed:
            raise UsageError("the reader is closed")
        if self._left is None:
            self._left = self._assigned()
            return None
        end = self._next if self._held else self._due(self._left.at_ms, timeout_s)
        if end == self._next:
            if self._held or end == len(self._left.at_ms):
                time.sleep(timeout_s)
            return None
        rows = slice(self._next, min(end, self._next + max_rows))
        self._next = rows.stop
        return self._batch(self._left, rows)

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Do nothing: a replay begins at the beginning."""

    def hold(self, *, held: bool) -> None:
        """Stop or go on delivering events."""
        self._held = held

    def close(self) -> None:
        """Give the partitions back; a second call does nothing."""
        if not self._closed and self._positions:
            self._listener.revoked(tuple(self._positions))
        self._closed = True

    def ends(self) -> Mapping[TopicPartition, Position]:
        """Return where each partition ends."""
        return {partition: end for partition, (_, end) in self._bounds.items()}

    def _assigned(self) -> _Columns:
        incarnations = {self._recording.topic: self._recording.incarnation}
        start = {partition: first for partition, (first, _) in self._bounds.items()}
        given = Assignment(tuple(start), {}, start, incarnations)
        self._positions = dict(self._listener.assigned(given))
        left = _Columns.of(self._recording.frame, self._positions)
        ahead_ms = left.at_ms[0] if left.at_ms else 0
        self._began_s = time.monotonic() - ahead_ms / MS_PER_S / (self._speed or 1)
        return left

    def _due(self, at_ms: Sequence[int], timeout_s: float) -> int:
        """Return up to which event time has come, waiting for the next one only."""
        if self._speed is None or self._next == len(at_ms):
            return len(at_ms)
        per_ms = self._speed * MS_PER_S
        wait_s = self._began_s + at_ms[self._next] / per_ms - time.monotonic()
        time.sleep(max(0.0, min(timeout_s, wait_s)))
        passed_ms = (time.monotonic() - self._began_s) * per_ms
        return max(self._next, bisect_right(at_ms, passed_ms))

    def _batch(self, left: _Columns, rows: slice) -> RawBatch:
        values, partitions = left.values[rows], left.partitions[rows]
        offsets, positions = left.offsets[rows], self._positions
        spans = []
        for partition, last in dict(zip(partitions, offsets, strict=True)).items():
            spans.append(Span(partition, positions[partition], last + 1))
            positions[partition] = last + 1
        headers = self._recording.headers
        numbers = (partition.partition for partition in partitions)
        places = enumerate(zip(numbers, offsets, strict=True) if headers else ())
        return RawBatch(
            values=values,
            spans=tuple(sorted(spans, key=lambda span: span.partition)),
            origins=ListedOrigins(
                partitions,
                offsets,
                left.timestamps_ms[rows],
                left.keys[rows],
                {row: headers[place] for row, place in places if place in headers},
            ),
            size_bytes=sum(map(len, filter(None, values))),
        )
