"""Values without structure: text and bytes, in one column named ``value``."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Field, Schema
from streamlab.errors import SchemaError
from streamlab.formats import Decoded, Rejection, framing

COLUMN = "value"


class BytesFormat:
    """The bytes as they are, in one Binary column."""

    name = "bytes"

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Return the values as a column; a tombstone is rejected.

        Raises:
            SchemaError: The schema is not one Binary column named ``value``.
        """
        _expect(schema, pl.Binary(), self.name)
        kept = [value for value in values if value is not None]
        frame = pl.DataFrame({COLUMN: pl.Series(kept, dtype=pl.Binary)})
        return Decoded(frame, _tombstones(values) if len(kept) < len(values) else ())

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the column's values.

        Raises:
            SchemaError: The frame is not one Binary column, or has a null.
        """
        return _only(frame, pl.Binary(), self.name).to_list()

    def infer(self, values: Sequence[bytes | None]) -> Schema:  # noqa: ARG002 -- nothing to look at
        """Return the one schema there is."""
        return Schema((Field(COLUMN, pl.Binary(), required=True),))


class StringFormat:
    """UTF-8 text, in one String column."""

    name = "string"

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Return the values as a column; tombstones and other bytes are rejected.

        Raises:
            SchemaError: The schema is not one String column named ``value``.
        """
        _expect(schema, pl.String(), self.name)
        kept = pl.Series(COLUMN, [v for v in values if v is not None], dtype=pl.Binary)
        try:
            text = kept.cast(pl.String)
        except pl.exceptions.PolarsError:
            return _text_one_by_one(values)
        return Decoded(
            text.to_frame(), _tombstones(values) if len(text) < len(values) else ()
        )

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Return the column's values as UTF-8.

        Raises:
            SchemaError: The frame is not one String column, or has a null.
        """
        return _only(frame, pl.String(), self.name).cast(pl.Binary).to_list()

    def infer(self, values: Sequence[bytes | None]) -> Schema:  # noqa: ARG002 -- nothing to look at
        """Return the one schema there is."""
        return Schema((Field(COLUMN, pl.String(), required=True),))


def _text_one_by_one(values: Sequence[bytes | None]) -> Decoded:
    """Decode a batch in which not every value is text."""
    texts: list[str] = []
    rejected = list(_tombstones(values))
    for row, value in enumerate(values):
        if value is None:
            continue
        try:
            texts.append(value.decode())
        except UnicodeDecodeError as error:
            framed = framing.recognised(value)
            reason = f"the value is not UTF-8 text (byte {error.start})"
            rejected.append(
                Rejection(row, framed.code, framed.reason)
                if framed
                else Rejection(row, "not-utf8", reason)
            )
    frame = pl.DataFrame({COLUMN: pl.Series(texts, dtype=pl.String)})
    return Decoded(frame, tuple(sorted(rejected, key=lambda one: one.row)))


def _tombstones(values: Sequence[bytes | None]) -> tuple[Rejection, ...]:
    return tuple(
        Rejection(row, "tombstone", "the event has no value (a tombstone)")
        for row, value in enumerate(values)
        if value is None
    )


def _expect(schema: Schema, dtype: pl.DataType, format_name: str) -> None:
    if schema.dtypes != {COLUMN: dtype}:
        raise SchemaError(
            f"format {format_name!r} reads one column {COLUMN!r} of type {dtype}, "
            f"not {dict(schema.dtypes)}",
            hint="leave the schema out, or use another format, such as 'json'",
        )


def _only(frame: pl.DataFrame, dtype: pl.DataType, format_name: str) -> pl.Series:
    if frame.width != 1 or frame.dtypes[0] != dtype:
        raise SchemaError(
            f"format {format_name!r} writes one column of type {dtype}, "
            f"not {dict(frame.schema)}",
            hint=f"select one {dtype} column, or use another format, such as 'json'",
        )
    column = frame.to_series()
    if column.null_count():
        raise SchemaError(
            f"format {format_name!r} cannot write a null: column {column.name!r} "
            f"has {column.null_count()}",
            hint=f"drop them, or fill them: pl.col({column.name!r}).fill_null(...)",
        )
    return column
