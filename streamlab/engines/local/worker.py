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
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from streamlab import failpoints
from streamlab.engines.local.building import parts_of
from streamlab.engines.local.collecting import Collector
from streamlab.engines.local.dead_letters import open_writer
from streamlab.engines.local.delivery import Delivered, Delivery
from streamlab.engines.local.epoch import Clock, Epoch, counts_of, spans_of
from streamlab.engines.local.goal import Goal
from streamlab.engines.local.history import History
from streamlab.engines.local.partitions import Partitions
from streamlab.engines.local.report import Report
from streamlab.engines.local.retrying import Retrying, Stopped
from streamlab.engines.local.stages import Stages
from streamlab.engines.local.summary import RunSummary
from streamlab.errors import Fenced, Unavailable
from streamlab.observe.status import WorkerStatus
from streamlab.pipelines import Pipeline
from streamlab.positions import Position, TopicPartition
from streamlab.sinks import SinkContext
from streamlab.sources import RawBatch, Reader

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

    def __init__(
        self, pipeline: Pipeline, *, name: str = "", keeps_state: bool = True
    ) -> None:
        """Prepare the pipeline's transforms; nothing is connected yet.

        Args:
            pipeline: What to run.
            name: Name among the workers of the pipeline; made from the process id
                without one.
            keeps_state: Whether the state of windows, folds and joins is kept for
                another run; else it is in memory.

        Raises:
            UsageError: The transforms do not fit the schema.
        """
        self.pipeline = pipeline
        self.name = name or f"{pipeline.name}-{os.getpid()}"
        self._stopping = threading.Event()
        self._gave_up = threading.Event()
        retrying = Retrying(self._gave_up, self._pause, self._resume)
        parts = parts_of(pipeline, retrying, keeps_state=keeps_state)
        self._parts, self._tasks, self._pulse = parts, parts.tasks, parts.pulse
        self._report = Report(pipeline, self.name, parts.standing)
        self.tally = self._report.tally
        context = SinkContext(
            pipeline=pipeline.name,
            schema=parts.output_schema,
            worker=self.name,
            dead_letter_topic=pipeline.dead_letters.topic,
            whole=pipeline.rows_are_whole,
        )
        self._stages = Stages(
            parts.processing,
            Delivery(
                pipeline.sink,
                context,
                parts.processing,
                lambda: open_writer(pipeline),
                retrying,
            ),
            self._epoch_committed,
            retrying,
        )
        self._bounded = parts.source.bounded
        self._partitions = Partitions(
            pipeline,
            parts,
            self._stages,
            self._report,
            reading=self,
            history=None if self._bounded else History.of(pipeline),
        )
        self._collector = Collector(pipeline.pace, input_of=parts.input_of)
        self._reader: Reader | None = None
        self._goal = Goal()
        self._doubt: Fenced | None = None
        self._fences = 0
        self._generation = self._stages.generation

    def stop(self) -> None:
        """Ask the worker to finish what it has read, commit and return."""
        self._stopping.set()

    def run(
        self,
        *,
        until_caught_up: bool = False,
        finish: bool = False,
        until: Mapping[TopicPartition, Position] | None = None,
    ) -> RunSummary:
        """Run until stopped, or until the end of a source that has one.

        Args:
            until_caught_up: Return once everything that is in the source was written.
            finish: The same, and then close every window: the pipeline has ended.
            until: Partition → position to read up to, exactly; those that are not
                named are not read.

        Raises:
            StreamlabError: What ended the run; the position is behind the last epoch
                that was written whole.
        """
        self._goal = Goal(
            caught_up=(until_caught_up or finish or self._bounded) and not until,
            limits=until or {},
            closes=finish or self._bounded,
        )
        self._partitions.goal = self._goal
        began = time.monotonic()
        try:
            self._open()
            while not self._stopping.is_set():
                self._step()
                if self._goal.ends and self._caught_up() and self._has_closed():
                    break
            self._drain()
        except Stopped:
            logger.warning("stopped while the other side was down")
        except BaseException as error:
            self._report.state, self._report.reason = "failed", str(error)
            raise
        finally:
            committed = self._report.committed
            positions = {str(key): value for key, value in committed.items()}
            self._close()
        self._report.state = "stopped"
        return RunSummary(self.tally.counts(), positions, time.monotonic() - began)

    def status(self) -> WorkerStatus:
        """Return what the worker is doing now. May be called from any thread."""
        return self._report.status(self._reader)

    # The reading thread.

    def _open(self) -> None:
        self._call(self._stages.delivery.open)
        retrying = Retrying(self._stopping, self._pause, self._resume)
        self._reader = retrying(
            lambda: self._parts.source.open(self.pipeline.name, self._partitions)
        )
        self._report.state = "running"

    def _step(self) -> None:
        """Poll once, and send an epoch on its way if it is time."""
        self._raise_failure()
        if self._doubt or self._stages.fenced:
            self._join_anew()
        if self._tasks.missing and self._reader is not None:
            self._partitions.wait_for_the_rest(
                self._reader,
                lambda: self._collector.add(self._poll(1, IDLE_POLL_S)),
            )
            return
        if self._collector.room == 0:
            self._wait_for_room()
        if self._collector.room:
            self._collector.add(self._poll(self._collector.room, self._patience()))
        if self._may_send():
            self._send()
        elif self._time_alone():
            self._send(self._partitions.going_on)
        elif self._stages.idle and self._stages.delivery.settling_is_due:
            self._settle()

    def _time_alone(self) -> bool:
        """Return whether an epoch is due though nothing was read."""
        reader, pulse = self._reader, self._pulse
        if self._parts.stateful is None or reader is None:
            return False
        running = self._report.state == "running"
        going_on = set(self._partitions.going_on)
        positions = {
            partition: position
            for partition, position in self._tasks.positions().items()
            if self._tasks.name_of(partition) in going_on
        }
        pulse.watch(positions, reader.ends(), healthy=running)
        if not running or not self._collector.empty or not self._stages.free:
            return False
        in_doubt = self._doubt or self._stages.fenced
        return not in_doubt and bool(going_on) and (bool(pulse.idle()) or pulse.shows)

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
        if self._report.state == "paused" and self._stages.idle:
            self._resume()
        return self._partitions.of_tasks_going_on(self._goal.cut(batch))

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

    def _send(self, others: Iterable[str] = (), *, ended: bool = False) -> None:
        """Send what was collected on its way as an epoch.

        Args:
            others: Tasks that take part whether something was read of them or not.
            ended: Whether nothing comes behind it.
        """
        reader = self._reader
        if reader is None:
            return
        read_s = self._collector.age_s
        raws = self._collector.take()
        clock = self._clock(raws, ended=ended) if self._parts.stateful else Clock()
        others = {*others, *map(self._tasks.name_of, clock.idle)}
        before, after = self._tasks.advance(spans_of(raws), sorted(others))
        # Not the generation of the stages: that may be a later one by now, because an
        # epoch was dropped that this one builds upon.
        self._stages.send(
            Epoch(reader, self._generation, raws, before, after, read_s, clock)
        )

    def _clock(self, raws: Mapping[str, RawBatch], *, ended: bool) -> Clock:
        """Return what an epoch takes from the clock."""
        pulse = self._pulse
        if raws:
            pulse.sent(counts_of(raws))
        else:
            pulse.shown()
        idle = pulse.idle()
        pulse.set_aside(idle)
        return Clock(time.time_ns() // 1_000, idle, ended)

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
                    self._pulse.restart()
                    reader.hold(held=True)
                    held = True
                # Membership of the group depends on polling.
                self._collector.add(self._poll(1, 0))
        if held and reader is not None:
            reader.hold(held=False)

    def _drain(self) -> None:
        """Finish on a stop. What cannot be finished is read again by the next run."""
        paused = self._report.state == "paused"
        patience_s = PAUSED_DRAIN_S if paused else DRAIN_S
        self._report.state = "draining"
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
        return self._stages.call(function, self.give_up_on_a_stop)

    def give_up_on_a_stop(self) -> None:
        """End a wait for the other side, if the worker is to stop."""
        if self._stopping.is_set() and self._report.state == "paused":
            self._gave_up.set()

    # What is done when partitions go; see ``partitions.Reading``.

    def finish_reading(self) -> None:
        """Send on what was collected and wait until all of it is committed."""
        self._finish(DRAIN_S)

    @property
    def has_read(self) -> bool:
        """Whether something was collected."""
        return not self._collector.empty

    def drop_reading(self, why: str) -> None:
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
        self._partitions.clear()
        self._call(self._stages.delivery.forget)
        # Every write of the generations before has ended now.
        self._doubt = self._stages.fenced = None
        self._generation = self._stages.generation
        self._open()

    def _caught_up(self) -> bool:
        if self._reader is None or not self._tasks.sent or self._tasks.missing:
            return False
        if self._doubt or self._stages.fenced:
            return False
        if not (self._collector.empty and self._stages.idle):
            return False
        ended = self._partitions.ended
        positions = {
            partition: position
            for partition, position in self._tasks.positions().items()
            if self._tasks.name_of(partition) not in ended
        }
        return self._goal.reached(positions, self._reader.ends())

    def _has_closed(self) -> bool:
        """Return whether every window is closed, or none has to be.

        Only called while nothing is under way, so what was sent before is committed.
        """
        if self._parts.stateful is None or not self._goal.closes:
            return True
        left = set(self._partitions.going_on)
        if left:
            self._partitions.ended |= left
            self._send(left, ended=True)
        return not left

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
        self._tasks.note(epoch.after)
        self._report.committed_epoch(epoch, delivered, seconds)

    def _pause(self, error: Unavailable) -> None:
        self._report.pause(error)

    def _resume(self) -> None:
        self._report.resume()
