"""The memory source: events from a :class:`MemoryTopic`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamlab.connectors.memory.script import (
    Assign,
    Fail,
    Give,
    Idle,
    Lose,
    Revoke,
    SourceStep,
    Wait,
)
from streamlab.connectors.memory.topic import MemoryTopic, StoredEvent
from streamlab.errors import Fenced, OffsetExpired, TopicRecreated, UsageError
from streamlab.positions import Position, Progress, Span, TopicPartition
from streamlab.sources import (
    Assignment,
    ListedOrigins,
    Listener,
    RawBatch,
    Reader,
    Source,
    Start,
)


@dataclass(frozen=True)
class MemorySource(Source):
    """Events from memory.

    The first poll assigns the partitions. Each poll then takes one step of the script;
    when there are none left, polls give what is there. A reader opened later takes
    the partitions over: the one before it can no longer acknowledge.

    Attributes:
        topic: The events, and what was acknowledged.
        script: What polls do before they behave.
        start: ``earliest`` or ``latest``, for a pipeline without history.
    """

    topic: MemoryTopic = field(default_factory=MemoryTopic, compare=False)
    script: Sequence[SourceStep] = ()
    start: Start = "earliest"

    def open(self, pipeline: str, listener: Listener) -> MemoryReader:
        """Return a reader that owns all partitions from its first poll on."""
        del pipeline
        if self.start not in {"earliest", "latest"}:
            message = f"a memory source cannot start at {self.start!r}"
            raise UsageError(message, hint="use 'earliest' or 'latest'")
        return MemoryReader(self, listener)

    def topics(self, pipeline: str) -> tuple[str, ...]:
        """Return the name of the topic."""
        del pipeline
        return (self.topic.name,)

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"memory topic {self.topic.name}"


class MemoryReader(Reader):
    """An open memory source."""

    def __init__(self, source: MemorySource, listener: Listener) -> None:
        """Take the topic over from the reader before."""
        self._topic = source.topic
        self._start = source.start
        self._listener = listener
        everything = tuple(partition.partition for partition in self._topic.partitions)
        self._steps: list[SourceStep] = [Assign(everything), *source.script]
        self._incarnation = self._topic.incarnation
        self._positions: dict[TopicPartition, int] = {}
        self._held = False
        self._closed = False
        self._topic.owner = self

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Take the next step of the script, or return what is there."""
        self._require_open()
        step = self._steps.pop(0) if self._steps else Give()
        match step:
            case Give(rows):
                return self._give(min(rows, max_rows), timeout_s)
            case Fail(error):
                raise error
            case Wait(until):
                until.wait()
            case Idle():
                pass
            case Assign(partitions):
                self._assign(self._named(partitions))
            case Revoke(partitions):
                self._listener.revoked(self._drop(partitions))
            case Lose(partitions):
                self._listener.lost(self._drop(partitions))
        return None

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Store the progress, if no other reader has taken over."""
        self._require_open()
        if self._topic.owner is not self:
            message = f"another reader of {self._topic.name!r} has taken over"
            raise Fenced(message)
        self._topic.acknowledged.append(tuple(progress))
        for each in progress:
            for partition in each.positions:
                self._topic.committed[partition] = each

    def hold(self, *, held: bool) -> None:
        """Stop or go on delivering events."""
        self._held = held

    def close(self) -> None:
        """Give the partitions back; a second call does nothing."""
        if self._closed:
            return
        if self._positions:
            numbers = tuple(partition.partition for partition in self._positions)
            self._listener.revoked(self._drop(numbers))
        self._closed = True

    def healthy(self) -> None:
        """Raise TopicRecreated when the topic is not the one that was opened."""
        if self._topic.incarnation != self._incarnation:
            raise TopicRecreated(
                self._topic.name,
                stored=self._incarnation,
                found=self._topic.incarnation,
            )

    def ends(self) -> Mapping[TopicPartition, Position]:
        """Return where each assigned partition ends now."""
        return {partition: self._topic.end(partition) for partition in self._positions}

    def commit_ticket(self, progress: Sequence[Progress]) -> object | None:
        """Return the progress itself, so that tests see the ticket arrive."""
        return tuple(progress)

    def _give(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        with self._topic.changed:
            self._topic.changed.wait_for(self._something_to_give, timeout_s)
            if not self._something_to_give():
                return None
            self._require_readable()
            return self._next_batch(max_rows)

    def _something_to_give(self) -> bool:
        return not self._held and any(
            position < self._topic.end(partition)
            for partition, position in self._positions.items()
        )

    def _require_readable(self) -> None:
        gaps = {
            str(partition): (position, self._topic.first(partition))
            for partition, position in self._positions.items()
            if position < self._topic.first(partition)
        }
        if gaps:
            raise OffsetExpired(gaps)

    def _next_batch(self, max_rows: int) -> RawBatch:
        spans: list[Span] = []
        partitions: list[TopicPartition] = []
        taken: list[StoredEvent] = []
        for partition, position in self._positions.items():
            part = self._topic.read(partition, position, max_rows - len(taken))
            if not part:
                continue
            spans.append(Span(partition, position, part[-1].offset + 1))
            partitions += [partition] * len(part)
            taken += part
        for span in spans:
            # Read partitions go to the end of the line, so that a small max_rows
            # starves none of them.
            self._positions.pop(span.partition)
            self._positions[span.partition] = span.end  # type: ignore[assignment]  # offsets
        return _batch(tuple(spans), partitions, taken)

    def _assign(self, partitions: Sequence[TopicPartition]) -> None:
        point = self._topic.first if self._start == "earliest" else self._topic.end
        committed = self._topic.committed
        known = {p: committed[p] for p in partitions if p in committed}
        start: dict[TopicPartition, Position] = {
            partition: 0 if committed else point(partition)
            for partition in self._topic.partitions
        }
        incarnations = {self._topic.name: self._incarnation}
        new = [
            one for one in self._topic.partitions if committed and one not in committed
        ]
        if not committed:
            for partition, position in start.items():
                committed[partition] = Progress(
                    str(partition), 0, {partition: position}, incarnations
                )
        given = Assignment(
            tuple(partitions), known, start, incarnations, new=tuple(new)
        )
        chosen = self._listener.assigned(given)
        for partition in partitions:
            position = chosen[partition]
            if not isinstance(position, int):
                message = f"{position} is not an offset of {partition}"
                raise UsageError(message)
            self._positions[partition] = position

    def _drop(self, numbers: Sequence[int]) -> tuple[TopicPartition, ...]:
        partitions = self._named(numbers)
        for partition in partitions:
            self._positions.pop(partition, None)
        return partitions

    def _named(self, numbers: Sequence[int]) -> tuple[TopicPartition, ...]:
        return tuple(TopicPartition(self._topic.name, number) for number in numbers)

    def _require_open(self) -> None:
        if self._closed:
            message = "the reader is closed"
            raise UsageError(message)


def _batch(
    spans: tuple[Span, ...],
    partitions: list[TopicPartition],
    taken: Sequence[StoredEvent],
) -> RawBatch:
    events = [stored.event for stored in taken]
    return RawBatch(
        values=[event.value for event in events],
        spans=spans,
        origins=ListedOrigins(
            listed_partitions=partitions,
            listed_positions=[stored.offset for stored in taken],
            listed_timestamps_ms=[event.timestamp_ms for event in events],
            listed_keys=[event.key for event in events],
            listed_headers={
                row: event.headers for row, event in enumerate(events) if event.headers
            },
        ),
        size_bytes=sum(len(event.value or b"") for event in events),
    )
