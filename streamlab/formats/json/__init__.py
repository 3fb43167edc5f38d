"""JSON, one object a value (RFC 8259).

``reading`` decodes a batch, ``text`` finds what may be a silent cast, ``judging``
decides on one value, ``dtypes`` says how each type travels, ``writing`` encodes,
``inferring`` finds a schema. What happens to which input is a table in
docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from streamlab.contracts import Schema
from streamlab.formats import Context, Decoded
from streamlab.formats.json import inferring, reading, writing


class JsonFormat:
    """JSON objects: the schema's fields are read, others are ignored."""

    name = "json"

    def __init__(self, context: Context) -> None:
        context.check(self.name)

    def decode(self, values: Sequence[bytes | None], schema: Schema) -> Decoded:
        """Decode values into a frame that has exactly the schema's columns.

        Raises:
            SchemaError: The schema has a type that JSON cannot carry.
        """
        return reading.decode(values, schema)

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Encode each row; the result has one item a row, in order.

        Raises:
            RowsRefused: Rows with a float that is not finite.
            SchemaError: A column's type has no JSON form.
        """
        return writing.encode(frame)

    def infer(self, values: Sequence[bytes | None]) -> Schema:
        """Return a schema that fits the values; all its fields are optional.

        Raises:
            SchemaError: No value is a JSON object, or they do not agree on a type.
        """
        return inferring.infer(values)
