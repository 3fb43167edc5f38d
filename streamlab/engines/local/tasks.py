"""Tasks: the units of progress and state, and how far each of them was sent.

A task is one partition where a transform is stateless, or keyed like its topic (then
the partitions of equal number of all inputs). Otherwise a key may be in any partition,
and all of them together are one task, which runs in one worker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamlab.errors import PipelineError, PositionLost
from streamlab.pipelines.grouping import Grouping
from streamlab.positions import Position, Progress, Span, TopicPartition
from streamlab.sources import Assignment


@dataclass
class Tasks:
    """The tasks of one worker. All calls come from the reading thread.

    Attributes:
        grouping: Which partitions make a task.
        keyed: Whether state is kept by keys that are spread over the partitions.
        in_order: Transform that takes the events of a key as they come, which is one
            order only within a partition; "" if none does.
        sent: Task → its progress with all epochs that were sent; without state ids,
            which only the computing thread knows.
        here: Partitions that this worker has.
        committed: What the source keeps of each partition that it ever gave.
    """

    grouping: Grouping = Grouping.ALONE
    keyed: bool = False
    in_order: str = ""
    sent: dict[str, Progress] = field(default_factory=dict)
    here: set[TopicPartition] = field(default_factory=set)
    committed: dict[TopicPartition, Progress] = field(default_factory=dict)

    def name_of(self, partition: TopicPartition) -> str:
        """Return the task of a partition."""
        return self.grouping.task_of(partition)

    def initial(self, given: Assignment) -> list[Progress]:
        """Return the first progress of every task of the topics.

        Raises:
            PipelineError: Events of one key could come in any order.
        """
        positions: dict[str, dict[TopicPartition, Position]] = {}
        for partition, position in sorted(given.start.items()):
            positions.setdefault(self.name_of(partition), {})[partition] = position
        if self.in_order:
            for task in positions.values():
                _require_one_order(self.in_order, task)
        return [
            Progress(
                task=task,
                epoch=0,
                positions=starts,
                incarnations={
                    one.topic: given.incarnations[one.topic] for one in starts
                },
            )
            for task, starts in positions.items()
        ]

    def kept(self, given: Assignment, initial: Sequence[Progress]) -> list[Progress]:
        """Return the progress of each task, where the source keeps it by partition.

        Args:
            given: What the source keeps, for the partitions that it gives.
            initial: What :meth:`initial` returned, for those without any.

        Raises:
            PositionLost: Partitions of a task are not of one epoch.
        """
        self.committed.update(given.committed)
        found = []
        for one in initial:
            parts = {key: self.committed.get(key, one) for key in one.positions}
            # Of a task that is not whole here yet, only what is here can be known.
            known = {
                key: part for key, part in parts.items() if self._is_near(key, given)
            }
            found.append(gathered(one, known))
        return found

    def _is_near(self, partition: TopicPartition, given: Assignment) -> bool:
        return partition in self.here or partition in given.partitions

    def note(self, after: Iterable[Progress]) -> None:
        """Hear of progress that was committed; from the writing thread."""
        for one in after:
            self.committed.update(dict.fromkeys(one.positions, one))

    def take(
        self, partitions: Iterable[TopicPartition], progress: Iterable[Progress]
    ) -> None:
        """Take up partitions, and the progress of their tasks."""
        self.here.update(partitions)
        self.sent.update({one.task: one for one in progress})

    def forget(self, partitions: Iterable[TopicPartition]) -> list[str]:
        """Give partitions up; return the tasks that this worker cannot run any more."""
        gone = set(partitions)
        self.here -= gone
        ended = [task for task, one in self.sent.items() if gone & set(one.positions)]
        for task in ended:
            if not self.here & set(self.sent[task].positions):
                del self.sent[task]
        return ended

    def clear(self) -> list[str]:
        """Give everything up; return the tasks."""
        tasks = list(self.sent)
        self.sent.clear()
        self.here.clear()
        return tasks

    @property
    def missing(self) -> list[TopicPartition]:
        """Return partitions that other workers have of the tasks of this one."""
        needed = {key for one in self.sent.values() for key in one.positions}
        return sorted(needed - self.here)

    def advance(
        self, spans: Sequence[Span], others: Iterable[str] = ()
    ) -> tuple[tuple[Progress, ...], tuple[Progress, ...]]:
        """Move the tasks of some spans by one epoch; return before and after.

        Args:
            spans: What was read.
            others: Tasks that take part without having read anything.
        """
        ends: dict[str, dict[TopicPartition, Position]] = {}
        for span in spans:
            ends.setdefault(self.name_of(span.partition), {})[span.partition] = span.end
        for task in others:
            ends.setdefault(task, {})
        before = tuple(self.sent[task] for task in ends)
        after = tuple(
            replace(
                one,
                epoch=one.epoch + 1,
                positions={**one.positions, **ends[one.task]},
            )
            for one in before
        )
        self.sent.update({one.task: one for one in after})
        return before, after

    def positions(self) -> Mapping[TopicPartition, Position]:
        """Return up to where each partition of this worker was sent."""
        return {
            partition: position
            for one in self.sent.values()
            for partition, position in one.positions.items()
            if partition in self.here
        }


def _require_one_order(name: str, partitions: Iterable[TopicPartition]) -> None:
    """Refuse several partitions of a topic where the order of a key's events counts.

    Raises:
        PipelineError: With what to declare.
    """
    several = [one for one, n in Counter(p.topic for p in partitions).items() if n > 1]
    if several:
        raise PipelineError(
            f"{name}() takes the events of a key in the order in which they come, and "
            f"in {several[0]!r} they may be in several partitions, between which there "
            "is no order",
            hint='give it an event time (on="…"), whose order it then follows; or say '
            "what the topic is keyed by (keyed_by), if these are its keys",
        )


def gathered(initial: Progress, kept: Mapping[TopicPartition, Progress]) -> Progress:
    """Return one progress from those of some partitions of a task.

    Args:
        initial: What the others begin with.
        kept: Partition → progress that names its position; it may name others.

    Raises:
        PositionLost: They are not of one epoch.
    """
    if not kept:
        return initial
    first = next(iter(kept.values()))
    for one in kept.values():
        if (one.epoch, one.state_id) != (first.epoch, first.state_id):
            message = (
                f"the positions of task {initial.task} do not belong together: some "
                f"are of epoch {first.epoch}, others of epoch {one.epoch}"
            )
            hint = "somebody else has set offsets of its group; choose where to go on: "
            raise PositionLost(message, hint=hint + "streamlab position reset")
    return replace(
        first,
        task=initial.task,
        positions={
            **initial.positions,
            **{key: one.positions[key] for key, one in kept.items()},
        },
        incarnations={
            **initial.incarnations,
            **{k: v for one in kept.values() for k, v in one.incarnations.items()},
        },
        watermarks={k: v for one in kept.values() for k, v in one.watermarks.items()},
    )
