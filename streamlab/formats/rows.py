"""Rows: what a source delivers that knows its columns and types by itself."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats import Context, Decoded, Rejection
from streamlab.values import FrameValues


class RowsFormat:
    """Frames as they come from a source, reduced to the schema's columns.

    A column that the source has and the schema has not is left out: it was added
    after the pipeline was made. The other way round the pipeline stops, because it
    would go on without what it was made for.
    """

    name = "rows"

    def __init__(self, context: Context) -> None:
        context.check(self.name)

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Return the schema's columns of the frame behind the values.

        Raises:
            SchemaError: A column is missing or has another type, or the values are
                bytes after all.
        """
        if not isinstance(values, FrameValues):
            message = "format 'rows' reads what a database delivers, not bytes"
            raise SchemaError(message, hint="use the format of the bytes, such as json")
        wanted, found = schema.dtypes, values.frame.schema
        different = [name for name in wanted if found.get(name) != wanted[name]]
        # Of no rows nothing is known: a frame of no columns fits any schema.
        if different and values.frame.width:
            listed = ", ".join(
                f"{name!r} ({wanted[name]} in the schema, "
                f"{found.get(name, 'no such column')} in the source)"
                for name in different
            )
            message = f"the source's columns do not fit the schema: {listed}"
            raise SchemaError(
                message,
                hint="take the column out of the schema, or write the schema anew; "
                "the position stays where it is",
            )
        frame = wanted.to_frame() if different else values.frame[wanted.names()]
        rejected = (Rejection(r.row, r.code, r.reason) for r in values.rejected)
        return Decoded(frame, tuple(rejected))

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Return each row as JSON."""
        return list(FrameValues(frame))

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return the schema of the frame behind the values.

        Raises:
            SchemaError: The values are bytes.
        """
        if not isinstance(values, FrameValues):
            message = "format 'rows' reads what a database delivers, not bytes"
            raise SchemaError(message)
        return Schema.of(values.frame.schema)
