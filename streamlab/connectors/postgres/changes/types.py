"""Which polars type a PostgreSQL column gets, and how its text is read.

A type is chosen so that each value of it is exact. Where polars has no such type, the
value stays the text that PostgreSQL wrote. Where polars has one for nearly all values
(``infinity`` as a timestamp, ``NaN`` as a numeric, ``24:00``, arrays of arrays), the
few others become a *misfit*: null where the text was none. Frames reject such a row by
name of the column; nothing turns into NULL silently. A column that has misfits can be
read as text instead.

The whole table is in docs/postgres-types.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

from streamlab.connectors.postgres.changes import instants
from streamlab.connectors.postgres.changes.catalog import Catalog

Parse: TypeAlias = Callable[[pl.Series], pl.Series]

MAX_DIGITS = 38
"""The digits that polars' Decimal can hold."""

NUMERIC = 1700
_BOX = 603
_MODIFIER_OFFSET = 4  # VARHDRSZ, which PostgreSQL adds to numeric's type modifier


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's polars type.

    Attributes:
        dtype: The type.
        parse: From a String series to one of the type; null where the text was null,
            and where the type cannot hold the value (see ``misfits``).
        misfits: Which values those are, for people; empty if there are none.
    """

    dtype: pl.DataType
    parse: Parse
    misfits: str = ""


def _as_it_is(text: pl.Series) -> pl.Series:
    return text


TEXT = ColumnType(pl.String(), _as_it_is)


def column_type(oid: int, modifier: int, catalog: Catalog) -> ColumnType:
    """Return how a column is read.

    Args:
        oid: Object id of its type.
        modifier: Its type modifier, -1 for none.
        catalog: What the server knows; a type that is in neither is read as text.
    """
    if oid == NUMERIC:
        return _numeric(modifier)
    if oid in _SCALARS:
        return _SCALARS[oid]
    found = catalog.find(oid)
    if found is None:
        return TEXT
    if found.kind == "d":
        given = found.base_modifier
        return column_type(found.base, modifier if given == -1 else given, catalog)
    if found.element and found.element != _BOX:
        return _array(column_type(found.element, modifier, catalog))
    return TEXT


def numeric_digits(modifier: int) -> tuple[int, int] | None:
    """Return the precision and scale that a numeric was declared with; None without.

    Source: numeric_typmod_precision and numeric_typmod_scale in
    https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/utils/adt/numeric.c
    """
    if modifier < _MODIFIER_OFFSET:
        return None
    packed = modifier - _MODIFIER_OFFSET
    # The scale has 11 bits with a sign, since version 15.
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def _numeric(modifier: int) -> ColumnType:
    declared = numeric_digits(modifier)
    if declared is None:
        return TEXT
    precision, scale = declared
    # numeric(3, -2) holds 12300, and numeric(2, 4) holds 0.0012.
    digits, places = max(precision - min(scale, 0), scale), max(scale, 0)
    if digits > MAX_DIGITS:
        return TEXT
    return _cast(pl.Decimal(digits, places), misfits="NaN")


def _cast(dtype: pl.DataType, misfits: str = "") -> ColumnType:
    return ColumnType(dtype, lambda text: text.cast(dtype, strict=False), misfits)


def _truths(text: pl.Series) -> pl.Series:
    return text == "t"


def _bytes(text: pl.Series) -> pl.Series:
    return text.str.slice(len(r"\x")).str.decode("hex")


_ELEMENT = r'"(?:[^"\\]|\\.)*"|[^,{}"]+'
_ONE_DIMENSION = r'(?s)^\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}$'


def _array(inner: ColumnType) -> ColumnType:
    """Return the type of arrays: lists, of the values with one dimension.

    PostgreSQL does not keep an array to the dimensions that its column was declared
    with, nor to a first subscript of 1.
    """
    misfits = "an array of arrays, or one that does not begin at 1"
    if inner.misfits:
        misfits += f", or with {inner.misfits} in it"
    dtype = pl.List(inner.dtype)

    def parse(text: pl.Series) -> pl.Series:
        return _lists(text, inner).cast(dtype)

    return ColumnType(dtype, parse, misfits)


def _lists(text: pl.Series, inner: ColumnType) -> pl.Series:
    shaped = pl.when(text.str.contains(_ONE_DIMENSION)).then(text)
    parts = pl.select(shaped.str.extract_all(f"(?s){_ELEMENT}")).to_series()
    element = pl.element()
    quoted = element.str.starts_with('"')
    # Unescaped in one pass: a backslash stands before each character it protects.
    inside = element.str.slice(1, element.str.len_chars() - 2)
    unescaped = inside.str.replace_all(r"(?s)\\(.)", "${1}")
    items = parts.list.eval(
        pl.when(quoted).then(unescaped).when(element != "NULL").then(element)
    )
    if inner is TEXT:
        return items
    read = items.list.eval(element.map_batches(inner.parse, return_dtype=inner.dtype))
    lost = (
        read.list.eval(element.is_null()).list.sum()
        != items.list.eval(element.is_null()).list.sum()
    )
    if lost.any():
        return pl.select(pl.when(~lost).then(read)).to_series()
    return read


_NO_INSTANT = f"infinity, or a year after {instants.MAX_YEAR}"

_SCALARS: Mapping[int, ColumnType] = {
    16: ColumnType(pl.Boolean(), _truths),
    17: ColumnType(pl.Binary(), _bytes),
    20: _cast(pl.Int64()),
    21: _cast(pl.Int16()),
    23: _cast(pl.Int32()),
    26: _cast(pl.UInt32()),  # oid
    28: _cast(pl.UInt32()),  # xid
    29: _cast(pl.UInt32()),  # cid
    5069: _cast(pl.UInt64()),  # xid8
    700: _cast(pl.Float32()),
    701: _cast(pl.Float64()),
    1082: ColumnType(pl.Date(), instants.dates, _NO_INSTANT),
    1083: ColumnType(pl.Time(), instants.times, "24:00"),
    1114: ColumnType(pl.Datetime("us"), instants.timestamps, _NO_INSTANT),
    1184: ColumnType(pl.Datetime("us", "UTC"), instants.zoned_timestamps, _NO_INSTANT),
}
"""Types by object id; all others that are no arrays and no domains are text.

Source: https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/catalog/pg_type.dat
"""
