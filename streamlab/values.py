"""Values of events that a source delivers as rows, not as bytes.

A database knows its columns and types, so turning its rows into bytes to decode them
again would only cost time. Such a source delivers a frame that looks like a sequence
of values: whoever needs the bytes of one event, such as a dead letter, gets its row
as JSON, made when it is asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import overload

import orjson
import polars as pl


class FrameValues(Sequence[bytes]):
    """The rows of a frame as the values of events.

    Attributes:
        frame: The rows, in the order of the events.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        """Keep the frame; nothing is encoded yet."""
        self.frame = frame

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.frame.height

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> FrameValues: ...
    def __getitem__(self, index: int | slice) -> bytes | FrameValues:
        """Return one row as JSON, or some rows as they are."""
        if isinstance(index, slice):
            return FrameValues(self.frame[index])
        return orjson.dumps(self.frame.row(index, named=True), default=_spelled)

    def __iter__(self) -> Iterator[bytes]:
        """Yield each row as JSON."""
        for row in self.frame.iter_rows(named=True):
            yield orjson.dumps(row, default=_spelled)


def joined_values(
    parts: Sequence[Sequence[bytes | None]],
) -> Sequence[bytes | None]:
    """Return the values of several batches, one after another.

    Frames stay frames. Where a table got a column between two of them, rows from
    before have null there.
    """
    frames = [part.frame for part in parts if isinstance(part, FrameValues)]
    if len(frames) == len(parts):
        return FrameValues(pl.concat(frames, how="diagonal"))
    return list(itertools.chain.from_iterable(parts))


def _spelled(value: object) -> str:
    """Return what JSON has no form for as text: bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else str(value)
