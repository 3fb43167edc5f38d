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
