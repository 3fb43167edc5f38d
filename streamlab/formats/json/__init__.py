"""JSON, one object a value (RFC 8259)."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Decoded, Rejection


class JsonFormat:
    """JSON objects: one a value, the schema's fields read, others ignored."""

    name = "json"

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns."""
        frame = _read([v for v in values if v is not None], schema)
        if frame is not None and frame.height == len(values):
            return Decoded(frame)
        kept: list[pl.DataFrame] = [schema.empty()]
        rejected = []
        for row, value in enumerate(values):
            one = None if value is None else _read([value], schema)
            if one is None or one.height != 1:
                code = "tombstone" if value is None else "not-json"
                rejected.append(Rejection(row, code, "the value cannot be decoded"))
            else:
                kept.append(one)
        return Decoded(pl.concat(kept, rechunk=True), tuple(rejected))

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


def _read(values: Sequence[bytes], schema: Schema) -> pl.DataFrame | None:
    if not values:
        return schema.empty()
    try:
        return pl.read_ndjson(b"\n".join(values), schema=schema.dtypes)
    except pl.exceptions.PolarsError:
        return None
