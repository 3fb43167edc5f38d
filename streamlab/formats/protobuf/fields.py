"""The fields of a message as columns: their types, and the values of a batch.

Fields are taken column by column: the messages of a batch are parsed one by one by
Protobuf's own library, then each field is asked of all of them.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from streamlab.contracts.schema import instantiated
from streamlab.errors import SchemaError
from streamlab.formats.protobuf.scanning import Scanned
from streamlab.formats.registered import Incompatible

KEY, VALUE = "key", "value"
TIMESTAMP = "google.protobuf.Timestamp"
DEEPEST = 32  # messages inside of each other; more is recursion

_WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in (
        *("Double", "Float", "Int64", "UInt64", "Int32", "UInt32"),
        *("Bool", "String", "Bytes"),
    )
)
_DTYPES: Mapping[int, pl.DataType] = {
    FieldDescriptor.CPPTYPE_INT32: pl.Int32(),
    FieldDescriptor.CPPTYPE_INT64: pl.Int64(),
    FieldDescriptor.CPPTYPE_UINT32: pl.UInt32(),
    FieldDescriptor.CPPTYPE_UINT64: pl.UInt64(),
    FieldDescriptor.CPPTYPE_FLOAT: pl.Float32(),
    FieldDescriptor.CPPTYPE_DOUBLE: pl.Float64(),
    FieldDescriptor.CPPTYPE_BOOL: pl.Boolean(),
    FieldDescriptor.CPPTYPE_STRING: pl.String(),
}
_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}
_NANOS = 10**9

Column = tuple[pl.Series, pl.Series]
"""Values of the declared type, and where they are misfits."""

Take = Callable[[Sequence[Any]], Column]
"""From messages (no None among them) to a column of one of their fields."""


def is_map(field: FieldDescriptor) -> bool:
    """Return whether a field is a map."""
    inner = field.message_type
    return inner is not None and bool(inner.GetOptions().map_entry)


def dtype_of(field: FieldDescriptor, path: str, depth: int = 0) -> pl.DataType:
    """Return what a field is as a column.

    Raises:
        SchemaError: It is a message that contains itself.
    """
    if is_map(field):
        entry = field.message_type.fields_by_name
        value = _single(entry[VALUE], f"{path}.{VALUE}", depth)
        key = _single(entry[KEY], path, depth)
        return pl.List(pl.Struct({KEY: key, VALUE: value}))
    single = _single(field, path, depth)
    return pl.List(single) if field.is_repeated else single


def _single(field: FieldDescriptor, path: str, depth: int) -> pl.DataType:
    inner = field.message_type
    if field.type == FieldDescriptor.TYPE_BYTES:
        return pl.Binary()
    if field.enum_type is not None:
        return pl.Enum([value.name for value in field.enum_type.values])
    if inner is None:
        return _DTYPES[field.cpp_type]
    if inner.full_name == TIMESTAMP:
        return pl.Datetime("us", "UTC")
    if inner.full_name in _WRAPPERS:
        return _single(inner.fields_by_name[VALUE], path, depth)
    if depth > DEEPEST or not inner.fields:
        what = "contains itself" if depth > DEEPEST else "has no fields"
        raise SchemaError(
            f"field {path.partition('.')[0]!r} is a message that {what}, which has no "
            "column type",
            hint="declare a schema of the fields that are needed",
        )
    return pl.Struct(
        {
            each.name: dtype_of(each, f"{path}.{each.name}", depth + 1)
            for each in inner.fields
        }
    )


def taking(field: FieldDescriptor, dtype: pl.DataType, path: str) -> Take:
    """Return how a field of many messages becomes a column.

    Raises:
        Incompatible: It cannot be read as the declared type.
    """
    if not field.is_repeated:
        return _optional(field, _value(field, dtype, path))
    if not isinstance(dtype, pl.List):
        raise _unfit(field, dtype, path)
    inner = instantiated(dtype.inner)
    if is_map(field):
        return _listed(_entries(field, inner, path), field.name, dtype, _sorted_items)
    return _listed(_value(field, inner, f"{path}[]"), field.name, dtype, list)


def of_scanned(
    kind: Descriptor, columns: Mapping[str, pl.DataType]
) -> Callable[[Mapping[str, Scanned], int], Column]:
    """Return how scanned fields become a struct of the declared ones.

    Raises:
        Incompatible: One of them cannot be read as declared.
    """
    parts = {
        name: scalar(kind.fields_by_name[name], dtype, name)
        for name, dtype in columns.items()
        if name in kind.fields_by_name
    }

    def take(scanned: Mapping[str, Scanned], count: int) -> Column:
        misfits = pl.repeat(value=False, n=count, eager=True, dtype=pl.Boolean)
        made: list[pl.Series] = []
        for name, dtype in columns.items():
            if name not in parts:
                made.append(pl.Series(name, [None] * count, dtype=dtype))
                continue
            found = scanned[name]
            values, bad = parts[name](found.values)  # type: ignore[arg-type]  # a series holds values, too
            if kind.fields_by_name[name].has_presence:
                bad &= found.present
                shown = pl.when(found.present).then(values)
                values = pl.select(shown).to_series()
            made.append(values.alias(name))
            misfits |= bad
        return pl.DataFrame(made, height=count).to_struct(), misfits

    return take


def of_message(kind: Descriptor, columns: Mapping[str, pl.DataType], path: str) -> Take:
    """Return how messages become a struct of some of their fields.

    Raises:
        Incompatible: One of them cannot be read as declared.
    """
    parts: dict[str, Take | None] = {}
    for name, dtype in columns.items():
        here = f"{path}.{name}" if path else name
        field = kind.fields_by_name.get(name)
        parts[name] = None if field is None else taking(field, dtype, here)

    def take(messages: Sequence[Any]) -> Column:
        count = len(messages)
        misfits = pl.repeat(value=False, n=count, eager=True, dtype=pl.Boolean)
        made: list[pl.Series] = []
        for name, part in parts.items():
            if part is None:
                made.append(pl.Series(name, [None] * count, dtype=columns[name]))
                continue
            values, bad = part(messages)
            made.append(values.alias(name))
            misfits |= bad
        return pl.DataFrame(made).to_struct(), misfits

    return take


def _unfit(field: FieldDescriptor, dtype: pl.DataType, path: str) -> Incompatible:
    kind = field.message_type or field.enum_type
    named = kind.full_name if kind else _DTYPES.get(field.cpp_type, pl.Binary())
    many = "repeated " if field.is_repeated else ""
    return Incompatible(f"column {path!r} is {dtype}, it is written as {many}{named}")


def _value(field: FieldDescriptor, dtype: pl.DataType, path: str) -> Take:
    """Return how single values of a field, none absent, become a column."""
    inner = field.message_type
    if inner is None:
        return scalar(field, dtype, path)
    if inner.full_name == TIMESTAMP and isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            raise _unfit(field, dtype, path)
        return _timestamp(dtype)
    if inner.full_name in _WRAPPERS and not isinstance(dtype, pl.Struct):
        wrapped = scalar(inner.fields_by_name[VALUE], dtype, path)
        unwrap = operator.attrgetter(VALUE)
        return lambda messages: wrapped(list(map(unwrap, messages)))
    if isinstance(dtype, pl.Struct):
        names = {part.name: instantiated(part.dtype) for part in dtype.fields}
        return of_message(inner, names, path)
    raise _unfit(field, dtype, path)


def scalar(field: FieldDescriptor, dtype: pl.DataType, path: str) -> Take:
    """Return how values of a field without parts become a column.

    Raises:
        Incompatible: It cannot be read as the declared type.
    """
    raw: pl.DataType = _DTYPES.get(field.cpp_type, pl.Int32())
    if field.type == FieldDescriptor.TYPE_BYTES:
        raw = pl.Binary()
    symbols: dict[int, str] | None = None
    if field.enum_type is not None and not dtype.is_integer():
        symbols = {v.number: v.name for v in reversed(field.enum_type.values)}
    text = raw == pl.String() or symbols is not None
    same_kind = (
        (raw.is_integer() and symbols is None and dtype.is_numeric())
        or (raw.is_float() and dtype == pl.Float64())
        or (text and isinstance(dtype, pl.String | pl.Categorical | pl.Enum))
    )
    if raw != dtype and (not same_kind or isinstance(dtype, pl.Decimal)):
        raise _unfit(field, dtype, path)

    def take(values: Sequence[Any]) -> Column:
        series = pl.Series(values, dtype=raw)
        if symbols is not None:
            series = series.replace_strict(
                symbols, default=None, return_dtype=pl.String
            )
        made = series.cast(dtype, strict=False) if series.dtype != dtype else series
        if raw.is_integer() and dtype.is_float():
            exact = made.cast(raw, strict=False) == series
            made = pl.select(pl.when(exact).then(made)).to_series()
        return made, made.is_null()

    return take


def _timestamp(dtype: pl.Datetime) -> Take:
    per_second = _PER_SECOND[dtype.time_unit]
    nanos_a_tick = _NANOS // per_second
    most = (2**63 - 1) // per_second - 1

    def take(messages: Sequence[Any]) -> Column:
        seconds = pl.Series([each.seconds for each in messages], dtype=pl.Int64)
        nanos = pl.Series([each.nanos for each in messages], dtype=pl.Int64)
        fits = (
            seconds.is_between(-most, most)
            & nanos.is_between(0, _NANOS - 1)
            & (nanos % nanos_a_tick == 0)
        )
        held = pl.select(pl.when(fits).then(seconds)).to_series()
        ticks = held * per_second + nanos // nanos_a_tick
        instant = ticks.cast(pl.Datetime(dtype.time_unit, "UTC"))
        return instant.dt.convert_time_zone(str(dtype.time_zone)), ~fits

    return take


def _optional(field: FieldDescriptor, value: Take) -> Take:
    """Return how a field that may be absent becomes a column with nulls."""
    name = field.name
    get = operator.attrgetter(name)
    if not field.has_presence or field.has_default_value:
        return lambda messages: value(list(map(get, messages)))

    def take(messages: Sequence[Any]) -> Column:
        at = [row for row, each in enumerate(messages) if each.HasField(name)]
        values, misfits = value([get(messages[row]) for row in at])
        if len(at) == len(messages):
            return values, misfits
        places: list[int | None] = [None] * len(messages)
        for place, row in enumerate(at):
            places[row] = place
        order = pl.Series(places, dtype=pl.UInt32)
        return values.gather(order), misfits.gather(order).fill_null(value=False)

    return take


def _sorted_items(entries: Any) -> list[tuple[Any, Any]]:
    """Return the entries of a map in an order that is always the same."""
    return sorted(((key, entries[key]) for key in entries), key=operator.itemgetter(0))


def _entries(field: FieldDescriptor, dtype: pl.DataType, path: str) -> Take:
    """Return how pairs of key and value become structs."""
    parts = field.message_type.fields_by_name
    names = [part.name for part in dtype.fields] if isinstance(dtype, pl.Struct) else []
    if names != [KEY, VALUE] or not isinstance(dtype, pl.Struct):
        raise _unfit(field, dtype, path)
    takes = [
        _value(parts[part.name], instantiated(part.dtype), f"{path}[].{part.name}")
        for part in dtype.fields
    ]

    def take(pairs: Sequence[Any]) -> Column:
        (keys, bad_keys), (values, bad) = (
            each([pair[at] for pair in pairs]) for at, each in enumerate(takes)
        )
        frame = pl.DataFrame([keys.alias(KEY), values.alias(VALUE)])
        return frame.to_struct(), bad_keys | bad

    return take


def _listed(
    item: Take, name: str, dtype: pl.List, items: Callable[[Any], list[Any]]
) -> Take:
    """Return how a repeated field becomes a column of lists."""
    get = operator.attrgetter(name)

    def take(messages: Sequence[Any]) -> Column:
        lists = [items(get(each)) for each in messages]
        lengths = pl.Series([len(each) for each in lists], dtype=pl.UInt32)
        rows = pl.int_range(len(lists), eager=True)
        owner = pl.Series(
            list(itertools.chain.from_iterable(map(itertools.repeat, rows, lengths))),
            dtype=pl.Int64,
        )
        values, misfits = item(list(itertools.chain.from_iterable(lists)))
        grouped = (
            pl.DataFrame({"row": owner, "values": values, "bad": misfits})
            .group_by("row", maintain_order=True)
            .agg(pl.col("values"), pl.col("bad").any())
        )
        whole = pl.DataFrame({"row": rows}).join(
            grouped, on="row", how="left", maintain_order="left"
        )
        empty = pl.lit([], dtype=dtype)
        made = whole.select(
            pl.col("values").cast(dtype).fill_null(empty),
            pl.col("bad").fill_null(value=False),
        )
        return made["values"], made["bad"]

    return take
