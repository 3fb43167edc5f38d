"""The columns of a topic of envelopes, from a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats.changes import change_schema
from streamlab.formats.debezium.connect import dtype_of
from streamlab.formats.json import inferring


def infer(values: Sequence[bytes | None]) -> Schema:
    """Return the schema of change rows that fits a sample.

    Raises:
        SchemaError: No value is an envelope with a row, or rows do not agree.
    """
    rows: list[bytes] = []
    for value in values:
        envelope = _object(value)
        said, payload = envelope.get("schema"), envelope.get("payload", envelope)
        if isinstance(said, Mapping):
            return Schema.of(change_schema(_columns(said)))
        if isinstance(payload, Mapping):
            images = (payload.get("after"), payload.get("before"))
            rows += [orjson.dumps(one) for one in images if isinstance(one, Mapping)]
    if not rows:
        raise SchemaError(
            "none of the values is a Debezium envelope with a row",
            hint="if the topic has plain JSON rows, use the format 'json'",
        )
    return Schema.of(change_schema(inferring.infer(rows).dtypes))


def _object(value: bytes | None) -> Mapping[str, Any]:
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _columns(said: Mapping[str, Any]) -> pl.Schema:
    try:
        fields = {part["field"]: part for part in said["fields"]}
        row = fields.get("after") or fields["before"]
        return pl.Schema({part["field"]: dtype_of(part) for part in row["fields"]})
    except (KeyError, TypeError) as error:
        raise SchemaError(
            "the schema part is not one of a Debezium envelope"
        ) from error
