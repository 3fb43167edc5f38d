"""Tables to be published: found, checked before they are, and published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from streamlab.connectors.postgres.changes.relation import (
    IDENTITY_FULL,
    IDENTITY_NOTHING,
    Column,
    Relation,
)
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading.keys import Candidate, Choices, key_of
from streamlab.errors import Refused, UnknownName, UsageError

COLUMN_LISTS_SINCE = 15_00_00  # server version
_NO_CHOICES = Choices()

_KEY = """
ARRAY(SELECT a.attname::text
    FROM pg_index i
    CROSS JOIN unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY AS k(number, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
    WHERE i.indrelid = c.oid AND {} ORDER BY k.place)
"""
_TABLES = f"""
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text,
    c.relreplident::text, c.relpersistence::text, greatest(c.reltuples, 0)::int8,
    {_KEY.format("i.indisprimary")}, {_KEY.format("i.indisreplident")}
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%s::oid[]) ORDER BY n.nspname, c.relname
"""  # noqa: S608 -- made of constants
_COLUMNS = """
SELECT attrelid::int8, attname::text, atttypid::int8, atttypmod,
    format_type(atttypid, atttypmod) || coalesce((
        SELECT format(' COLLATE %%I.%%I', nspname, collname)
        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
        WHERE c.oid = attcollation AND collname <> 'default'), ''),
    attgenerated <> '', NOT attnotnull
FROM pg_attribute WHERE attrelid = ANY(%s::oid[]) AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid, attnum
"""
_NAMED = """
SELECT c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = %s AND c.relkind IN ('r', 'p')
"""
_ALL = """
SELECT n.nspname || '.' || c.relname FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
_MEMBERS = """
SELECT format('%%I.%%I', schemaname, tablename)::regclass::oid::int8
FROM pg_publication_tables WHERE pubname = %s
"""
_DETAILS = """
SELECT format('%%I.%%I', schemaname, tablename)::regclass::oid::int8,
    attnames::text[], rowfilter
FROM pg_publication_tables WHERE pubname = %s
"""
_PUBLICATION = """
SELECT pubinsert AND NOT (pubupdate OR pubdelete),
    pubinsert AND pubupdate AND pubdelete AND pubtruncate
FROM pg_publication WHERE pubname = %s
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the source.

    Attributes:
        relation: Its published columns, as the stream would describe them now.
        key: The columns that tell its rows apart, in the order of their index.
        key_types: Their types, as SQL has them, with the collation that orders them.
        rows: About how many rows it has, as the server estimates.
        filter: The publication's condition on its rows, as SQL; empty for none.
        is_declared: Whether the settings name the key, and no index ensures it.
    """

    relation: Relation
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    rows: int
    filter: str = ""
    is_declared: bool = False

    def __str__(self) -> str:
        """Return ``schema.table``."""
        return str(self.relation)

    @property
    def identifier(self) -> sql.Identifier:
        """Return its name, quoted for a statement."""
        return sql.Identifier(self.relation.schema, self.relation.table)


def resolved(connection: psycopg.Connection[Any], names: Sequence[str]) -> list[int]:
    """Return the object ids of tables.

    Args:
        connection: An open connection.
        names: ``schema.table`` as it is, or as SQL would have it, quoted.

    Raises:
        UnknownName: There is no such table.
    """
    return [_resolved(connection, name) for name in names]


def _resolved(connection: psycopg.Connection[Any], name: str) -> int:
    rows = connection.execute(_NAMED, [name]).fetchall()
    if not rows:
        try:
            rows = connection.execute(
                "SELECT to_regclass(%s)::oid::int8", [name]
            ).fetchall()
        except psycopg.errors.InvalidName:
            rows = []
    if not rows or rows[0][0] is None:
        known = [row[0] for row in connection.execute(_ALL)]
        raise UnknownName("table", name, known, hint="write schema.table")
    return int(rows[0][0])


def members(connection: psycopg.Connection[Any], publication: str) -> list[int]:
    """Return the object ids of a publication's tables; none if there is no such."""
    return [row[0] for row in connection.execute(_MEMBERS, [publication])]


def tables(
    connection: psycopg.Connection[Any],
    oids: Sequence[int],
    publication: str = "",
    choices: Choices = _NO_CHOICES,
) -> list[Table]:
    """Return tables, with what a publication publishes of them where it exists.

    Raises:
        UsageError: One cannot be published without harm, or has no key.
    """
    rows = connection.execute(_TABLES, [list(oids)]).fetchall()
    columns: dict[int, list[tuple[Any, ...]]] = {}
    for oid, *column in connection.execute(_COLUMNS, [list(oids)]):
        columns.setdefault(oid, []).append(tuple(column))
    details: dict[int, tuple[list[str] | None, str | None]] = {}
    if publication and connection.info.server_version >= COLUMN_LISTS_SINCE:
        found = connection.execute(_DETAILS, [publication]).fetchall()
        details = {oid: (names, condition) for oid, names, condition in found}
    return [_table(row, columns[row[0]], details.get(row[0]), choices) for row in rows]


def _table(
    row: tuple[Any, ...],
    columns: Sequence[tuple[Any, ...]],
    published: tuple[list[str] | None, str | None] | None,
    choices: Choices,
) -> Table:
    oid, schema, name, kind, identity, persistence, rows, primary, replica = row
    candidate = Candidate(
        oid,
        f"{schema}.{name}",
        sql.Identifier(schema, name).as_string(None),
        kind,
        persistence,
        identity,
        primary,
        replica,
        {column: nullable for column, *_, nullable in columns},
    )
    key = key_of(candidate, choices)
    chosen, condition = published or (None, None)
    shown = [
        (column, oid_, modifier)
        for column, oid_, modifier, _, generated, _ in columns
        if (column in chosen if chosen is not None else not generated)
    ]
    types = {column: sql_type for column, _, _, sql_type, *_ in columns}
    in_identity = set(candidate.own_key)
    if identity == IDENTITY_FULL:
        in_identity = set(types)
    elif identity == IDENTITY_NOTHING:
        in_identity = set()
    relation = Relation(
        oid,
        schema,
        name,
        identity,
        tuple(Column(one, t, m, is_key=one in in_identity) for one, t, m in shown),
    )
    key_types = tuple(types[column] for column in key)
    is_declared = key != candidate.own_key
    return Table(relation, key, key_types, rows, condition or "", is_declared)


def require_operations(
    connection: psycopg.Connection[Any], publication: str, *, inserts_only: bool
) -> None:
    """Check that a publication, if it exists, publishes what the settings say.

    Raises:
        UsageError: It publishes less: changes would be missing without a word. Or
            more: updates of a table without a key would fail.
    """
    row = connection.execute(_PUBLICATION, [publication]).fetchone()
    if row is None or (row[0] if inserts_only else row[1]):
        return
    wanted = "insert" if inserts_only else "insert, update, delete, truncate"
    name = sql.Identifier(publication).as_string(connection)
    message = (
        f"publication {publication!r} does not publish inserts alone"
        if inserts_only
        else f"publication {publication!r} leaves out some kinds of changes"
    )
    other = "" if inserts_only else '; or, if it is meant so: publish = "inserts"'
    raise UsageError(
        message, hint=f"ALTER PUBLICATION {name} SET (publish = '{wanted}'){other}"
    )


def publish(
    connection: psycopg.Connection[Any],
    publication: str,
    wanted: Sequence[Table],
    *,
    inserts_only: bool = False,
) -> None:
    """Create a publication of checked tables, or add them to the one that is there.

    Raises:
        Refused: The server does not allow it.
    """
    row = connection.execute(_PUBLICATION, [publication]).fetchone()
    if row is None:
        statement = sql.SQL(
            "CREATE PUBLICATION {} FOR TABLE {} "
            "WITH ({}publish_via_partition_root = true)"
        ).format(
            sql.Identifier(publication),
            sql.SQL(", ").join(table.identifier for table in wanted),
            sql.SQL("publish = 'insert', " if inserts_only else ""),
        )
        try:
            connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            message = f"publication {publication!r} may not be created by this role"
            said = statement.as_string(connection)
            raise Refused(
                message, hint=f"have the owner of the tables run: {said}"
            ) from None
        return
    with translation(f"reading publication {publication!r}"):
        there = set(members(connection, publication))
    missing = [table for table in wanted if table.relation.oid not in there]
    if missing:
        _add(connection, publication, missing)


def unpublish(connection: psycopg.Connection[Any], publication: str) -> None:
    """Drop a publication, if it is there."""
    with translation(f"dropping publication {publication!r}"):
        connection.execute(
            sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(publication))
        )


def _add(
    connection: psycopg.Connection[Any], publication: str, missing: Sequence[Table]
) -> None:
    statement = sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(
        sql.Identifier(publication),
        sql.SQL(", ").join(table.identifier for table in missing),
    )
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        listed = ", ".join(map(str, missing))
        message = f"publication {publication!r} does not publish {listed}"
        said = statement.as_string(connection)
        raise Refused(message, hint=f"have its owner run: {said}") from None
