"""Resuming: where a worker reads on when it is given partitions.

The stored position decides, never a guess. What it rules out (a topic that is another
one now, a group or a sink that has forgotten us) stops the worker, and the message
says how to choose a new position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamlab.engines.local.history import History
from streamlab.errors import PositionLost
from streamlab.positions import Progress, TopicPartition
from streamlab.sources import Assignment


def resumed(
    given: Assignment,
    claim: Callable[[Sequence[Progress]], Sequence[Progress] | None],
    history: History | None,
    pipeline: str,
) -> dict[TopicPartition, Progress]:
    """Return the progress of each given partition.

    Args:
        given: What the reader knows of its new partitions.
        claim: ``Writer.claim`` of the sink.
        history: The mark of earlier runs, for sinks that keep no progress; None of
            a source that is read from its beginning each time.
        pipeline: Name of the pipeline.

    Raises:
        PositionLost: The position cannot be read on from.
    """
    initial = _initial(given)
    stored = claim(initial)
    if stored is None:
        if history is not None:
            history.require(given)
            history.begin(given.incarnations)
        first = {one.task: one for one in initial}
        chosen = {
            partition: given.committed.get(partition, first[str(partition)])
            for partition in given.partitions
        }
    else:
        _require_known(pipeline, stored, given)
        by_task = {one.task: one for one in stored}
        chosen = {partition: by_task[str(partition)] for partition in given.partitions}
    for progress in chosen.values():
        _require_same_topic(progress, given)
    return chosen


def _initial(given: Assignment) -> list[Progress]:
    """Return the first progress of every partition of the topics, one task each."""
    return [
        Progress(
            task=str(partition),
            epoch=0,
            positions={partition: position},
            incarnations={partition.topic: given.incarnations[partition.topic]},
        )
        for partition, position in sorted(given.start.items())
    ]


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
