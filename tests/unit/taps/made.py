"""Samples as a tap could have returned them, without a broker."""

from __future__ import annotations

import json

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.taps.growing import GivenEvents, _decoded
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
    keys=None,
    partitions=None,
    offsets=None,
    timestamps_ms=None,
    headers=None,
    topic="t",
    format="json",  # noqa: A002 -- as in the API
) -> Sample:
    """Return values as a sample, nothing masked; mappings become JSON."""
    count = len(values)
    given = GivenEvents(
        values=[json.dumps(v).encode() if isinstance(v, dict) else v for v in values],
        keys=keys or [None] * count,
        partitions=partitions or [0] * count,
        offsets=offsets or list(range(count)),
        timestamps_ms=timestamps_ms or [1000 * row for row in range(count)],
        headers=headers or {},
    )
    return _decoded(Sample.empty(topic, schema, format=format), given)


def person(number: int, **changes) -> dict:
    """Return an event of PEOPLE."""
    phones = [{"phone": f"+49 {number:07d}", "kind": "home"}]
    return {"id": number, "email": f"p{number}@x.org", "contacts": phones, **changes}
