"""The worker: runs one pipeline in this process until it is stopped.

    reading thread    poll → collect                    (the caller's thread)
    computing thread  decode → transform
    writing thread    dead letters → sink → source

There is one answer to everything that puts the position in doubt (a fence, lost
partitions, work that did not finish in time): drop what is under way, leave the group,
enter it again and read on from what is stored.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from streamlab import failpoints
from streamlab.engines.local.collecting import Collector
from streamlab.engines.local.dead_letters import open_writer
from streamlab.engines.local.delivery import Delivered, Delivery
from streamlab.engines.local.history import History
from streamlab.engines.local.processing import Processor
from streamlab.engines.local.resuming import resumed
from streamlab.engines.local.retrying import Retrying, Stopped
from streamlab.engines.local.stages import Epoch, Stages
from streamlab.engines.local.summary import RunSummary
from streamlab.errors import Fenced, Unavailable
from streamlab.formats import named
from streamlab.observe.latency import latencies_ms
from streamlab.observe.status import WorkerStatus
from streamlab.observe.tally import EpochCounts, Tally
from streamlab.pipelines import Pipeline
from streamlab.positions import Position, Progress, TopicPartition, distances
from streamlab.sinks import Guarantee, SinkContext
from streamlab.sources import Assignment, RawBatch, Reader
from streamlab.transforms.application import prepare

IDLE_POLL_S = 0.1  # how soon a stop is noticed when nothing comes
BUSY_POLL_S = 0.002  # how soon a free stage is noticed when something waits for it
MOST_WAIT_S = 0.05  # that a started epoch waits for the one before, between two polls
HOLD_AFTER_S = 1.0  # a stage that is busy for longer holds the source
DRAIN_S = 20.0  # to finish what is in flight on a stop or a rebalance
PAUSED_DRAIN_S = 2.0  # the same on a stop while the other side is down
MOST_FENCES = 5  # in a row, without an epoch in between: somebody else is at it

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Worker:
    """Runs one pipeline: the reading thread, and what the reader tells it."""

    def __init__(self, pipeline: Pipeline, *, name: str = "") -> None:
        """Prepare the pipeline's transforms; nothing is connected yet.

        Args:
            pipeline: What to run.
            name: Name among the workers of the pipeline; made from the process id
                without one.

        Raises:
            UsageError: The transforms do not fit the schema.
        """
        self.pipeline = pipeline
        self.name = name or f"{pipeline.name}-{os.getpid()}"
        self.tally = Tally()
        prepared = prepare(pipeline.transforms, pipeline.input.schema, pipeline.folder)
        codec = named(pipeline.input.format, pipeline.input.context)
        processor = Processor(pipeline, codec, prepared)
        context = SinkContext(
            pipeline=pipeline.name,
            schema=prepared.output_schema,
            worker=self.name,
            dead_letter_topic=pipeline.dead_letters.topic,
        )
        self._stopping = threading.Event()
        self._gave_up = threading.Event()
        retrying = Retrying(self._gave_up, self._pause, self._resume)
        self._stages = Stages(
            processor,
            Delivery(
                pipeline.sink,
                context,
                processor,
                lambda: open_writer(pipeline),
                retrying,
            ),
            self._epoch_committed,
            retrying,
        )
        self._bounded = pipeline.input.source.bounded
        self._history = None if self._bounded else History.of(pipeline)
        self._collector = Collector(pipeline.pace)
        self._reader: Reader | None = None
        self._doubt: Fenced | None = None
        self._fences = 0
        self._generation = self._stages.generation
        self._state, self._reason = "starting", ""
        self._sent: dict[TopicPartition, Progress] = {}
        self._committed: dict[TopicPartition, Position] = {}

    def stop(self) -> None:
        """Ask the worker to finish what it has read, commit and return."""
        self._stopping.set()

    def run(self, *, until_caught_up: bool = False) -> RunSummary:
        """Run until stopped, or until the end of a source that has one.

        Args:
            until_caught_up: Return once everything that is in the source was written.

        Raises:
            StreamlabError: What ended the run; the position is behind the last epoch
                that was written whole.
        """
        began = time.monotonic()
        try:
            self._open()
            while not self._stopping.is_set():
                self._step()
                if (until_caught_up or self._bounded) and self._caught_up():
                    break
            self._drain()
        except Stopped:
            logger.warning("stopped while the other side was down")
        except BaseException as error:
            self._state, self._reason = "failed", str(error)
            raise
        finally:
            positions = {str(key): value for key, value in self._committed.items()}
            self._close()
        self._state = "stopped"
        return RunSummary(self.tally.counts(), positions, time.monotonic() - began)

    def status(self) -> WorkerStatus:
        """Return what the worker is doing now. May be called from any thread."""
        reader = self._reader
        ends = reader.ends() if reader is not None else {}
        committed = dict(self._committed)
        return WorkerStatus(
            pipeline=self.pipeline.name,
            worker=self.name,
            pid=os.getpid(),
            state=self._state,
            reason=self._reason,
            at_ms=time.time_ns() // 1_000_000,
            counts=self.tally.counts(),
            partitions=self.tally.by_partition(),
            lag=distances(committed, ends),
            positions={str(key): value for key, value in committed.items()},
            stage_ms=self.tally.stage_ms(),
            latency_ms=self.tally.latency_ms(),
            latency_counts=self.tally.latency_counts(),
            source=reader.facts() if reader is not None else {},
        )

    # What the reader tells us, in the reading thread, from inside ``poll``.

    @property
    def repeats(self) -> bool:
        """Whether the sink may have rows behind the position; see ``Listener``."""
        return self.pipeline.sink.guarantee is not Guarantee.ATOMIC

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        """Decide where to read on; see ``Listener.assigned``."""
        stages = self._stages
        progress = resumed(
            given,
            lambda initial: self._call(lambda: stages.delivery.claim(initial)),
            self._history,
            self.pipeline.name,
        )
        positions = {key: one.positions[key] for key, one in progress.items()}
        self._sent.update(progress)
        self._committed.update(positions)
        spelled = self.pipeline.input.source.spelled
        listed = ", ".join(
            f"{key} from {spelled(value)}" for key, value in positions.items()
        )
        logger.info("reading %s", listed or "nothing: other workers have it all")
        return positions

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Finish and commit what was read; see ``Listener.revoked``."""
        try:
            self._finish(DRAIN_S)
        except Unavailable as error:
            self._drop(f"partitions were taken: {error.message}")
        self._forget(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Drop what was read; see ``Listener.lost``."""
        self._drop("partitions were lost to another worker")
        self._forget(partitions)

    def _forget(self, partitions: Sequence[TopicPartition]) -> None:
        self.tally.rebalances += 1
        for partition in partitions:
            self._sent.pop(partition, None)
            self._committed.pop(partition, None)

    # The reading thread.

    def _open(self) -> None:
        self._call(self._stages.delivery.open)
        retrying = Retrying(self._stopping, self._pause, self._resume)
        self._reader = retrying(
            lambda: self.pipeline.input.source.open(self.pipeline.name, self)
        )
        self._state = "running"

    def _step(self) -> None:
        """Poll once, and send an epoch on its way if it is time."""
        self._raise_failure()
        if self._doubt or self._stages.fenced:
            self._join_anew()
        if self._collector.room == 0:
            self._wait_for_room()
        if self._collector.room:
            self._collector.add(self._poll(self._collector.room, self._patience()))
        if self._may_send():
            self._send()
        elif self._stages.idle and self._stages.delivery.settling_is_due:
            self._settle()

    def _poll(self, rows: int, timeout_s: float) -> RawBatch | None:
        reader = self._reader
        if reader is None:
            return None
        try:
            batch = reader.poll(rows, timeout_s)
        except Unavailable as error:
            self._pause(error)
            self._stopping.wait(error.after_s or IDLE_POLL_S)
            return None
        if batch is not None:
            failpoints.passing("after-poll")
        if self._state == "paused" and self._stages.idle:
            self._resume()
        return batch

    def _patience(self) -> float:
        """Return how long a poll may wait for the first event, in seconds.

        Where the source only trickles, a stage that is busy is waited for first: what
        arrives in the meantime comes in one batch, by one poll.
        """
        if not self._collector.more_to_come:
            self._stages.wait_until_free(MOST_WAIT_S)
        return IDLE_POLL_S if self._collector.empty else 0

    def _may_send(self) -> bool:
        if self._doubt or self._stages.fenced or self._stages.failure:
            # What was collected is dropped next, and partitions of it that were
            # revoked in the meantime have no progress any more.
            return False
        if not self._collector.ready():
            return False
        if self._collector.more_to_come:
            return self._stages.has_room
        # The source is dry: nothing is gained by cutting the epoch before the one
        # under way is written, and later events may still join it.
        return self._stages.free

    def _send(self) -> None:
        reader = self._reader
        if reader is None:
            return
        read_s = self._collector.age_s
        raw = self._collector.take()
        before = tuple(self._sent[span.partition] for span in raw.spans)
        after = tuple(
            replace(
                progress,
                epoch=progress.epoch + 1,
                positions={**progress.positions, span.partition: span.end},
            )
            for span, progress in zip(raw.spans, before, strict=True)
        )
        for span, progress in zip(raw.spans, after, strict=True):
            self._sent[span.partition] = progress
        # Not the generation of the stages: that may be a later one by now, because an
        # epoch was dropped that this one builds upon.
        self._stages.send(Epoch(reader, self._generation, raw, before, after, read_s))

    def _wait_for_room(self) -> None:
        """Wait until a stage is free; hold the source if that takes long."""
        reader, began, held = self._reader, time.monotonic(), False
        while not (
            self._stages.has_room
            or self._stages.failure
            or self._stages.fenced
            or self._stopping.is_set()
        ):
            self._stages.wait(IDLE_POLL_S if held else BUSY_POLL_S)
            if reader is not None and time.monotonic() - began > HOLD_AFTER_S:
                if not held:
                    reader.hold(held=True)
                    held = True
                # Membership of the group depends on polling.
                self._collector.add(self._poll(1, 0))
        if held and reader is not None:
            reader.hold(held=False)

    def _drain(self) -> None:
        """Finish on a stop. What cannot be finished is read again by the next run."""
        patience_s = PAUSED_DRAIN_S if self._state == "paused" else DRAIN_S
        self._state = "draining"
        try:
            self._finish(patience_s)
        except Unavailable as error:
            logger.warning("stopped, to be continued: %s", error.message)
        self._raise_failure()

    def _finish(self, patience_s: float) -> None:
        """Send on what was collected and wait until all of it is committed.

        Raises:
            Unavailable: That takes longer than ``patience_s``.
        """
        deadline = time.monotonic() + patience_s
        while not (self._collector.empty and self._stages.idle):
            if self._stages.failure or self._stages.fenced or self._doubt:
                return
            if not self._collector.empty and self._stages.has_room:
                self._send()
            self._stages.wait(BUSY_POLL_S)
            if time.monotonic() > deadline:
                message = f"work under way did not finish within {patience_s:.0f} s"
                raise Unavailable(message)
        self._settle()

    def _settle(self) -> None:
        reader = self._reader
        if reader is not None:
            self._call(lambda: self._stages.delivery.try_to_settle(reader))

    def _call(self, function: Callable[[], T]) -> T:
        """Return what a function returns in the writing thread, or give up on a stop.

        Raises:
            Stopped: The worker stops, and the other side is still down.
        """
        return self._stages.call(function, self._give_up_on_a_stop)

    def _give_up_on_a_stop(self) -> None:
        if self._stopping.is_set() and self._state == "paused":
            self._gave_up.set()

    def _drop(self, why: str) -> None:
        """Forget what was read and not written; it is read anew after rejoining."""
        self._stages.drop()
        self._collector.clear()
        self._doubt = Fenced(why)

    def _join_anew(self) -> None:
        """Leave the group and enter it again: positions come from what is stored."""
        doubt = self._stages.fenced or self._doubt
        self._fences += 1
        if self._fences > MOST_FENCES and doubt is not None:
            raise doubt
        logger.warning("reading on from the stored position: %s", doubt)
        self._stages.drop()
        self._collector.clear()
        if self._reader is not None:
            self._reader.close()
        self._reader = None
        self._sent.clear()
        self._committed.clear()
        self._call(self._stages.delivery.forget)
        # Every write of the generations before has ended now.
        self._doubt = self._stages.fenced = None
        self._generation = self._stages.generation
        self._open()

    def _caught_up(self) -> bool:
        if self._reader is None or not self._sent or self._doubt or self._stages.fenced:
            return False
        if not (self._collector.empty and self._stages.idle):
            return False
        ends = self._reader.ends()
        return all(
            partition in ends and progress.positions[partition] >= ends[partition]  # type: ignore[operator]  # positions of one source are of one type
            for partition, progress in self._sent.items()
        )

    def _raise_failure(self) -> None:
        if self._stages.failure is not None:
            raise self._stages.failure

    def _close(self) -> None:
        self._gave_up.set()
        self._collector.clear()
        reader, self._reader = self._reader, None
        try:
            if reader is not None:
                reader.close()
        finally:
            self._stages.close()

    # What the stages tell us, in the writing thread.

    def _epoch_committed(
        self, epoch: Epoch, delivered: Delivered, seconds: Mapping[str, float]
    ) -> None:
        self._fences = 0
        for progress in epoch.after:
            for partition, position in progress.positions.items():
                if partition in self._committed:
                    self._committed[partition] = position
        processed = delivered.processed
        broker_ms, event_ms = latencies_ms(
            processed.raw, processed.events, self.pipeline.input.event_time
        )
        self.tally.add(
            EpochCounts(
                read=processed.raw.origins.counts(),
                dead_lettered=processed.dead_by_partition(),
                rows_out=delivered.rows,
                stage_s=seconds,
                broker_latency_ms=broker_ms,
                event_latency_ms=event_ms,
            )
        )

    def _pause(self, error: Unavailable) -> None:
        if self._state != "paused":
            logger.warning("paused: %s", error.message)
        self.tally.retries += 1
        self._state, self._reason = "paused", str(error)

    def _resume(self) -> None:
        logger.info("resumed")
        self._state, self._reason = "running", ""
