"""The target table: created from the frame's columns, or checked against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
from psycopg import sql

from streamlab.connectors.postgres.columns import fits, sql_type
from streamlab.connectors.postgres.connection import NAME_BYTES
from streamlab.errors import SchemaError, UsageError

_COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attgenerated <> '',
    attnotnull AND NOT atthasdef AND attidentity = ''
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
"""
_UNIQUE_KEYS = """
SELECT array_agg(attname::text) FROM pg_index
JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey[:indnkeyatts - 1])
WHERE indrelid = %s AND indisunique AND indisvalid AND indimmediate
    AND indpred IS NULL AND indexprs IS NULL
GROUP BY indexrelid
"""
_RELATION = "SELECT oid, relkind FROM pg_class WHERE oid = to_regclass(%s)"
_WRITABLE_KINDS = frozenset({"r", "p"})  # ordinary and partitioned tables


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's name, with its schema where one was given."""

    parts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Return the name that ``table`` or ``schema.table`` means.

        Raises:
            UsageError: It is not such a name.
        """
        parts = tuple(text.split("."))
        longest = max(len(part.encode()) for part in parts)
        if len(parts) > 2 or not all(parts) or "\0" in text or longest > NAME_BYTES:  # noqa: PLR2004 -- schema and table
            message = f"{text!r} cannot name a table"
            raise UsageError(
                message, hint=f"write table or schema.table, {NAME_BYTES} bytes each"
            )
        return cls(parts)

    @property
    def identifier(self) -> sql.Identifier:
        """Return the name, quoted for a statement."""
        return sql.Identifier(*self.parts)

    def __str__(self) -> str:
        """Return the name as it was written."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of an existing table."""

    name: str
    type: str
    generated: bool
    must_be_given: bool


def prepare(
    connection: psycopg.Connection[Any],
    name: TableName,
    schema: Mapping[str, pl.DataType],
    key: Sequence[str],
    *,
    may_create: bool,
) -> None:
    """Create the table, or check that the rows fit the one that is there.

    Args:
        connection: An open connection.
        name: The table.
        schema: Columns of the rows.
        key: Columns that identify a row; empty for appending.
        may_create: Whether a missing table is created.

    Raises:
        SchemaError: The table is missing and may not be created, or it does not fit.
    """
    _check_names(schema, key)
    if _find(connection, name) is None:
        if not may_create:
            message = f"there is no table {name}"
            statement = _creation(name, schema, key).as_string(connection)
            raise SchemaError(message, hint=f"create it: {statement}")
        _create(connection, name, schema, key)
    # Checked even if just created: another worker may have been faster.
    oid = _find(connection, name)
    _check_columns(connection, oid, name, schema)
    if key:
        _check_key(connection, oid, name, key)


def _check_names(schema: Mapping[str, pl.DataType], key: Sequence[str]) -> None:
    if not schema:
        message = "a table needs at least one column"
        raise SchemaError(message)
    for column in schema:
        if not column or "\0" in column or len(column.encode()) > NAME_BYTES:
            message = f"{column!r} cannot name a column of PostgreSQL"
            raise SchemaError(message, hint=f"at most {NAME_BYTES} bytes; rename it")
    missing = [column for column in key if column not in schema]
    if missing:
        message = f"the key column {missing[0]!r} is not among the rows' columns"
        raise SchemaError(message, hint=f"they are {', '.join(schema)}")


def _find(connection: psycopg.Connection[Any], name: TableName) -> int | None:
    quoted = name.identifier.as_string(connection)
    found = connection.execute(_RELATION, [quoted]).fetchone()
    if found is None:
        return None
    oid, kind = found
    if kind not in _WRITABLE_KINDS:
        message = f"{name} is not a table: rows cannot be copied into it"
        raise SchemaError(message)
    return int(oid)


def _creation(
    name: TableName, schema: Mapping[str, pl.DataType], key: Sequence[str]
) -> sql.Composed:
    lines: list[sql.Composable] = [
        sql.SQL("{} {}").format(sql.Identifier(column), _type(column, dtype))
        for column, dtype in schema.items()
    ]
    if key:
        columns = sql.SQL(", ").join(map(sql.Identifier, key))
        lines.append(sql.SQL("PRIMARY KEY ({})").format(columns))
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(
        name.identifier, sql.SQL(", ").join(lines)
    )


def _type(column: str, dtype: pl.DataType) -> sql.SQL:
    # Safe as it is: sql_type returns one of a few texts of our own.
    return sql.SQL(sql_type(column, dtype))


def _create(
    connection: psycopg.Connection[Any],
    name: TableName,
    schema: Mapping[str, pl.DataType],
    key: Sequence[str],
) -> None:
    try:
        with connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [str(name)]
            )
            connection.execute(_creation(name, schema, key))
    except psycopg.errors.InvalidSchemaName:
        message = f"the schema of table {name} does not exist"
        hint = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name.parts[0]))
        raise SchemaError(message, hint=hint.as_string(connection)) from None


def _check_columns(
    connection: psycopg.Connection[Any],
    oid: int | None,
    name: TableName,
    schema: Mapping[str, pl.DataType],
) -> None:
    """Name every column that does not fit, and the statement that would mend it."""
    rows = connection.execute(_COLUMNS, [oid]).fetchall()
    found = {row[0]: _Column(*row) for row in rows}
    problems: list[str] = []
    changes: list[sql.Composable] = []
    for column, dtype in schema.items():
        problem, change = _misfit(column, dtype, found.get(column))
        if problem:
            problems.append(problem)
            changes.append(change)
    for column, there in found.items():
        if column not in schema and there.must_be_given:
            problems.append(f"{column!r} must be given, but the rows do not have it")
            changes.append(_alter(column, sql.SQL("DROP NOT NULL")))
    if problems:
        statement = sql.SQL("ALTER TABLE {} {}").format(
            name.identifier, sql.SQL(", ").join(changes)
        )
        message = f"table {name} does not fit the rows: {'; '.join(problems)}"
        raise SchemaError(message, hint=statement.as_string(connection))


def _misfit(
    column: str, dtype: pl.DataType, there: _Column | None
) -> tuple[str, sql.Composable]:
    """Return what is wrong with one column and the change; ``""`` if it fits."""
    wanted = _type(column, dtype)
    if there is None:
        change = sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(column), wanted)
        return f"{column!r} is missing", change
    if there.generated:
        return f"{column!r} is generated", _alter(column, sql.SQL("DROP EXPRESSION"))
    if not fits(dtype, there.type):
        problem = f"{column!r} is {there.type}, but the rows have {dtype}"
        return problem, _alter(column, sql.SQL("TYPE {}").format(wanted))
    return "", sql.SQL("")


def _alter(column: str, change: sql.Composable) -> sql.Composed:
    return sql.SQL("ALTER COLUMN {} {}").format(sql.Identifier(column), change)


def _check_key(
    connection: psycopg.Connection[Any],
    oid: int | None,
    name: TableName,
    key: Sequence[str],
) -> None:
    keys = [set(row[0]) for row in connection.execute(_UNIQUE_KEYS, [oid])]
    if set(key) not in keys:
        columns = sql.SQL(", ").join(map(sql.Identifier, key))
        statement = sql.SQL("ALTER TABLE {} ADD UNIQUE ({})").format(
            name.identifier, columns
        )
        message = f"table {name} has no unique key on ({', '.join(key)})"
        raise SchemaError(message, hint=statement.as_string(connection))
