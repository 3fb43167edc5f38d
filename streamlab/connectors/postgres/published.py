"""Tables to be published: found, checked before they are, and published.

A table without a key must not be published: from that moment on the server refuses
UPDATE and DELETE on it to everybody, and the application that owns it is down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from streamlab.connectors.postgres.changes.relation import Column, Relation
from streamlab.connectors.postgres.failures import translation
from streamlab.errors import Refused, UnknownName, UsageError

COLUMN_LISTS_SINCE = 15_00_00  # server version
_ORDINARY, _PARTITIONED = "r", "p"
_NOTHING, _FULL, _INDEX = "n", "f", "i"

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
    attgenerated <> ''
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
SELECT puballtables, pubviaroot, pubinsert AND pubupdate AND pubdelete AND pubtruncate
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
    """

    relation: Relation
    key: tuple[str, ...]
    key_types: tuple[str, ...]
    rows: int
    filter: str = ""

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
    connection: psycopg.Connection[Any], oids: Sequence[int], publication: str = ""
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
    return [_table(row, columns[row[0]], details.get(row[0])) for row in rows]


def _table(
    row: tuple[Any, ...],
    columns: Sequence[tuple[Any, ...]],
    published: tuple[list[str] | None, str | None] | None,
) -> Table:
    oid, schema, name, kind, identity, persistence, rows, primary, replica = row
    key = tuple(replica if identity == _INDEX else primary)
    _require_publishable(f"{schema}.{name}", kind, persistence, identity, key)
    chosen, condition = published or (None, None)
    shown = [
        (column, oid_, modifier)
        for column, oid_, modifier, _, generated in columns
        if (column in chosen if chosen is not None else not generated)
    ]
    types = {column: sql_type for column, _, _, sql_type, _ in columns}
    in_identity = set(types) if identity == _FULL else set(key)
    relation = Relation(
        oid,
        schema,
        name,
        identity,
        tuple(Column(one, t, m, is_key=one in in_identity) for one, t, m in shown),
    )
    key_types = tuple(types[column] for column in key)
    return Table(relation, key, key_types, rows, condition or "")


def _require_publishable(
    name: str, kind: str, persistence: str, identity: str, key: Sequence[str]
) -> None:
    if kind not in {_ORDINARY, _PARTITIONED} or persistence != "p":
        message = f"{name} cannot be published: it is no ordinary, logged table"
        raise UsageError(message, hint="leave it out of tables")
    if identity == _NOTHING:
        message = (
            f"{name} has the replica identity NOTHING: publishing it would break every "
            "UPDATE and DELETE on it"
        )
        raise UsageError(message, hint=f"ALTER TABLE {name} REPLICA IDENTITY DEFAULT")
    if not key and identity != _FULL:
        message = (
            f"{name} has no primary key: publishing it would break every UPDATE and "
            "DELETE on it, so it was not published"
        )
        raise UsageError(message, hint=_choices(name))
    if not key:
        message = f"{name} has no primary key: its rows cannot be told from each other"
        raise UsageError(message, hint=_choices(name))


def _choices(name: str) -> str:
    return (
        f"give it one: ALTER TABLE {name} ADD PRIMARY KEY (…); or name a unique index "
        "on columns that are NOT NULL: "
        f"ALTER TABLE {name} REPLICA IDENTITY USING INDEX …; or leave it out of tables"
    )


def publish(
    connection: psycopg.Connection[Any], publication: str, wanted: Sequence[Table]
) -> None:
    """Create a publication of checked tables, or add them to the one that is there.

    Raises:
        Refused: The server does not allow it.
    """
    row = connection.execute(_PUBLICATION, [publication]).fetchone()
    if row is None:
        statement = sql.SQL(
            "CREATE PUBLICATION {} FOR TABLE {} "
            "WITH (publish_via_partition_root = true)"
        ).format(
            sql.Identifier(publication),
            sql.SQL(", ").join(table.identifier for table in wanted),
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
