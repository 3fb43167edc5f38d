"""Physical frames to Avro bodies, a column at a time.

Of each column the bytes of all its values are made at once, and how many bytes each
row has of them: a *piece*. Pieces are then laid side by side, row after row. A record
is the pieces of its fields, a list three of them: how many items, the items, the end.

Source: https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from streamlab.formats.avro.physical import entry_of, place
from streamlab.formats.avro.types import AvroType

ROWS_AT_ONCE = 16_384
"""So many rows are laid out together: what they need then fits into the cache."""

Bytes: TypeAlias = np.ndarray[Any, np.dtype[np.uint8]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

_SEVEN_BITS = 7
_MORE = 0x80  # the bit that says that another byte of the number follows


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of some rows.

    Attributes:
        rows: Those rows, rising.
        lengths: How many bytes each of them has.
        data: The bytes, row after row.
    """

    rows: Numbers
    lengths: Numbers
    data: Bytes


def bodies(frame: pl.DataFrame, record: AvroType, head: bytes) -> list[bytes]:
    """Return each row as Avro.

    Args:
        frame: A column for each field that takes bytes, named by its place, with the
            physical values of :mod:`streamlab.formats.avro.writing`.
        record: The type of the rows.
        head: What comes before each body.
    """
    written: list[bytes] = []
    for part in frame.iter_slices(ROWS_AT_ONCE):
        rows = np.arange(part.height)
        heads = Piece(rows, np.full(part.height, len(head)), _bytes(head * len(rows)))
        data, lengths = _laid_out(part.height, [heads, *_fields(record, part, rows)])
        ends = lengths.cumsum().tolist()
        whole = data.tobytes()
        written += [whole[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return written


def _laid_out(height: int, pieces: Iterable[Piece]) -> tuple[Bytes, Numbers]:
    """Return the bytes of all rows, and how many each has."""
    pieces = list(pieces)
    totals = np.zeros(height, np.int64)
    for piece in pieces:
        totals[piece.rows] += piece.lengths
    data = np.empty(totals.sum(), np.uint8)
    places = totals.cumsum() - totals
    for piece in pieces:
        at = places[piece.rows]
        if (piece.lengths != 1).any():
            starts = piece.lengths.cumsum() - piece.lengths
            at = np.repeat(at - starts, piece.lengths) + np.arange(len(piece.data))
        data[at] = piece.data
        places[piece.rows] += piece.lengths
    return data, totals


def _fields(record: AvroType, frame: pl.DataFrame, rows: Numbers) -> Iterator[Piece]:
    for index, field in enumerate(record.fields):
        if not field.type.takes_no_bytes:
            yield from _pieces(field.type, frame[place(index)], rows)


def _pieces(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    """Return the pieces of a column; its nulls are the null of a union."""
    if kind.kind != "union":
        yield from _KINDS[kind.kind](kind, values, rows)
        return
    kinds = [one.kind for one in kind.inner]
    null = kinds.index("null") if "null" in kinds else 0
    present = next((at for at, one in enumerate(kinds) if one != "null"), 0)
    if values.null_count():
        there = values.is_not_null()
        mask = there.to_numpy()
        yield _varints(np.where(mask, present, null), rows)
        values, rows = values.filter(there), rows[mask]
    else:
        yield _varints(np.full(len(rows), present), rows)
    yield from _pieces(kind.inner[present], values, rows)


def _record(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    if len(rows):
        yield from _fields(kind, values.struct.unnest(), rows)


def _array(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    if not len(rows):
        return
    counts = values.list.len()
    full = counts > 0
    # A list is blocks of items, each after its number; the last has none.
    some = rows[full.to_numpy()]
    numbers = counts.filter(full).cast(pl.Int64).to_numpy()
    yield _varints(numbers, some)
    items = values.filter(full).explode()
    inside = _pieces(kind.inner[0], items, np.arange(len(items)))
    data, lengths = _laid_out(len(items), inside)
    ends = np.concatenate([[0], lengths.cumsum()])[
        np.concatenate([[0], numbers.cumsum()])
    ]
    yield Piece(some, np.diff(ends), data)
    yield _fixed_size(np.zeros(len(rows), np.uint8), rows)


def _map(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    """A map is a list of entries."""
    entry = entry_of(kind)
    return _array(AvroType("array", inner=(entry,)), values, rows)


def _number(_: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    yield _varints(values.cast(pl.Int64).to_numpy(), rows)


def _float(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    dtype = pl.Float32 if kind.kind == "float" else pl.Float64
    numbers = values.cast(dtype).to_numpy()
    yield _fixed_size(numbers.astype(numbers.dtype.newbyteorder("<")), rows)


def _boolean(_: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    yield _fixed_size(values.cast(pl.UInt8).to_numpy(), rows)


def _binary(kind: AvroType, values: pl.Series, rows: Numbers) -> Iterator[Piece]:
    raw = values.cast(pl.Binary).to_list()
    lengths = np.fromiter(map(len, raw), np.int64, len(raw))
    if kind.kind != "fixed":
        yield _varints(lengths, rows)
    yield Piece(rows, lengths, _bytes(b"".join(raw)))


_KINDS: Mapping[str, Callable[[AvroType, pl.Series, Numbers], Iterator[Piece]]] = {
    "boolean": _boolean,
    "int": _number,
    "long": _number,
    "enum": _number,
    "float": _float,
    "double": _float,
    "string": _binary,
    "bytes": _binary,
    "fixed": _binary,
    "array": _array,
    "map": _map,
    "record": _record,
}


def _bytes(data: bytes) -> Bytes:
    return np.frombuffer(data, np.uint8)


def _fixed_size(values: np.ndarray[Any, Any], rows: Numbers) -> Piece:
    """Return values that all have the same number of bytes."""
    lengths = np.full(len(rows), values.dtype.itemsize)
    return Piece(rows, lengths, np.ascontiguousarray(values).view(np.uint8))


def _varints(numbers: Numbers, rows: Numbers) -> Piece:
    """Return numbers of 64 bits as zigzag: seven bits a byte, the lowest first."""
    left = ((numbers << 1) ^ (numbers >> 63)).view(np.uint64)
    lengths = np.ones(len(numbers), np.int64)
    columns: list[Bytes] = []
    while (more := left >= _MORE).any():
        low = left.astype(np.uint8)
        columns.append(np.where(more, low | np.uint8(_MORE), low))
        left = left >> np.uint64(_SEVEN_BITS)
        lengths += more
    columns.append(left.astype(np.uint8))
    if len(columns) == 1:
        return Piece(rows, lengths, columns[0])
    whole = np.stack(columns, axis=1)
    return Piece(rows, lengths, whole[np.arange(len(columns)) < lengths[:, None]])
