"""The conformance checks of sources: what every source must do, one function each."""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Assignment, RawBatch, Reader, Source
from streamlab.testing.requirement import require

PATIENCE_S = 30.0  # for a system that has to be asked over a network
POLL_S = 0.2
QUICK_S = 1.0  # a poll that need not wait takes far less
EVENTS: Mapping[int, Sequence[bytes]] = {
    0: [b'{"n": %d}' % number for number in range(30)],
    1: [b'{"n": %d}' % number for number in range(100, 120)],
}


@dataclass(frozen=True)
class SourceCase:
    """A source under test.

    Attributes:
        make: Returns a source whose one topic holds these values, by partition,
            read from the earliest, by a pipeline that has never run.
        pipeline: Name of the pipeline; by default one that nobody else has.
    """

    make: Callable[[Mapping[int, Sequence[bytes]]], Source]
    pipeline: str = field(default_factory=lambda: f"checked-{uuid.uuid4().hex[:12]}")

    @contextlib.contextmanager
    def opened(
        self, source: Source | None = None, *, at: Mapping[int, Position] | None = None
    ) -> Iterator[tuple[Reader, _Listening]]:
        """Open a source, a new one if none is given, and close it in the end."""
        listener = _Listening(at or {})
        reader = (source or self.make(EVENTS)).open(self.pipeline, listener)
        try:
            yield reader, listener
        finally:
            reader.close()


def check_source(make: Callable[[Mapping[int, Sequence[bytes]]], Source]) -> None:
    """Run all checks on a source.

    Args:
        make: Returns a source whose one topic holds the given values; see
            :class:`SourceCase`.

    Raises:
        AssertionError: The source fails a check; the text names it.
    """
    for check in SOURCE_CHECKS:
        try:
            check(SourceCase(make))
        except AssertionError as error:
            message = f"{check.__name__}: {error}"
            raise AssertionError(message) from error


@dataclass
class _Listening:
    """A listener that reads from where it is told, and remembers what it hears."""

    at: Mapping[int, Position] = field(default_factory=dict)
    given: list[Assignment] = field(default_factory=list)
    positions: dict[TopicPartition, Position] = field(default_factory=dict)
    gone: list[TopicPartition] = field(default_factory=list)
    repeats: bool = False

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        """Start at ``at``, else where the source kept us, else at the start."""
        self.given.append(given)
        chosen = {place: self._position(given, place) for place in given.partitions}
        self.positions.update(chosen)
        return chosen

    def _position(self, given: Assignment, place: TopicPartition) -> Position:
        if place.partition in self.at:
            return self.at[place.partition]
        kept = given.committed.get(place)
        return kept.positions[place] if kept else given.start[place]

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember them."""
        self.gone += partitions

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember them."""
        self.gone += partitions


def delivers_every_event_in_order(case: SourceCase) -> None:
    """Deliver each partition's events once, in order, with rising positions."""
    with case.opened() as (reader, _):
        batches = _read(reader, _total(EVENTS))
    _require_events(batches, EVENTS)
    for batch in batches:
        require(
            batch.size_bytes == sum(map(len, filter(None, batch.values))),
            "size_bytes is not the sum of the lengths of the values",
        )


def covers_the_log_with_spans(case: SourceCase) -> None:
    """Make spans that follow each other without a gap, from the first position on."""
    with case.opened() as (reader, listener):
        batches = _read(reader, _total(EVENTS), max_rows=7)
        expected = dict(listener.positions)
        for batch in batches:
            for span in batch.spans:
                found = (span.start, expected[span.partition])
                require(found[0] == found[1], f"a span starts at {found[0]}: {span}")
                expected[span.partition] = span.end
            _require_inside(batch)


def gives_no_more_than_asked(case: SourceCase) -> None:
    """Return at most ``max_rows`` events a poll."""
    with case.opened() as (reader, _):
        largest = max(map(len, _read(reader, _total(EVENTS), max_rows=7)))
    require(largest <= 7, f"a poll of 7 gave {largest} events")  # noqa: PLR2004 -- as asked


def returns_at_once_when_asked(case: SourceCase) -> None:
    """Return None at once when there is nothing and the timeout is 0."""
    with case.opened() as (reader, _):
        _read(reader, _total(EVENTS))
        started = time.monotonic()
        batch = reader.poll(100, 0)
        took = time.monotonic() - started
    require(batch is None, "events came twice")
    require(took < QUICK_S, f"a poll that should not wait took {took:.1f} s")


def starts_where_it_is_told(case: SourceCase) -> None:
    """Read from the positions that the listener returns."""
    with case.opened(at={0: 25, 1: 20}) as (reader, _):
        batches = _read(reader, 5)
        require(reader.poll(100, POLL_S) is None, "more came than was asked for")
    _require_events(batches, {0: EVENTS[0][25:], 1: []})


def remembers_what_was_acknowledged(case: SourceCase) -> None:
    """Hand acknowledged progress to the next reader, which goes on from there."""
    source = case.make(EVENTS)
    with case.opened(source) as (reader, listener):
        _read(reader, _total(EVENTS))
        acknowledged = [
            Progress(str(place), 3, {place: 12}, listener.given[0].incarnations, "s-3")
            for place in sorted(listener.positions)
        ]
        reader.acknowledge(acknowledged)
    with case.opened(source) as (reader, listener):
        batches = _read(reader, _total(EVENTS) - 24)
        committed = listener.given[0].committed
    _require_events(batches, {0: EVENTS[0][12:], 1: EVENTS[1][12:]})
    for progress in acknowledged:
        place = TopicPartition.parse(progress.task)
        kept = committed.get(place)
        require(
            kept is not None and kept.same_place(progress),
            f"acknowledged was {progress}, the next reader got {kept}",
        )


def delivers_nothing_while_held(case: SourceCase) -> None:
    """Deliver nothing while held, and lose nothing by it."""
    with case.opened() as (reader, listener):
        batches = _read(reader, 5, max_rows=5)
        reader.hold(held=True)
        held = [reader.poll(100, POLL_S) for _ in range(3)]
        require(held == [None] * 3, "events came while held")
        require(not listener.gone, "holding lost the partitions")
        reader.hold(held=False)
        batches += _read(reader, _total(EVENTS) - 5)
    _require_events(batches, EVENTS)


def knows_where_partitions_end(case: SourceCase) -> None:
    """Say where each assigned partition ends, soon after it has been read."""
    with case.opened() as (reader, _):
        batches = _read(reader, _total(EVENTS))
        last = {span.partition: span.end for batch in batches for span in batch.spans}
        deadline = time.monotonic() + PATIENCE_S
        while (ends := dict(reader.ends())) != last and time.monotonic() < deadline:
            reader.poll(1, POLL_S)
    require(ends == last, f"ends are {ends}, reading ended at {last}")


def closes_twice(case: SourceCase) -> None:
    """Close a reader twice: the second call does nothing."""
    with case.opened() as (reader, _):
        _read(reader, 1)
        reader.close()


SOURCE_CHECKS: tuple[Callable[[SourceCase], None], ...] = (
    closes_twice,
    delivers_every_event_in_order,
    covers_the_log_with_spans,
    gives_no_more_than_asked,
    returns_at_once_when_asked,
    starts_where_it_is_told,
    remembers_what_was_acknowledged,
    delivers_nothing_while_held,
    knows_where_partitions_end,
)
"""All checks, in the order in which they make sense to be mended."""


def _total(events: Mapping[int, Sequence[bytes]]) -> int:
    return sum(map(len, events.values()))


def _read(reader: Reader, count: int, *, max_rows: int = 1_000) -> list[RawBatch]:
    """Poll until so many events have come.

    Raises:
        AssertionError: They did not come within ``PATIENCE_S``.
    """
    batches: list[RawBatch] = []
    deadline = time.monotonic() + PATIENCE_S
    while (seen := sum(map(len, batches))) < count:
        require(time.monotonic() < deadline, f"only {seen} of {count} events came")
        batch = reader.poll(max_rows, POLL_S)
        if batch is not None:
            batches.append(batch)
    return batches


def _require_events(
    batches: Sequence[RawBatch], expected: Mapping[int, Sequence[bytes]]
) -> None:
    for partition, values in expected.items():
        events = [
            (position, value)
            for batch in batches
            for place, position, value in zip(
                batch.origins.partitions(),
                batch.origins.positions(),
                batch.values,
                strict=True,
            )
            if place.partition == partition
        ]
        found = [value for _, value in events]
        require(
            found == list(values),
            f"partition {partition} gave {len(found)} events in this order: {found}",
        )
        positions = [position for position, _ in events]
        require(
            all(a < b for a, b in itertools.pairwise(positions)),  # type: ignore[operator]  # of one kind
            f"positions of partition {partition} do not rise",
        )


def _require_inside(batch: RawBatch) -> None:
    spans = {span.partition: span for span in batch.spans}
    for place, position in zip(
        batch.origins.partitions(), batch.origins.positions(), strict=True
    ):
        span = spans[place]
        require(
            span.start <= position < span.end,  # type: ignore[operator]  # of one kind
            f"position {position} of {place} is outside of {span}",
        )
