"""The wire format of Confluent's clients: which schema a value was written with.

A value begins with a zero byte and the id of its schema in the registry, four bytes,
big-endian. What follows is the body. Newer clients can write a byte 1 and the schema's
GUID instead, sixteen bytes, and put either one into a record header.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format,
and ``schema_registry/common/serde.py`` of confluent-kafka (``SchemaId``) for GUIDs.
"""

from __future__ import annotations

import operator
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from streamlab.formats import OF_REGISTRY, Rejection

HEADER_BYTES = 5
MAGIC = 0
GUID_BYTES = 17
GUID_MAGIC = 1

IN_HEADER = "__value_schema_id"
"""The record header in which the id or GUID of a value's schema may be."""

HeadersByRow: TypeAlias = Mapping[int, Iterable[tuple[str, bytes | None]]]

UNKNOWN = "unknown-schema-id"
NOT_WIRE_FORMAT = "not-wire-format"


def header(schema_id: int) -> bytes:
    """Return what goes before a body that was written with a schema."""
    return bytes([MAGIC]) + schema_id.to_bytes(4, "big")


def has_header(value: bytes) -> bool:
    """Return whether a value begins as one with a header does."""
    return len(value) >= HEADER_BYTES and value[0] == MAGIC


def schema_id(value: bytes) -> int:
    """Return the id in the header of a value that has one."""
    return int.from_bytes(value[1:HEADER_BYTES], "big")


def has_guid(value: bytes) -> bool:
    """Return whether a value begins as one with a GUID does."""
    return len(value) >= GUID_BYTES and value[0] == GUID_MAGIC


def guid(value: bytes) -> str:
    """Return the GUID of a value that has one."""
    return str(uuid.UUID(bytes=value[1:GUID_BYTES]))


def whole(
    format_name: str,
    values: Sequence[bytes | None],
    headers: Callable[[], HeadersByRow],
) -> Sequence[bytes | None]:
    """Return values as their format reads them, with what is in headers before them.

    Args:
        format_name: Name of the format; only those of a registry look at headers.
        values: The values.
        headers: Returns row → headers, of the events that have any.
    """
    if format_name not in OF_REGISTRY:
        return values
    found = {
        row: said
        for row, each in headers().items()
        for name, said in each
        if name == IN_HEADER and said
    }
    if not found:
        return values
    joined = list(values)
    for row, said in found.items():
        value = joined[row]
        joined[row] = None if value is None else said + value
    return joined


@dataclass(frozen=True, slots=True)
class Framed:
    """A batch, sorted by the schemas that its values were written with.

    Attributes:
        rows: Schema id → rows of the batch, rising.
        rejected: The rows that name no schema by its id.
        guids: Those of them that name one by its GUID → that.
    """

    rows: dict[int, Sequence[int]]
    rejected: tuple[Rejection, ...]
    guids: Mapping[int, str]


def framed(values: Sequence[bytes | None]) -> Framed:
    """Sort a batch by the schemas that its values were written with."""
    first = values[0][:HEADER_BYTES] if values and values[0] else b""
    if has_header(first) and _all_start(values, first):
        return Framed({schema_id(first): range(len(values))}, (), {})
    rows: dict[int, list[int]] = {}
    rejected: list[Rejection] = []
    guids: dict[int, str] = {}
    for row, value in enumerate(values):
        if value is not None and has_header(value):
            rows.setdefault(schema_id(value), []).append(row)
        else:
            rejected.append(_rejected(row, value))
            if value is not None and has_guid(value):
                guids[row] = guid(value)
    return Framed(dict(rows), tuple(rejected), guids)


def _all_start(values: Sequence[bytes | None], start: bytes) -> bool:
    try:
        return all(map(operator.methodcaller("startswith", start), values))
    except AttributeError:  # a tombstone
        return False


def _rejected(row: int, value: bytes | None) -> Rejection:
    if value is None:
        return Rejection(row, "tombstone", "the event has no value (a tombstone)")
    if not value:
        return Rejection(row, "empty-value", "the value is empty")
    if has_guid(value):
        reason = (
            f"the registry has no schema of the GUID {guid(value)}, which the value or "
            f"its header {IN_HEADER} names"
        )
        return Rejection(row, UNKNOWN, reason)
    return Rejection(
        row,
        NOT_WIRE_FORMAT,
        "the value does not begin with a zero byte and the id of a schema",
    )
