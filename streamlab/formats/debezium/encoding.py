"""Change rows to Debezium's envelopes: one call for all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import polars as pl

from streamlab.contracts.schema import instantiated
from streamlab.errors import DISTRIBUTION, RowsRefused, SchemaError
from streamlab.formats import changes
from streamlab.formats.debezium import decimals
from streamlab.formats.debezium.schema_part import envelope_schema, head_of, key_schema
from streamlab.formats.json import writing
from streamlab.formats.json.writing import LOCAL_TIME

CONNECTOR = "postgresql"
VERSION_PREFIX = "streamlab-"
"""How ``source.version`` begins in envelopes of ours.

Theirs have in ``source.sequence`` the LSNs of the last commit and of the event; ours
have the commit's and the change's index, which is as much of an order.
"""

_OP_LETTERS = {
    "snapshot": "r",
    "insert": "c",
    "update": "u",
    "delete": "d",
    "truncate": "t",
}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all envelopes of a call have in common."""

    server: str
    database: str
    with_schema: bool
    precise: bool
    placeholder: str
    now_ms: int


def encode(frame: pl.DataFrame, envelope: Envelope) -> list[bytes]:
    """Write each change row as an envelope.

    Raises:
        RowsRefused: Rows with what JSON or the placeholder cannot say.
        SchemaError: The rows are no change rows, or a type has no JSON form.
    """
    nothing = pl.lit(None, dtype=pl.Null).alias("transaction")
    payloads = writing.encode(parts(frame, envelope).with_columns(nothing))
    if not envelope.with_schema:
        return payloads
    said = envelope_schema(
        frame.schema, _table_name(frame, envelope), precise=envelope.precise
    )
    head = head_of(said)
    return [head + payload + b"}" for payload in payloads]


def parts(frame: pl.DataFrame, envelope: Envelope) -> pl.DataFrame:
    """Return the parts of the envelopes of change rows, as columns.

    Raises:
        RowsRefused: Rows with what the placeholder cannot say.
        SchemaError: The rows are no change rows.
    """
    own = changes.own_columns(frame.schema, "Debezium's envelope")
    _refuse_unavailable(frame, own)
    op = pl.col(changes.OP)
    removed = op.is_in(["delete", "truncate"])
    return frame.select(
        _old_row(frame.schema, own, envelope).alias("before"),
        pl.when(~removed).then(_new_row(own, frame.schema, envelope)).alias("after"),
        _source(frame.schema, envelope).alias("source"),
        op.cast(pl.String).replace_strict(_OP_LETTERS).alias("op"),
        pl.lit(envelope.now_ms, dtype=pl.Int64).alias("ts_ms"),
    )


def encode_keys(
    frame: pl.DataFrame, key: Sequence[str], envelope: Envelope
) -> list[bytes | None]:
    """Write each row's key; None for a truncation.

    Raises:
        SchemaError: A key column is not there.
    """
    written: Sequence[bytes] = writing.encode(key_parts(frame, key, envelope))
    if envelope.with_schema:
        columns = pl.Schema({name: frame.schema[name] for name in key})
        table = _table_name(frame, envelope)
        head = head_of(key_schema(columns, table, precise=envelope.precise))
        written = [head + one + b"}" for one in written]
    return without_truncations(frame, written)


def key_parts(
    frame: pl.DataFrame, key: Sequence[str], envelope: Envelope
) -> pl.DataFrame:
    """Return the columns of the key as they are written.

    Raises:
        SchemaError: A key column is not there.
    """
    for name in key:
        if name not in frame.schema:
            raise SchemaError(
                f"the key column {name!r} is not among the rows' columns",
                hint=f"they are {', '.join(frame.columns)}",
            )
    return frame.select(
        to_wire(pl.col(name), frame.schema[name], precise=envelope.precise).alias(name)
        for name in key
    )


def without_truncations(
    frame: pl.DataFrame, keys: Sequence[bytes]
) -> list[bytes | None]:
    """Return the keys of rows, None for a truncation."""
    emptied = (frame[changes.OP] == "truncate").to_list()
    return [None if gone else one for one, gone in zip(keys, emptied, strict=True)]


def encode_with_tombstones(
    frame: pl.DataFrame, key: Sequence[str], envelope: Envelope
) -> list[tuple[bytes | None, bytes | None]]:
    """Write (key, value) pairs; a deleted row is followed by (key, None)."""
    keys, values = encode_keys(frame, key, envelope), encode(frame, envelope)
    return with_tombstones(frame, keys, values)


def with_tombstones(
    frame: pl.DataFrame, keys: Sequence[bytes | None], values: Sequence[bytes]
) -> list[tuple[bytes | None, bytes | None]]:
    """Return (key, value) pairs; a deleted row is followed by (key, None)."""
    pairs: list[tuple[bytes | None, bytes | None]] = []
    deleted = (frame[changes.OP] == "delete").to_list()
    for one_key, value, is_gone in zip(keys, values, deleted, strict=True):
        pairs.append((one_key, value))
        if is_gone:
            pairs.append((one_key, None))
    return pairs


def to_wire(value: pl.Expr, dtype: pl.DataType, *, precise: bool) -> pl.Expr:
    """Return what is written for a value: a number for a date, bytes for a decimal."""
    if isinstance(dtype, pl.List):
        inner = to_wire(pl.element(), instantiated(dtype.inner), precise=precise)
        return value.list.eval(inner)
    if isinstance(dtype, pl.Struct):
        fields = [
            to_wire(
                value.struct.field(part.name),
                instantiated(part.dtype),
                precise=precise,
            ).alias(part.name)
            for part in dtype.fields
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    if isinstance(dtype, pl.Decimal):
        if not precise:
            return value.cast(pl.String)
        return value.map_batches(decimals.to_bytes, return_dtype=pl.Binary)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return value.dt.convert_time_zone("UTC").dt.strftime(f"{LOCAL_TIME}Z")
    convert = _NUMBERS.get(type(dtype))
    return value if convert is None else convert(value)


_NUMBERS: Mapping[type[pl.DataType], Callable[[pl.Expr], pl.Expr]] = {
    pl.Date: lambda value: value.to_physical(),
    pl.Datetime: lambda value: value.to_physical(),
    pl.Duration: lambda value: value.dt.total_microseconds(),
    pl.Time: lambda value: value.to_physical() // 1_000,
}


def placeholder_of(dtype: pl.DataType, text: str) -> pl.Expr | None:
    """Return what stands for an unavailable value on the wire, None if nothing can.

    Only values without a fixed size are stored out of line: texts, bytes and arrays.

    Source: https://github.com/debezium/debezium/blob/main/debezium-connector-postgres/
    src/main/java/io/debezium/connector/postgresql/UnchangedToastedPlaceholder.java
    """
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return pl.lit(text)
    if isinstance(dtype, pl.Binary):
        return pl.lit(text.encode())
    if isinstance(dtype, pl.List):
        inner = instantiated(dtype.inner)
        if isinstance(inner, pl.String):
            return pl.lit([text], dtype=dtype)
        if inner in {pl.Int32, pl.Int64}:
            return pl.lit(list(text.encode()), dtype=dtype)
    return None


def _refuse_unavailable(frame: pl.DataFrame, own: pl.Schema) -> None:
    """Refuse rows in which a value is unavailable that no placeholder can stand for."""
    if changes.UNAVAILABLE not in frame.schema:
        return
    shown = frame[changes.OP].is_in(["insert", "update"])
    if not frame.filter(shown)[changes.UNAVAILABLE].list.len().sum():
        return
    reasons: dict[int, str] = {}
    for name, dtype in own.items():
        if placeholder_of(dtype, "") is None:
            lost = frame.select(_is_unavailable(name)).to_series() & shown
            reason = (
                f"column {name!r} is {dtype} and its value was not sent: Debezium's "
                "envelope has no placeholder for it"
            )
            reasons |= dict.fromkeys(lost.arg_true(), reason)
    if reasons:
        raise RowsRefused(dict(sorted(reasons.items())))


def _is_unavailable(name: str) -> pl.Expr:
    names = pl.col(changes.UNAVAILABLE)
    return names.list.contains(pl.lit(name)).fill_null(value=False)


def _new_row(own: pl.Schema, schema: pl.Schema, envelope: Envelope) -> pl.Expr:
    fields: list[pl.Expr] = []
    for name, dtype in own.items():
        value = to_wire(pl.col(name), dtype, precise=envelope.precise)
        placeholder = placeholder_of(dtype, envelope.placeholder)
        if placeholder is not None and changes.UNAVAILABLE in schema:
            text = pl.String() if isinstance(dtype, pl.Enum | pl.Categorical) else None
            plain = value if text is None else value.cast(text)
            value = pl.when(_is_unavailable(name)).then(placeholder).otherwise(plain)
        fields.append(value.alias(name))
    return pl.struct(fields)


def _old_row(schema: pl.Schema, own: pl.Schema, envelope: Envelope) -> pl.Expr:
    """Return the old row with every column; those that are not known are null."""
    known = schema.get(changes.BEFORE)
    if not isinstance(known, pl.Struct):
        return pl.lit(None, dtype=pl.Null)
    names = {part.name for part in known.fields}
    before = pl.col(changes.BEFORE)
    moved = pl.col(changes.OP) == "insert"  # the second half of a changed key
    fields = [
        to_wire(
            before.struct.field(name) if name in names else pl.lit(None, dtype=dtype),
            dtype,
            precise=envelope.precise,
        ).alias(name)
        for name, dtype in own.items()
    ]
    return pl.when(before.is_not_null() & ~moved).then(pl.struct(fields))


def _source(schema: pl.Schema, envelope: Envelope) -> pl.Expr:
    def column(name: str) -> pl.Expr:
        has = name in schema
        return pl.col(name) if has else pl.lit(None, dtype=changes.METADATA[name])

    time_us = column(changes.COMMIT_TIME).dt.timestamp("us")
    lsn, index = column(changes.LSN), column(changes.INDEX)
    sequence = pl.format('["{}","{}"]', lsn, index)
    snapshot = pl.when(pl.col(changes.OP) == "snapshot")
    return pl.struct(
        pl.lit(VERSION_PREFIX + _own_version()).alias("version"),
        pl.lit(CONNECTOR).alias("connector"),
        pl.lit(envelope.server).alias("name"),
        (time_us // 1_000).alias("ts_ms"),
        snapshot.then(pl.lit("true")).otherwise(pl.lit("false")).alias("snapshot"),
        pl.lit(envelope.database).alias("db"),
        sequence.alias("sequence"),
        time_us.alias("ts_us"),
        (time_us * 1_000).alias("ts_ns"),
        column(changes.SCHEMA).alias("schema"),
        column(changes.TABLE).alias("table"),
        column(changes.XID).cast(pl.Int64).alias("txId"),
        lsn.alias("lsn"),
        pl.lit(None, dtype=pl.Int64).alias("xmin"),
    )


def _own_version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout
        return "0"


def _table_name(frame: pl.DataFrame, envelope: Envelope) -> str:
    """Return ``server.schema.table``, by the first row."""
    named = [name for name in (changes.SCHEMA, changes.TABLE) if name in frame.schema]
    first = frame.head(1)
    return ".".join([envelope.server, *(str(v) for n in named for v in first[n])])
