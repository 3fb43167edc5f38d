"""Building: the parts of a worker, with state or without, from its pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.engines.local.open_task import Standing
from streamlab.engines.local.processing import Processing, Processor
from streamlab.engines.local.pulse import Pulse
from streamlab.engines.local.retrying import Retrying
from streamlab.engines.local.state_home import PassingState, State, home_of
from streamlab.engines.local.stateful import StatefulProcessor
from streamlab.engines.local.streams import Streams
from streamlab.engines.local.tasks import Tasks
from streamlab.formats import named
from streamlab.operators.chain import Chain
from streamlab.pipelines import Pipeline
from streamlab.pipelines.grouping import Grouping, grouping_of
from streamlab.pipelines.prepared import prepared_of, source_of
from streamlab.sinks import Guarantee
from streamlab.sources import RawBatch, Source
from streamlab.state.store import TaskState
from streamlab.transforms.declarations import Windowed

US_PER_S = 1_000_000


@dataclass(frozen=True)
class Parts:
    """What a worker is made of, as far as its pipeline decides it.

    Attributes:
        source: What is read.
        first: The first input; without state there is no other.
        processing: Decodes and transforms.
        output_schema: Columns of the rows.
        tasks: Which partitions make a task.
        pulse: When time alone makes an epoch.
        stateful: ``processing`` again where it keeps state.
        streams: The inputs, where state is kept.
    """

    source: Source
    first: str
    processing: Processing
    output_schema: pl.Schema
    tasks: Tasks
    pulse: Pulse
    stateful: StatefulProcessor | None = None
    streams: Streams | None = None

    def input_of(self, batch: RawBatch) -> str:
        """Return the input that a batch is of."""
        if self.streams is None:
            return self.first
        return self.streams.by_topic[batch.spans[0].partition.topic]

    def standing(self) -> Mapping[str, Standing]:
        """Return how the tasks with state stand, by their names."""
        return {} if self.stateful is None else dict(self.stateful.standing)


def parts_of(pipeline: Pipeline, retrying: Retrying, *, keeps_state: bool) -> Parts:
    """Return the parts of a pipeline's worker.

    Args:
        pipeline: The pipeline.
        retrying: Waits where the state cannot be written now.
        keeps_state: Whether state is kept for another run; else it is in memory.

    Raises:
        UsageError: The transforms do not fit the schema.
    """
    ready, first = prepared_of(pipeline), next(iter(pipeline.inputs))
    if not isinstance(ready, Chain):
        codec = named(pipeline.input.format, pipeline.input.context)
        processor = Processor(pipeline, codec, ready)
        return Parts(
            pipeline.source, first, processor, ready.output_schema, Tasks(), Pulse()
        )
    grouping = grouping_of(pipeline).grouping
    streams = Streams.of(pipeline, ready, spread=grouping is Grouping.ALIGNED)
    # Of a source that is read from its beginning each time nobody can go on, unless
    # the sink knows where.
    forgets = (
        pipeline.source.bounded and pipeline.sink.guarantee is not Guarantee.ATOMIC
    )
    home = home_of(pipeline) if keeps_state and not forgets else None

    def opened(task: str, state_id: str | None) -> State:
        if home is None:
            return PassingState(ready.layouts)
        return TaskState.open(home, task, ready.layouts, state_id)

    stateful = StatefulProcessor(streams, ready, opened, retrying)
    return Parts(
        source_of(pipeline, ready),
        first,
        stateful,
        ready.output_schema,
        Tasks(grouping, keyed=True, in_order=_in_order(pipeline, ready)),
        Pulse(early_s=_early_s(pipeline)),
        stateful,
        streams,
    )


def _in_order(pipeline: Pipeline, chain: Chain) -> str:
    """Return the transform that takes events as they come; "" if it does not."""
    if not chain.operators[0].needs_keyed_partitions:
        return ""
    return next(one.name for one in pipeline.transforms if one.needs is not None)


def _early_s(pipeline: Pipeline) -> float | None:
    """Return the shortest time between two firings of windows, if any fire early."""
    firing = [
        one.needs.early_us / US_PER_S
        for one in pipeline.transforms
        if isinstance(one.needs, Windowed)
        and one.needs.emit == "updates"
        and one.needs.early_us
    ]
    return min(firing, default=None)
