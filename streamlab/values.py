"""Values of events that a source delivers as rows, not as bytes.

A database knows its columns and types, so turning its rows into bytes to decode them
again would only cost time. Such a source delivers a frame that looks like a sequence
of values: whoever needs the bytes of one event, such as a dead letter, gets its row
as JSON, made when it is asked for.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import orjson
import polars as pl


@dataclass(frozen=True, slots=True)
class RejectedValue:
    """An event that does not fit into the frame of its neighbours.

    Attributes:
        row: Its place among the events.
        value: What the source sent of it.
        code: A short stable name of the kind of failure.
        reason: One sentence for a person, without any value of the event.
    """

    row: int
    value: bytes
    code: str
    reason: str


class FrameValues(Sequence[bytes]):
    """The rows of a frame as the values of events.

    Attributes:
        frame: The rows, in the order of the events.
        rejected: Events between them that are not in the frame, by rising row.
    """

    def __init__(
        self, frame: pl.DataFrame, rejected: Sequence[RejectedValue] = ()
    ) -> None:
        """Keep the frame; nothing is encoded yet."""
        self.frame = frame
        self.rejected = tuple(rejected)
        self._gone = [one.row for one in self.rejected]

    def __len__(self) -> int:
        """Return the number of events."""
        return self.frame.height + len(self.rejected)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return one row as JSON, or some."""
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        before = bisect_left(self._gone, index)
        if before < len(self._gone) and self._gone[before] == index:
            return self.rejected[before].value
        return encoded(self.frame.row(index - before, named=True))

    def __iter__(self) -> Iterator[bytes]:
        """Yield each row as JSON."""
        return (self[row] for row in range(len(self)))


def joined_values(
    parts: Sequence[Sequence[bytes | None]],
) -> Sequence[bytes | None]:
    """Return the values of several batches, one after another.

    Frames stay frames. Where a table got a column between two of them, rows from
    before have null there.
    """
    frames = [part for part in parts if isinstance(part, FrameValues)]
    if len(frames) < len(parts):
        return list(itertools.chain.from_iterable(parts))
    starts = itertools.accumulate(map(len, frames), initial=0)
    filled = [one.frame for one in frames if one.frame.width]
    return FrameValues(
        pl.concat(filled, how="diagonal") if filled else pl.DataFrame(),
        [
            replace(one, row=one.row + start)
            for part, start in zip(frames, starts, strict=False)
            for one in part.rejected
        ],
    )


def chosen_values(
    values: Sequence[bytes | None], rows: Sequence[int]
) -> Sequence[bytes | None]:
    """Return the values of some events; a frame stays a frame.

    Args:
        values: All values.
        rows: Which, rising.
    """
    if not isinstance(values, FrameValues):
        return [values[row] for row in rows]
    gone = {one.row: one for one in values.rejected}
    rejected = [
        replace(gone[row], row=at) for at, row in enumerate(rows) if row in gone
    ]
    places = [row - bisect_left(list(gone), row) for row in rows if row not in gone]
    return FrameValues(values.frame[places], rejected)


def encoded(row: object) -> bytes:
    """Return a row as JSON; what JSON has no form for is text, bytes hexadecimal."""
    return orjson.dumps(row, default=_spelled)


def _spelled(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
