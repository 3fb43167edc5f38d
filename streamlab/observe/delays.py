"""How long events take through a pipeline, as its workers on this machine count it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from streamlab.errors import Unavailable, UnknownName
from streamlab.observe.histogram import Histogram
from streamlab.observe.sampling import Sampler
from streamlab.observe.workers import status, workers
from streamlab.settings import Settings

FROM = {"event": "event time", "broker": "the source's time"}
"""What a latency is counted from, as statuses call it, and in words; the first wins."""


@dataclass(frozen=True, slots=True)
class DelayReading:
    """What the workers had counted at one moment.

    Attributes:
        at_ms: When, ms since 1970 UTC.
        counted: ``event`` or ``broker`` → latencies since the workers' start.
    """

    at_ms: int
    counted: dict[str, Histogram]


class Latency:
    """Follows the latency of a pipeline; see :class:`Sampler` for how to listen.

    A latency is the time from an event to its commit in the sink. The event's time is
    the column that ``event_time`` of the pipeline names, else the source's own: when
    a broker got the event, or a database committed the change.
    """

    EVERY_S = 0.4

    def __init__(self, pipeline: str, *, state_folder: Path | None = None) -> None:
        """Take a first reading; what was counted before it is left out.

        Args:
            pipeline: A pipeline with workers on this machine.
            state_folder: The ``.streamlab`` folder; that of the settings if left out.

        Raises:
            UnknownName: None of its workers runs here.
            Unavailable: None answers.
        """
        self.pipeline = pipeline
        self._folder = state_folder or Settings.load().state_folder
        self._first = self._read()
        self.sampler: Sampler[DelayReading] = Sampler(self._read, every_s=self.EVERY_S)
        self.sampler.readings.append(self._first)

    @property
    def counted_from(self) -> str:
        """Return ``event`` where the pipeline has an event time, else ``broker``."""
        counted = self.sampler.readings[-1].counted
        return next((kind for kind in FROM if kind in counted), "broker")

    def histogram(self) -> Histogram:
        """Return the latencies since the first reading."""
        kind = self.counted_from
        latest = self.sampler.readings[-1].counted.get(kind, Histogram())
        return latest.since(self._first.counted.get(kind, Histogram()))

    def _read(self) -> DelayReading:
        running = workers(state_folder=self._folder)
        named = [worker for worker in running if worker.pipeline == self.pipeline]
        if not named:
            names = {worker.pipeline for worker in running}
            raise UnknownName("running worker of pipeline", self.pipeline, names)
        counted: dict[str, Histogram] = {}
        unavailable: Unavailable | None = None
        answered = False
        for worker in named:
            try:
                told = status(worker)
            except Unavailable as error:
                unavailable = error
                continue
            answered = True
            for kind, counts in told.latency_counts.items():
                before = counted.get(kind, Histogram())
                counted[kind] = before + Histogram.parsed(counts)
        if unavailable is not None and not answered:
            raise unavailable
        return DelayReading(time.time_ns() // 1_000_000, counted)
