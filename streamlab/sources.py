"""What a source is: a system turned into events that can be read on from a position.

A source is two things. A :class:`Source` is a frozen value that says what to read;
it can be compared, printed and written into a pipeline file. ``open`` turns it into
a :class:`Reader`, which holds the connection.

The order of calls, from the worker's reading thread::

    reader = source.open(pipeline, listener)
    loop:  reader.poll(…)          # may call listener.assigned / revoked / lost
           reader.hold(held=…)     # while the sink is away
    reader.close()                 # may call listener.revoked

and from its writing thread, at the same time as ``poll``::

    reader.healthy()               # before each write
    reader.commit_ticket(…)        # for a sink that commits the source's position
    reader.acknowledge(…)          # after the sink has durably taken the rows

``poll`` must be called at least every few seconds, also while held: group
membership depends on it. What is *not* promised: that positions are consecutive
(compaction and transaction markers leave gaps), that batches end where they ended
the last time, or that a partition stays with this reader.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import PositionLost, TopicRecreated, UsageError
from streamlab.origins import (
    ChosenOrigins,
    Headers,
    JoinedOrigins,
    ListedOrigins,
    Origins,
)
from streamlab.positions import Position, Progress, Span, TopicPartition, joined
from streamlab.values import chosen_values, joined_values

__all__ = [
    "METADATA",
    "METADATA_DTYPES",
    "Assignment",
    "Headers",
    "ListedOrigins",
    "Listener",
    "Origins",
    "RawBatch",
    "Reader",
    "Replaced",
    "Source",
    "SourcePositions",
    "Start",
]

METADATA_DTYPES: Mapping[str, pl.DataType] = {
    "_topic": pl.String(),
    "_partition": pl.Int32(),
    "_offset": pl.Int64(),
    "_timestamp": pl.Datetime("ms", "UTC"),
    "_key": pl.Binary(),
}
"""Columns that say where an event came from; they begin with an underscore.

Where a position has several parts, ``_offset`` is the first of them.
"""

METADATA = tuple(METADATA_DTYPES)

Start: TypeAlias = str
"""Where a pipeline without history begins: ``earliest``, ``latest`` or an ISO time."""


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Events as a source delivers them: bytes, not yet decoded, or rows of a frame.

    A batch may have no events and still cover something: a log in which nothing was
    of interest.

    Attributes:
        values: The value of each event; ``None`` is a tombstone. A source that knows
            its columns gives :class:`~streamlab.values.FrameValues`.
        spans: What the batch covers. A span starts at the position stored before
            and not at its first event, so gaps in a log are not holes in a record.
        origins: Where each event came from.
        size_bytes: Sum of the lengths of the values.
    """

    values: Sequence[bytes | None]
    spans: tuple[Span, ...]
    origins: Origins
    size_bytes: int

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.values)

    def of_rows(self, rows: Sequence[int], spans: tuple[Span, ...]) -> RawBatch:
        """Return some of its events.

        Args:
            rows: Which, rising.
            spans: What they cover.
        """
        values = chosen_values(self.values, rows)
        size_bytes = self.size_bytes * len(rows) // max(1, len(self))
        origins = ChosenOrigins(self.origins, rows)
        return RawBatch(values, spans, origins, size_bytes)

    @staticmethod
    def concat(batches: Sequence[RawBatch]) -> RawBatch:
        """Return one batch with the events of all, in the given order."""
        if len(batches) == 1:
            return batches[0]
        return RawBatch(
            values=joined_values([batch.values for batch in batches]),
            spans=joined(span for batch in batches for span in batch.spans),
            origins=JoinedOrigins([(len(b), b.origins) for b in batches]),
            size_bytes=sum(batch.size_bytes for batch in batches),
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a reader knows when it has just been given partitions.

    Attributes:
        partitions: The partitions that this reader is to read now.
        committed: Progress that the source itself keeps (Kafka's group offsets,
            with our metadata), for those of ``partitions`` that have any.
        start: For *every* partition of the topics, where one without history
            begins: where the ``start`` setting points, or 0 for a partition that
            was added to a topic whose other partitions have history. A reader that
            finds no history at all stores these positions for all partitions before
            it calls ``assigned``, so that the next one finds where they began.
        incarnations: Topic → its incarnation now.
        replaced: Makes the error for a topic whose incarnation is not the stored one.
        new: Partitions that were added to topics whose others have history.
    """

    partitions: tuple[TopicPartition, ...]
    committed: Mapping[TopicPartition, Progress]
    start: Mapping[TopicPartition, Position]
    incarnations: Mapping[str, str]
    replaced: Replaced = TopicRecreated
    new: tuple[TopicPartition, ...] = ()


class Replaced(Protocol):
    """Makes the error for a topic that is not the one a position was stored for."""

    def __call__(self, topic: str, *, stored: str, found: str) -> PositionLost:
        """Return the error, from the two incarnations."""


class Listener(Protocol):
    """What a reader tells the worker; called from inside ``poll`` and ``close``.

    Attributes:
        repeats: Whether the sink may have taken events behind the stored position,
            because it does not keep the position with them.
    """

    @property
    def repeats(self) -> bool:
        """See above."""

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        """Decide where to read each of ``given.partitions``; raise to refuse."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Finish and commit what is in flight: the partitions go to another reader."""

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what is in flight: another reader may already have the partitions."""


class Reader(ABC):
    """An open source. See the module's docstring for the order of calls."""

    @abstractmethod
    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return what is there, waiting for the first event only.

        Args:
            max_rows: At most this many events.
            timeout_s: How long to wait when nothing is there; 0 returns at once.

        Returns:
            The events, each partition's in position order; None when there are none.

        Raises:
            Unavailable: The system cannot be reached; call again later.
            PositionLost: The position cannot be read on from.
        """

    @abstractmethod
    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Tell the source what a sink has durably taken.

        Where the sink keeps no progress of its own this is the one record of it,
        so it must be durable on return.

        Raises:
            Fenced: The partitions belong to another reader by now.
            Unavailable: The source did not answer; the same call may be repeated.
        """

    @abstractmethod
    def hold(self, *, held: bool) -> None:
        """Stop or go on delivering events, keeping membership and positions."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group and drop the connection; a second call does nothing."""

    def only(self, topics: Collection[str] | None) -> None:  # noqa: B027 -- see its text
        """Deliver events of some topics only; None delivers all again.

        Only readers of several topics need to know how: one that reads a single topic
        is held instead.
        """

    def healthy(self) -> None:  # noqa: B027 -- most sources have nothing to check
        """Raise what a background check has found, such as a re-created topic.

        The worker calls it before each commit. A reader whose check is still
        pending waits for it here, so that nothing commits on a doubt.

        Raises:
            PositionLost: The positions no longer mean what they meant.
        """

    def ends(self) -> Mapping[TopicPartition, Position]:
        """Return where each assigned partition ends now, as last heard: for lag."""
        return {}

    def facts(self) -> Mapping[str, float]:
        """Return what else there is to know, in numbers, for status and metrics."""
        return {}

    def commit_ticket(self, progress: Sequence[Progress]) -> object | None:
        """Return what a sink of the same system needs to commit ``progress`` itself.

        Kafka: the offsets and the consumer group's metadata, for
        ``send_offsets_to_transaction``. None where there is no such thing.
        """
        del progress
        return None


class SourcePositions(Protocol):
    """Positions seen and set from outside, while no worker need be running."""

    def incarnations(self) -> Mapping[str, str]:
        """Return topic → its incarnation now."""

    def locate(self, start: Start) -> Mapping[TopicPartition, Position]:
        """Return where ``start`` points to in every partition."""

    def stored(self) -> Mapping[TopicPartition, Progress]:
        """Return the progress that the source keeps of the pipeline."""

    def store(self, progress: Sequence[Progress]) -> None:
        """Replace the progress that the source keeps.

        Raises:
            Fenced: A worker of the pipeline is running.
        """

    def forget(self) -> None:
        """Remove all that the source's system keeps for the pipeline, if it does.

        Raises:
            Fenced: A worker of the pipeline is running.
        """


class Source(ABC):
    """What to read. Subclasses are frozen dataclasses; their fields are settings.

    Attributes:
        format: The format of its values where there is only one; else empty, and the
            pipeline says which.
        forgets_when: How a position that it has kept can be gone.
    """

    format: ClassVar[str] = ""
    forgets_when: ClassVar[str] = "a group without members loses its offsets in time"

    @abstractmethod
    def open(self, pipeline: str, listener: Listener) -> Reader:
        """Connect.

        Args:
            pipeline: Name of the pipeline; Kafka's consumer group is derived from it.
            listener: Told of assignments; called only from inside ``poll``/``close``.

        Raises:
            UsageError: The source does not exist as it is described.
            Unavailable: It cannot be reached.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return one line for the plan: ``kafka topic flights (json)``."""

    @property
    def bounded(self) -> bool:
        """Whether it ends: a worker on it returns when all of it was written.

        A bounded source is read from its beginning each time. It keeps no position,
        and no worker takes a run of it for the history of a pipeline.
        """
        return False

    def topics(self, pipeline: str) -> tuple[str, ...]:
        """Return the topics that the partitions of its events are named by.

        Args:
            pipeline: Name of the pipeline, as for :meth:`open`.

        Raises:
            UsageError: The source cannot tell; it can be the only input, then.
        """
        del pipeline
        topic = getattr(self, "topic", None)
        if not isinstance(topic, str):
            message = f"{self.describe()} cannot be one of several inputs"
            raise UsageError(message)
        return (topic,)

    def together(self, others: Sequence[Source]) -> Source | None:
        """Return one source that reads what this and others read, if there is one.

        Args:
            others: The other inputs, in their order.
        """
        del others
        return None

    def schema(self) -> Schema | None:
        """Return the schema of its events where the system itself knows it.

        Raises:
            UsageError: The source does not exist as it is described.
            Unavailable: It cannot be reached.
        """
        return None

    def keeps_position_in(self, pipeline: str) -> str:
        """Return where the source keeps a pipeline's position, for people."""
        return f"the offsets of group streamlab.{pipeline}"

    def spelled(self, position: Position) -> str:
        """Return a position as people of this system write it."""
        return str(position)

    def parsed(self, text: str) -> Position:
        """Return the position that a person wrote.

        Raises:
            UsageError: It is not one.
        """
        if not text.isdigit():
            message = f"{text!r} is not an offset"
            raise UsageError(message, hint="write a whole number")
        return int(text)

    def positions(self, pipeline: str) -> SourcePositions:
        """Return where the pipeline stands in this source, for a look from outside.

        Raises:
            UsageError: The source cannot tell.
            Unavailable: It cannot be reached.
        """
        message = (
            f"{self.describe()} cannot tell the positions of {pipeline!r} "
            "without being read"
        )
        raise UsageError(message)
