"""Debezium's envelopes to change rows.

The JSON is read as plain JSON is, by :mod:`streamlab.formats.json`, so a bad value is
one rejection and its neighbours pass; what follows are a few expressions a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson
import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats import Decoded, Rejection, changes
from streamlab.formats.debezium.connect import ConnectSchema
from streamlab.formats.debezium.envelopes import Envelopes
from streamlab.formats.debezium.wire import Wire, wire_of
from streamlab.formats.json import reading

_SCHEMA_FIRST = b'{"schema":'
_PAYLOAD_NEXT = b',"payload":'
_PAYLOAD_NAME = b'"payload"'


def decode(
    values: Sequence[bytes | None], schema: Schema, decimals: str, placeholder: str
) -> Decoded:
    """Read envelopes; see :meth:`streamlab.formats.debezium.DebeziumFormat.decode`.

    Raises:
        SchemaError: The schema is not one of change rows.
    """
    own = changes.own_columns(schema.dtypes, "reading Debezium's envelope")
    groups = _by_schema(values)
    parts: list[tuple[Sequence[int], Decoded]] = []
    for said, group in groups.items():
        try:
            wires = _wires(own, said, precise=decimals == "precise")
        except SchemaError as error:
            # The schema part is data: what is wrong with it is wrong with the value.
            reason = f"its schema part does not fit: {error.message}"
            decoded = _all_rejected(len(group.rows), schema, reason)
        else:
            decoded = _read(group.payloads, Envelopes(schema, own, wires, placeholder))
        parts.append((group.rows, decoded))
    return _together(parts, schema)


def _read(values: Sequence[bytes | None], envelopes: Envelopes) -> Decoded:
    """Return the change rows, and the rejections of what is none."""
    read = reading.decode(values, envelopes.parts())
    kept = read.kept(len(values))
    rows = range(len(values)) if kept is None else kept
    changed, faults = envelopes.changes(read.frame)
    rejected = [
        *read.rejected,
        *(Rejection(rows[row], *fault) for row, fault in faults.items()),
    ]
    return Decoded(changed, tuple(sorted(rejected, key=lambda one: one.row)))


def _wires(own: pl.Schema, said: bytes, *, precise: bool) -> Mapping[str, Wire]:
    """Return how each column travels.

    Raises:
        SchemaError: The schema part is none, or says otherwise than is declared.
    """
    row = _row_schema(said)
    try:
        return {
            name: wire_of(
                name, dtype, None if row is None else row.get(name), precise=precise
            )
            for name, dtype in own.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchemaError("it is not a schema of Kafka Connect's") from error


def _all_rejected(rows: int, schema: Schema, reason: str) -> Decoded:
    rejected = (Rejection(row, "schema-mismatch", reason) for row in range(rows))
    return Decoded(schema.empty(), tuple(rejected))


@dataclass(frozen=True, slots=True)
class _Group:
    """Values whose schema part is the same."""

    rows: list[int] = field(default_factory=list)
    payloads: list[bytes | None] = field(default_factory=list)


def _by_schema(values: Sequence[bytes | None]) -> Mapping[bytes, _Group]:
    """Return the payloads by their schema part; that of bare envelopes is ``b""``."""
    groups: dict[bytes, _Group] = {}
    for row, value in enumerate(values):
        said, payload = _split(value)
        group = groups.get(said)
        if group is None:
            group = groups[said] = _Group()
        group.rows.append(row)
        group.payloads.append(payload)
    return groups


def _split(value: bytes | None) -> tuple[bytes, bytes | None]:
    """Return the schema part of a value, and its payload.

    JsonConverter writes the schema first, compact and always the same way, so the
    value is cut and not parsed: the schema is often ten times as long as the payload.
    """
    if value is None or _PAYLOAD_NAME not in value:
        return b"", value
    if value.startswith(_SCHEMA_FIRST) and value.endswith(b"}"):
        said, found, payload = value[len(_SCHEMA_FIRST) : -1].partition(_PAYLOAD_NEXT)
        if found:
            return said, payload
    try:
        whole = orjson.loads(value)
        return orjson.dumps(whole["schema"]), orjson.dumps(whole["payload"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return b"", value  # no JSON, or a column happens to have that name


def _row_schema(said: bytes) -> Mapping[str, ConnectSchema] | None:
    """Return what a schema part says of each column; None if there is nothing."""
    try:
        fields = {part["field"]: part for part in orjson.loads(said)["fields"]}
        row = fields.get("after") or fields["before"]
        return {part["field"]: part for part in row["fields"]}
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # then the payloads are read as declared, or rejected


def _together(
    parts: Sequence[tuple[Sequence[int], Decoded]], schema: Schema
) -> Decoded:
    """Put the rows of all groups back into the order of the batch."""
    if len(parts) == 1:
        return parts[0][1]
    frames = [schema.empty()]
    places: list[int] = []
    rejected: list[Rejection] = []
    for rows, decoded in parts:
        kept = decoded.kept(len(rows))
        places += rows if kept is None else [rows[row] for row in kept]
        frames.append(decoded.frame)
        rejected += [
            Rejection(rows[one.row], one.code, one.reason) for one in decoded.rejected
        ]
    order = pl.Series(places, dtype=pl.Int64).arg_sort()
    rejected.sort(key=lambda one: one.row)
    return Decoded(pl.concat(frames)[order], tuple(rejected))
