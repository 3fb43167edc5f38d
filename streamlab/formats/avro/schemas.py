"""Columns to an Avro schema, and an Avro schema to declared columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError
from streamlab.formats.avro.physical import KEY, VALUE
from streamlab.formats.avro.types import AvroField, AvroType

VALUE_COLUMN = "value"
"""The column of a schema that is no record."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_KINDS: Mapping[pl.DataType, str | dict[str, str]] = {
    pl.Boolean(): "boolean",
    pl.Int8(): "int",
    pl.Int16(): "int",
    pl.Int32(): "int",
    pl.Int64(): "long",
    pl.UInt8(): "int",
    pl.UInt16(): "int",
    pl.UInt32(): "long",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.String(): "string",
    pl.Binary(): "bytes",
    pl.Date(): {"type": "int", "logicalType": "date"},
    pl.Time(): {"type": "long", "logicalType": "time-micros"},
}
_DTYPES: Mapping[str, pl.DataType] = {
    "null": pl.String(),  # as of a JSON column of which no value was seen
    "boolean": pl.Boolean(),
    "int": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "string": pl.String(),
    "bytes": pl.Binary(),
    "fixed": pl.Binary(),
    "date": pl.Date(),
    "time-millis": pl.Time(),
    "time-micros": pl.Time(),
    "timestamp-millis": pl.Datetime("ms", "UTC"),
    "timestamp-micros": pl.Datetime("us", "UTC"),
    "timestamp-nanos": pl.Datetime("ns", "UTC"),
    "local-timestamp-millis": pl.Datetime("ms"),
    "local-timestamp-micros": pl.Datetime("us"),
    "local-timestamp-nanos": pl.Datetime("ns"),
}
_UNITS = {"ms": "millis", "us": "micros", "ns": "nanos"}


def record_of(kind: AvroType) -> AvroType:
    """Return a record as it is, and anything else as a record of one field.

    Both have the same bytes.
    """
    if kind.kind == "record":
        return kind
    return AvroType("record", "value", fields=(AvroField(VALUE_COLUMN, kind),))


def record_name(topic: str) -> str:
    """Return the name of a record that is made for a topic."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", topic) or "Event"
    return name if _NAME.fullmatch(name) else f"_{name}"


def written(schema: pl.Schema, name: str) -> str:
    """Return the Avro schema that columns are written with; all may be null.

    Raises:
        SchemaError: A column's name or type has none.
    """
    return json.dumps(_record(dict(schema), name, "", name.rpartition(".")[2]))


def declared(record: AvroType, number: int) -> Schema:
    """Return the columns that a record is read as; all are optional.

    Raises:
        SchemaError: A field's type has no polars type.
    """
    fields = tuple(
        Field(field.name, dtype_of(field.type, field.name)) for field in record.fields
    )
    if not fields:
        raise SchemaError(f"schema {number} has no fields", hint="declare a schema")
    return Schema(fields, record.name.rpartition(".")[2] or "events")


def dtype_of(kind: AvroType, path: str) -> pl.DataType:
    """Return the column type of an Avro type.

    Raises:
        SchemaError: There is none.
    """
    kind = kind.present
    if kind.kind == "array":
        return pl.List(dtype_of(kind.inner[0], f"{path}[]"))
    if kind.kind == "map":
        value = dtype_of(kind.inner[0], f"{path}[].{VALUE}")
        return pl.List(pl.Struct({KEY: pl.String(), VALUE: value}))
    if kind.kind == "record" and kind.fields:
        return pl.Struct(
            {f.name: dtype_of(f.type, f"{path}.{f.name}") for f in kind.fields}
        )
    if kind.kind == "enum":
        return pl.Enum(list(kind.symbols))
    if kind.logical == "decimal":
        return pl.Decimal(kind.precision, kind.scale)
    name = kind.logical or kind.kind
    if name not in _DTYPES:
        raise SchemaError(
            f"field {path!r} is written as {kind}, which has no column type",
            hint="declare a schema of the fields that are needed",
        )
    return _DTYPES[name]


def _record(
    parts: Mapping[str, pl.DataType], name: str, path: str, flat: str
) -> dict[str, Any]:
    if not parts:
        raise SchemaError(
            f"column {path!r} is a struct without fields" if path else "no columns"
        )
    return {
        "type": "record",
        "name": name,
        "fields": [
            {
                "name": checked_name(part, path),
                "type": [
                    "null",
                    _type(dtype, f"{path}.{part}" if path else part, flat),
                ],
                "default": None,
            }
            for part, dtype in parts.items()
        ],
    }


def _type(dtype: pl.DataType, path: str, flat: str) -> Any:
    """Return a type; named ones are named after their place, so no two are alike."""
    name = f"{flat}_{re.sub(r'[^A-Za-z0-9_]', '_', path)}"
    if isinstance(dtype, pl.List | pl.Array):
        items = _type(instantiated(dtype.inner), f"{path}.item", flat)
        return {"type": "array", "items": ["null", items]}
    if isinstance(dtype, pl.Struct):
        parts = {part.name: instantiated(part.dtype) for part in dtype.fields}
        return _record(parts, name, path, flat)
    if isinstance(dtype, pl.Datetime):
        local = "" if dtype.time_zone else "local-"
        logical = f"{local}timestamp-{_UNITS[dtype.time_unit]}"
        return {"type": "long", "logicalType": logical}
    if isinstance(dtype, pl.Decimal):
        digits = {"precision": dtype.precision, "scale": dtype.scale}
        return {"type": "bytes", "logicalType": "decimal", **digits}
    if isinstance(dtype, pl.Enum | pl.Categorical):
        return _enum(dtype, name)
    if dtype not in _KINDS:
        raise SchemaError(
            f"column {path!r} is {dtype}, which Avro cannot carry",
            hint=f"convert it, such as pl.col({path!r}).cast(pl.Int64) or pl.String",
        )
    return _KINDS[dtype]


def _enum(dtype: pl.DataType, name: str) -> Any:
    symbols = dtype.categories.to_list() if isinstance(dtype, pl.Enum) else []
    if symbols and all(map(_NAME.fullmatch, symbols)):
        return {"type": "enum", "name": name, "symbols": symbols}
    return "string"


def checked_name(name: str, path: str) -> str:
    """Return a field's name.

    Args:
        name: The name.
        path: Of the column that it is a field of, if it is.

    Raises:
        SchemaError: Avro does not allow it.
    """
    if not _NAME.fullmatch(name):
        where = f"{path}.{name}" if path else name
        raise SchemaError(
            f"column {where!r} has a name that Avro does not allow",
            hint="rename it: letters, digits and _ only, no digit first",
        )
    return name
