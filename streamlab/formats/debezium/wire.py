"""What each column's values look like in an envelope, and how they are read back.

An envelope's JSON does not say whether 19723 is a number or a day. The ``schema`` part
says so; without it the declared type does, as Debezium writes that type by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError
from streamlab.formats.debezium import decimals
from streamlab.formats.debezium.connect import (
    DECIMAL,
    TIME_UNITS,
    TIMESTAMP_UNITS,
    VARIABLE_DECIMAL,
    ConnectSchema,
    dtype_of,
)

_NANOSECONDS = {"ms": 1_000_000, "us": 1_000, "ns": 1}
_NANOSECONDS_A_DAY = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class Wire:
    """How the values of a column travel.

    Attributes:
        dtype: What JSON is read as, at first.
        convert: To the declared type; null where a value does not fit it.
    """

    dtype: pl.DataType
    convert: Callable[[pl.Expr], pl.Expr]


def wire_of(
    name: str, dtype: pl.DataType, said: ConnectSchema | None, *, precise: bool
) -> Wire:
    """Return how a column travels.

    Args:
        name: The column, for errors.
        dtype: Its declared type.
        said: What the ``schema`` part says of it, None without one.
        precise: Whether decimals are bytes where no ``schema`` part says.

    Raises:
        SchemaError: The ``schema`` part says something that is not the declared type.
    """
    if isinstance(dtype, pl.List):
        items = None if said is None else said.get("items")
        inner = wire_of(name, instantiated(dtype.inner), items, precise=precise)
        return Wire(pl.List(inner.dtype), lambda value: _each(value, inner))
    if isinstance(dtype, pl.Struct) and not _is_variable(said):
        return _struct(name, dtype, said, precise=precise)
    if said is not None and not _agree(dtype, said):
        raise SchemaError(
            f"column {name!r} is declared {dtype}, but the envelopes' own schema says "
            f"{said.get('name') or said['type']}",
            hint=f"declare it {dtype_of(said)}, and convert it in the transform",
        )
    return _leaf(dtype, said, precise=precise)


def _each(value: pl.Expr, inner: Wire) -> pl.Expr:
    return value.list.eval(inner.convert(pl.element()))


def _struct(
    name: str, dtype: pl.Struct, said: ConnectSchema | None, *, precise: bool
) -> Wire:
    fields = {} if said is None else {p["field"]: p for p in said.get("fields", [])}
    parts = {
        part.name: wire_of(
            f"{name}.{part.name}",
            instantiated(part.dtype),
            fields.get(part.name),
            precise=precise,
        )
        for part in dtype.fields
    }

    def convert(value: pl.Expr) -> pl.Expr:
        converted = [
            one.convert(value.struct.field(part)).alias(part)
            for part, one in parts.items()
        ]
        return pl.when(value.is_not_null()).then(pl.struct(converted))

    return Wire(pl.Struct({part: one.dtype for part, one in parts.items()}), convert)


def _is_variable(said: ConnectSchema | None) -> bool:
    return said is not None and said.get("name") == VARIABLE_DECIMAL


def _agree(dtype: pl.DataType, said: ConnectSchema) -> bool:
    """Return whether a declared type can be read from what the schema part says."""
    found = dtype_of(said)
    if isinstance(dtype, pl.Decimal):
        return isinstance(found, pl.Decimal) or said["type"] == "string"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return isinstance(found, pl.String)
    if dtype.is_integer():
        return found.is_integer()
    if dtype.is_float():
        return found.is_float()
    if isinstance(dtype, pl.Datetime) and isinstance(found, pl.Datetime):
        return (dtype.time_zone is None) == (found.time_zone is None)
    return dtype.base_type() == found.base_type()


def _leaf(dtype: pl.DataType, said: ConnectSchema | None, *, precise: bool) -> Wire:
    name = "" if said is None else said.get("name") or ""
    if _is_variable(said) or name == DECIMAL or isinstance(dtype, pl.Decimal):
        return _number(dtype, said, precise=precise)
    if isinstance(dtype, pl.Date):
        return Wire(pl.Int32(), lambda value: value.cast(pl.Date))
    if isinstance(dtype, pl.Time):
        unit = TIME_UNITS.get(name, TIME_UNITS["io.debezium.time.MicroTime"])
        return Wire(pl.Int64(), lambda value: _time(value, unit))
    if isinstance(dtype, pl.Duration):
        return Wire(
            pl.Int64(),
            lambda value: pl.duration(microseconds=value).cast(dtype),
        )
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None:
        unit_name = TIMESTAMP_UNITS.get(name, dtype.time_unit)
        return Wire(pl.Int64(), lambda value: _timestamp(value, unit_name, dtype))
    return Wire(dtype, lambda value: value)


def _time(value: pl.Expr, unit: int) -> pl.Expr:
    nanoseconds = value * unit
    is_of_a_day = value.is_between(0, _NANOSECONDS_A_DAY // unit, closed="left")
    return pl.when(is_of_a_day).then(nanoseconds).cast(pl.Time)


def _timestamp(value: pl.Expr, unit: str, dtype: pl.Datetime) -> pl.Expr:
    """Return the instant; null where the declared unit cannot hold it."""
    found, wanted = _NANOSECONDS[unit], _NANOSECONDS[dtype.time_unit]
    if found == wanted:
        return value.cast(dtype)
    if found < wanted:
        factor = wanted // found
        return pl.when(value % factor == 0).then(value // factor).cast(dtype)
    factor = found // wanted
    limit = (1 << 63) // factor
    fits = value.is_between(-limit, limit, closed="none")
    return pl.when(fits).then(value * factor).cast(dtype)


def _number(dtype: pl.DataType, said: ConnectSchema | None, *, precise: bool) -> Wire:
    """Return how an exact number travels: as bytes with a scale, or as text."""
    if _is_variable(said):
        struct = pl.Struct({"scale": pl.Int32, "value": pl.Binary})
        return Wire(struct, lambda value: _variable(value, dtype))
    if said is None:
        if not isinstance(dtype, pl.Decimal) or not precise:
            return Wire(dtype, lambda value: value)
        scale = dtype.scale
    elif said.get("name") == DECIMAL:
        scale = int((said.get("parameters") or {}).get("scale", 0))
    else:
        return Wire(dtype, lambda value: value)

    def read(raw: pl.Series) -> pl.Series:
        if isinstance(dtype, pl.Decimal):
            return decimals.to_decimals(raw, scale, dtype)
        scales = pl.repeat(scale, len(raw), dtype=pl.Int32, eager=True)
        return decimals.to_texts(raw, scales)

    return Wire(pl.Binary(), lambda value: value.map_batches(read, return_dtype=dtype))


def _variable(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    def read(numbers: pl.Series) -> pl.Series:
        parts = numbers.struct.unnest()
        return decimals.to_texts(parts["value"], parts["scale"])

    text = value.map_batches(read, return_dtype=pl.String)
    return text if dtype == pl.String else text.cast(dtype, strict=False)
