"""Processing: one epoch from bytes to the rows that its sink shall write.

Decoding and transforming are one call each for the whole epoch. Only where such a
call fails, the events at fault are searched for by halving, set aside as dead letters
with their reason, and the call is repeated for the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

from streamlab.contracts import Schema
from streamlab.engines.local.epoch import Epoch
from streamlab.engines.local.removals import with_removals
from streamlab.errors import RowsRefused, TransformError, first_line
from streamlab.formats import Format, Rejection, wire
from streamlab.pipelines import Pipeline
from streamlab.positions import Progress, TopicPartition, leading
from streamlab.sinks import DeadLetter
from streamlab.sources import METADATA_DTYPES, Origins, RawBatch
from streamlab.transforms.application import Prepared

SYSTEMATIC_FAILURES = 100
"""More failing events in one epoch, if they are most of it, mean a wrong function."""


@dataclass(frozen=True)
class Decoded:
    """The events of one input in an epoch, as the transforms see them.

    Attributes:
        name: The input.
        raw: What was read.
        events: What decoded.
        rows: Event row → row in ``raw``; None where all of it decoded.
        dead_letters: What did not decode.
    """

    name: str
    raw: RawBatch
    events: pl.DataFrame
    rows: Sequence[int] | None
    dead_letters: tuple[DeadLetter, ...] = ()

    def raw_rows(self, event_rows: Sequence[int]) -> list[int]:
        """Return the rows in ``raw`` of some rows of ``events``."""
        if self.rows is None:
            return list(event_rows)
        return [self.rows[row] for row in event_rows]

    def letters(
        self, stage: str, code: str, reasons: Mapping[int, str]
    ) -> tuple[DeadLetter, ...]:
        """Return some events as dead letters.

        Args:
            stage: Where they failed.
            code: The kind of failure.
            reasons: Row of ``events`` → reason, by rising row.
        """
        raw_rows = self.raw_rows(list(reasons))
        rejected = [
            Rejection(row, code, reason)
            for row, reason in zip(raw_rows, reasons.values(), strict=True)
        ]
        return dead_letters(self.raw, stage, rejected)

    def without(self, gone: Collection[int]) -> Decoded:
        """Return it without some events."""
        kept = sorted(set(range(self.events.height)) - set(gone))
        return replace(self, events=self.events[kept], rows=self.raw_rows(kept))


@dataclass(frozen=True)
class Processed:
    """An epoch that is ready to be written.

    Attributes:
        decoded: What was read, by its inputs.
        output: What the transforms made of it.
        dead_letters: Events that could not be processed, and why.
        late: Events that came when all that they could change was closed.
        rows: Rows between events and output that could not be processed: of groups
            that a function failed on, or that the sink refused.
    """

    decoded: tuple[Decoded, ...]
    output: pl.DataFrame
    dead_letters: tuple[DeadLetter, ...] = ()
    late: tuple[DeadLetter, ...] = ()
    rows: tuple[DeadLetter, ...] = ()

    @property
    def letters(self) -> tuple[DeadLetter, ...]:
        """Return all that is to be kept as dead letters."""
        return (*self.dead_letters, *self.late, *self.rows)


def by_partition(letters: Sequence[DeadLetter]) -> Mapping[TopicPartition, int]:
    """Return how many events became dead letters, of each partition."""
    return Counter(TopicPartition(letter.topic, letter.partition) for letter in letters)


def decode(
    codec: Format,
    schema: Schema,
    metadata: Sequence[str],
    name: str,
    raw: RawBatch,
    key: Sequence[str] = (),
) -> Decoded:
    """Decode the events of one input.

    Values that do not decode are dead letters of the stage ``decode``.

    Args:
        codec: The format of the input.
        schema: What its events are.
        metadata: Metadata columns that the transforms want.
        name: The input.
        raw: What was read of it.
        key: Of a table to look up, the columns of its key: messages without a value
            are rows, too.
    """
    values = wire.whole(codec.name, raw.values, raw.origins.headed)
    decoded = codec.decode(values, schema)
    if key:
        decoded = with_removals(decoded, raw, key)
    rows = decoded.kept(len(raw))
    events = decoded.frame
    if metadata:
        events = events.with_columns(metadata_columns(raw.origins, metadata, rows))
    letters = dead_letters(raw, "decode", decoded.rejected)
    return Decoded(name, raw, events, rows, letters)


class Processing(Protocol):
    """What the stages do with an epoch: bytes to rows, and rows refused."""

    def decode(self, raws: Mapping[str, RawBatch]) -> tuple[Decoded, ...]:
        """Decode an epoch, in the computing thread."""

    def transform(
        self, epoch: Epoch, decoded: tuple[Decoded, ...]
    ) -> tuple[Epoch, Processed]:
        """Transform it, in the computing thread; return it with its state, too.

        Raises:
            TransformError: A function is at fault whatever the rows.
        """

    def without_refused(
        self, processed: Processed, refused: RowsRefused, after: Sequence[Progress]
    ) -> Processed:
        """Return an epoch without rows that the sink refuses, in the writing thread.

        Raises:
            RowsRefused: Nothing can be left out.
        """

    def confirm(self, after: Sequence[Progress]) -> None:
        """Hear, in the computing thread, that a sink has committed an epoch."""

    def close(self) -> None:
        """Drop what is open, in the computing thread."""


@dataclass(frozen=True)
class Processor:
    """Decodes and transforms epochs of a pipeline that keeps no state.

    Attributes:
        pipeline: The pipeline.
        format: The format of its input.
        prepared: Its transforms, ready to be applied.
    """

    pipeline: Pipeline
    format: Format
    prepared: Prepared

    def decode(self, raws: Mapping[str, RawBatch]) -> tuple[Decoded, ...]:
        """Decode an epoch."""
        schema, metadata = self.pipeline.input.schema, self.prepared.metadata
        return tuple(
            decode(self.format, schema, metadata, name, raw)
            for name, raw in raws.items()
        )

    def transform(
        self, epoch: Epoch, decoded: tuple[Decoded, ...]
    ) -> tuple[Epoch, Processed]:
        """Transform a decoded epoch.

        Events that make the function fail are dead letters of the stage
        ``transform``.

        Raises:
            TransformError: Most of the epoch fails, so the function is at fault.
        """
        (only,) = decoded
        letters = only.dead_letters
        try:
            output = self.prepared.apply(only.events)
            return epoch, Processed(decoded, output, letters)
        except TransformError as error:
            reasons = failing(self.prepared.apply, only.events, error)
        processed = Processed(decoded, self.prepared.output_schema.to_frame(), letters)
        return epoch, self.without(
            processed, reasons, stage="transform", code="transform-error"
        )

    def without(
        self, processed: Processed, reasons: Mapping[int, str], *, stage: str, code: str
    ) -> Processed:
        """Return the epoch processed anew without some events, now dead letters.

        Args:
            processed: The epoch.
            reasons: Row of its events → reason.
            stage: The stage that failed.
            code: The kind of failure.
        """
        (only,) = processed.decoded
        reasons = dict(sorted(reasons.items()))
        letters = only.letters(stage, code, reasons)
        kept = only.without(reasons)
        return Processed(
            decoded=(kept,),
            output=self.prepared.apply(kept.events),
            dead_letters=(*processed.dead_letters, *letters),
        )

    def without_refused(
        self, processed: Processed, refused: RowsRefused, after: Sequence[Progress]
    ) -> Processed:
        """Return an epoch without the events behind rows that the sink refuses.

        Raises:
            RowsRefused: No event makes these rows again.
        """
        del after
        reasons = self.producing(processed, refused.reasons)
        if not reasons:
            # A row that no event makes again cannot be set aside: do not lose it.
            raise refused
        return self.without(processed, reasons, stage="sink", code="refused-by-sink")

    def confirm(self, after: Sequence[Progress]) -> None:
        """Do nothing: there is no state."""

    def close(self) -> None:
        """Do nothing."""

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
            Row of its events → reason.
        """
        (only,) = processed.decoded
        hashes = processed.output.hash_rows()
        reasons = {hashes[row]: reason for row, reason in refused.items()}
        wanted = Counter(hashes[row] for row in refused)

        def found(events: pl.DataFrame) -> set[int]:
            return wanted.keys() & set(self.prepared.apply(events).hash_rows())

        culprits: dict[int, str] = {}
        rows = list(_halved(only.events, lambda part: bool(found(part))))
        for row in reversed(rows):
            for content in found(only.events[row : row + 1]):
                if wanted[content]:
                    wanted[content] -= 1
                    culprits[row] = reasons[content]
        return culprits


def failing(
    apply: Callable[[pl.DataFrame], object], events: pl.DataFrame, error: TransformError
) -> dict[int, str]:
    """Return the events that make a transform fail when they are alone.

    Args:
        apply: The transform.
        events: The events that it failed on.
        error: What it said.

    Returns:
        Row → reason.

    Raises:
        TransformError: They are most of the events, or none.
    """
    reasons: dict[str, str] = {}

    def fails(part: pl.DataFrame) -> bool:
        try:
            apply(part)
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
