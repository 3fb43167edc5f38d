"""State from outside: what a pipeline keeps, and dropping it on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streamlab.engines.local import position
from streamlab.engines.local.open_task import WATERMARKS
from streamlab.engines.local.position import Move
from streamlab.engines.local.state_home import home_of
from streamlab.errors import StateError, UsageError
from streamlab.operators.operator import END_OF_TIME
from streamlab.pipelines import Pipeline
from streamlab.positions import Progress
from streamlab.state.home import Listed

NEVER = "never"


@dataclass(frozen=True)
class KeptTable:
    """A table of a task.

    Attributes:
        name: The operator and what it keeps.
        rows: How many it has.
        bytes: About how large they are.
        oldest_due: When the first of them is due, in µs since 1970 UTC.
    """

    name: str
    rows: int
    bytes: int
    oldest_due: int | None

    def __str__(self) -> str:
        """Return it in one line."""
        due = _time(self.oldest_due)
        return f"  {self.name:<28} {self.rows:>12,} rows {_size(self.bytes)}, due {due}"


@dataclass(frozen=True)
class KeptTask:
    """The state of one task.

    Attributes:
        task: Its name.
        epoch: The epoch that it is of.
        state_id: Its current version; None where it begins empty.
        watermark: Its event time, in µs since 1970 UTC.
        idle: Partitions that are set aside.
        versions: How many versions there are.
        tables: Its tables.
        found: Whether the current version is on this machine, or where it is shared.
    """

    task: str
    epoch: int
    state_id: str | None
    watermark: int | None = None
    idle: Sequence[str] = ()
    versions: int = 0
    tables: Sequence[KeptTable] = ()
    found: bool = True

    def __str__(self) -> str:
        """Return it as text, one table a line."""
        head = f"task {self.task}, epoch {self.epoch}: "
        if self.state_id is None:
            return f"{head}no state"
        if not self.found:
            return f"{head}version {self.state_id} is not here"
        named = f"version {self.state_id}, watermark {_time(self.watermark)}"
        idle = f", idle {', '.join(self.idle)}" if self.idle else ""
        return "\n".join([head + named + idle, *map(str, self.tables)])


def progress_of(pipeline: Pipeline) -> list[Progress]:
    """Return the stored progress of each task, without changing anything.

    Raises:
        UsageError: The pipeline keeps no state.
        Unavailable: The source or the sink cannot be reached.
    """
    if not pipeline.stateful:
        message = f"pipeline {pipeline.name!r} has no window, fold or join"
        raise UsageError(message, hint="so it keeps no state")
    return position.by_task(pipeline)


def kept(pipeline: Pipeline) -> list[KeptTask]:
    """Return what a pipeline keeps, by task.

    Raises:
        UsageError: The pipeline keeps no state.
        Unavailable: The source or the sink cannot be reached.
        StateError: A file is no version.
    """
    home = home_of(pipeline)
    return [_task(one, home.versions(one.task)) for one in progress_of(pipeline)]


def planned(pipeline: Pipeline, to: str) -> list[Move]:
    """Return what a reset would do to each partition, without doing it.

    Args:
        pipeline: The pipeline.
        to: Where to read on, as in :func:`position.planned`; empty where it stands.

    Raises:
        UsageError: ``to`` names no position, or the pipeline keeps no state.
    """
    progress_of(pipeline)
    if to:
        return position.planned(pipeline, to)
    return [
        Move(place, place.here, pipeline.source_of(place.partition.topic).spelled)
        for place in position.places(pipeline)
    ]


def drop(pipeline: Pipeline) -> None:
    """Delete the files of a state that no progress names any more.

    Raises:
        StateError: A progress still names one.
    """
    for one in progress_of(pipeline):
        if one.state_id is not None:
            message = f"task {one.task} is still at the state {one.state_id}"
            raise StateError(message, hint="reset its position first")
    home_of(pipeline).reset()


def _task(progress: Progress, versions: Sequence[Listed]) -> KeptTask:
    begun = KeptTask(progress.task, progress.epoch, progress.state_id)
    if progress.state_id is None:
        return begun
    current = [one for one in versions if one.state_id == progress.state_id]
    if not current:
        return KeptTask(progress.task, progress.epoch, progress.state_id, found=False)
    version = current[0].version
    marks = version.meta.get(WATERMARKS, {})
    tables = [
        KeptTable(name, one.height, one.bytes, one.oldest_due)
        for name, one in sorted(version.tables.items())
    ]
    return KeptTask(
        progress.task,
        progress.epoch,
        progress.state_id,
        marks.get("reached"),
        marks.get("idle", ()),
        len(versions),
        tables,
    )


def _time(microseconds: int | None) -> str:
    if microseconds is None:
        return NEVER
    if microseconds == END_OF_TIME:
        return "the end"
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    except OverflowError:
        return str(microseconds)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _size(size: int) -> str:
    return f"{size / 1e6:>9,.1f} MB"
