"""JSON, one object a value (RFC 8259)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Decoded
from streamlab.formats.json import reading


class JsonFormat:
    """JSON objects: one a value, the schema's fields read, others ignored."""

    name = "json"

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns."""
        return reading.decode(values, schema)

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order."""
        if not frame.height:
            return []
        buffer = io.BytesIO()
        frame.write_ndjson(buffer)
        return buffer.getvalue()[:-1].split(b"\n")

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return a schema that fits the values, as far as they agree."""
        joined = b"\n".join(value for value in values if value)
        return Schema.of(pl.read_ndjson(joined, infer_schema_length=None).schema)
