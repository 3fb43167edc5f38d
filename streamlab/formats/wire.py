"""The wire format of Confluent's clients: which schema a value was written with.

A value begins with a zero byte and the id of its schema in the registry, four bytes,
big-endian. What follows is the body.

Source: https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from streamlab.formats import Rejection

HEADER_BYTES = 5
MAGIC = 0

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


@dataclass(frozen=True, slots=True)
class Framed:
    """A batch, sorted by the schemas that its values were written with.

    Attributes:
        rows: Schema id → rows of the batch, rising.
        rejected: The rows that name no schema.
    """

    rows: dict[int, Sequence[int]]
    rejected: tuple[Rejection, ...]


def framed(values: Sequence[bytes | None]) -> Framed:
    """Sort a batch by the schemas that its values were written with."""
    first = values[0][:HEADER_BYTES] if values and values[0] else b""
    if has_header(first) and _all_start(values, first):
        return Framed({schema_id(first): range(len(values))}, ())
    rows: dict[int, list[int]] = {}
    rejected: list[Rejection] = []
    for row, value in enumerate(values):
        if value is not None and has_header(value):
            rows.setdefault(schema_id(value), []).append(row)
        else:
            rejected.append(_rejected(row, value))
    return Framed(dict(rows), tuple(rejected))


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
    return Rejection(
        row,
        NOT_WIRE_FORMAT,
        "the value does not begin with a zero byte and the id of a schema",
    )
