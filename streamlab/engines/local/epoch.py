"""An epoch on its way through the stages: what was read, and the progress it makes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamlab.positions import Progress, Span, TopicPartition
from streamlab.sources import RawBatch, Reader


@dataclass(frozen=True, slots=True)
class Clock:
    """What an epoch takes from the clock and from the worker's will, not from events.

    Attributes:
        wall_us: When it was sent, in µs since 1970 UTC.
        idle: Partitions that have been without events for as long as their input says.
        ended: Whether no event comes behind it: every window closes.
    """

    wall_us: int = 0
    idle: frozenset[TopicPartition] = frozenset()
    ended: bool = False


@dataclass(frozen=True)
class Epoch:
    """An epoch on its way.

    An epoch may have no events: where only time has passed for the state of a task.

    Attributes:
        reader: Where it was read.
        generation: Of the stages when it was sent; it is dropped in a later one.
        raws: Input → its events; inputs without any are left out.
        before: Progress of its tasks before it.
        after: Progress of its tasks with it.
        read_s: Seconds from its first event to its last poll.
        clock: What does not come from events.
    """

    reader: Reader
    generation: int
    raws: Mapping[str, RawBatch]
    before: tuple[Progress, ...]
    after: tuple[Progress, ...]
    read_s: float = 0.0
    clock: Clock = field(default_factory=Clock)


def spans_of(raws: Mapping[str, RawBatch]) -> tuple[Span, ...]:
    """Return what the events of some inputs cover."""
    return tuple(span for raw in raws.values() for span in raw.spans)


def counts_of(raws: Mapping[str, RawBatch]) -> Counter[TopicPartition]:
    """Return how many events of each partition there are."""
    counted: Counter[TopicPartition] = Counter()
    for raw in raws.values():
        counted.update(raw.origins.counts())
    return counted
