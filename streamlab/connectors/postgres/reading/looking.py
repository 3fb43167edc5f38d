"""A look at a server before anything is made: is it set up, what are the tables?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import published
from streamlab.connectors.postgres.reading.decoding import TableVersions, read_catalog
from streamlab.connectors.postgres.reading.keys import Choices
from streamlab.connectors.postgres.reading.published import Table
from streamlab.connectors.postgres.reading.shapes import RowShape, Shape
from streamlab.errors import UsageError
from streamlab.positions import TopicPartition


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader needs to know of its source.

    Attributes:
        address: The database.
        slot: Name of the slot.
        publication: Name of the publication.
        tables: Tables as they were named; empty: all of the publication.
        shape: How rows are handed on.
        with_snapshot: Whether the rows that are there are read first.
        failover: Whether standbys keep the slot, too.
        as_text: Columns to read as text.
        keys: Declared keys by table, named as in ``tables``.
        inserts_only: Whether only inserts are published.
        accept: Versions of tables that are accepted though they are no addition.
    """

    address: Address
    slot: str
    publication: str
    tables: Sequence[str]
    shape: Shape
    with_snapshot: bool
    failover: bool = True
    as_text: Sequence[str] = ()
    keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inserts_only: bool = False
    accept: Sequence[str] = ()
    partition: TopicPartition = field(init=False)

    def __post_init__(self) -> None:
        """Name the one partition after the slot."""
        object.__setattr__(self, "partition", TopicPartition(self.slot, 0))


@dataclass(frozen=True, slots=True)
class Look:
    """A server at one moment.

    Attributes:
        system: Its system identifier.
        database: Name of the database.
        tables: The tables to read.
        published: Object ids of those that the publication has; none before it exists.
        versions: How their rows are decoded.
    """

    system: str
    database: str
    tables: Sequence[Table]
    published: frozenset[int]
    versions: TableVersions

    @property
    def incarnation(self) -> str:
        """Return ``system identifier/database``."""
        return f"{self.system}/{self.database}"


def look(reading: Reading) -> Look:
    """Look at the server, changing nothing.

    Raises:
        UsageError: It is not set up for logical replication, or a table is not there.
        Unavailable: It cannot be reached.
    """
    with (
        database.connect(reading.address, f"streamlab {reading.slot}") as connection,
        translation("looking at the database"),
    ):
        found = _one(connection, _SERVER)
        if found["wal_level"] != "logical":
            message = f"PostgreSQL at {reading.address} does not log what changes rows"
            raise UsageError(
                message, hint="ALTER SYSTEM SET wal_level = 'logical', and restart it"
            )
        published.require_operations(
            connection, reading.publication, inserts_only=reading.inserts_only
        )
        there = published.members(connection, reading.publication)
        named = published.resolved(connection, reading.tables)
        # What was taken out of the settings is still published, and still comes.
        oids = list(dict.fromkeys([*named, *there]))
        if not oids:
            message = f"publication {reading.publication!r} has no tables"
            raise UsageError(message, hint='name them: tables = ["public.orders"]')
        choices = _choices(connection, reading)
        tables = published.tables(connection, oids, reading.publication, choices)
        if isinstance(reading.shape, RowShape) and len(tables) > 1:
            others = ", ".join(map(str, tables))
            message = f"rows of several tables have no columns in common: {others}"
            raise UsageError(
                message, hint='use shape = "flat", or a publication of one table'
            )
        versions = TableVersions(
            reading.address,
            read_catalog(connection),
            tables,
            reading.shape,
            reading.as_text,
        )
        return Look(
            found["system"], found["database"], tables, frozenset(there), versions
        )


def members(reading: Reading) -> frozenset[int]:
    """Return the object ids of the tables that are published now.

    Raises:
        Unavailable: The server does not answer.
    """
    with (
        database.connect(reading.address, f"streamlab {reading.slot}") as connection,
        translation("looking at the publication"),
    ):
        return frozenset(published.members(connection, reading.publication))


def _choices(connection: psycopg.Connection[Any], reading: Reading) -> Choices:
    """Return what the settings say of tables without a key."""
    oids = published.resolved(connection, list(reading.keys))
    return Choices(
        dict(zip(oids, reading.keys.values(), strict=True)),
        reading.inserts_only,
        reading.with_snapshot,
    )


_SERVER = """
SELECT current_setting('wal_level') AS wal_level, current_database() AS database,
    (SELECT system_identifier FROM pg_control_system())::text AS system
"""


def _one(connection: psycopg.Connection[Any], statement: Any) -> dict[str, Any]:
    with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
        return cursor.execute(statement).fetchone() or {}
