"""Formats: bytes to frames and back, a whole batch in one call.

A format is a plain object with the methods of :class:`Format`; :func:`named` finds
one by the name that a pipeline file uses. A value that cannot be decoded is not an
exception but part of the result: a :class:`Rejection`, and its neighbours pass.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import UnknownName

BUILT_IN = {
    "json": "streamlab.formats.json:JsonFormat",
    "debezium": "streamlab.formats.debezium:DebeziumFormat",
    "string": "streamlab.formats.plain:StringFormat",
    "bytes": "streamlab.formats.plain:BytesFormat",
    "rows": "streamlab.formats.rows:RowsFormat",
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """A value that does not decode, or does not fit the schema.

    Attributes:
        row: Its place in the batch that was given to ``decode``.
        code: A short stable name of the kind of failure, such as ``not-json``.
        reason: One sentence for a person. It names columns and types, never a value.
    """

    row: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded batch.

    Attributes:
        frame: The rows that decoded, in the order of the batch; its columns and
            dtypes are exactly the schema's.
        rejected: The others, by rising row number. ``frame.height`` plus their
            number is the number of values: nothing is dropped silently.
    """

    frame: pl.DataFrame
    rejected: tuple[Rejection, ...] = ()

    def kept(self, total: int) -> list[int] | None:
        """Return the batch rows that the frame's rows came from; None means all."""
        if not self.rejected:
            return None
        gone = {rejection.row for rejection in self.rejected}
        return [row for row in range(total) if row not in gone]


class Format(Protocol):
    """What a format can do; each method works on a whole batch."""

    name: str

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns."""

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order."""

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return a schema that fits the values, as far as they agree.

        Raises:
            SchemaError: No value decodes, or they do not agree on a type.
        """


def named(name: str) -> Format:
    """Return the format of that name.

    Raises:
        UnknownName: There is none.
    """
    try:
        module, _, attribute = BUILT_IN[name].partition(":")
    except KeyError:
        raise UnknownName("format", name, BUILT_IN) from None
    return cast("Format", getattr(importlib.import_module(module), attribute)())
