"""Frames to Protobuf values of one message, and columns to a ``.proto`` file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.message_factory import GetMessageClass

from streamlab.contracts.schema import instantiated
from streamlab.errors import RowsRefused, SchemaError, near_names
from streamlab.formats import wire
from streamlab.formats.protobuf import indexes
from streamlab.formats.protobuf.fields import KEY, TIMESTAMP, VALUE, is_map
from streamlab.formats.protobuf.fields import dtype_of as dtype_of_field

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NANOS_A_TICK = {"ms": 10**6, "us": 10**3, "ns": 1}
_NANOS = 10**9
_KINDS: Mapping[pl.DataType, str] = {
    pl.Boolean(): "bool",
    pl.Int8(): "int32",
    pl.Int16(): "int32",
    pl.Int32(): "int32",
    pl.Int64(): "int64",
    pl.UInt8(): "uint32",
    pl.UInt16(): "uint32",
    pl.UInt32(): "uint32",
    pl.UInt64(): "uint64",
    pl.Float32(): "float",
    pl.Float64(): "double",
    pl.String(): "string",
    pl.Binary(): "bytes",
}


class Rows:
    """Encodes frames as one message of a file.

    Args:
        number: Id of the registered file.
        file: The file.
        record: Name of the message; the first of the file if empty.
        schema: The columns.

    Raises:
        SchemaError: The file has no such message, or the columns are not its fields.
    """

    def __init__(
        self, number: int, file: FileDescriptor, record: str, schema: pl.Schema
    ) -> None:
        kind = _message(file, record, number)
        self._fields = kind.fields_by_name
        for name, dtype in schema.items():
            if name not in self._fields:
                raise SchemaError(
                    f"schema {number} has no field for the column {name!r}",
                    hint=near_names(name, list(self._fields)),
                )
            _require_kind(self._fields[name], dtype, name)
        self._class: Any = GetMessageClass(kind)
        self._head = wire.header(number) + indexes.written(kind)

    def __call__(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the value of each row.

        Raises:
            RowsRefused: Rows with a value that its field cannot hold.
        """
        physical = frame.with_columns(
            _physical(pl.col(name), dtype).alias(name)
            for name, dtype in frame.schema.items()
        )
        reasons = self._nulls(frame)
        written: list[bytes] = []
        nested = [(name, self._fields[name]) for name in frame.columns]
        nested = [(name, f) for name, f in nested if f.is_repeated or f.message_type]
        for at, row in enumerate(physical.iter_rows(named=True)):
            try:
                for name, field in nested:
                    row[name] = _value(field, row[name], name)
                made = self._class(**{k: v for k, v in row.items() if v is not None})
                written.append(self._head + made.SerializeToString(deterministic=True))
            except _Misfit as misfit:
                reasons[at] = str(misfit)
            except (ValueError, TypeError):
                reasons[at] = "a column has a value that its field cannot hold"
        if reasons:
            raise RowsRefused(dict(sorted(reasons.items())))
        return written

    def _nulls(self, frame: pl.DataFrame) -> dict[int, str]:
        """Return the rows with a null whose field would make something else of it."""
        return {
            row: f"column {name!r} is null, which its field cannot be"
            for name in frame.columns
            if not self._fields[name].has_presence
            for row in frame[name].is_null().arg_true()
        }


class _Misfit(Exception):
    """A value has no form in its field; the text says why."""


def _message(file: FileDescriptor, record: str, number: int) -> Descriptor:
    kinds = list(_all(file.message_types_by_name.values()))
    if not kinds:
        raise SchemaError(f"schema {number} has no message")
    if not record:
        return kinds[0]
    for kind in kinds:
        if record in {kind.full_name, kind.name}:
            return kind
    raise SchemaError(
        f"schema {number} has no message {record!r}",
        hint=near_names(record, [kind.full_name for kind in kinds]),
    )


def _all(kinds: Any) -> Iterator[Descriptor]:
    for kind in kinds:
        yield kind
        yield from _all(kind.nested_types)


def _require_kind(field: FieldDescriptor, dtype: pl.DataType, path: str) -> None:
    """Refuse a column that its field can never hold.

    Raises:
        SchemaError: With both types.
    """
    if isinstance(dtype, pl.Array):
        dtype = pl.List(dtype.inner)
    found = dtype_of_field(field, path)
    if not _fits(found, dtype):
        raise SchemaError(
            f"column {path!r} is {dtype}, its field holds {found}",
            hint="convert the column to the type of the field",
        )


def _fits(field: pl.DataType, column: pl.DataType) -> bool:
    if isinstance(field, pl.List) and isinstance(column, pl.List):
        return _fits(instantiated(field.inner), instantiated(column.inner))
    if isinstance(field, pl.Struct) and isinstance(column, pl.Struct):
        known = {part.name: instantiated(part.dtype) for part in field.fields}
        return all(
            part.name in known and _fits(known[part.name], instantiated(part.dtype))
            for part in column.fields
        )
    if isinstance(field, pl.Datetime) and isinstance(column, pl.Datetime):
        return column.time_zone is not None
    texts = pl.String | pl.Categorical | pl.Enum
    if isinstance(field, texts) and isinstance(column, texts):
        return True
    if field.is_integer() and column.is_integer():
        return True
    return field == column or (field, column) == (pl.Float64(), pl.Float32())


def _physical(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return times as seconds and nanoseconds, and arrays as lists."""
    if isinstance(dtype, pl.Array):
        return _physical(value.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        return value.list.eval(_physical(pl.element(), instantiated(dtype.inner)))
    if isinstance(dtype, pl.Struct):
        parts = [
            _physical(value.struct.field(p.name), instantiated(p.dtype)).alias(p.name)
            for p in dtype.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(parts))
    if isinstance(dtype, pl.Datetime):
        nanos_a_tick = _NANOS_A_TICK[dtype.time_unit]
        per_second = _NANOS // nanos_a_tick
        ticks = value.cast(pl.Int64)
        moment = pl.struct(
            (ticks // per_second).alias("seconds"),
            (ticks % per_second * nanos_a_tick).cast(pl.Int32).alias("nanos"),
        )
        return pl.when(value.is_not_null()).then(moment)
    return value.cast(pl.String) if dtype == pl.Categorical() else value


def _value(field: FieldDescriptor, value: Any, path: str) -> Any:
    """Return what a message takes for a field.

    Raises:
        _Misfit: The field has no form for it.
    """
    if value is None:
        if field.is_repeated or not field.has_presence:
            raise _Misfit(f"column {path!r} is null, which its field cannot be")
        return None
    if is_map(field):
        part = field.message_type.fields_by_name[VALUE]
        return {one[KEY]: _single(part, one[VALUE], path) for one in value}
    if field.is_repeated:
        return [_single(field, one, path) for one in value]
    return _single(field, value, path)


def _single(field: FieldDescriptor, value: Any, path: str) -> Any:
    if value is None:
        raise _Misfit(f"column {path!r} has a null in a list, which Protobuf has not")
    inner = field.message_type
    if inner is None or inner.full_name == TIMESTAMP:
        return value
    made: Any = GetMessageClass(inner)
    if not isinstance(value, dict):
        return made(value=value)
    parts = inner.fields_by_name
    values = {k: _value(parts[k], v, f"{path}.{k}") for k, v in value.items()}
    return made(**{k: v for k, v in values.items() if v is not None})


def message_name(topic: str) -> str:
    """Return the name of a message that is made for a topic."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", topic) or "Event"
    return name if _NAME.fullmatch(name) else f"M{name}"


def proto(schema: pl.Schema, name: str) -> str:
    """Return a ``.proto`` file with a message for columns.

    Raises:
        SchemaError: A column's name or type has no form in it.
    """
    package, _, short = name.rpartition(".")
    lines = ['syntax = "proto3";']
    if package:
        lines.append(f"package {package};")
    body = list(_lines(dict(schema), short, "", ""))
    if any(TIMESTAMP in line for line in body):
        lines.append('import "google/protobuf/timestamp.proto";')
    return "\n".join([*lines, *body, ""])


def _lines(
    columns: Mapping[str, pl.DataType], name: str, path: str, indent: str
) -> Iterator[str]:
    yield f"{indent}message {name} {{"
    for number, (column, dtype) in enumerate(columns.items(), 1):
        here = f"{path}.{column}" if path else column
        if not _NAME.fullmatch(column):
            raise SchemaError(
                f"column {here!r} has a name that Protobuf does not allow",
                hint="rename it: letters, digits and _ only, no digit first",
            )
        many, inner = "optional", dtype
        if isinstance(dtype, pl.List | pl.Array):
            many, inner = "repeated", instantiated(dtype.inner)
        if isinstance(inner, pl.Struct):
            kind = f"Of_{column}"
            parts = {part.name: instantiated(part.dtype) for part in inner.fields}
            yield from _lines(parts, kind, here, f"{indent}  ")
        else:
            kind = _kind(inner, here)
        yield f"{indent}  {many} {kind} {column} = {number};"
    yield f"{indent}}}"


def _kind(dtype: pl.DataType, path: str) -> str:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return TIMESTAMP
    if isinstance(dtype, pl.Enum | pl.Categorical):
        return "string"
    if dtype not in _KINDS:
        raise SchemaError(
            f"column {path!r} is {dtype}, which Protobuf cannot carry",
            hint=f"convert it, such as pl.col({path!r}).cast(pl.String)",
        )
    return _KINDS[dtype]
