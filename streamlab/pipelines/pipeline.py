"""The pipeline value: the unit that runs, fails and resumes alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import PipelineError
from streamlab.sinks import Sink
from streamlab.sources import Source
from streamlab.transforms.transform import Transform

TARGET_LATENCY_MS = 100  # from reading an event to committing it, when keeping up
MAX_EPOCH_ROWS = 50_000  # 10,000 costs 18 % of the throughput
MAX_EPOCH_BYTES = 64 * 2**20

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")


@dataclass(frozen=True, slots=True)
class Input:
    """One stream that a pipeline reads.

    Attributes:
        source: What to read.
        format: Name of the format of its values.
        schema: What its events are; fixed before the pipeline runs.
        event_time: Column that says when an event happened (a Datetime, or an
            integer of ms since 1970 UTC); only used to measure latency.
    """

    source: Source
    format: str
    schema: Schema
    event_time: str | None = None

    def __post_init__(self) -> None:
        """Check that the event time is a time."""
        if self.event_time is None:
            return
        dtype = self.schema.dtypes.get(self.event_time)
        if not (isinstance(dtype, pl.Datetime) or (dtype and dtype.is_integer())):
            message = f"event_time names {self.event_time!r}, which is {dtype or 'no'}"
            times = [f.name for f in self.schema.fields if f.dtype.is_temporal()]
            raise PipelineError(
                f"{message} column of the schema" if dtype is None else message,
                hint="it must be a Datetime, or an integer of ms since 1970"
                + (f"; there are {', '.join(times)}" if times else ""),
            )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Where events go that cannot be processed. Exactly one of the two is set.

    Attributes:
        topic: A Kafka topic; it must exist.
        file: A file, one JSON line an event, bytes in base64.
        profile: Profile of the topic's broker; empty for the default one.
    """

    topic: str | None = None
    file: Path | None = None
    profile: str = ""

    def __post_init__(self) -> None:
        """Refuse both and neither."""
        if (self.topic is None) == (self.file is None):
            message = "dead letters need either a topic or a file"
            raise PipelineError(message)


@dataclass(frozen=True, slots=True)
class Pace:
    """How large an epoch may grow.

    Attributes:
        latency_ms: An epoch that is not full ends after this time, in ms.
        max_rows: Rows after which an epoch ends.
        max_bytes: Bytes of values after which an epoch ends.
    """

    latency_ms: int = TARGET_LATENCY_MS
    max_rows: int = MAX_EPOCH_ROWS
    max_bytes: int = MAX_EPOCH_BYTES

    def __post_init__(self) -> None:
        """Refuse what cannot make progress."""
        for name in ("latency_ms", "max_rows", "max_bytes"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, not {getattr(self, name)}"
                raise PipelineError(message)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Source → transforms → sink, with one consumer group and one position.

    Attributes:
        name: Lower-case letters, digits, ``-`` and ``_``; names the consumer group
            and the progress.
        inputs: Parameter of the first transform → stream. Today exactly one.
        transforms: Functions, applied in order; none passes events through.
        sink: Where the rows go.
        dead_letters: Where events go that cannot be processed.
        pace: How large an epoch may grow.
        folder: What relative paths (tables, schema, files) count from.
    """

    name: str
    inputs: Sequence[Input]
    sink: Sink
    dead_letters: DeadLetters
    transforms: Sequence[Transform[Any, Any]] = ()
    pace: Pace = field(default_factory=Pace)
    folder: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        """Check what needs no connection."""
        if not _NAME.fullmatch(self.name):
            message = f"{self.name!r} cannot name a pipeline"
            raise PipelineError(
                message, hint="use lower-case letters, digits, '-' and '_'"
            )
        if len(self.inputs) != 1:
            message = f"a pipeline reads one stream, not {len(self.inputs)}"
            raise PipelineError(message)

    @property
    def input(self) -> Input:
        """Return the one stream that is read."""
        return self.inputs[0]

    def on(self, source: Source) -> Pipeline:
        """Return the same pipeline with another source: ``on(sample.replay())``."""
        return replace(self, inputs=(replace(self.input, source=source),))
