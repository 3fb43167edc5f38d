"""Samples as a tap could have returned them, without a broker."""

from __future__ import annotations

import json
import time
from dataclasses import fields

import polars as pl

from streamlab.connectors.kafka.following import Chunk
from streamlab.contracts import Field, Schema
from streamlab.taps.decoding import Decoder
from streamlab.taps.growing import GivenEvents, _decoded
from streamlab.taps.live import LiveTap
from streamlab.taps.sample import Sample

PEOPLE = Schema(
    (
        Field("id", pl.Int64(), required=True),
        Field("email", pl.String(), personal=True),
        Field(
            "contacts",
            pl.List(pl.Struct({"phone": pl.String(), "kind": pl.String()})),
            personal_parts=(("phone",),),
        ),
    ),
    "people",
)


def read(
    schema: Schema,
    values,
    *,
    topic="t",
    format="json",  # noqa: A002 -- as in the API
    **columns,
) -> Sample:
    """Return values as a sample, nothing masked; mappings become JSON.

    ``columns`` are those of GivenEvents: keys, partitions, offsets, timestamps_ms.
    """
    count = len(values)
    usual = {
        "keys": [None] * count,
        "partitions": [0] * count,
        "offsets": list(range(count)),
        "timestamps_ms": [1000 * row for row in range(count)],
    }
    listed = [json.dumps(v).encode() if isinstance(v, dict) else v for v in values]
    given = GivenEvents(listed, **{**usual, **columns})
    return _decoded(Sample.empty(topic, schema, format=format), given)


def person(number: int, **changes) -> dict:
    """Return an event of PEOPLE."""
    phones = [{"phone": f"+49 {number:07d}", "kind": "home"}]
    return {"id": number, "email": f"p{number}@x.org", "contacts": phones, **changes}


class Scripted:
    """A follower of a topic that delivers one batch, and then nothing more."""

    def __init__(self, given: GivenEvents) -> None:
        self.waiting = [
            Chunk(**{one.name: getattr(given, one.name) for one in fields(given)})
        ]

    def read(self, timeout_s: float) -> Chunk | None:
        """Return the batch, then None after the time."""
        if self.waiting:
            return self.waiting.pop()
        time.sleep(timeout_s)
        return None

    def close(self) -> None:
        """Do nothing."""


def live(sample: Sample, **options) -> LiveTap:
    """Return a live tap that has read the events of an unmasked sample."""
    raw = [*sample.values, *sample.rejected_values]
    given = GivenEvents(
        raw,
        [b"k"] * len(raw),
        [origin.partition for origin in sample.origins],
        [origin.offset for origin in sample.origins],
        [0] * len(raw),
    )
    decoder = Decoder(sample.topic, "json", schema=sample.schema, **options)
    tap = LiveTap(Scripted(given), decoder, 1_000)
    deadline = time.monotonic() + 10
    while tap.frame.height < sample.frame.height and time.monotonic() < deadline:
        time.sleep(0.01)
    return tap
