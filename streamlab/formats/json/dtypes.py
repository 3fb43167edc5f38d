"""How each polars type travels as JSON: what is read, and how it is then converted.

JSON has six kinds of value, and polars' reader is strict for a few types only. The
other types are read as their *base* (text, a 64-bit integer, a float) and converted
in a second step, in which a value that does not fit becomes null. So a null that was
none in the base marks a misfit, and no cast ever loses anything silently.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from streamlab.contracts import Schema
from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError

# Years before 0 and after 9999 have a sign (ISO 8601, expanded), as polars writes them.
YEAR = r"(?:[0-9]{4}|-[0-9]{4,6}|\+[0-9]{5,6})"
DATE = rf"^{YEAR}-[0-9]{{2}}-[0-9]{{2}}$"
CLOCK = r"[0-2][0-9]:[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,%d}0*)?"
DATETIME = rf"^{YEAR}-[0-9]{{2}}-[0-9]{{2}}[T ]" + CLOCK
ZONE = r"(?:Z|[+-][0-2][0-9]:[0-5][0-9])"
FRACTION_DIGITS = {"ms": 3, "us": 6, "ns": 9}
NANOSECOND_YEARS = (1678, 2261)  # the whole years that 64 bits of nanoseconds hold


@dataclass(frozen=True, slots=True)
class Leaf:
    """How a type without parts travels.

    Attributes:
        base: What polars' JSON reader reads.
        convert: From an expression of the base and the declared type to one of the
            declared type, null where the value does not fit; None where they agree.
        is_text: The base is text that could be mistaken for a number; see
            :mod:`streamlab.formats.json.text`.
        form: What the JSON value must be, for people.
    """

    base: pl.DataType
    form: str
    convert: Callable[[pl.Expr, pl.DataType], pl.Expr] | None = None
    is_text: bool = False


def _cast(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return raw.cast(dtype, strict=False)


def _float32(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    cast = raw.cast(dtype)
    # JSON has no infinity, so one that the cast made is an overflow.
    return pl.when(cast.is_finite()).then(cast)


def _date(raw: pl.Expr, _: pl.DataType) -> pl.Expr:
    day = raw.str.to_date("%Y-%m-%d", strict=False)
    return pl.when(raw.str.contains(DATE)).then(day)


def _time(raw: pl.Expr, _: pl.DataType) -> pl.Expr:
    time = raw.str.to_time("%H:%M:%S%.f", strict=False)
    return pl.when(raw.str.contains(f"^{CLOCK % 9}$")).then(time)


def _datetime(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Read RFC 3339; with an offset for a zoned type, without for a naive one."""
    if not isinstance(dtype, pl.Datetime):
        raise TypeError(dtype)
    zoned = dtype.time_zone is not None
    pattern = DATETIME % FRACTION_DIGITS[dtype.time_unit] + (ZONE if zoned else "")
    instant = _instant(raw if zoned else raw + "Z", dtype)
    if dtype.time_unit == "ns":
        year = _instant(raw if zoned else raw + "Z", pl.Datetime("ms")).dt.year()
        # Polars wraps around silently outside of these years.
        instant = pl.when(year.is_between(*NANOSECOND_YEARS)).then(instant)
    local = (
        instant.dt.convert_time_zone(dtype.time_zone)
        if dtype.time_zone is not None
        else instant.dt.replace_time_zone(None)
    )
    return pl.when(raw.str.contains(f"{pattern}$")).then(local)


def _instant(text: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    return text.str.to_datetime(
        "%+", time_unit=dtype.time_unit, time_zone="UTC", strict=False
    )


def _decimal(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if not isinstance(dtype, pl.Decimal):
        raise TypeError(dtype)
    fraction = rf"(?:\.[0-9]{{1,{dtype.scale}}}0*)?" if dtype.scale else r"(?:\.0+)?"
    exact = raw.str.contains(rf"^-?[0-9]+{fraction}$")
    return pl.when(exact).then(raw.cast(dtype, strict=False))


def _binary(raw: pl.Expr, _: pl.DataType) -> pl.Expr:
    return raw.str.decode("base64", strict=False)


DATETIME_FORM = (
    "text in RFC 3339, with an offset for a type with a time zone and without for one "
    "that has none, and no digits beyond its unit"
)

LEAVES: Mapping[type[pl.DataType], Leaf] = {
    pl.Boolean: Leaf(pl.Boolean(), "true or false"),
    pl.Int8: Leaf(pl.Int64(), "an integer in its range", _cast),
    pl.Int16: Leaf(pl.Int64(), "an integer in its range", _cast),
    pl.Int32: Leaf(pl.Int32(), "an integer in its range"),
    pl.Int64: Leaf(pl.Int64(), "an integer in its range"),
    pl.Int128: Leaf(pl.Int128(), "an integer in its range"),
    pl.UInt8: Leaf(pl.Int64(), "an integer in its range", _cast),
    pl.UInt16: Leaf(pl.Int64(), "an integer in its range", _cast),
    pl.UInt32: Leaf(pl.UInt32(), "an integer in its range"),
    pl.UInt64: Leaf(pl.UInt64(), "an integer in its range"),
    pl.Float32: Leaf(pl.Float64(), "a number in its range", _float32),
    pl.Float64: Leaf(pl.Float64(), "a number"),
    pl.Decimal: Leaf(
        pl.String(), "text of digits within its precision", _decimal, is_text=True
    ),
    pl.String: Leaf(pl.String(), "text", is_text=True),
    pl.Categorical: Leaf(pl.String(), "text", _cast, is_text=True),
    pl.Enum: Leaf(pl.String(), "one of its categories", _cast, is_text=True),
    pl.Binary: Leaf(pl.String(), "text in base64", _binary, is_text=True),
    # No number that is written out as text looks like one of these three.
    pl.Date: Leaf(pl.String(), "text YYYY-MM-DD", _date),
    pl.Time: Leaf(pl.String(), "text HH:MM:SS[.fraction]", _time),
    pl.Datetime: Leaf(pl.String(), DATETIME_FORM, _datetime),
}
"""Every type that JSON can carry, besides List and Struct of them."""


def leaf_of(dtype: pl.DataType) -> Leaf:
    """Return how a type without parts travels."""
    return LEAVES[type(dtype)]


def check(schema: Schema) -> None:
    """Refuse a schema that JSON cannot carry.

    Raises:
        SchemaError: It has no fields, or one of a type that has no JSON form.
    """
    if not schema.fields:
        raise SchemaError(
            f"schema {schema.name!r} has no fields", hint="declare at least one field"
        )
    for field in schema.fields:
        _check(field.name, field.dtype)


def _check(path: str, dtype: pl.DataType) -> None:
    for part, inner in parts(dtype):
        _check(f"{path}{part}", inner)
    if not isinstance(dtype, pl.List | pl.Struct) and type(dtype) not in LEAVES:
        raise SchemaError(
            f"column {path!r} is {dtype}, which JSON cannot carry",
            hint="declare it as the type it has in the messages, such as String, "
            "Int64 or List, and convert it in the transform",
        )


def parts(dtype: pl.DataType) -> list[tuple[str, pl.DataType]]:
    """Return what a nested type is made of, each with its place: ``.x`` or ``[]``."""
    if isinstance(dtype, pl.List):
        return [("[]", instantiated(dtype.inner))]
    if isinstance(dtype, pl.Struct):
        return [(f".{part.name}", instantiated(part.dtype)) for part in dtype.fields]
    return []


def base_of(dtype: pl.DataType) -> pl.DataType:
    """Return the type that polars' JSON reader reads for a declared type."""
    if isinstance(dtype, pl.List):
        return pl.List(base_of(instantiated(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        return pl.Struct(
            {part.name: base_of(instantiated(part.dtype)) for part in dtype.fields}
        )
    return leaf_of(dtype).base


def converted(raw: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Convert the base to the declared type; what does not fit becomes null."""
    if base_of(dtype) == dtype:
        return raw
    if isinstance(dtype, pl.List):
        return raw.list.eval(converted(pl.element(), instantiated(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        fields = [
            converted(raw.struct.field(part.name), instantiated(part.dtype)).alias(
                part.name
            )
            for part in dtype.fields
        ]
        return pl.when(raw.is_not_null()).then(pl.struct(fields))
    convert = leaf_of(dtype).convert
    return raw if convert is None else convert(raw, dtype)


def nulls(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Count the nulls in each row, at every depth: a conversion must not make any."""
    if isinstance(dtype, pl.List):
        inside = nulls(pl.element(), instantiated(dtype.inner))
        return value.list.eval(inside).list.sum().fill_null(0)
    if isinstance(dtype, pl.Struct):
        return pl.sum_horizontal(
            nulls(value.struct.field(part.name), instantiated(part.dtype))
            for part in dtype.fields
        )
    return value.is_null().cast(pl.UInt32)


def form(dtype: pl.DataType) -> str:
    """Return what a JSON value of a type must be, for people."""
    nested = parts(dtype)
    return "made of parts of its types" if nested else leaf_of(dtype).form
