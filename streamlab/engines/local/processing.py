"""Processing: one epoch from bytes to the rows that its sink shall write.

Decoding and transforming are one call each for the whole epoch. Only where such a
call fails, the events at fault are searched for by halving, set aside as dead letters
with their reason, and the call is repeated for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from streamlab.errors import TransformError, first_line
from streamlab.formats import Format, Rejection, wire
from streamlab.pipelines import Pipeline
from streamlab.positions import TopicPartition, leading
from streamlab.sinks import DeadLetter
from streamlab.sources import METADATA_DTYPES, Origins, RawBatch
from streamlab.transforms.application import Prepared

SYSTEMATIC_FAILURES = 100
"""More failing events in one epoch, if they are most of it, mean a wrong function."""


@dataclass(frozen=True)
class Processed:
    """An epoch that is ready to be written.

    Attributes:
        raw: What was read.
        events: What decoded, as the transform sees it.
        rows: Event row → row in ``raw``; None where all of it decoded.
        output: What the transform made of the events.
        dead_letters: What could not be processed, and why.
    """

    raw: RawBatch
    events: pl.DataFrame
    rows: Sequence[int] | None
    output: pl.DataFrame
    dead_letters: tuple[DeadLetter, ...]

    def dead_by_partition(self) -> Mapping[TopicPartition, int]:
        """Return how many events became dead letters, of each partition."""
        return Counter(
            TopicPartition(letter.topic, letter.partition)
            for letter in self.dead_letters
        )

    def raw_rows(self, event_rows: Sequence[int]) -> list[int]:
        """Return the rows in ``raw`` of some rows of ``events``."""
        if self.rows is None:
            return list(event_rows)
        return [self.rows[row] for row in event_rows]


@dataclass(frozen=True)
class Processor:
    """Decodes and transforms epochs of one pipeline.

    Attributes:
        pipeline: The pipeline.
        format: The format of its input.
        prepared: Its transforms, ready to be applied.
    """

    pipeline: Pipeline
    format: Format
    prepared: Prepared

    def decode(self, raw: RawBatch) -> Processed:
        """Decode an epoch; the output is still empty.

        Values that do not decode are dead letters of the stage ``decode``.
        """
        values = wire.whole(self.format.name, raw.values, raw.origins.headed)
        decoded = self.format.decode(values, self.pipeline.input.schema)
        rows = decoded.kept(len(raw))
        events = decoded.frame
        if self.prepared.metadata:
            events = events.with_columns(
                metadata_columns(raw.origins, self.prepared.metadata, rows)
            )
        return Processed(
            raw=raw,
            events=events,
            rows=rows,
            output=self.prepared.output_schema.to_frame(),
            dead_letters=dead_letters(raw, "decode", decoded.rejected),
        )

    def transform(self, decoded: Processed) -> Processed:
        """Transform a decoded epoch.

        Events that make the function fail are dead letters of the stage
        ``transform``.

        Raises:
            TransformError: Most of the epoch fails, so the function is at fault.
        """
        try:
            return replace(decoded, output=self.prepared.apply(decoded.events))
        except TransformError as error:
            reasons = self._failing(decoded.events, error)
        return self.without(decoded, reasons, stage="transform", code="transform-error")

    def without(
        self, processed: Processed, reasons: Mapping[int, str], *, stage: str, code: str
    ) -> Processed:
        """Return the epoch processed anew without some events, now dead letters.

        Args:
            processed: The epoch.
            reasons: Row in ``processed.events`` → reason.
            stage: The stage that failed.
            code: The kind of failure.
        """
        gone = sorted(reasons)
        raw_rows = processed.raw_rows(gone)
        letters = dead_letters(
            processed.raw,
            stage,
            [
                Rejection(raw_row, code, reasons[row])
                for raw_row, row in zip(raw_rows, gone, strict=True)
            ],
        )
        kept = sorted(set(range(processed.events.height)) - set(gone))
        events = processed.events[kept]
        return Processed(
            raw=processed.raw,
            events=events,
            rows=processed.raw_rows(kept),
            output=self.prepared.apply(events),
            dead_letters=(*processed.dead_letters, *letters),
        )

    def producing(
        self, processed: Processed, refused: Mapping[int, str]
    ) -> dict[int, str]:
        """Find the events behind some rows of the output.

        A row is known by its content: the events are halved, and a half is followed
        where its output still has a refused row. Of events with equal output the
        last ones are taken, as many as were refused.

        Args:
            processed: The epoch.
            refused: Row of ``processed.output`` → reason.

        Returns:
            Row in ``processed.events`` → reason.
        """
        hashes = processed.output.hash_rows()
        reasons = {hashes[row]: reason for row, reason in refused.items()}
        wanted = Counter(hashes[row] for row in refused)

        def found(events: pl.DataFrame) -> set[int]:
            return wanted.keys() & set(self.prepared.apply(events).hash_rows())

        culprits: dict[int, str] = {}
        rows = list(_halved(processed.events, lambda part: bool(found(part))))
        for row in reversed(rows):
            for content in found(processed.events[row : row + 1]):
                if wanted[content]:
                    wanted[content] -= 1
                    culprits[row] = reasons[content]
        return culprits

    def _failing(self, events: pl.DataFrame, error: TransformError) -> dict[int, str]:
        """Return the events that make the transform fail when they are alone.

        Raises:
            TransformError: They are most of the epoch, or none.
        """
        reasons: dict[str, str] = {}

        def fails(part: pl.DataFrame) -> bool:
            try:
                self.prepared.apply(part)
            except TransformError as cause:
                reasons["last"] = first_line(cause)
                return True
            return False

        if fails(events.clear()):
            raise error
        culprits: dict[int, str] = {}
        for row in _halved(events, fails):
            culprits[row] = reasons["last"]
            if len(culprits) > max(SYSTEMATIC_FAILURES, events.height // 2):
                raise error
        if not culprits:
            raise error
        return culprits


def _halved(
    events: pl.DataFrame, at_fault: Callable[[pl.DataFrame], bool]
) -> Iterator[int]:
    """Yield the single rows that are at fault, in order, found by halving."""
    parts = [(0, events.height)]
    while parts:
        start, end = parts.pop()
        if start == end or not at_fault(events[start:end]):
            continue
        if end - start == 1:
            yield start
            continue
        middle = (start + end) // 2
        parts += [(middle, end), (start, middle)]


def metadata_columns(
    origins: Origins, names: Sequence[str], rows: Sequence[int] | None
) -> list[pl.Series]:
    """Return metadata columns of some events of a batch.

    Args:
        origins: Where the events of the batch came from.
        names: The columns wanted; others are not computed.
        rows: Rows of the batch to keep; None keeps all.

    Returns:
        A series for each name, with the dtypes of ``METADATA_DTYPES``.
    """
    read: dict[str, Callable[[], Sequence[object]]] = {
        "_topic": lambda: [partition.topic for partition in origins.partitions()],
        "_partition": lambda: [p.partition for p in origins.partitions()],
        "_offset": lambda: [leading(position) for position in origins.positions()],
        "_timestamp": origins.timestamps_ms,
        "_key": origins.keys,
    }
    columns = []
    for name in names:
        values = read[name]()
        kept = values if rows is None else [values[row] for row in rows]
        columns.append(pl.Series(name, kept, dtype=METADATA_DTYPES[name]))
    return columns


def dead_letters(
    raw: RawBatch, stage: str, rejected: Sequence[Rejection]
) -> tuple[DeadLetter, ...]:
    """Return the events of some rows of a batch as dead letters."""
    if not rejected:
        return ()
    partitions, positions = raw.origins.partitions(), raw.origins.positions()
    timestamps, keys = raw.origins.timestamps_ms(), raw.origins.keys()
    return tuple(
        DeadLetter(
            topic=partitions[row].topic,
            partition=partitions[row].partition,
            position=positions[row],
            timestamp_ms=timestamps[row],
            key=keys[row],
            value=raw.values[row],
            headers=raw.origins.headers(row),
            stage=stage,
            code=rejection.code,
            reason=rejection.reason,
        )
        for rejection in rejected
        for row in [rejection.row]
    )
