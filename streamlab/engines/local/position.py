"""Positions of a pipeline from outside: where it stands, and moving it on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from streamlab.engines.local.history import History
from streamlab.errors import Fenced, UsageError
from streamlab.pipelines import Pipeline
from streamlab.pipelines.prepared import prepared_of
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sinks import SinkBatch, SinkContext


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pipeline stands in one partition.

    Attributes:
        partition: The partition.
        progress: What is stored; None before the first run.
        keeper: Who keeps it: ``sink`` or ``source``.
        start: First position that can be read.
        end: Position of the next event to come.
    """

    partition: TopicPartition
    progress: Progress | None
    keeper: str
    start: Position
    end: Position

    @property
    def position(self) -> Position | None:
        """Return the stored position."""
        return (
            None if self.progress is None else self.progress.positions[self.partition]
        )


@dataclass(frozen=True, slots=True)
class Move:
    """What a reset does to one partition.

    Attributes:
        place: Where it stands.
        to: Where it shall stand.
        spelled: How the source writes a position.
    """

    place: Place
    to: Position
    spelled: Callable[[Position], str] = str

    def __str__(self) -> str:
        """Return what is repeated or skipped, in events where offsets tell it."""
        before = self.place.position
        shown = "not begun" if before is None else self.spelled(before)
        text = f"{self.place.partition}: {shown} → {self.spelled(self.to)}"
        if not isinstance(before, int) or not isinstance(self.to, int):
            return text
        if self.to < before:
            return f"{text}, repeats {before - self.to} offsets"
        if self.to > before:
            return f"{text}, skips {self.to - before} offsets"
        return f"{text}, as it was"


def places(pipeline: Pipeline) -> list[Place]:
    """Return where a pipeline stands in each partition, changing nothing.

    Raises:
        Unavailable: The source or the sink cannot be reached.
    """
    source = pipeline.input.source.positions(pipeline.name)
    kept = pipeline.sink.stored(pipeline.name)
    by_partition = (
        source.stored()
        if kept is None
        else {partition: one for one in kept for partition in one.positions}
    )
    starts, ends = source.locate("earliest"), source.locate("latest")
    return [
        Place(
            partition,
            by_partition.get(partition),
            "source" if kept is None else "sink",
            starts[partition],
            ends[partition],
        )
        for partition in sorted(ends)
    ]


def planned(pipeline: Pipeline, to: str) -> list[Move]:
    """Return what a reset would do.

    Args:
        pipeline: The pipeline.
        to: ``earliest``, ``latest``, an ISO time, or offsets as ``0=100,1=250``;
            partitions that are not named stay where they are.

    Raises:
        UsageError: ``to`` is none of these, or names a partition that is not there.
    """
    now = places(pipeline)
    wanted: Mapping[TopicPartition, Position]
    if "=" in to:
        source = pipeline.input.source
        known = {place.partition.partition: place for place in now}
        wanted = _named(to, known, source.parsed)
        _require_there(wanted, now, source.spelled)
        _require_all_named(wanted, now)
    else:
        wanted = pipeline.input.source.positions(pipeline.name).locate(to)
    return [
        Move(place, wanted[place.partition], pipeline.input.source.spelled)
        for place in now
        if place.partition in wanted
    ]


def _require_all_named(
    wanted: Mapping[TopicPartition, Position], now: Sequence[Place]
) -> None:
    """Refuse to begin at some offsets and to leave the others to chance."""
    left_out = [one for one in now if one.partition not in wanted]
    if left_out and all(one.progress is None for one in now):
        message = f"nothing is stored yet, so {left_out[0].partition} would be a guess"
        raise UsageError(message, hint="name an offset for every partition")


def _require_there(
    wanted: Mapping[TopicPartition, Position],
    now: Sequence[Place],
    spelled: Callable[[Position], str],
) -> None:
    """Refuse offsets that cannot be read: a run from there would stop at once."""
    for one in now:
        to = wanted.get(one.partition, one.start)
        if not one.start <= to <= one.end:  # type: ignore[operator]  # positions of one source are of one type
            message = f"{one.partition} has no position {spelled(to)}"
            hint = f"it goes from {spelled(one.start)} to {spelled(one.end)}"
            raise UsageError(message, hint=hint)


def reset(pipeline: Pipeline, moves: Sequence[Move]) -> None:
    """Carry out a planned reset.

    The new position is one more epoch without rows, written as a worker would write
    it. So a reset that races with a running worker is refused, not half done.

    Raises:
        Fenced: A worker is running, or the position has moved since the plan.
    """
    source = pipeline.input.source.positions(pipeline.name)
    incarnations = source.incarnations()
    before = [_before(move, incarnations) for move in moves]
    after = [
        replace(
            one,
            epoch=one.epoch + 1,
            positions={move.place.partition: move.to},
            incarnations=incarnations,
        )
        for one, move in zip(before, moves, strict=True)
    ]
    kept_by_sink = moves and moves[0].place.keeper == "sink"
    try:
        source.store(after)
    except Fenced as error:
        message = f"a worker of pipeline {pipeline.name!r} is running"
        raise Fenced(message, hint="stop its workers first") from error
    if kept_by_sink:
        _store_in_sink(pipeline, before, after)
    History.of(pipeline).begin()


def forget(pipeline: Pipeline) -> None:
    """Remove what is kept for a pipeline beside its sink: group, or replication slot.

    A slot that nobody reads makes its server keep the log until the disk is full, so
    a pipeline that is given up is forgotten. The rows in the sink stay, and so does
    a position that the sink keeps with them.

    Raises:
        Fenced: A worker of the pipeline is running.
        Unavailable: The source cannot be reached.
    """
    pipeline.input.source.positions(pipeline.name).forget()
    History.of(pipeline).forget()


def _before(move: Move, incarnations: Mapping[str, str]) -> Progress:
    place = move.place
    return place.progress or Progress(
        str(place.partition), 0, {place.partition: place.start}, incarnations
    )


def _store_in_sink(
    pipeline: Pipeline, before: Sequence[Progress], after: Sequence[Progress]
) -> None:
    schema = prepared_of(pipeline).output_schema
    writer = pipeline.sink.open(
        SinkContext(pipeline.name, schema, worker=f"{pipeline.name}-reset")
    )
    try:
        writer.claim(before)
        writer.write(SinkBatch(schema.to_frame(), before, after))
    finally:
        writer.close()


def _named(
    text: str, known: Mapping[int, Place], parsed: Callable[[str], Position]
) -> dict[TopicPartition, Position]:
    wanted: dict[TopicPartition, Position] = {}
    for part in text.split(","):
        number, _, position = (side.strip() for side in part.partition("="))
        if not (number.isdigit() and position):
            message = f"{part!r} is not of the form PARTITION=OFFSET"
            raise UsageError(message, hint="such as --to 0=100,1=250")
        if int(number) not in known:
            message = f"the source has no partition {int(number)}"
            raise UsageError(message, hint=f"it has {', '.join(map(str, known))}")
        wanted[known[int(number)].partition] = parsed(position)
    return wanted
