"""A sample: what a tap returned, kept whole so that it can be a test fixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Rejection
from streamlab.positions import Span


@dataclass(frozen=True)
class Sample:
    """Events of one topic, as a frame.

    Attributes:
        name: Name of the variable or topic it came from.
        topic: The topic.
        frame: Metadata columns, then the schema's. ``_topic`` String, ``_partition``
            Int32, ``_offset`` Int64, ``_timestamp`` Datetime(ms, UTC), ``_key`` Binary.
        spans: What was read, per partition; events outside of ``where`` count as read.
        schema: Schema of the event's own columns.
        format: Name of the format of the values.
        cut: How it was cut, for people: ``{"last": 1000, "stopped_by": "rows"}``.
        values: The original bytes of the frame's rows, Binary; a replay uses them.
        rejected: Values that did not decode; ``row`` counts in reading order.
    """

    name: str
    topic: str
    frame: pl.DataFrame
    spans: tuple[Span, ...]
    schema: Schema
    format: str
    cut: Mapping[str, object]
    values: pl.Series
    rejected: Sequence[Rejection] = field(default_factory=tuple)

    @property
    def events(self) -> pl.DataFrame:
        """Return the frame without the metadata columns."""
        return self.frame.select(self.schema.dtypes.names())
