"""Replaying a sample through a pipeline: its bytes, the format, the real engine.

Only the two ends are exchanged: the sample's events stand for the source, and the
rows are kept in memory instead of being written.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from streamlab.connectors.memory import (
    MemoryEvent,
    MemorySink,
    MemorySource,
    MemoryTarget,
    MemoryTopic,
)
from streamlab.engines.local.worker import Worker
from streamlab.pipelines import DeadLetters, Pipeline
from streamlab.taps.sample import Sample


@dataclass(frozen=True)
class Replayed:
    """What a pipeline made of a sample.

    Attributes:
        output: The rows, in the order they were written.
        rows_in: Events of the sample.
        dead_lettered: Events that could not be processed.
        seconds: How long the run took.
    """

    output: pl.DataFrame
    rows_in: int
    dead_lettered: int
    seconds: float


def replay(pipeline: Pipeline, sample: Sample) -> Replayed:
    """Run a pipeline on a sample, in this process, until it has caught up.

    The working directory is changed for the time of the run, so that whatever an
    engine leaves beside its settings is gone afterwards: not for a process that does
    anything else meanwhile.

    Args:
        pipeline: Its source, sink and dead letters are not touched.
        sample: Real events with their bytes.

    Raises:
        StreamlabError: The pipeline cannot run.
    """
    target = MemoryTarget()
    with (
        tempfile.TemporaryDirectory(prefix="streamlab-verify-") as folder,
        contextlib.chdir(folder),
        _registry_of(sample),
    ):
        stream = replace(pipeline.input, source=MemorySource(topic=topic_of(sample)))
        worker = Worker(
            replace(
                pipeline,
                inputs=(stream,),
                sink=MemorySink(target=target),
                dead_letters=DeadLetters(file=Path(folder) / "dead.jsonl"),
            )
        )
        summary = worker.run(until_caught_up=True)
    return Replayed(
        output=target.frame(),
        rows_in=summary.counts["read"],
        dead_lettered=summary.counts["dead_lettered"],
        seconds=summary.seconds,
    )


def _registry_of(sample: Sample) -> contextlib.AbstractContextManager[object]:
    """Let the format find the schemas that the sample has, without a registry."""
    if not sample.schemas:
        return contextlib.nullcontext()
    from streamlab.registry.recorded import recorded_as

    return recorded_as(sample.schemas)


def topic_of(sample: Sample) -> MemoryTopic:
    """Return a topic in memory with a sample's events at their own offsets."""
    frame = sample.frame.with_columns(_value=sample.values).sort(
        "_partition", "_offset"
    )
    events: dict[int, list[MemoryEvent]] = defaultdict(list)
    for partition, offset, timestamp_ms, key, value in frame.select(
        "_partition", "_offset", pl.col("_timestamp").dt.epoch("ms"), "_key", "_value"
    ).iter_rows():
        events[partition].append(MemoryEvent(value, key, timestamp_ms, (), offset))
    return MemoryTopic(events, name=sample.topic)
