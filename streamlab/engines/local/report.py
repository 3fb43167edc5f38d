"""The report: what a worker says of itself, put together by its threads."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping

from streamlab.engines.local.delivery import Delivered
from streamlab.engines.local.epoch import Epoch, counts_of
from streamlab.engines.local.open_task import Standing
from streamlab.engines.local.processing import by_partition
from streamlab.errors import Unavailable
from streamlab.observe.latency import latencies_ms
from streamlab.observe.status import WorkerStatus
from streamlab.observe.tally import EpochCounts, Tally
from streamlab.pipelines import Pipeline
from streamlab.positions import Position, TopicPartition, distances
from streamlab.sources import Reader

logger = logging.getLogger(__name__)


class Report:
    """The state of a worker and the counts of what it has done.

    Attributes:
        tally: What was counted.
        state: See :class:`~streamlab.observe.status.WorkerStatus`.
        reason: Why it is paused or failed.
        committed: Partition → its position by the last commit.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        name: str,
        standing: Callable[[], Mapping[str, Standing]] = dict,
    ) -> None:
        """Begin to count.

        Args:
            pipeline: What is run.
            name: Name of the worker.
            standing: Returns how the tasks with state stand.
        """
        self.tally = Tally()
        self.state, self.reason = "starting", ""
        self.committed: dict[TopicPartition, Position] = {}
        self._pipeline, self._name = pipeline, name
        self._standing = standing

    def status(self, reader: Reader | None) -> WorkerStatus:
        """Return what the worker is doing now. May be called from any thread."""
        ends = reader.ends() if reader is not None else {}
        committed = dict(self.committed)
        standing = self._standing()
        return WorkerStatus(
            pipeline=self._pipeline.name,
            worker=self._name,
            pid=os.getpid(),
            state=self.state,
            reason=self.reason,
            at_ms=time.time_ns() // 1_000_000,
            counts=self.tally.counts(),
            partitions=self.tally.by_partition(),
            lag=distances(committed, ends),
            positions={str(key): value for key, value in committed.items()},
            stage_ms=self.tally.stage_ms(),
            latency_ms=self.tally.latency_ms(),
            latency_counts=self.tally.latency_counts(),
            source=reader.facts() if reader is not None else {},
            tasks={name: one.told() for name, one in standing.items()},
        )

    def committed_epoch(
        self, epoch: Epoch, delivered: Delivered, seconds: Mapping[str, float]
    ) -> None:
        """Count an epoch that is committed; from the writing thread."""
        for progress in epoch.after:
            for partition, position in progress.positions.items():
                if partition in self.committed:
                    self.committed[partition] = position
        processed = delivered.processed
        ages = [
            latencies_ms(
                one.raw, one.events, self._pipeline.inputs[one.name].event_time
            )
            for one in processed.decoded
        ]
        self.tally.add(
            EpochCounts(
                read=counts_of(epoch.raws),
                dead_lettered=by_partition(processed.dead_letters),
                late=by_partition(processed.late),
                rows_out=delivered.rows,
                stage_s=seconds,
                broker_latency_ms=[age for broker, _ in ages for age in broker],
                event_latency_ms=[age for _, event in ages for age in event],
            )
        )

    def pause(self, error: Unavailable) -> None:
        """Say that the other side is down."""
        if self.state != "paused":
            logger.warning("paused: %s", error.message)
        self.tally.retries += 1
        self.state, self.reason = "paused", str(error)

    def resume(self) -> None:
        """Say that it is there again."""
        logger.info("resumed")
        self.state, self.reason = "running", ""
