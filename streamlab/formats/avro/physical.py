"""What the bytes of a type are, apart from what they mean.

A batch is read by a *physical* schema that has the same bytes as the writer's and only
kinds that polars reads exactly: enums and ints are longs, whose ranges are checked
afterwards; booleans are one byte; maps are arrays of entries. Meaning comes back in
:mod:`streamlab.formats.avro.resolving`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl

from streamlab.formats.avro.types import AvroField, AvroType, NotAvro

KEY, VALUE = "key", "value"
"""What the entries of a map are made of, in a frame."""

_SAME = frozenset(("float", "double", "bytes", "string"))
_RAW: dict[str, pl.DataType] = {
    "boolean": pl.Binary(),
    "int": pl.Int64(),
    "long": pl.Int64(),
    "enum": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "bytes": pl.Binary(),
    "fixed": pl.Binary(),
    "string": pl.String(),
}


def place(index: int) -> str:
    """Return the name of a record's field in the physical schema."""
    return f"f{index}"


def branches(kind: AvroType) -> tuple[AvroType, ...]:
    """Return the branches of a union that polars cannot read; none of another type."""
    if kind.kind != "union" or kind.present.kind != "union" or len(kind.inner) < 1:
        single = kind.kind == "union" and len(kind.inner) == 1
        return kind.inner if single else ()
    return kind.inner


def has_unions(kind: AvroType) -> bool:
    """Return whether a type has a union that polars cannot read, at any depth."""
    if branches(kind):
        return True
    inside = (*kind.inner, *(field.type for field in kind.fields))
    return any(has_unions(each) for each in inside)


def entry_of(kind: AvroType) -> AvroType:
    """Return the record that the entries of a map are."""
    named = {KEY: AvroType("string"), VALUE: kind.inner[0]}
    fields = tuple(AvroField(name, one) for name, one in named.items())
    return AvroType("record", fields=fields)


def raw_dtype(kind: AvroType) -> pl.DataType:
    """Return what a physical type is in a frame.

    Raises:
        NotAvro: It is a union of several types, which is none in a frame.
    """
    kind = kind.present
    if kind.kind == "array":
        return pl.List(raw_dtype(kind.inner[0]))
    if kind.kind == "map":
        return pl.List(pl.Struct({KEY: pl.String(), VALUE: raw_dtype(kind.inner[0])}))
    if kind.kind == "record":
        return pl.Struct(
            {
                place(index): raw_dtype(field.type)
                for index, field in enumerate(kind.fields)
                if not field.type.takes_no_bytes
            }
        )
    if kind.kind not in _RAW:
        raise NotAvro(f"a union of several types, {kind}, inside of another type")
    return _RAW[kind.kind]


class Physical:
    """Makes physical schemas; every named type gets a name of its own."""

    def __init__(self) -> None:
        self._names = self._numbers()

    def schema(self, kind: AvroType) -> Any:
        """Return the physical schema of a type, as JSON has it."""
        if kind.kind == "union":
            return [self.schema(each) for each in kind.inner]
        if kind.kind in {"boolean", "fixed"}:
            return self.fixed(1 if kind.kind == "boolean" else kind.size)
        if kind.kind == "array":
            return {"type": "array", "items": self.schema(kind.inner[0])}
        if kind.kind == "map":
            entry = {KEY: "string", VALUE: self.schema(kind.inner[0])}
            return {"type": "array", "items": self.record(entry)}
        if kind.kind == "record":
            return self.record(
                {
                    place(index): self.schema(field.type)
                    for index, field in enumerate(kind.fields)
                    if not field.type.takes_no_bytes
                }
            )
        return "long" if kind.kind in {"int", "enum"} else kind.kind

    def record(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return a record of fields with their physical schemas."""
        return {
            "type": "record",
            "name": next(self._names),
            "fields": [{"name": name, "type": fields[name]} for name in fields],
        }

    def fixed(self, size: int) -> dict[str, Any]:
        """Return so many bytes."""
        return {"type": "fixed", "name": next(self._names), "size": size}

    @staticmethod
    def _numbers() -> Iterator[str]:
        number = 0
        while True:
            yield f"n{number}"
            number += 1
