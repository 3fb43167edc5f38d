"""Which partitions are one task: what is read, kept and moved together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from streamlab.connectors.combined import CombinedSource
from streamlab.pipelines.pipeline import Pipeline
from streamlab.positions import TopicPartition

EVERYTHING = "*"
"""The task of all partitions of all inputs."""


class Grouping(Enum):
    """Which partitions make a task together."""

    ALONE = "each partition"
    ALIGNED = "the partitions of equal number of all inputs"
    TOGETHER = "all partitions"

    def task_of(self, partition: TopicPartition) -> str:
        """Return the name of a partition's task."""
        if self is Grouping.TOGETHER:
            return EVERYTHING
        if self is Grouping.ALIGNED:
            return f"{EVERYTHING}/{partition.partition}"
        return str(partition)


@dataclass(frozen=True, slots=True)
class Grouped:
    """The tasks of a pipeline.

    Attributes:
        grouping: Which partitions make a task.
        why: The reason, as half a sentence.
    """

    grouping: Grouping
    why: str = ""


def grouping_of(pipeline: Pipeline) -> Grouped:
    """Return which partitions of a pipeline's inputs make a task.

    Events of one key must meet in one task. They do where the events of every input
    are spread over the partitions by columns that the transform keeps by; a worker
    makes sure of it on the keys that it reads.
    """
    if not pipeline.stateful:
        return Grouped(Grouping.ALONE, "each row is for itself")
    spread = _spread(pipeline)
    if spread:
        return Grouped(Grouping.TOGETHER, spread)
    return Grouped(Grouping.ALIGNED, "the events are keyed by what is kept together")


def _spread(pipeline: Pipeline) -> str:
    """Return why events of one key may be in any partition; empty if they are not."""
    first = next(one for one in pipeline.transforms if one.needs is not None)
    others = [one for one in pipeline.transforms if one is not first]
    if others:
        return f"{others[0].name}() could change the columns that are kept by"
    source = pipeline.source
    if isinstance(source, CombinedSource) and not source.is_one:
        return "the inputs are of several systems, each with partitions of its own"
    ways = set()
    for name, stream in pipeline.inputs.items():
        keyed, kept_by = stream.keyed_by, keys_of(first.needs, name)
        if keyed is None:
            return f"{name} does not say keyed_by"
        foreign = [one for one in keyed.columns if one not in kept_by]
        if foreign:
            return f"{name} is keyed by {foreign[0]}, and {first.name}() keeps by " + (
                ", ".join(kept_by) or "no column"
            )
        places = tuple(map(kept_by.index, keyed.columns))
        ways.add((places, keyed.partitioner, keyed.key_format))
    return "the inputs are keyed in different ways" if len(ways) > 1 else ""


def keys_of(needs: object, stream: str) -> tuple[str, ...]:
    """Return the columns of a stream whose equal values a declaration keeps together.

    Args:
        needs: The declaration of a transform.
        stream: The input.
    """
    join = getattr(needs, "join", None)
    if join is not None:
        pairs = getattr(join, "keys", ())
        if join.left == join.right:
            # An event is a left row by the one column and a right row by the other.
            return tuple(left for left, right in pairs if left == right)
        return tuple(pair[0 if stream == join.left else 1] for pair in pairs)
    return tuple(getattr(needs, "keys", ()))
