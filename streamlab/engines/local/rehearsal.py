"""A rehearsal: a sample through a pipeline, with its bytes, format and real engine.

Only the two ends are exchanged: the sample's events stand for the source, and rows and
dead letters are kept in memory instead of being written. No broker, no network, no
profile is needed, and nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.engines.local.worker import Worker
from streamlab.pipelines import DeadLetters, Input, Pipeline
from streamlab.sinks import DeadLetter
from streamlab.taps.sample import Sample
from streamlab.transforms.transform import Transform

NAME = "replay"
"""Name of the pipeline that is made of bare transforms."""


@dataclass(frozen=True)
class Replayed:
    """What a pipeline made of a sample.

    Attributes:
        output: The rows, in the order they were written.
        dead_letters: Events that could not be processed, by partition and position.
        rows_in: Events of the sample, those that do not decode included.
        seconds: How long the run took.
    """

    output: pl.DataFrame
    dead_letters: tuple[DeadLetter, ...] = field(repr=False)
    rows_in: int
    seconds: float

    @property
    def dead_lettered(self) -> int:
        """Return how many events could not be processed."""
        return len(self.dead_letters)


def replay(
    what: Pipeline | Transform[..., Any] | Sequence[Transform[..., Any]],
    sample: Sample,
    *,
    speed: float | None = None,
) -> Replayed:
    """Run a sample through a pipeline, in this process, and return what comes out.

    The rows and dead letters are the same each time, at any speed, for transforms that
    give the same rows however a stream is cut (:func:`streamlab.evaluate` says which
    do).

    Args:
        what: A pipeline, whose source, sink and dead letters are not touched; or one
            or more transforms.
        sample: Real events with their bytes.
        speed: How many times as fast as the events were written; None is as fast as
            possible.

    Raises:
        StreamlabError: The pipeline cannot run.
    """
    pipeline = what if isinstance(what, Pipeline) else _made_of(what, sample)
    target = MemoryTarget()
    worker = Worker(
        replace(
            pipeline.on(sample.replay(speed=speed)),
            sink=MemorySink(target=target, with_dead_letters=True),
        ),
        keeps_state=False,
    )
    summary = worker.run()
    letters = sorted(
        target.dead_letters(), key=lambda one: (one.partition, one.position)
    )
    return Replayed(
        output=target.frame(),
        dead_letters=tuple(letters),
        rows_in=summary.counts["read"],
        seconds=summary.seconds,
    )


def _made_of(
    what: Transform[..., Any] | Sequence[Transform[..., Any]], sample: Sample
) -> Pipeline:
    transforms = (what,) if isinstance(what, Transform) else tuple(what)
    return Pipeline(
        name=NAME,
        inputs=(
            Input(
                sample.replay(),
                sample.format,
                sample.schema,
                format_options=sample.format_options,
            ),
        ),
        transforms=transforms,
        sink=MemorySink(),
        dead_letters=DeadLetters(file=Path(f"{NAME}.dead.jsonl")),  # never opened
    )
