"""Metrics: a worker's status in Prometheus' words.

The numbers are computed when they are scraped, from the same status that ``/status``
shows, so the two can not disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from streamlab.observe.status import WorkerStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_COUNTERS = {
    "rows_out": "Rows written to the sink",
    "epochs": "Epochs committed",
    "retries": "Failed attempts to reach a source or sink",
    "rebalances": "Times that partitions were taken from this worker",
}
_PARTITION_COUNTERS = {
    "read": "Events read and accounted for",
    "dead_lettered": "Events that could not be processed",
    "late": "Events that came when all that they could change was closed",
}
US_PER_S = 1_000_000
_STATES = ("starting", "running", "paused", "draining", "stopped", "failed")


class WorkerMetrics(Collector):
    """Turns a status into metric families, each time it is asked."""

    def __init__(self, status: Callable[[], WorkerStatus]) -> None:
        """Keep where the status comes from."""
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        status = self._status()
        pipeline = status.pipeline
        for name, text in _COUNTERS.items():
            yield _counter(name, text, pipeline, status.counts.get(name, 0))
        for name, text in _PARTITION_COUNTERS.items():
            family = CounterMetricFamily(
                f"streamlab_events_{name}", text, labels=["pipeline", "partition"]
            )
            for partition, counts in status.partitions.items():
                family.add_metric([pipeline, partition], counts.get(name, 0))
            yield family
        lag = GaugeMetricFamily(
            "streamlab_lag_events",
            "Events between the position and the partition's end",
            labels=["pipeline", "partition"],
        )
        for partition, events in status.lag.items():
            lag.add_metric([pipeline, partition], events)
        yield lag
        yield _gauges(
            "streamlab_stage_seconds",
            "Mean time of a stage over the last minute's epochs",
            pipeline,
            "stage",
            {stage: ms / 1000 for stage, ms in status.stage_ms.items()},
        )
        yield _gauges(
            "streamlab_latency_seconds",
            "Age of events at the sink's commit, over the last minute",
            pipeline,
            "quantile",
            {name: ms / 1000 for name, ms in status.latency_ms.items()},
        )
        yield from _tasks(pipeline, status.tasks)
        for name, value in status.source.items():
            said = GaugeMetricFamily(
                f"streamlab_source_{name}", "What the source says", labels=["pipeline"]
            )
            said.add_metric([pipeline], value)
            yield said
        yield _gauges(
            "streamlab_state",
            "1 for the state that the worker is in",
            pipeline,
            "state",
            {state: float(state == status.state) for state in _STATES},
        )


def _tasks(pipeline: str, tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """Yield the families of the tasks that keep state."""
    watermark = GaugeMetricFamily(
        "streamlab_watermark_seconds",
        "Event time up to which a task, or a partition of it, is complete",
        labels=["pipeline", "task", "partition"],
    )
    idle = GaugeMetricFamily(
        "streamlab_idle_partitions",
        "Partitions that do not hold the watermark back, because they are quiet",
        labels=["pipeline", "task"],
    )
    held = GaugeMetricFamily(
        "streamlab_held_rows", "Rows in state", labels=["pipeline", "task", "operator"]
    )
    size = GaugeMetricFamily(
        "streamlab_state_bytes", "Size of the state", labels=["pipeline", "task"]
    )
    for task, told in tasks.items():
        marks = {"": told["watermark_us"], **told["watermarks_us"]}
        for partition, mark in marks.items():
            if mark is not None:
                watermark.add_metric([pipeline, task, partition], mark / US_PER_S)
        idle.add_metric([pipeline, task], len(told["idle"]))
        for operator, rows in told["held"].items():
            held.add_metric([pipeline, task, operator], rows)
        size.add_metric([pipeline, task], told["state_bytes"])
    if tasks:
        yield from (watermark, idle, held, size)


def exposition(status: Callable[[], WorkerStatus]) -> Callable[[], bytes]:
    """Return a function that returns the metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(WorkerMetrics(status))
    return lambda: generate_latest(registry)


def _counter(name: str, text: str, pipeline: str, value: float) -> Metric:
    family = CounterMetricFamily(f"streamlab_{name}", text, labels=["pipeline"])
    family.add_metric([pipeline], value)
    return family


def _gauges(
    name: str, text: str, pipeline: str, label: str, values: dict[str, float]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["pipeline", label])
    for key, value in values.items():
        family.add_metric([pipeline, key], value)
    return family
