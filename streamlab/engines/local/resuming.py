"""Resuming: where a worker reads on when it is given partitions.

The stored position decides, never a guess. What it rules out (a topic that is another
one now, a group or a sink that has forgotten us, partitions that were added to keyed
state) stops the worker, and the message says how to choose a new position.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamlab.engines.local.history import History
from streamlab.engines.local.tasks import Tasks
from streamlab.errors import PipelineError, PositionLost
from streamlab.positions import Progress, TopicPartition
from streamlab.sources import Assignment

NEWCOMER_WAIT_S = 3.0
"""How long a worker that never had a whole task waits for the rest of it."""

INCUMBENT_WAIT_S = 30.0
"""The same for one that had it: whoever came in between leaves again."""

Claim = Callable[[Sequence[Progress]], Sequence[Progress] | None]


def resumed(
    given: Assignment,
    tasks: Tasks,
    claim: Claim,
    history: History | None,
    pipeline: str,
) -> list[Progress]:
    """Return the progress of the tasks of the given partitions.

    Args:
        given: What the reader knows of its new partitions.
        tasks: Which partitions make a task.
        claim: ``Writer.claim`` of the sink.
        history: The mark of earlier runs, for sinks that keep no progress; None of
            a source that is read from its beginning each time.
        pipeline: Name of the pipeline.

    Raises:
        PositionLost: The position cannot be read on from.
    """
    _require_same_tasks(pipeline, given, tasks)
    if tasks.keyed and given.new:
        raise _other_partitions(pipeline, ", ".join(map(str, given.new)))
    initial = tasks.initial(given)
    stored = claim(initial)
    wanted = {tasks.name_of(partition) for partition in given.partitions}
    if stored is None:
        if history is not None:
            history.require(given)
            history.begin(given.incarnations)
        chosen = tasks.kept(given, initial)
    else:
        _require_known(pipeline, stored, given)
        chosen = list(stored)
    chosen = [one for one in chosen if one.task in wanted]
    for progress in chosen:
        _require_same_topic(progress, given)
        _require_same_partitions(pipeline, progress, given, tasks)
    return chosen


def _require_same_tasks(pipeline: str, given: Assignment, tasks: Tasks) -> None:
    """Stop where the source has heard of tasks of another kind."""
    for partition, one in given.committed.items():
        if not one.epoch or one.task == tasks.name_of(partition):
            continue
        message = (
            f"the position of pipeline {pipeline!r} is that of task {one.task}, and "
            f"its transforms now need the task {tasks.name_of(partition)}"
        )
        raise PositionLost(
            message,
            hint="choose where to go on with a new state: "
            f"streamlab position reset {pipeline} --to earliest|latest|TIME",
        )


def _require_same_partitions(
    pipeline: str, progress: Progress, given: Assignment, tasks: Tasks
) -> None:
    """Stop a task whose topics have other partitions than it was begun with."""
    topics = {partition.topic for partition in given.start}
    there = {one for one in given.start if tasks.name_of(one) == progress.task}
    known = {one for one in progress.positions if one.topic in topics}
    if there != known and progress.epoch:
        changed = ", ".join(map(str, sorted(there ^ known)))
        raise _other_partitions(pipeline, changed)


def _other_partitions(pipeline: str, changed: str) -> PositionLost:
    return PositionLost(
        f"the number of partitions has changed ({changed}), and the state of pipeline "
        f"{pipeline!r} is kept by it: keys would go on in other partitions",
        hint="begin with a new state: streamlab state reset PIPELINE --to earliest",
    )


def _require_same_topic(progress: Progress, given: Assignment) -> None:
    for topic, stored in progress.incarnations.items():
        found = given.incarnations.get(topic, stored)
        if found != stored:
            raise given.replaced(topic, stored=stored, found=found)


def _require_known(
    pipeline: str, stored: Sequence[Progress], given: Assignment
) -> None:
    """Stop where the source has heard of epochs that the sink knows nothing of."""
    heard = max((one.epoch for one in given.committed.values()), default=0)
    if heard and not any(progress.epoch for progress in stored):
        message = (
            f"the sink has no position of pipeline {pipeline!r}, but the source has "
            f"heard of {heard} epochs: the sink was emptied or replaced"
        )
        raise PositionLost(
            message,
            hint="choose where to go on: "
            f"streamlab position reset {pipeline} --to earliest|latest|TIME",
        )


def finished(pipeline: str) -> PipelineError:
    """Return the error of a pipeline whose windows are all closed."""
    message = f"pipeline {pipeline!r} was finished: all its windows are closed"
    return PipelineError(
        message,
        hint="begin with a new state: "
        f"streamlab state reset {pipeline} --to earliest|latest|TIME",
    )


@dataclass
class Parted:
    """A task whose partitions are not all here.

    Attributes:
        since: Monotonic seconds; None while all are here.
        wait_s: How long the others are waited for.
    """

    since: float | None = None
    wait_s: float = NEWCOMER_WAIT_S

    def require_soon(self, pipeline: str, missing: Sequence[TopicPartition]) -> None:
        """Wait a while for the others.

        Raises:
            PipelineError: They have not come; says why one worker must have them.
        """
        now = time.monotonic()
        self.since = self.since or now
        if now - self.since < self.wait_s:
            return
        listed = ", ".join(map(str, missing))
        message = (
            f"another worker of pipeline {pipeline!r} has {listed}, and the keys of "
            "its state can be in any partition: one worker must read them all"
        )
        raise PipelineError(
            message,
            hint="stop the other worker; or write the topic anew, keyed by these "
            "columns, with a pipeline without state, read that one, and say keyed_by "
            "in its [source]: then each partition is for itself",
        )

    def over(self) -> None:
        """Hear that all are here."""
        self.since, self.wait_s = None, INCUMBENT_WAIT_S
