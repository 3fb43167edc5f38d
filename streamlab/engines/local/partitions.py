"""Partitions that come and go: what a reader tells its worker, in the reading thread.

A task that is given is claimed in the sink, and its state is opened as its progress
names it: never is the memory of an earlier time gone on with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from streamlab.engines.local.building import Parts
from streamlab.engines.local.goal import Goal, of_partitions
from streamlab.engines.local.history import History
from streamlab.engines.local.report import Report
from streamlab.engines.local.resuming import Parted, finished, resumed
from streamlab.engines.local.stages import Stages
from streamlab.errors import Unavailable
from streamlab.pipelines import Pipeline
from streamlab.positions import Position, TopicPartition
from streamlab.sinks import Guarantee
from streamlab.sources import Assignment, RawBatch, Reader

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Reading(Protocol):
    """What the reading thread does when partitions go."""

    def finish_reading(self) -> None:
        """Finish and commit what was read.

        Raises:
            Unavailable: It takes too long.
        """

    def drop_reading(self, why: str) -> None:
        """Forget what was read and not written, and rejoin."""

    @property
    def has_read(self) -> bool:
        """Whether something was read that is not on its way yet."""

    def give_up_on_a_stop(self) -> None:
        """End a wait for the other side, if the worker is to stop."""


@dataclass
class Partitions:
    """The partitions of a worker; see :class:`~streamlab.sources.Listener`.

    Attributes:
        pipeline: What is run.
        parts: Its tasks, their states, and its inputs.
        stages: Its threads.
        report: What it says of itself.
        reading: What is done when partitions go.
        history: The mark of earlier runs; None of a source that has no position.
        goal: When the run is over.
        ended: Tasks whose windows are all closed.
        parted: Whether another worker has a part of a task.
    """

    pipeline: Pipeline
    parts: Parts
    stages: Stages
    report: Report
    reading: Reading
    history: History | None
    goal: Goal = field(default_factory=Goal)
    ended: set[str] = field(default_factory=set)
    parted: Parted = field(default_factory=Parted)

    @property
    def repeats(self) -> bool:
        """Whether the sink may have rows behind the position; see ``Listener``."""
        return self.pipeline.sink.guarantee is not Guarantee.ATOMIC

    @property
    def going_on(self) -> list[str]:
        """Return the tasks whose windows are not all closed."""
        return [task for task in self.parts.tasks.sent if task not in self.ended]

    def of_tasks_going_on(self, batch: RawBatch | None) -> RawBatch | None:
        """Return what of a batch is of tasks that have not ended; None if nothing is.

        Behind the end nothing is read: all windows are closed there.
        """
        if batch is None or not self.ended:
            return batch
        name_of = self.parts.tasks.name_of
        return of_partitions(batch, lambda one: name_of(one) not in self.ended)

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        """Decide where to read on; see ``Listener.assigned``."""
        tasks, stages = self.parts.tasks, self.stages
        meanwhile = self.reading.give_up_on_a_stop
        progress = resumed(
            given,
            tasks,
            lambda initial: stages.call(
                lambda: stages.delivery.claim(initial), meanwhile
            ),
            self.history,
            self.pipeline.name,
        )
        tasks.take(given.partitions, progress)
        if given.partitions and not tasks.missing:
            self.parted.over()
        self._open_states(given, [one.task for one in progress])
        positions = {
            key: value
            for key, value in tasks.positions().items()
            if key in given.partitions
        }
        self.report.committed.update(positions)
        source_of = self.pipeline.source_of
        listed = ", ".join(
            f"{key} from {source_of(key.topic).spelled(value)}"
            for key, value in positions.items()
        )
        logger.info("reading %s", listed or "nothing: other workers have it all")
        return positions

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Finish and commit what was read; see ``Listener.revoked``."""
        if self.parts.tasks.missing:
            if self.reading.has_read:
                why = "partitions of a task that was not whole were taken"
                self.reading.drop_reading(why)
        else:
            try:
                self.reading.finish_reading()
            except Unavailable as error:
                self.reading.drop_reading(f"partitions were taken: {error.message}")
        self._forget(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what was read; see ``Listener.lost``."""
        self.reading.drop_reading("partitions were lost to another worker")
        self._forget(partitions)

    def clear(self) -> None:
        """Forget all of them: they are claimed anew."""
        self._shut(self.parts.tasks.clear())
        self.parts.pulse.clear()
        self.ended.clear()
        self.report.committed.clear()

    def wait_for_the_rest(self, reader: Reader, poll: Callable[[], Any]) -> None:
        """Hold what is here, until the partitions come that belong with it.

        Args:
            reader: Where they come.
            poll: Polls once.

        Raises:
            PipelineError: Another worker keeps them.
        """
        reader.hold(held=True)
        self.parted.require_soon(self.pipeline.name, self.parts.tasks.missing)
        poll()
        if not self.parts.tasks.missing:
            reader.hold(held=False)

    def _open_states(self, given: Assignment, tasks: Sequence[str]) -> None:
        """Open the states of tasks that are whole now.

        Raises:
            PipelineError: The pipeline was finished.
        """
        stateful, streams = self.parts.stateful, self.parts.streams
        if stateful is None or streams is None:
            return
        streams.count(given.start)
        self.parts.pulse.idle_after_s = streams.idle_after_s(streams.partitions)
        missing = set(self.parts.tasks.missing)
        begun = [self.parts.tasks.sent[task] for task in tasks]
        whole = [one for one in begun if not missing & set(one.positions)]
        ended = self.stages.compute(
            lambda: stateful.open(whole), self.reading.give_up_on_a_stop
        )
        if ended and not self.goal.closes:
            raise finished(self.pipeline.name)
        self.ended.update(ended)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self.report.tally.rebalances += 1
        ended = self.parts.tasks.forget(partitions)
        self.parts.pulse.forget(partitions)
        self.ended.difference_update(ended)
        for partition in partitions:
            self.report.committed.pop(partition, None)
        self._shut(ended)

    def _shut(self, tasks: Sequence[str]) -> None:
        stateful = self.parts.stateful
        if stateful is not None and tasks:
            meanwhile = self.reading.give_up_on_a_stop
            self.stages.compute(lambda: stateful.shut(tasks), meanwhile)
