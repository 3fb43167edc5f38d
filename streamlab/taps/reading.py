"""The reading of a tap: chunk after chunk within its bounds, decoded on the way."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.connectors.kafka.following import Chunk, Follower
from streamlab.errors import Unavailable, UsageError
from streamlab.positions import Span, TopicPartition
from streamlab.taps.cut import Window
from streamlab.taps.decoding import Decoder, Part

WAIT_S = 0.05
"""How long one read waits; also how soon an interrupt is noticed."""

DECODE_ROWS = 50_000
"""Events that are decoded in one call."""

REPORT_EVERY_S = 0.25

END, ROWS, BYTES, SECONDS, INTERRUPTED = (
    "end",
    "rows",
    "bytes",
    "seconds",
    "interrupted",
)


@dataclass(frozen=True, slots=True)
class TapProgress:
    """How far a tap has come.

    Attributes:
        rows: Events read.
        size_bytes: Bytes of their values.
        seconds: Since the tap began.
        fraction: Part of the offsets to read that is done, 0 to 1.
    """

    rows: int
    size_bytes: int
    seconds: float
    fraction: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where a tap stops at the latest.

    Attributes:
        rows: Rows to return.
        size_bytes: Bytes of values to read.
        seconds: Time to read, s.
    """

    rows: int
    size_bytes: int
    seconds: float

    def __post_init__(self) -> None:
        """Refuse bounds that let nothing through."""
        for name in ("rows", "size_bytes", "seconds"):
            if getattr(self, name) <= 0:
                raise UsageError(
                    f"a tap with room for {getattr(self, name)} {name} reads nothing"
                )


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read.

    Attributes:
        parts: The decoded events, in reading order.
        spans: What was read of each partition, if anything.
        stopped_by: What ended it.
    """

    parts: tuple[Part, ...]
    spans: tuple[Span, ...]
    stopped_by: str


class TapReader:
    """Reads the events of one tap.

    Args:
        profile: Profile of the broker; empty for the default one.
        bounds: Where to stop at the latest; the time runs from now.
        report: Called with the progress now and then.
    """

    def __init__(
        self, profile: str, bounds: Bounds, report: Callable[[TapProgress], None]
    ) -> None:
        self._profile = profile
        self._bounds = bounds
        self._report = report
        self._began = time.monotonic()
        self._reported = self._began
        self._stopped_by = END

    def read_on(self, window: Window, decoder: Decoder) -> Reading:
        """Read from the window's starts on.

        Decoding in a thread of its own gains nothing: the client fetches in the
        background anyway, and two Python threads wait for each other.

        Raises:
            OffsetExpired: Events went while they were about to be read.
            Unavailable: The broker never answered.
        """
        parts: list[Part] = []
        room, first = self._bounds.rows, 0
        with self._chunks(window) as chunks:
            try:
                for chunk in self._gathered(chunks):
                    part = self._part(decoder, chunk, first, room)
                    parts.append(part)
                    room -= part.frame.height
                    first += len(chunk)
                    if not room:
                        break
            except KeyboardInterrupt:
                self._stopped_by = INTERRUPTED
        positions = parts[-1].positions if parts else window.starts
        return Reading(tuple(parts), _spans(window.starts, positions), self._stopped_by)

    def read_last(self, window: Window, decoder: Decoder, last: int) -> Reading | None:
        """Read the window, and decode its last events by time.

        Returns:
            What was read; None if the window held fewer events than ``last`` and
            there may be more in front of it.

        Raises:
            OffsetExpired: Events went while they were about to be read.
            Unavailable: The broker never answered.
        """
        read: list[Chunk] = []
        with self._chunks(window) as chunks:
            try:
                read.extend(chunks)
            except KeyboardInterrupt:
                self._stopped_by = INTERRUPTED
        found = sum(map(len, read))
        if found < last and self._stopped_by == END and not window.whole:
            return None
        if not found:
            return Reading((), (), self._stopped_by)
        chosen = _latest(Chunk.concat(read), last)
        spans = _spans(_first_offsets(chosen, window.starts), chosen.positions)
        part = decoder.part(chosen).in_order_of_time()
        return Reading((part,), spans, self._stopped_by)

    def _part(self, decoder: Decoder, chunk: Chunk, first: int, room: int) -> Part:
        """Decode a chunk, up to the event that fills the room."""
        part = decoder.part(chunk, first)
        if part.frame.height >= room:
            self._stopped_by = ROWS
            part = decoder.part(_up_to_row(chunk, part, room), first)
        return part

    def _gathered(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Put chunks together: decoding 10,000 at a time takes half as long again."""
        enough = min(DECODE_ROWS, self._bounds.rows)
        waiting: list[Chunk] = []
        try:
            for chunk in chunks:
                waiting.append(chunk)
                if sum(map(len, waiting)) >= enough:
                    yield Chunk.concat(waiting)
                    waiting = []
        except KeyboardInterrupt:
            self._stopped_by = INTERRUPTED
        if waiting:
            yield Chunk.concat(waiting)

    @contextlib.contextmanager
    def _chunks(self, window: Window) -> Iterator[Iterator[Chunk]]:
        self._stopped_by = END
        follower = Follower(self._profile, window.starts, window.ends)
        try:
            yield self._within_bounds(follower, window)
        finally:
            follower.close()

    def _within_bounds(self, follower: Follower, window: Window) -> Iterator[Chunk]:
        rows, size = 0, 0
        while not follower.finished:
            if time.monotonic() - self._began > self._bounds.seconds:
                self._stopped_by = SECONDS
                return
            chunk = self._next(follower)
            if chunk is None:
                continue
            room = self._bounds.size_bytes - size
            size += sum(map(len, filter(None, chunk.values)))
            rows += len(chunk)
            self._tell(rows, size, window, follower)
            if size > self._bounds.size_bytes:
                self._stopped_by = BYTES
                yield chunk.head(_fitting(chunk, room))
                return
            yield chunk

    def _next(self, follower: Follower) -> Chunk | None:
        try:
            return follower.read(WAIT_S)
        except Unavailable:
            if time.monotonic() - self._began > self._bounds.seconds - WAIT_S:
                raise
            return None  # the client connects again by itself

    def _tell(
        self, rows: int, size_bytes: int, window: Window, follower: Follower
    ) -> None:
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_S and not follower.finished:
            return
        self._reported = now
        done = sum(follower.positions[p] - start for p, start in window.starts.items())
        fraction = done / window.size if window.size else 1.0
        self._report(TapProgress(rows, size_bytes, now - self._began, fraction))


def _fitting(chunk: Chunk, room: int) -> int:
    """Return how many of a chunk's first events have room, at least one."""
    sizes = [len(value) if value else 0 for value in chunk.values]
    within = (pl.Series(sizes, dtype=pl.Int64).cum_sum() <= room).sum()
    return max(1, int(within))


def _up_to_row(chunk: Chunk, part: Part, rows: int) -> Chunk:
    """Return the chunk up to the event that became the part's row number ``rows``."""
    number, offset = part.frame.select("_partition", "_offset").row(rows - 1)
    places = zip(chunk.partitions, chunk.offsets, strict=True)
    at = next(i for i, place in enumerate(places) if place == (number, offset))
    return chunk.head(at + 1)


def _latest(chunk: Chunk, last: int) -> Chunk:
    """Return the last events by time, in the order in which they were read.

    From each partition come its last events by offset, as many as it has among the
    last by time, so that what is returned has no holes.
    """
    if len(chunk) <= last:
        return chunk
    read = pl.DataFrame(
        {
            "partition": pl.Series(chunk.partitions, dtype=pl.Int32),
            "time": pl.Series(chunk.timestamps_ms, dtype=pl.Int64),
        }
    ).with_row_index("row")
    shares = Counter(read.sort("time", "row").tail(last)["partition"].to_list())
    chosen = pl.concat(
        read.filter(pl.col("partition") == number).tail(share)
        for number, share in shares.items()
    )
    return chunk.take(chosen["row"].sort().to_list(), chunk.positions)


def _first_offsets(
    chunk: Chunk, starts: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return the first offset of each partition that the chunk has events of."""
    places = pl.DataFrame(
        {
            "partition": pl.Series(chunk.partitions, dtype=pl.Int32),
            "offset": pl.Series(chunk.offsets, dtype=pl.Int64),
        }
    )
    firsts = dict(places.group_by("partition").agg(pl.col("offset").min()).iter_rows())
    return {p: firsts[p.partition] for p in starts if p.partition in firsts}


def _spans(
    starts: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]
) -> tuple[Span, ...]:
    return tuple(
        Span(partition, start, positions[partition])
        for partition, start in sorted(starts.items())
        if positions[partition] > start
    )
