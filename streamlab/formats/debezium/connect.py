"""Kafka Connect's types, and the names that Debezium gives to what they mean.

Source: https://debezium.io/documentation/reference/stable/connectors/postgresql.html
(data type mappings; ``time.precision.mode=adaptive``)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError

PLACEHOLDER = "__debezium_unavailable_value"
"""Debezium's default for ``unavailable.value.placeholder``."""

ConnectSchema: TypeAlias = dict[str, Any]
"""A schema as JsonConverter writes it: type, optional, name, field, parameters …"""

DECIMAL = "org.apache.kafka.connect.data.Decimal"
VARIABLE_DECIMAL = "io.debezium.data.VariableScaleDecimal"

DATE_NAMES = frozenset({"io.debezium.time.Date", "org.apache.kafka.connect.data.Date"})
TIME_UNITS: Mapping[str, int] = {
    "io.debezium.time.Time": 1_000_000,
    "org.apache.kafka.connect.data.Time": 1_000_000,
    "io.debezium.time.MicroTime": 1_000,
    "io.debezium.time.NanoTime": 1,
}
"""Names of times of day → nanoseconds in one of their unit."""

TIMESTAMP_UNITS: Mapping[str, str] = {
    "io.debezium.time.Timestamp": "ms",
    "org.apache.kafka.connect.data.Timestamp": "ms",
    "io.debezium.time.MicroTimestamp": "us",
    "io.debezium.time.NanoTimestamp": "ns",
}
"""Names of timestamps without a zone → their unit."""

DURATION_UNITS: Mapping[str, str] = {
    "io.debezium.time.MicroDuration": "us",
    "io.debezium.time.NanoDuration": "ns",
}
ZONED_TIMESTAMP = "io.debezium.time.ZonedTimestamp"

_TIMESTAMP_NAMES = {
    "ms": "io.debezium.time.Timestamp",
    "us": "io.debezium.time.MicroTimestamp",
    "ns": "io.debezium.time.NanoTimestamp",
}
_PLAIN: Mapping[type[pl.DataType], str] = {
    pl.Boolean: "boolean",
    pl.Int8: "int8",
    pl.Int16: "int16",
    pl.Int32: "int32",
    pl.Int64: "int64",
    pl.UInt8: "int16",
    pl.UInt16: "int32",
    pl.UInt32: "int64",
    pl.Float32: "float",
    pl.Float64: "double",
    pl.String: "string",
    pl.Categorical: "string",
    pl.Enum: "string",
    pl.Binary: "bytes",
}
_PLAIN_DTYPES: Mapping[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "int8": pl.Int16(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float": pl.Float32(),
    "float32": pl.Float32(),
    "double": pl.Float64(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "bytes": pl.Binary(),
}
_MAX_DIGITS = 38


def schema_of(name: str, dtype: pl.DataType, *, precise: bool) -> ConnectSchema:
    """Return the Connect schema of an optional field.

    Raises:
        SchemaError: The type has no form in an envelope.
    """
    return {**_type_of(name, dtype, precise=precise), "optional": True, "field": name}


def _type_of(name: str, dtype: pl.DataType, *, precise: bool) -> ConnectSchema:
    if isinstance(dtype, pl.List):
        items = _type_of(name, instantiated(dtype.inner), precise=precise)
        return {"type": "array", "items": {**items, "optional": True}}
    if isinstance(dtype, pl.Struct):
        fields = [
            schema_of(part.name, instantiated(part.dtype), precise=precise)
            for part in dtype.fields
        ]
        return {"type": "struct", "fields": fields}
    if isinstance(dtype, pl.Decimal):
        return _decimal(dtype) if precise else {"type": "string"}
    return _named(dtype) or _plain(name, dtype)


def _decimal(dtype: pl.Decimal) -> ConnectSchema:
    parameters = {
        "scale": str(dtype.scale),
        "connect.decimal.precision": str(dtype.precision),
    }
    return {"type": "bytes", "name": DECIMAL, "version": 1, "parameters": parameters}


def _named(dtype: pl.DataType) -> ConnectSchema:
    """Return the schema of a type that has a name of Debezium's, else ``{}``."""
    if isinstance(dtype, pl.Date):
        return {"type": "int32", "name": "io.debezium.time.Date", "version": 1}
    if isinstance(dtype, pl.Time):
        return {"type": "int64", "name": "io.debezium.time.MicroTime", "version": 1}
    if isinstance(dtype, pl.Duration):
        return {"type": "int64", "name": "io.debezium.time.MicroDuration", "version": 1}
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone:
            return {"type": "string", "name": ZONED_TIMESTAMP, "version": 1}
        name = _TIMESTAMP_NAMES[dtype.time_unit]
        return {"type": "int64", "name": name, "version": 1}
    return {}


def _plain(name: str, dtype: pl.DataType) -> ConnectSchema:
    found = _PLAIN.get(dtype.base_type())
    if found is None:
        raise SchemaError(
            f"column {name!r} is {dtype}, which has no form in Debezium's envelope",
            hint=f"convert it: pl.col({name!r}).cast(...)",
        )
    return {"type": found}


def dtype_of(schema: ConnectSchema) -> pl.DataType:
    """Return the polars type of a Connect schema.

    Raises:
        SchemaError: It has a type that no column can be of, such as a map.
    """
    name = schema.get("name") or ""
    if schema["type"] == "array":
        return pl.List(dtype_of(schema["items"]))
    if name == DECIMAL:
        return _decimal_dtype(schema.get("parameters") or {})
    if name == VARIABLE_DECIMAL:
        return pl.String()
    if schema["type"] == "struct":
        return pl.Struct({part["field"]: dtype_of(part) for part in schema["fields"]})
    return _dtype_of_name(name) or _dtype_of_plain(schema)


def _decimal_dtype(parameters: Mapping[str, str]) -> pl.DataType:
    scale = int(parameters.get("scale", 0))
    digits = int(parameters.get("connect.decimal.precision", _MAX_DIGITS))
    if digits > _MAX_DIGITS or not 0 <= scale <= digits:
        return pl.String()
    return pl.Decimal(digits, scale)


def _dtype_of_name(name: str) -> pl.DataType | None:
    if name in DATE_NAMES:
        return pl.Date()
    if name in TIME_UNITS:
        return pl.Time()
    if name in TIMESTAMP_UNITS:
        return pl.Datetime(TIMESTAMP_UNITS[name])  # type: ignore[arg-type]  # a unit
    if name in DURATION_UNITS:
        return pl.Duration(DURATION_UNITS[name])  # type: ignore[arg-type]  # a unit
    return pl.Datetime("us", "UTC") if name == ZONED_TIMESTAMP else None


def _dtype_of_plain(schema: ConnectSchema) -> pl.DataType:
    try:
        return _PLAIN_DTYPES[schema["type"]]
    except KeyError:
        raise SchemaError(
            f"field {schema.get('field', '')!r} is a {schema['type']!r} of Kafka "
            "Connect, which no column can hold",
            hint="declare the schema without it; then it is not read",
        ) from None
