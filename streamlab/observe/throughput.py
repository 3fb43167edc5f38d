"""Throughput: events in and rows out per second, of topics and of workers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from streamlab.connectors.kafka.offsets import GroupOffsets
from streamlab.errors import Unavailable
from streamlab.observe.sampling import Sampler
from streamlab.observe.workers import status, workers
from streamlab.settings import Settings

WORKER_COUNTS = {"read": "in", "rows_out": "out"}
"""What is drawn of a worker's counts, and the word for it."""

RATES_SCHEMA = pl.Schema(
    {"series": pl.String(), "at": pl.Datetime("ms", "UTC"), "per_s": pl.Float64()}
)


@dataclass(frozen=True, slots=True)
class CountReading:
    """Counts at one moment, each of which only ever grows.

    Attributes:
        at_ns: When, by the monotonic clock.
        at_ms: When, ms since 1970 UTC.
        counts: Series → count: ``topic flights`` → events ever written to it;
            ``delays in``, ``delays out`` → events read and rows written by the
            workers of pipeline ``delays`` on this machine.
    """

    at_ns: int
    at_ms: int
    counts: Mapping[str, int]


class Throughput:
    """Follows topics and workers; see :class:`Sampler` for how to listen.

    A topic is watched by its end offsets, so that nothing is read. Where a topic is
    compacted or written in transactions, its offsets grow a little faster than its
    events.
    """

    EVERY_S = 0.4

    def __init__(
        self,
        topics: Sequence[str] = (),
        *,
        pipelines: Sequence[str] = (),
        profile: str = "",
        state_folder: Path | None = None,
    ) -> None:
        """Check the topics and take a first reading.

        Args:
            topics: Topics to watch.
            pipelines: Pipelines whose workers on this machine to watch; none means
                all that run.
            profile: Which broker; empty for the default profile.
            state_folder: The ``.streamlab`` folder; that of the settings if left out.

        Raises:
            UnknownName: There is no such topic.
            Unavailable: The broker does not answer.
        """
        self._folder = state_folder or Settings.load().state_folder
        self._pipelines = frozenset(pipelines)
        self._offsets = GroupOffsets(profile) if topics else None
        try:
            self._partitions = {
                topic: self._offsets.partitions(topic)
                for topic in topics
                if self._offsets is not None
            }
            first = self._read()
        except BaseException:
            self._close()
            raise
        self.sampler: Sampler[CountReading] = Sampler(
            self._read, every_s=self.EVERY_S, close=self._close
        )
        self.sampler.readings.append(first)

    def rates(self) -> pl.DataFrame:
        """Return the rates between the kept readings.

        Returns:
            ``series`` String, ``at`` Datetime(ms, UTC), ``per_s`` Float64; one row for
            each series and each reading but the first. A count that fell (a worker
            was started again) begins anew.
        """
        return rates(tuple(self.sampler.readings))

    def _read(self) -> CountReading:
        counts: dict[str, int] = {}
        if self._offsets is not None:
            every = [each for some in self._partitions.values() for each in some]
            ends = self._offsets.ends(every)
            for topic, partitions in self._partitions.items():
                counts[f"topic {topic}"] = sum(ends.get(each, 0) for each in partitions)
        for worker in workers(state_folder=self._folder):
            if self._pipelines and worker.pipeline not in self._pipelines:
                continue
            try:
                told = status(worker)
            except Unavailable:
                continue  # it is starting or ending; the next reading tells
            for count, word in WORKER_COUNTS.items():
                name = f"{worker.pipeline} {word}"
                counts[name] = counts.get(name, 0) + told.counts.get(count, 0)
        return CountReading(time.monotonic_ns(), time.time_ns() // 1_000_000, counts)

    def _close(self) -> None:
        if self._offsets is not None:
            self._offsets.close()


def rates(readings: Sequence[CountReading]) -> pl.DataFrame:
    """Return the rates between neighbouring readings; see :meth:`Throughput.rates`."""
    rows = [
        (name, after.at_ms, max(count - before.counts[name], 0) * 1e9 / elapsed_ns)
        for before, after in itertools.pairwise(readings)
        if (elapsed_ns := after.at_ns - before.at_ns) > 0
        for name, count in after.counts.items()
        if name in before.counts
    ]
    return pl.DataFrame(
        rows, schema={**RATES_SCHEMA, "at": pl.Int64()}, orient="row"
    ).cast(RATES_SCHEMA)
