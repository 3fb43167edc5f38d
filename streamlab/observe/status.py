"""What a worker says about itself: the numbers behind metrics, health and widgets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """One moment of a worker. Served as JSON at ``/status`` of its loopback port.

    Attributes:
        pipeline: Name of the pipeline.
        worker: Name of the worker.
        pid: Its process.
        state: ``starting``, ``running``, ``paused`` (the other side is down),
            ``draining``, ``stopped`` or ``failed``.
        reason: Why it is paused or failed.
        at_ms: When this was, ms since 1970 UTC.
        counts: Since the worker's start: ``read``, ``decoded``, ``dead_lettered``,
            ``late``, ``transformed``, ``rows_out``, ``epochs``, ``retries``.
        partitions: ``topic/partition`` → its ``read``, ``dead_lettered`` and ``late``.
        lag: ``topic/partition`` → how far the end is from the position: events, or
            bytes of the log where the source is a database.
        positions: ``topic/partition`` → next position.
        stage_ms: Stage → mean time of the last epochs: ``read``, ``decode``,
            ``transform``, ``write``.
        latency_ms: ``broker_p50``, ``broker_p99``: from the source's time to the
            sink's commit, over the last minute; empty before the first commit.
        latency_counts: ``broker`` and, where the pipeline names one, ``event`` time →
            how many latencies there were since the start, by the classes of
            :class:`~streamlab.observe.histogram.Histogram`. At most 200 events of an
            epoch are looked at.
        source: What else the source says of itself, such as ``slot_retained_bytes``
            of a database, or ``snapshot_seconds_left``.
        tasks: Task with state → ``watermark_us`` (null before the first, and once it
            has ``ended``), ``watermarks_us`` of its partitions, those that are
            ``idle``, how often one was (``idled``), rows ``held`` by operator, and
            ``state_bytes``.
    """

    pipeline: str
    worker: str
    pid: int
    state: str
    at_ms: int
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    partitions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    lag: Mapping[str, int] = field(default_factory=dict)
    positions: Mapping[str, Any] = field(default_factory=dict)
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    latency_counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    source: Mapping[str, float] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the status as one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> WorkerStatus:
        """Return the status that ``to_json`` wrote."""
        return cls(**json.loads(text))
