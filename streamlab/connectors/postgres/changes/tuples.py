"""The rows inside of change messages: many messages to columns of text.

A value's place depends on the lengths of those before it, so a row is walked from left
to right. Polars does one step of the walk for thousands of rows at a time: that is
four to five times as fast as value by value, which remains for small batches, and to
find what is wrong with a message.

Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
(TupleData)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import polars as pl

NULL = ord("n")
UNCHANGED = ord("u")
TEXT = ord("t")

ROWS_AT_ONCE = 10_000  # what they need at a step still fits the processor's cache
FEW_ROWS = 900  # up to here value by value is faster

_COUNT = struct.Struct("!h")
_LENGTH = struct.Struct("!i")


class Misshapen(ValueError):
    """A message does not have the form that the protocol gives it."""

    def __init__(self, row: int, what: str) -> None:
        """Keep which message it is, and what is wrong, without any of its bytes."""
        self.row, self.what = row, what
        super().__init__(f"message {row}: {what}")


@dataclass(frozen=True, slots=True)
class Tuples:
    """One image of some rows, as columns of text.

    Attributes:
        present: Boolean a row: whether the message has this image at all. Where it
            has not, every column is null.
        columns: A String column for each of the relation's. Null stands for SQL's
            NULL, and for a value that was not sent: see ``unchanged``.
        unchanged: Column number → Boolean a row: the value is stored out of line
            (TOAST), was not changed and therefore **not sent**. Its text is null
            here, and must never be taken for NULL. Only columns that have one.
    """

    present: pl.Series
    columns: tuple[pl.Series, ...]
    unchanged: Mapping[int, pl.Series]

    @classmethod
    def absent(cls, rows: int, width: int) -> Tuples:
        """Return the image that none of the rows has."""
        nulls = repeated(None, pl.String(), rows)
        return cls(repeated(False, pl.Boolean(), rows), (nulls,) * width, {})


def repeated(value: object, dtype: pl.DataType, rows: int) -> pl.Series:
    """Return a column that has one value in each row.

    Made in the thread of the caller. An expression is evaluated by threads of polars,
    and on a busy machine each waiting for them costs more than a few rows are worth.
    """
    return pl.Series([value], dtype=dtype).new_from_index(0, rows)


Ends: TypeAlias = Sequence[int | None]


def walk(
    messages: Sequence[bytes], starts: Sequence[int | None], width: int
) -> tuple[Tuples, Ends]:
    """Read one image of each message.

    Args:
        messages: Change messages.
        starts: Where the image's TupleData begins in each; None: it has none.
        width: How many columns the relation has.

    Returns:
        The image, and for each message where it ends (None where it has none).

    Raises:
        Misshapen: A message is cut short, or is not what the protocol says.
    """
    absent = starts.count(None)
    if absent == len(messages):
        return Tuples.absent(len(messages), width), starts
    if len(messages) - absent <= FEW_ROWS:
        return walk_plainly(messages, starts, width)
    if absent:
        return _walk_some(messages, starts, width)
    parts: list[Tuples] = []
    ends: list[int | None] = []
    for first in range(0, len(messages), ROWS_AT_ONCE):
        cut = slice(first, first + ROWS_AT_ONCE)
        part, part_ends = _walk_together(messages[cut], starts[cut], first, width)
        parts.append(part)
        ends.extend(part_ends)
    return _joined(parts, width), ends


def _walk_some(
    messages: Sequence[bytes], starts: Sequence[int | None], width: int
) -> tuple[Tuples, Ends]:
    """Walk the messages that have the image, and put nulls between them."""
    rows = [row for row, start in enumerate(starts) if start is not None]
    try:
        found, found_ends = walk(
            [messages[row] for row in rows], [starts[row] for row in rows], width
        )
    except Misshapen as error:
        raise Misshapen(rows[error.row], error.what) from None
    take: list[int | None] = [None] * len(messages)
    ends: list[int | None] = [None] * len(messages)
    for place, row in enumerate(rows):
        take[row], ends[row] = place, found_ends[place]
    places = pl.Series(take, dtype=pl.UInt32)
    return Tuples(
        places.is_not_null(),
        tuple(column.gather(places) for column in found.columns),
        {
            number: marks.gather(places).fill_null(value=False)
            for number, marks in found.unchanged.items()
        },
    ), ends


def _walk_together(
    messages: Sequence[bytes], starts: Sequence[int | None], first: int, width: int
) -> tuple[Tuples, Ends]:
    """Walk messages that all have the image, a column at a time."""
    frame = pl.DataFrame(
        {_MESSAGE: messages, _PLACE: starts},
        schema={_MESSAGE: pl.Binary, _PLACE: pl.Int64},
    )
    try:
        found = _columns(frame, width)
    except pl.exceptions.PolarsError:  # a value that is not UTF-8
        found = None
    if found is None:
        # Value by value to say what is wrong, and with which message.
        try:
            return walk_plainly(messages, starts, width)
        except Misshapen as error:
            raise Misshapen(first + error.row, error.what) from None
    return found


def _columns(frame: pl.DataFrame, width: int) -> tuple[Tuples, Ends] | None:
    """Return the image and its ends, or None if a message does not have its form."""
    count = _number(pl.col(_PLACE), pl.UInt16)
    if not frame.select(count == width).to_series().all(ignore_nulls=False):
        return None
    frame = frame.with_columns(pl.col(_PLACE) + _COUNT.size)
    texts: list[pl.Series] = []
    unchanged: dict[int, pl.Series] = {}
    for number in range(width):
        head = frame.with_columns(
            pl.col(_MESSAGE).bin.get(pl.col(_PLACE), null_on_oob=True).alias(_KIND),
            _number(pl.col(_PLACE) + 1, pl.UInt32).cast(pl.Int64).alias(_SIZE),
        )
        kinds = head[_KIND]
        if (kinds == TEXT).all(ignore_nulls=False):
            step, text = _ALL_TEXT
        elif kinds.is_in(_KINDS).all(ignore_nulls=False):
            step, text = _MIXED
            marks = kinds == UNCHANGED
            if marks.any():
                unchanged[number] = marks.alias("")
        else:
            return None  # unknown, or behind the end: then a value was too long
        frame = head.select(_MESSAGE, step, text)
        texts.append(frame[_TEXT].alias(""))
    if not _is_inside(frame):
        return None
    present = pl.repeat(value=True, n=frame.height, dtype=pl.Boolean, eager=True)
    return Tuples(present, tuple(texts), unchanged), frame[_PLACE].to_list()


_MESSAGE, _PLACE, _KIND, _SIZE, _TEXT = "message", "place", "kind", "size", "text"
_KINDS = pl.Series([NULL, UNCHANGED, TEXT], dtype=pl.UInt8).implode()
_HEAD_BYTES = 1 + _LENGTH.size


def _number(place: pl.Expr, dtype: type[pl.UInt16 | pl.UInt32]) -> pl.Expr:
    """Read a number in network order; null where the message is too short."""
    raw = pl.col(_MESSAGE).bin.slice(place, 2 if dtype is pl.UInt16 else 4)
    return raw.bin.reinterpret(dtype=dtype, endianness="big")


def _text() -> pl.Expr:
    value = pl.col(_MESSAGE).bin.slice(pl.col(_PLACE) + _HEAD_BYTES, pl.col(_SIZE))
    return value.cast(pl.String)


_ALL_TEXT = (
    pl.col(_PLACE) + _HEAD_BYTES + pl.col(_SIZE),
    _text().alias(_TEXT),
)
_IS_TEXT = pl.col(_KIND) == TEXT
_MIXED = (
    pl.col(_PLACE) + pl.when(_IS_TEXT).then(_HEAD_BYTES + pl.col(_SIZE)).otherwise(1),
    pl.when(_IS_TEXT).then(_text()).alias(_TEXT),
)


def _is_inside(walked: pl.DataFrame) -> bool:
    """Return whether no walk went beyond the end of its message."""
    inside = pl.col(_PLACE) <= pl.col(_MESSAGE).bin.size()
    return bool(walked.select(inside.all(ignore_nulls=False)).item())


def _joined(parts: Sequence[Tuples], width: int) -> Tuples:
    if len(parts) == 1:
        return parts[0]
    numbers = sorted({number for part in parts for number in part.unchanged})
    return Tuples(
        pl.concat(part.present for part in parts),
        tuple(pl.concat(part.columns[n] for part in parts) for n in range(width)),
        {
            number: pl.concat(
                part.unchanged.get(number, ~part.present) for part in parts
            )
            for number in numbers
        },
    )


def walk_plainly(
    messages: Sequence[bytes], starts: Sequence[int | None], width: int
) -> tuple[Tuples, Ends]:
    """Do what :func:`walk` does, value by value."""
    columns: list[list[str | None]] = [[None] * len(messages) for _ in range(width)]
    unchanged: dict[int, list[int]] = {}
    ends: list[int | None] = []
    for row, (message, start) in enumerate(zip(messages, starts, strict=True)):
        if start is None:
            ends.append(None)
            continue
        try:
            ends.append(_walk_one(message, start, row, columns, unchanged))
        except (struct.error, IndexError):
            raise Misshapen(row, "it is cut short") from None
        except UnicodeDecodeError:
            raise Misshapen(row, "a value is not UTF-8 text") from None
    count = len(messages)
    return Tuples(
        pl.Series([start is not None for start in starts], dtype=pl.Boolean),
        tuple(pl.Series(column, dtype=pl.String) for column in columns),
        {number: _marked(rows, count) for number, rows in unchanged.items()},
    ), ends


def _walk_one(
    message: bytes,
    start: int,
    row: int,
    columns: Sequence[list[str | None]],
    unchanged: dict[int, list[int]],
) -> int:
    """Read one image, and return where it ends."""
    (count,) = _COUNT.unpack_from(message, start)
    if count != len(columns):
        what = f"it has {count} columns, the relation {len(columns)}"
        raise Misshapen(row, what)
    place = start + _COUNT.size
    for number, column in enumerate(columns):
        kind = message[place]
        place += 1
        if kind == TEXT:
            (length,) = _LENGTH.unpack_from(message, place)
            place += _LENGTH.size
            if length < 0 or place + length > len(message):
                raise IndexError
            column[row] = message[place : place + length].decode()
            place += length
        elif kind == UNCHANGED:
            unchanged.setdefault(number, []).append(row)
        elif kind != NULL:
            raise Misshapen(row, f"column {number} is of the unknown kind {kind}")
    return place


def _marked(rows: list[int], count: int) -> pl.Series:
    marks = pl.zeros(count, dtype=pl.UInt8, eager=True)
    return marks.scatter(rows, 1).cast(pl.Boolean)
