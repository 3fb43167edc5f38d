"""Frames to Avro values of one registered schema.

Columns are first converted to what the bytes of their fields are; a value that its
field cannot hold unchanged refuses its row. The bytes are then made by
:mod:`streamlab.formats.avro.columnar`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import RowsRefused, SchemaError, near_names
from streamlab.formats import wire
from streamlab.formats.avro.columnar import bodies
from streamlab.formats.avro.logical import PER_SECOND, UNITS, rescaled
from streamlab.formats.avro.physical import KEY, VALUE, branches, entry_of, place
from streamlab.formats.avro.schemas import record_of
from streamlab.formats.avro.types import NO_DEFAULT, AvroField, AvroType

Of = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True, slots=True)
class Written:
    """From a column to what its field's bytes are.

    Attributes:
        value: The physical value; null where the field cannot hold it.
        nullable: Whether the field takes a null.
        inside: Whether a part of the value does not fit; None for values of no parts.
    """

    value: Of
    nullable: bool
    inside: Of | None = None

    def misfit(self, raw: pl.Expr) -> pl.Expr:
        """Return whether the field cannot hold a value."""
        lost = self.value(raw).is_null() & raw.is_not_null()
        if self.inside is not None:
            lost = self.inside(raw).fill_null(value=False)
        return lost if self.nullable else lost | raw.is_null()


class Rows:
    """Encodes frames of one schema.

    Args:
        number: Id of the registered schema.
        kind: Its type.
        schema: The columns.

    Raises:
        SchemaError: The columns do not fit the fields.
    """

    def __init__(self, number: int, kind: AvroType, schema: pl.Schema) -> None:
        if kind.kind == "union":
            raise SchemaError(
                f"schema {number} is a union; it cannot be told which record is meant",
                hint="write with the schema of one record",
            )
        self._header = wire.header(number)
        record = record_of(kind)
        used = {field.name: field for field in record.fields}
        for name in schema.names():
            if name not in used:
                raise SchemaError(
                    f"schema {number} has no field for the column {name!r}",
                    hint=near_names(name, list(used)) or "select the columns it has",
                )
        self._columns: dict[str, tuple[str, Written]] = {}
        for index, field in enumerate(record.fields):
            if field.type.takes_no_bytes:
                continue
            if field.name in schema:
                made = _written(field.type, schema[field.name], field.name)
            else:
                made = _absent(field, number)
            self._columns[place(index)] = (field.name, made)
        self._present = frozenset(schema.names())
        self._record = record

    def __call__(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the value of each row.

        Raises:
            RowsRefused: Rows with a value that its field cannot hold.
        """
        self._refuse(frame)
        physical = frame.with_columns(
            **{
                at: made.value(self._raw(name))
                for at, (name, made) in self._columns.items()
            }
        ).select(list(self._columns))
        return bodies(physical, self._record, self._header)

    def _raw(self, name: str) -> pl.Expr:
        return pl.col(name) if name in self._present else pl.lit(None)

    def _refuse(self, frame: pl.DataFrame) -> None:
        reasons: dict[int, str] = {}
        flags = frame.select(
            **{
                name: made.misfit(pl.col(name))
                for name, made in self._columns.values()
                if name in self._present
            }
        )
        for name in flags.columns:
            reason = f"column {name!r} has a value that its field cannot hold"
            reasons |= dict.fromkeys(flags[name].arg_true().to_list(), reason)
        if reasons:
            raise RowsRefused(dict(sorted(reasons.items())))


def _absent(field: AvroField, number: int) -> Written:
    """Return what is written for a field that is no column."""
    kind = field.type
    if kind.nullable and field.default in (NO_DEFAULT, None):
        return Written(lambda raw: raw, nullable=True)
    if field.default is NO_DEFAULT:
        raise SchemaError(
            f"schema {number} has a field {field.name!r} without a default, and there "
            "is no such column",
            hint=f"add it: .alias({field.name!r})",
        )
    first = kind.inner[0] if kind.kind == "union" else kind
    value = _plain_default(first, field.default)
    if value is None:
        raise SchemaError(
            f"there is no column for the field {field.name!r}, a {first} by default",
            hint=f"add it: .alias({field.name!r})",
        )
    return Written(lambda _: pl.lit(value), nullable=True)


def _plain_default(kind: AvroType, value: Any) -> Any:
    """Return the physical value of a default without parts; None where it has some."""
    if kind.kind in {"bytes", "fixed"}:
        return str(value).encode("latin-1")
    if kind.kind == "enum":
        return kind.symbols.index(value)
    return value if isinstance(value, str | int | float) else None


def _written(kind: AvroType, dtype: pl.DataType, path: str) -> Written:
    """Return how a column is written as a field.

    Raises:
        SchemaError: It cannot be.
    """
    present = kind.present
    made: Of | None = None
    inside: Of | None = None
    if len(branches(kind)) > 1:
        made = None
    elif isinstance(dtype, pl.List | pl.Array):
        made, inside = _list(present, dtype, path)
    elif isinstance(dtype, pl.Struct):
        if present.kind == "record":
            made, inside = _struct(present, dtype, path)
    else:
        made = _leaf(present, dtype)
    if made is None:
        raise SchemaError(
            f"column {path!r} is {dtype}, it would be written as {kind}",
            hint="convert the column to the type of the field",
        )
    return Written(made, kind.nullable, inside)


def _list(
    kind: AvroType, dtype: pl.List | pl.Array, path: str
) -> tuple[Of | None, Of | None]:
    inner = instantiated(dtype.inner)
    if kind.kind == "array":
        item = _written(kind.inner[0], inner, f"{path}[]")
    elif (
        kind.kind == "map"
        and isinstance(inner, pl.Struct)
        and [part.name for part in inner.fields] == [KEY, VALUE]
    ):
        value, inside = _struct(entry_of(kind), inner, f"{path}[]")
        item = Written(value, nullable=False, inside=inside)
    else:
        return None, None

    def listed(raw: pl.Expr) -> pl.Expr:
        return raw.arr.to_list() if isinstance(dtype, pl.Array) else raw

    return (
        lambda raw: listed(raw).list.eval(item.value(pl.element())),
        lambda raw: listed(raw).list.eval(item.misfit(pl.element())).list.any(),
    )


def _struct(kind: AvroType, dtype: pl.Struct, path: str) -> tuple[Of, Of]:
    dtypes = {part.name: instantiated(part.dtype) for part in dtype.fields}
    used = {field.name for field in kind.fields}
    for name in dtypes:
        if name not in used:
            raise SchemaError(f"there is no field for {path}.{name}")
    parts: list[tuple[str, str, Written]] = []
    for index, field in enumerate(kind.fields):
        if field.type.takes_no_bytes:
            continue
        if field.name not in dtypes:
            raise SchemaError(f"there is no {path}.{field.name}, a field of the schema")
        made = _written(field.type, dtypes[field.name], f"{path}.{field.name}")
        parts.append((place(index), field.name, made))

    def value(raw: pl.Expr) -> pl.Expr:
        made = [one.value(raw.struct.field(name)).alias(at) for at, name, one in parts]
        return pl.when(raw.is_not_null()).then(pl.struct(made))

    def inside(raw: pl.Expr) -> pl.Expr:
        lost = [one.misfit(raw.struct.field(name)) for _, name, one in parts]
        return raw.is_not_null() & pl.any_horizontal(lost)

    return value, inside


def _leaf(kind: AvroType, dtype: pl.DataType) -> Of | None:
    """Return how a value without parts is written; None where it cannot be."""
    name = kind.logical or kind.kind
    if kind.kind in {"int", "long"} and not kind.logical and dtype.is_integer():
        return _integer(kind)
    if isinstance(dtype, pl.Datetime | pl.Time):
        return _moment(name, dtype)
    if isinstance(dtype, pl.Decimal) and name == "decimal":
        return _decimal(kind) if dtype.scale <= kind.scale else None
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return _text(kind)
    if kind.kind == "fixed":
        return _fixed(kind.size) if dtype == pl.Binary() else None
    return _SIMPLE.get((name, dtype))


def _fixed(size: int) -> Of:
    return lambda raw: pl.when(raw.bin.size() == size).then(raw)


def _integer(kind: AvroType) -> Of:
    held = pl.Int32 if kind.kind == "int" else pl.Int64
    return lambda raw: raw.cast(held, strict=False).cast(pl.Int64)


def _same(raw: pl.Expr) -> pl.Expr:
    return raw


def _days(raw: pl.Expr) -> pl.Expr:
    return raw.cast(pl.Int32).cast(pl.Int64)


_SIMPLE: Mapping[tuple[str, pl.DataType], Of] = {
    ("boolean", pl.Boolean()): _same,
    ("float", pl.Float32()): _same,
    ("double", pl.Float64()): _same,
    ("double", pl.Float32()): lambda raw: raw.cast(pl.Float64),
    ("bytes", pl.Binary()): _same,
    ("date", pl.Date()): _days,
}


def _text(kind: AvroType) -> Of | None:
    if kind.kind == "string":
        return lambda raw: raw.cast(pl.String)
    if kind.kind != "enum":
        return None
    numbers = list(range(len(kind.symbols)))
    symbols = list(kind.symbols)
    return lambda raw: raw.cast(pl.String).replace_strict(
        symbols, numbers, default=None, return_dtype=pl.Int64
    )


def _moment(name: str, dtype: pl.Datetime | pl.Time) -> Of | None:
    if isinstance(dtype, pl.Time):
        if not name.startswith("time-"):
            return None
        factor = UNITS["ns"] // PER_SECOND[name.removeprefix("time-")]
        return lambda raw: _divided(raw.cast(pl.Int64), factor)
    prefix = "timestamp-" if dtype.time_zone else "local-timestamp-"
    if not name.startswith(prefix):
        return None
    wanted = PER_SECOND[name.removeprefix(prefix)]
    return lambda raw: rescaled(raw.cast(pl.Int64), UNITS[dtype.time_unit], wanted)


def _divided(raw: pl.Expr, factor: int) -> pl.Expr:
    return pl.when(raw % factor == 0).then(raw // factor)


def _decimal(kind: AvroType) -> Of:
    """Write the two's complement of the digits, big-endian."""
    scale, size = kind.scale, kind.size if kind.kind == "fixed" else 0
    most = 10**kind.precision

    def packed(value: Decimal) -> bytes | None:
        digits = int(value.scaleb(scale))
        length = size or (digits.bit_length() // 8 + 1)
        if abs(digits) >= most or digits.bit_length() >= 8 * length:
            return None
        return digits.to_bytes(length, "big", signed=True)

    return lambda raw: raw.map_elements(packed, return_dtype=pl.Binary)
