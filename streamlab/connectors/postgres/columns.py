"""Columns of a frame in PostgreSQL: their types, and their text in a COPY.

COPY in CSV form is what polars can write fastest and the server reads without loss:
a bare empty field is NULL, a quoted one is a text, so all texts are quoted.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import polars as pl
from polars.datatypes import DataTypeClass

from streamlab.errors import SchemaError

PolarsType: TypeAlias = pl.DataType | DataTypeClass
"""Inside another type, polars allows the bare class as well as an instance."""

_PLAIN: Mapping[type[pl.DataType], str] = {
    pl.Int8: "smallint",
    pl.Int16: "smallint",
    pl.Int32: "integer",
    pl.Int64: "bigint",
    pl.Int128: "numeric(39,0)",
    pl.UInt8: "smallint",
    pl.UInt16: "integer",
    pl.UInt32: "bigint",
    pl.UInt64: "numeric(20,0)",
    pl.Float32: "real",
    pl.Float64: "double precision",
    pl.Boolean: "boolean",
    pl.String: "text",
    pl.Categorical: "text",
    pl.Enum: "text",
    pl.Binary: "bytea",
    pl.Date: "date",
    pl.Time: "time without time zone",
    pl.Duration: "interval",
    pl.List: "jsonb",
    pl.Array: "jsonb",
    pl.Struct: "jsonb",
}
_TEXTS = frozenset({"text", "character varying", "character", "uuid", "json", "jsonb"})
_INTEGERS = frozenset({"smallint", "integer", "bigint", "numeric"})
_ALSO: Mapping[type[pl.DataType], tuple[str, ...]] = {
    pl.Float32: ("double precision", "numeric"),
    pl.Float64: ("numeric",),
    pl.List: ("json", "text"),
    pl.Array: ("json", "text"),
    pl.Struct: ("json", "text"),
}
ROWS_AT_ONCE = 8_192
_UNJSONABLE = (pl.Binary, pl.Object)


def sql_type(name: str, dtype: pl.DataType) -> str:
    """Return the type that a new table gets for a column, as PostgreSQL spells it.

    Raises:
        SchemaError: PostgreSQL has nothing to hold it.
    """
    if isinstance(dtype, pl.Datetime):
        zone = "with" if dtype.time_zone else "without"
        return f"timestamp {zone} time zone"
    if isinstance(dtype, pl.Decimal):
        return f"numeric({dtype.precision},{dtype.scale})"
    found = _PLAIN.get(dtype.base_type())
    if found is None or (dtype.is_nested() and _holds_unjsonable(dtype)):
        message = f"column {name!r} has the type {dtype}, which no column can hold"
        raise SchemaError(message, hint="cast it, or drop it, in the transform")
    return found


def fits(dtype: pl.DataType, found: str) -> bool:
    """Return whether an existing column takes the values unchanged, or refuses them.

    A type that would round silently, such as ``numeric(10,2)`` for floats, does not
    fit; one that refuses what it cannot hold, such as ``varchar(10)``, does.

    Args:
        dtype: The frame's type.
        found: The column's type as ``format_type`` spells it.
    """
    base, _, limits = found.partition("(")
    if isinstance(dtype, pl.Decimal):
        return base == "numeric" and _scale(limits) >= dtype.scale
    if dtype.is_integer():
        return base in _INTEGERS and _scale(limits) >= 0
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return base in _TEXTS
    return found == sql_type("", dtype) or found in _ALSO.get(dtype.base_type(), ())


def _scale(limits: str) -> float:
    """Return the digits after the point of ``10,2)``; unlimited where there is none."""
    if not limits:
        return float("inf")
    _, _, scale = limits.rstrip(")").partition(",")
    return int(scale or 0)


def _holds_unjsonable(dtype: PolarsType) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_holds_unjsonable(field.dtype) for field in dtype.fields)
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_unjsonable(dtype.inner)
    return dtype.base_type() in _UNJSONABLE


class CopyText:
    """Writes frames of one schema as the CSV that COPY reads."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        """Prepare the conversions that this schema needs.

        Raises:
            SchemaError: A column has a type that PostgreSQL cannot hold.
        """
        for name, dtype in schema.items():
            sql_type(name, dtype)
        converted = {name: _converted(name, dtype) for name, dtype in schema.items()}
        self._conversions = [each for each in converted.values() if each is not None]

    def parts(self, frame: pl.DataFrame) -> Iterator[memoryview]:
        """Yield the rows as CSV, a part being made while the server reads the last."""
        return map(self.encode, frame.iter_slices(ROWS_AT_ONCE))

    def encode(self, frame: pl.DataFrame) -> memoryview:
        """Return the rows as CSV without a header, in order."""
        if self._conversions:
            frame = frame.with_columns(self._conversions)
        text = io.BytesIO()
        frame.write_csv(
            text,
            include_header=False,
            # Not only where it must: a line of just \. ends a COPY before version 17.
            quote_style="non_numeric",
            time_format="%H:%M:%S%.6f",
        )
        return text.getbuffer()


def _converted(name: str, dtype: pl.DataType) -> pl.Expr | None:
    """Return the expression that makes a column writable, None where it already is."""
    column = pl.col(name)
    if dtype == pl.Binary:
        return pl.concat_str(pl.lit("\\x"), column.bin.encode("hex")).alias(name)
    if isinstance(dtype, pl.Duration):
        microseconds = column.dt.total_microseconds().cast(pl.String)
        return pl.concat_str(microseconds, pl.lit(" microseconds")).alias(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone not in {None, "UTC"}:
        # Offsets of seconds, as before 1900, do not survive in text.
        return column.dt.convert_time_zone("UTC")
    if dtype.is_nested():
        inside = pl.struct(column.alias("v")).struct.json_encode()
        unwrapped = inside.str.slice(len('{"v":')).str.head(-len("}"))
        return pl.when(column.is_not_null()).then(unwrapped).alias(name)
    return None
