"""The memory sink: rows and progress into a :class:`MemoryTarget`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.connectors.memory.script import Fail, SinkStep, Wait
from streamlab.errors import Refused, RowsRefused, UsageError
from streamlab.positions import Progress
from streamlab.sinks import (
    DeadLetter,
    Guarantee,
    Sink,
    SinkBatch,
    SinkContext,
    Writer,
    first_claims,
    require_same_place,
)


class MemoryTarget:
    """What was written to a :class:`MemorySink`; it outlives its writers."""

    def __init__(self) -> None:
        """Begin empty."""
        self.batches: list[SinkBatch] = []
        self.progress: dict[tuple[str, str], Progress] = {}
        self.schema = pl.Schema()
        self.lock = threading.Lock()

    def frame(self) -> pl.DataFrame:
        """Return the rows of all epochs, in the order they were written."""
        frames = [batch.frame for batch in self.batches]
        return pl.concat(frames) if frames else self.schema.to_frame()

    def dead_letters(self) -> list[DeadLetter]:
        """Return the dead letters that came with the rows."""
        return [letter for batch in self.batches for letter in batch.dead_letters]

    def of(self, pipeline: str) -> dict[str, Progress]:
        """Return task → progress of one pipeline."""
        return {
            task: progress
            for (owner, task), progress in self.progress.items()
            if owner == pipeline
        }


@dataclass(frozen=True)
class MemorySink(Sink):
    """Rows into memory.

    Attributes:
        target: What was written.
        script: What writes do before they behave, one step a call.
        promise: ``atomic`` keeps progress with the rows; with another guarantee the
            sink keeps none and leaves it to the source.
        refuse: Rows for which this is true are refused.
        with_dead_letters: Whether it takes the epoch's dead letters.
    """

    target: MemoryTarget = field(default_factory=MemoryTarget, compare=False)
    script: Sequence[SinkStep] = ()
    promise: Guarantee = Guarantee.ATOMIC
    refuse: pl.Expr | None = field(default=None, compare=False)
    with_dead_letters: bool = False

    @property
    def guarantee(self) -> Guarantee:
        """What the sink promises."""
        return self.promise

    @property
    def takes_dead_letters(self) -> bool:
        """Whether dead letters are kept with the rows."""
        return self.with_dead_letters

    def open(self, context: SinkContext) -> MemoryWriter:
        """Return a writer to the target."""
        self.target.schema = pl.Schema(context.schema)
        return MemoryWriter(self, context)

    def stored(self, pipeline: str) -> Sequence[Progress] | None:
        """Return the progress of a pipeline."""
        if self.promise is not Guarantee.ATOMIC:
            return None
        return list(self.target.of(pipeline).values())

    def describe(self) -> str:
        """Return one line for the plan."""
        return f"memory ({self.promise.value})"


class MemoryWriter(Writer):
    """An open memory sink."""

    def __init__(self, sink: MemorySink, context: SinkContext) -> None:
        """Begin the script."""
        self._sink = sink
        self._target = sink.target
        self._context = context
        self._schema = pl.Schema(context.schema)
        self._steps = list(sink.script)
        self._closed = False

    def claim(self, initial: Sequence[Progress]) -> Sequence[Progress] | None:
        """Store progress for new tasks and return what is stored."""
        self._require_open()
        if self._sink.promise is not Guarantee.ATOMIC:
            return None
        with self._target.lock:
            stored = self._target.of(self._context.pipeline)
            self._store(first_claims(initial, stored))
            stored = self._target.of(self._context.pipeline)
        return [stored[progress.task] for progress in initial]

    def write(self, batch: SinkBatch) -> int:
        """Keep the batch, and its progress with it."""
        self._require_open()
        step = self._steps.pop(0) if self._steps else None
        if isinstance(step, Wait):
            step.until.wait()
        if isinstance(step, Fail) and not step.after:
            raise step.error
        self._require_fitting(batch.frame)
        with self._target.lock:
            if self._sink.promise is Guarantee.ATOMIC:
                stored = self._target.of(self._context.pipeline)
                require_same_place(batch.before, stored)
            self._store(batch.after)
            self._target.batches.append(batch)
        if isinstance(step, Fail):
            raise step.error
        return batch.frame.height

    def close(self) -> None:
        """Refuse further calls; a second call does nothing."""
        self._closed = True

    def _store(self, progress: Sequence[Progress]) -> None:
        for each in progress:
            self._target.progress[self._context.pipeline, each.task] = each

    def _require_fitting(self, frame: pl.DataFrame) -> None:
        if frame.schema != self._schema:
            message = "the frame does not have the columns the sink was opened for"
            raise Refused(message)
        if self._sink.refuse is None:
            return
        bad = frame.select(self._sink.refuse.arg_true()).to_series()
        if not bad.is_empty():
            raise RowsRefused(dict.fromkeys(bad.to_list(), "refused on purpose"))

    def _require_open(self) -> None:
        if self._closed:
            message = "the writer is closed"
            raise UsageError(message)
