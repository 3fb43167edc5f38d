"""How a written type is read as a declared one, or why it cannot be.

Avro's rules of resolution, taken strictly: what is converted must be the same value
afterwards, and a value that is not is a misfit of its row.

Source: https://avro.apache.org/docs/1.12.0/specification/#schema-resolution
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.formats.avro.logical import (
    Conversion,
    checked,
    decimal,
    time,
    timestamp,
)
from streamlab.formats.avro.physical import KEY, VALUE, place
from streamlab.formats.avro.types import AvroField, AvroType
from streamlab.formats.registered import Incompatible


def _same(raw: pl.Expr) -> pl.Expr:
    return raw


def conversion(
    written: AvroType, dtype: pl.DataType, path: str, reader: AvroType | None = None
) -> Conversion:
    """Return how a written type is read as a declared one.

    Args:
        written: The type in the writer's schema.
        dtype: The declared type.
        path: Place of the column, for the reason.
        reader: The type in the reader's schema, where there is one.

    Raises:
        Incompatible: It cannot be.
    """
    kind = written.present
    reader = reader.present if reader else None
    made: Conversion | None = None
    if isinstance(dtype, pl.List):
        made = _list(kind, dtype, path, reader)
    elif isinstance(dtype, pl.Struct):
        if kind.kind == "record":
            made = _struct(kind, dtype, path, reader)
    else:
        made = _leaf(kind, dtype, reader)
    if made is None:
        raise Incompatible(f"column {path!r} is {dtype}, it is written as {written}")
    return made


def field_of(
    record: AvroType, name: str, reader: AvroType | None
) -> tuple[int, AvroField | None, AvroField | None]:
    """Return the place of a column in the writer's record, and both fields of it.

    The reader's aliases are other names for the writer's field.
    """
    wanted = (
        next((f for f in reader.fields if f.name == name), None) if reader else None
    )
    for each in (name, *(wanted.aliases if wanted else ())):
        for index, field in enumerate(record.fields):
            if field.name == each:
                return index, field, wanted
    return -1, None, wanted


def _list(
    kind: AvroType, dtype: pl.List, path: str, reader: AvroType | None
) -> Conversion | None:
    inner = instantiated(dtype.inner)
    inside = reader.inner[0] if reader and reader.inner else None
    if kind.kind == "array":
        item = conversion(kind.inner[0], inner, f"{path}[]", inside)
    elif kind.kind == "map" and isinstance(inner, pl.Struct):
        item = _entry(kind.inner[0], inner, path, inside)
    else:
        return None
    if item.value is _same:
        return item
    return _mapped(item)


def _mapped(item: Conversion) -> Conversion:
    misfit = item.misfit
    return Conversion(
        lambda raw: raw.list.eval(item.value(pl.element())),
        None
        if misfit is None
        else lambda raw: raw.list.eval(misfit(pl.element())).list.any(),
    )


def _entry(
    kind: AvroType, dtype: pl.Struct, path: str, reader: AvroType | None
) -> Conversion:
    """Return how the entries of a map are read."""
    names = [part.name for part in dtype.fields]
    if names != [KEY, VALUE] or dtype.fields[0].dtype != pl.String:
        raise Incompatible(
            f"column {path!r} is a list of {dtype}; a map is read as a list of structs "
            "with key (String) and value"
        )
    inner = instantiated(dtype.fields[1].dtype)
    value = conversion(kind, inner, f"{path}[].{VALUE}", reader)
    key = Conversion(_same)
    return _parts([(KEY, KEY, key), (VALUE, VALUE, value)])


def _struct(
    kind: AvroType, dtype: pl.Struct, path: str, reader: AvroType | None
) -> Conversion:
    parts: list[tuple[str, str, Conversion]] = []
    for part in dtype.fields:
        inner = instantiated(part.dtype)
        index, field, wanted = field_of(kind, part.name, reader)
        here = f"{path}.{part.name}"
        if field is None or field.type.takes_no_bytes:
            nothing = pl.lit(None, dtype=inner)
            parts.append((part.name, "", Conversion(lambda _, made=nothing: made)))  # type: ignore[misc]  # mypy knows no default of a lambda
            continue
        made = conversion(field.type, inner, here, wanted.type if wanted else None)
        parts.append((part.name, place(index), made))
    return _parts(parts)


def _parts(parts: Sequence[tuple[str, str, Conversion]]) -> Conversion:
    """Return the conversion of a struct: name, name of what was read, conversion."""

    def inside(raw: pl.Expr, source: str) -> pl.Expr:
        return raw.struct.field(source) if source else raw

    def value(raw: pl.Expr) -> pl.Expr:
        made = [each.value(inside(raw, s)).alias(name) for name, s, each in parts]
        return pl.when(raw.is_not_null()).then(pl.struct(made))

    found = [
        (source, each.misfit) for _, source, each in parts if each.misfit is not None
    ]

    def misfit(raw: pl.Expr) -> pl.Expr:
        return reduce(operator.or_, (of(inside(raw, s)) for s, of in found))

    return Conversion(value, misfit if found else None)


def _leaf(
    kind: AvroType, dtype: pl.DataType, reader: AvroType | None
) -> Conversion | None:
    """Return the conversion of a type without parts; None where there is none."""
    if dtype.is_integer() and kind.kind in {"int", "long"}:
        return _integer(kind, dtype)
    name = kind.logical or kind.kind
    if name == "enum":
        return _symbols(kind, dtype, reader)
    if name.startswith(("timestamp", "local-timestamp")):
        return timestamp(name, dtype)
    if name.startswith("time-") and dtype == pl.Time():
        return time(name)
    if name == "decimal" and isinstance(dtype, pl.Decimal):
        return decimal(kind, dtype)
    of = _SIMPLE.get((kind.kind if kind.kind == "fixed" else name, type(dtype)))
    return of(dtype) if of else None


def _integer(kind: AvroType, dtype: pl.DataType) -> Conversion:
    if kind.kind == "long" and dtype == pl.Int64():
        return Conversion(_same)

    def value(raw: pl.Expr) -> pl.Expr:
        # An int of more than 32 bits is none.
        checked = raw.cast(pl.Int32, strict=False) if kind.kind == "int" else raw
        return checked.cast(dtype, strict=False)

    return checked(value)


def _float(dtype: pl.DataType) -> Conversion:
    def value(raw: pl.Expr) -> pl.Expr:
        made = raw.cast(dtype)
        return pl.when(made.cast(pl.Int64, strict=False) == raw).then(made)

    return checked(value)


def _boolean(_: pl.DataType) -> Conversion:
    return checked(
        lambda raw: (
            pl.when(raw == pl.lit(b"\x01"))
            .then(pl.lit(value=True))
            .when(raw == pl.lit(b"\x00"))
            .then(pl.lit(value=False))
        )
    )


def _cast(dtype: pl.DataType) -> Conversion:
    return checked(lambda raw: raw.cast(dtype, strict=False))


def _text(_: pl.DataType) -> Conversion:
    return checked(lambda raw: raw.map_batches(_decoded, return_dtype=pl.String))


def _decoded(raw: pl.Series) -> pl.Series:
    """Return bytes as text, null where they are none: polars' own cast gives up."""
    try:
        return raw.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(raw.name, map(_utf8, raw), dtype=pl.String)


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _unchanged(_: pl.DataType) -> Conversion:
    return Conversion(_same)


def _date(dtype: pl.DataType) -> Conversion:
    return checked(lambda raw: raw.cast(pl.Int32, strict=False).cast(dtype))


_SIMPLE: Mapping[tuple[str, type[pl.DataType]], Callable[[pl.DataType], Conversion]] = {
    ("boolean", pl.Boolean): _boolean,
    ("int", pl.Float32): _float,
    ("int", pl.Float64): _float,
    ("long", pl.Float32): _float,
    ("long", pl.Float64): _float,
    ("float", pl.Float32): _unchanged,
    ("float", pl.Float64): _cast,
    ("double", pl.Float64): _unchanged,
    ("string", pl.String): _unchanged,
    ("string", pl.Categorical): _cast,
    ("string", pl.Enum): _cast,
    ("string", pl.Binary): _cast,
    ("bytes", pl.Binary): _unchanged,
    ("bytes", pl.String): _text,
    ("fixed", pl.Binary): _unchanged,
    ("date", pl.Date): _date,
}


def _symbols(
    kind: AvroType, dtype: pl.DataType, reader: AvroType | None
) -> Conversion | None:
    if not isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return None
    symbols: list[str | None] = list(kind.symbols)
    if reader and reader.symbols:
        other = reader.default or None
        symbols = [s if s in reader.symbols else other for s in kind.symbols]
    numbers = range(len(symbols))

    def value(raw: pl.Expr) -> pl.Expr:
        named = raw.replace_strict(
            list(numbers), symbols, default=None, return_dtype=pl.String
        )
        return named.cast(dtype, strict=False)

    return checked(value)


def misfit_of(
    conversions: Mapping[str, tuple[pl.Expr, Conversion]],
) -> dict[str, pl.Expr]:
    """Return for each column that can have them whether its values are misfits."""
    return {
        name: made.misfit(raw).fill_null(value=False)
        for name, (raw, made) in conversions.items()
        if made.misfit is not None
    }
