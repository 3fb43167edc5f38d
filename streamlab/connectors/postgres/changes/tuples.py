"""The rows inside of change messages: many messages to columns of text.

Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
(TupleData)
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

NULL = ord("n")
UNCHANGED = ord("u")
TEXT = ord("t")

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


def walk_plainly(
    messages: Sequence[bytes], starts: Sequence[int | None], width: int
) -> tuple[Tuples, list[int | None]]:
    """Read one image of each message, value by value.

    Args:
        messages: Change messages.
        starts: Where the image's TupleData begins in each; None: it has none.
        width: How many columns the relation has.

    Returns:
        The image, and for each message where it ends (None where it has none).

    Raises:
        Misshapen: A message is cut short, or is not what the protocol says.
    """
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


def _marked(rows: Sequence[int], count: int) -> pl.Series:
    marks = pl.zeros(count, dtype=pl.UInt8, eager=True)
    return marks.scatter(list(rows), 1).cast(pl.Boolean)
