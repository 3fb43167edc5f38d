"""The shape of change rows: a table's columns, and what happened to each row.

A source of change data capture makes frames of this shape, whatever the database, and
formats such as the Debezium envelope write and read them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl

from streamlab.errors import SchemaError

OPERATIONS = pl.Enum(["snapshot", "insert", "update", "delete", "truncate"])
"""What happened to a row."""

OP = "_op"
LSN = "_lsn"
INDEX = "_index"
COMMIT_TIME = "_commit_time"
XID = "_xid"
SCHEMA = "_schema"
TABLE = "_table"
UNAVAILABLE = "_unavailable"
BEFORE = "_before"

METADATA: Mapping[str, pl.DataType] = {
    OP: OPERATIONS,
    LSN: pl.Int64(),
    INDEX: pl.Int64(),
    COMMIT_TIME: pl.Datetime("us", "UTC"),
    XID: pl.UInt32(),
    SCHEMA: pl.String(),
    TABLE: pl.String(),
    UNAVAILABLE: pl.List(pl.String),
}
"""Columns behind the table's own; :data:`BEFORE`, a struct, comes last."""


def change_schema(own: pl.Schema, known: Iterable[str] | None = None) -> pl.Schema:
    """Return the columns of change rows.

    Args:
        own: The table's columns.
        known: Those whose old values come with an update or a delete; None: all.
    """
    names = list(own) if known is None else list(known)
    before = pl.Struct({name: own[name] for name in names})
    return pl.Schema({**own, **METADATA, BEFORE: before})


def own_columns(schema: pl.Schema, doing: str) -> pl.Schema:
    """Return the table's columns of a schema of change rows.

    Args:
        schema: Its columns.
        doing: What needs change rows, for the error.

    Raises:
        SchemaError: It has no ``_op``, or a metadata column is of another type.
    """
    if OP not in schema:
        raise SchemaError(
            f"{doing} needs the column {OP!r}, which says what happened to each row",
            hint=f"the rows' columns are {', '.join(schema)}",
        )
    for name, dtype in METADATA.items():
        if name in schema and schema[name] != dtype:
            raise SchemaError(f"column {name!r} is {schema[name]}, not {dtype}")
    own = pl.Schema(
        {
            name: dtype
            for name, dtype in schema.items()
            if name not in METADATA and name != BEFORE
        }
    )
    _check_before(schema.get(BEFORE), own)
    return own


def _check_before(before: pl.DataType | None, own: pl.Schema) -> None:
    if before is None:
        return
    if not isinstance(before, pl.Struct):
        raise SchemaError(f"column {BEFORE!r} is {before}, not a Struct of columns")
    for part in before.fields:
        if own.get(part.name) != part.dtype:
            raise SchemaError(
                f"field {part.name!r} of {BEFORE!r} is {part.dtype}, but the column is "
                f"{own.get(part.name, 'not there')}",
                hint="an old row has the types of the new one",
            )
