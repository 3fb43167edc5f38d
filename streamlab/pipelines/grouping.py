"""Which partitions are one task: what is read, kept and moved together."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from streamlab.connectors.combined import CombinedSource
from streamlab.pipelines.pipeline import Pipeline


class Grouping(Enum):
    """Which partitions make a task together."""

    ALONE = "each partition"
    ALIGNED = "the partitions of equal number of all inputs"
    TOGETHER = "all partitions"


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
    declaring = [one for one in pipeline.transforms if one.needs is not None]
    if not declaring:
        return Grouped(Grouping.ALONE, "each row is for itself")
    first, needs = declaring[0], declaring[0].needs
    if pipeline.transforms[0] is not first or len(declaring) > 1:
        other = pipeline.transforms[0] if len(declaring) == 1 else declaring[1]
        why = f"{other.name}() could change the columns that the others keep by"
        return Grouped(Grouping.TOGETHER, why)
    if isinstance(pipeline.source, CombinedSource) and not pipeline.source.is_one:
        why = "the inputs are of several systems, which assign partitions on their own"
        return Grouped(Grouping.TOGETHER, why)
    ways = set()
    for name, stream in pipeline.inputs.items():
        if stream.keyed_by is None:
            return Grouped(Grouping.TOGETHER, f"{name} does not say keyed_by")
        kept_by = keys_of(needs, name)
        foreign = [one for one in stream.keyed_by.columns if one not in kept_by]
        if foreign:
            why = f"{name} is keyed by {foreign[0]}, and {first.name}() is not"
            return Grouped(Grouping.TOGETHER, why)
        positions = tuple(map(kept_by.index, stream.keyed_by.columns))
        keyed = stream.keyed_by
        ways.add((positions, keyed.partitioner, keyed.key_format))
    if len(ways) > 1:
        return Grouped(Grouping.TOGETHER, "the inputs are keyed in different ways")
    return Grouped(Grouping.ALIGNED, f"{first.name}() keeps by what they are keyed by")


def keys_of(needs: object, stream: str) -> tuple[str, ...]:
    """Return the columns of a stream whose equal values a declaration keeps together.

    Args:
        needs: The declaration of a transform.
        stream: The input.
    """
    join = getattr(needs, "join", None)
    if join is not None:
        side = 0 if stream == join.left else 1
        return tuple(pair[side] for pair in getattr(join, "keys", ()))
    return tuple(getattr(needs, "keys", ()))
