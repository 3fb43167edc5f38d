"""The goal of a run: when it is over, and whether its windows close then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from streamlab.positions import Position, Span, TopicPartition
from streamlab.sources import RawBatch


@dataclass(frozen=True)
class Goal:
    """When a run is over; one without any goes on until it is stopped.

    Attributes:
        caught_up: At the present end of the source.
        limits: Partition → position up to which it is read and not further; one that
            is not named is not read at all. Empty reads on.
        closes: Whether every window closes in the end: no event can come any more.
    """

    caught_up: bool = False
    limits: Mapping[TopicPartition, Position] = field(default_factory=dict)
    closes: bool = False

    @property
    def ends(self) -> bool:
        """Return whether the run is over some time."""
        return self.caught_up or bool(self.limits)

    def reached(
        self,
        positions: Mapping[TopicPartition, Position],
        ends: Mapping[TopicPartition, Position],
    ) -> bool:
        """Return whether everything that is to be read was.

        Args:
            positions: Partition → up to where it was sent.
            ends: Partition → where it ends now.
        """
        if self.limits:
            return all(
                position >= self.limits.get(partition, position)  # type: ignore[operator]  # positions of one source are of one type
                for partition, position in positions.items()
            )
        return all(
            partition in ends and position >= ends[partition]  # type: ignore[operator]  # as above
            for partition, position in positions.items()
        )

    def cut(self, batch: RawBatch | None) -> RawBatch | None:
        """Return what of a batch is before the limits; None if nothing is."""
        if batch is None or not self.limits:
            return batch
        spans = [self._cut(span) for span in batch.spans]
        kept = tuple(span for span in spans if span is not None)
        if kept == batch.spans:
            return batch
        if not kept:
            return None
        ends = {span.partition: span.end for span in kept}
        origins = batch.origins
        places = zip(origins.partitions(), origins.positions(), strict=True)
        rows = [
            row
            for row, (partition, position) in enumerate(places)
            if partition in ends and position < ends[partition]  # type: ignore[operator]  # as above
        ]
        return batch.of_rows(rows, kept)

    def _cut(self, span: Span) -> Span | None:
        limit = self.limits.get(span.partition)
        if limit is None or span.start >= limit:  # type: ignore[operator]  # as above
            return None
        return span if span.end <= limit else Span(span.partition, span.start, limit)  # type: ignore[operator]  # as above


def of_partitions(
    batch: RawBatch, wanted: Callable[[TopicPartition], bool]
) -> RawBatch | None:
    """Return what of a batch is of some partitions; None if nothing is."""
    spans = tuple(span for span in batch.spans if wanted(span.partition))
    if spans == batch.spans:
        return batch
    places = enumerate(batch.origins.partitions())
    rows = [row for row, partition in places if wanted(partition)]
    return batch.of_rows(rows, spans) if spans else None
