"""The two shapes in which changes go through a pipeline: rows, or events.

Rows are for a pipeline over one table: its columns with their types, and the metadata
columns of :mod:`~streamlab.connectors.postgres.changes.frames`. Events are for several
tables at once: each is already encoded, and columns say where it belongs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import polars as pl

from streamlab import registry
from streamlab.connectors.postgres.changes.frames import ChangeTable
from streamlab.errors import RowsRefused
from streamlab.formats import DEBEZIUM_SERVER, Context, Format, named
from streamlab.formats import changes as columns
from streamlab.formats.debezium import DebeziumFormat

KEY = "_key"
VALUE = "value"

EVENT_COLUMNS: Mapping[str, pl.DataType] = {
    columns.SCHEMA: pl.String(),
    columns.TABLE: pl.String(),
    columns.OP: pl.String(),
    columns.LSN: pl.Int64(),
    columns.INDEX: pl.Int64(),
    columns.COMMIT_TIME: pl.Datetime("us", "UTC"),
    KEY: pl.Binary(),
    VALUE: pl.Binary(),
}
"""Columns of events, whatever tables they are of."""


class Shape(Protocol):
    """How rows of a table are handed on."""

    def shaped(self, table: ChangeTable, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the same rows, in the same order, in the columns of the shape."""


class RowShape:
    """The table's own columns."""

    def shaped(self, table: ChangeTable, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows as they are."""
        del table
        return rows


class FlatShape:
    """Events whose value is the row as JSON, metadata columns among the others.

    The key is the row's key as a JSON object; a truncation has none.
    """

    def __init__(self) -> None:
        """Find the encoder."""
        self._json = named("json")

    def shaped(self, table: ChangeTable, rows: pl.DataFrame) -> pl.DataFrame:
        """Return one event a row."""
        values = json_lines(self._json, rows)
        return _events(rows, self._keys(table, rows), values)

    def _keys(self, table: ChangeTable, rows: pl.DataFrame) -> list[bytes | None]:
        if not table.key:  # only inserts of it are read
            return [None] * rows.height
        keys: list[bytes | None] = [*json_lines(self._json, rows[list(table.key)])]
        truncated = rows[columns.OP] == "truncate"
        if truncated.any():
            for row in truncated.arg_true():
                keys[row] = None
        return keys


class EnvelopeFormat(Protocol):
    """A format of envelopes, and of their keys."""

    def encode(self, frame: pl.DataFrame) -> list[bytes]:
        """Write each change row as an envelope."""

    def encode_keys(
        self, frame: pl.DataFrame, key: Sequence[str]
    ) -> list[bytes | None]:
        """Write each row's key; None for a truncation."""


class DebeziumShape:
    """Events whose value is Debezium's envelope.

    Args:
        server: The logical name that envelopes carry.
    """

    def __init__(self, server: str) -> None:
        self._format = DebeziumFormat(server=server)

    def format_of(self, table: ChangeTable) -> EnvelopeFormat:
        """Return how changes of a table are written."""
        del table
        return self._format

    def shaped(self, table: ChangeTable, rows: pl.DataFrame) -> pl.DataFrame:
        """Return one event a row.

        Raises:
            RowsRefused: Rows with a value that an envelope cannot say.
        """
        envelopes = self.format_of(table)
        values = envelopes.encode(rows)
        keys: list[bytes | None] = [None] * rows.height
        if table.key:
            keys = envelopes.encode_keys(rows, table.key)
        return _events(rows, keys, values)


class DebeziumAvroShape(DebeziumShape):
    """Events whose key and value are Debezium's, in Avro.

    Their schemas are added to the registry, under the names that Debezium gives to
    topics: ``server.schema.table``.

    Args:
        server: The logical name that envelopes carry.
        profile: Profile of the registry.
    """

    def __init__(self, server: str, profile: str) -> None:
        super().__init__(server)
        self._server = server
        self._profile = profile
        self._formats: dict[str, EnvelopeFormat] = {}

    def format_of(self, table: ChangeTable) -> EnvelopeFormat:
        """Return how changes of a table are written; asks nothing yet."""
        topic = f"{self._server}.{table.relation.schema}.{table.relation.table}"
        if topic not in self._formats:
            options = {registry.AUTO: "true", DEBEZIUM_SERVER: self._server}
            made = named("debezium-avro", Context(topic, self._profile, options))
            self._formats[topic] = cast("EnvelopeFormat", made)
        return self._formats[topic]


def _events(
    rows: pl.DataFrame, keys: Sequence[bytes | None], values: Sequence[bytes | None]
) -> pl.DataFrame:
    """Return events with the metadata columns of their rows."""
    encoded = {
        KEY: pl.Series(KEY, keys, dtype=pl.Binary),
        VALUE: pl.Series(VALUE, values, dtype=pl.Binary),
    }
    return pl.DataFrame(
        [
            encoded[name] if name in encoded else rows[name].cast(dtype)
            for name, dtype in EVENT_COLUMNS.items()
        ]
    )


def json_lines(codec: Format, rows: pl.DataFrame) -> list[bytes]:
    """Return each row as a JSON object; a float that is no number as its name.

    So does PostgreSQL's own ``to_json``: ``"NaN"``, ``"Infinity"``.
    """
    rows = rows.clone()
    for place, dtype in enumerate(rows.dtypes):
        if isinstance(dtype, pl.Enum):
            rows.replace_column(place, rows.to_series(place).cast(pl.String))
    try:
        return codec.encode(rows)
    except RowsRefused as refused:
        odd = refused.reasons
    even = codec.encode(
        rows.with_row_index("#").filter(~pl.col("#").is_in(odd)).drop("#")
    )
    left = iter(even)
    return [
        codec.encode(_with_names(rows[row : row + 1]))[0] if row in odd else next(left)
        for row in range(rows.height)
    ]


def _with_names(row: pl.DataFrame) -> pl.DataFrame:
    """Return one row with floats that are no numbers spelled out."""
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    spelled = []
    for name, dtype in row.schema.items():
        value = row[name][0]
        if dtype.is_float() and value is not None and not math.isfinite(value):
            spelled.append(pl.lit(names[str(value)]).alias(name))
        elif dtype.is_nested():
            # An array, range or old row that may hold one: as text, whole.
            spelled.append(pl.lit(str(row[name].to_list()[0])).alias(name))
    return row.with_columns(spelled)
