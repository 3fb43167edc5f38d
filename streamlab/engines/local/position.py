"""Positions of a pipeline from outside: where it stands, and moving it on purpose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from streamlab.engines.local.history import History
from streamlab.engines.local.tasks import gathered
from streamlab.errors import Fenced, UsageError
from streamlab.pipelines import Pipeline
from streamlab.pipelines.grouping import grouping_of
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

    @property
    def here(self) -> Position:
        """Return the stored position, or the first one before anything is stored."""
        return self.start if self.position is None else self.position


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
    source = pipeline.source.positions(pipeline.name)
    kept = pipeline.sink.stored(pipeline.name)
    task_of = grouping_of(pipeline).grouping.task_of
    # A pipeline that had other tasks before has left their progress, too.
    by_partition = (
        source.stored()
        if kept is None
        else {
            partition: one
            for own in (False, True)
            for one in kept
            for partition in one.positions
            if (task_of(partition) == one.task) is own
        }
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


def by_task(pipeline: Pipeline) -> list[Progress]:
    """Return the stored progress of each task of a pipeline, changing nothing.

    Raises:
        Unavailable: The source or the sink cannot be reached.
        PositionLost: Partitions of a task are not of one epoch.
    """
    task_of = grouping_of(pipeline).grouping.task_of
    found: dict[str, dict[TopicPartition, Progress]] = {}
    for place in places(pipeline):
        if place.progress is not None:
            parts = found.setdefault(task_of(place.partition), {})
            parts[place.partition] = place.progress
    return [
        gathered(Progress(task, 0, {}), parts) for task, parts in sorted(found.items())
    ]


def planned(pipeline: Pipeline, to: str) -> list[Move]:
    """Return what a reset would do.

    Args:
        pipeline: The pipeline.
        to: ``earliest``, ``latest``, an ISO time, or offsets as ``0=100,1=250``, of
            several topics as ``flights/0=100``; partitions that are not named stay
            where they are.

    Raises:
        UsageError: ``to`` is none of these, or names a partition that is not there.
    """
    now = places(pipeline)
    wanted: Mapping[TopicPartition, Position]
    if "=" in to:
        wanted = _named(to, [place.partition for place in now], pipeline)
        _require_there(wanted, now, pipeline)
        _require_all_named(wanted, now)
    else:
        wanted = pipeline.source.positions(pipeline.name).locate(to)
    # All partitions of a task move in one step, if only to where they are.
    task_of = grouping_of(pipeline).grouping.task_of
    tasks = {task_of(partition) for partition in wanted}
    return [
        Move(
            place,
            wanted.get(place.partition, place.here),
            pipeline.source_of(place.partition.topic).spelled,
        )
        for place in now
        if task_of(place.partition) in tasks
    ]


def located(pipeline: Pipeline, to: str) -> Mapping[TopicPartition, Position]:
    """Return the positions that a text names, changing nothing.

    Args:
        pipeline: The pipeline.
        to: As in :func:`planned`.

    Raises:
        UsageError: ``to`` is none of these, or names a partition that is not there.
        Unavailable: The source cannot be reached.
    """
    source = pipeline.source.positions(pipeline.name)
    if "=" not in to:
        return source.locate(to)
    starts, ends = source.locate("earliest"), source.locate("latest")
    named = _named(to, list(ends), pipeline)
    for partition, position in named.items():
        if not starts[partition] <= position <= ends[partition]:  # type: ignore[operator]  # positions of one source are of one type
            spelled = pipeline.source_of(partition.topic).spelled
            message = f"{partition} has no position {spelled(position)}"
            span = f"{spelled(starts[partition])} to {spelled(ends[partition])}"
            raise UsageError(message, hint=f"it goes from {span}")
    return named


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
    pipeline: Pipeline,
) -> None:
    """Refuse offsets that cannot be read: a run from there would stop at once."""
    for one in now:
        spelled = pipeline.source_of(one.partition.topic).spelled
        to = wanted.get(one.partition, one.start)
        if not one.start <= to <= one.end:  # type: ignore[operator]  # positions of one source are of one type
            message = f"{one.partition} has no position {spelled(to)}"
            hint = f"it goes from {spelled(one.start)} to {spelled(one.end)}"
            raise UsageError(message, hint=hint)


def reset(pipeline: Pipeline, moves: Sequence[Move]) -> None:
    """Carry out a planned reset.

    The new position is one more epoch without rows, written as a worker would write
    it. So a reset that races with a running worker is refused, not half done. What
    windows, folds and joins hold belongs to the old position, and is dropped.

    Raises:
        Fenced: A worker is running, or the position has moved since the plan.
    """
    source = pipeline.source.positions(pipeline.name)
    incarnations = source.incarnations()
    task_of = grouping_of(pipeline).grouping.task_of
    by_task: dict[str, list[Move]] = {}
    for move in moves:
        by_task.setdefault(task_of(move.place.partition), []).append(move)
    before = [_before(task, of, incarnations) for task, of in by_task.items()]
    after = [
        replace(
            one,
            epoch=one.epoch + 1,
            positions={move.place.partition: move.to for move in by_task[one.task]},
            incarnations=_of(incarnations, by_task[one.task]),
            state_id=None,
            watermarks={},
        )
        for one in before
    ]
    _replace(pipeline, before, after)
    History.of(pipeline).begin(incarnations)


def begin_at(pipeline: Pipeline, progress: Sequence[Progress]) -> None:
    """Give a pipeline that has not run yet the progress that it begins with.

    Raises:
        Fenced: A worker of it is running.
    """
    moves = {place.partition: Move(place, place.here) for place in places(pipeline)}
    before = [
        _before(one.task, [moves[key] for key in one.positions], one.incarnations)
        for one in progress
    ]
    _replace(pipeline, before, progress)
    topics = {topic for one in progress for topic in one.incarnations}
    History.of(pipeline).begin(topics)


def _replace(
    pipeline: Pipeline, before: Sequence[Progress], after: Sequence[Progress]
) -> None:
    """Store a progress instead of the one before it, as a worker would."""
    try:
        pipeline.source.positions(pipeline.name).store(after)
    except Fenced as error:
        message = f"a worker of pipeline {pipeline.name!r} is running"
        raise Fenced(message, hint="stop its workers first") from error
    stored = pipeline.sink.stored(pipeline.name)
    if stored is not None and after:
        _store_in_sink(pipeline, before, after, {one.task for one in stored})


def forget(pipeline: Pipeline) -> None:
    """Remove what is kept for a pipeline beside its sink: group, or replication slot.

    A slot that nobody reads makes its server keep the log until the disk is full, so
    a pipeline that is given up is forgotten. The rows in the sink stay, and so does
    a position that the sink keeps with them.

    Raises:
        Fenced: A worker of the pipeline is running.
        Unavailable: The source cannot be reached.
    """
    pipeline.source.positions(pipeline.name).forget()
    History.of(pipeline).forget()


def _before(
    task: str, moves: Sequence[Move], incarnations: Mapping[str, str]
) -> Progress:
    """Return what is stored of a task, or what it would have begun with."""
    kept = [move.place.progress for move in moves if move.place.progress is not None]
    first = kept[0] if kept else Progress(task, 0, {}, _of(incarnations, moves))
    return replace(
        first,
        task=task,
        positions={move.place.partition: move.place.here for move in moves},
    )


def _of(incarnations: Mapping[str, str], moves: Sequence[Move]) -> Mapping[str, str]:
    """Return the incarnations of the topics of some moves."""
    topics = {move.place.partition.topic for move in moves}
    return {topic: one for topic, one in incarnations.items() if topic in topics}


def _store_in_sink(
    pipeline: Pipeline,
    before: Sequence[Progress],
    after: Sequence[Progress],
    known: Collection[str],
) -> None:
    schema = prepared_of(pipeline).output_schema
    context = SinkContext(
        pipeline.name,
        schema,
        worker=f"{pipeline.name}-reset",
        whole=pipeline.rows_are_whole,
    )
    writer = pipeline.sink.open(context)
    try:
        claimed = writer.claim(before) or before
        # A task that the sink has not heard of is where the claim has put it.
        begun = [
            one if one.task in known else new
            for one, new in zip(before, claimed, strict=True)
        ]
        writer.write(SinkBatch(schema.to_frame(), begun, after))
    finally:
        writer.close()


def _named(
    text: str, known: Sequence[TopicPartition], pipeline: Pipeline
) -> dict[TopicPartition, Position]:
    """Return the positions of ``0=100,1=250`` or ``flights/0=100``."""
    several = len({partition.topic for partition in known}) > 1
    by_name = {str(one): one for one in known}
    if not several:
        by_name.update({str(one.partition): one for one in known})
    wanted: dict[TopicPartition, Position] = {}
    for part in text.split(","):
        name, _, position = (side.strip() for side in part.partition("="))
        if not (name.rpartition("/")[2].isdigit() and position):
            message = f"{part!r} is not of the form PARTITION=OFFSET"
            raise UsageError(message, hint="such as --to 0=100,1=250")
        topic, slash, number = name.rpartition("/")
        partition = by_name.get(f"{topic}{slash}{int(number)}")
        if partition is None:
            listed = by_name if several else [one.partition for one in known]
            message = f"the source has no partition {name}"
            raise UsageError(message, hint=f"it has {', '.join(map(str, listed))}")
        wanted[partition] = pipeline.source_of(partition.topic).parsed(position)
    return wanted
