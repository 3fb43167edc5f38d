"""What a server knows about types that are not built in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from streamlab.connectors.postgres.changes.relation import Relation

FIRST_USER_OID = 16_384
"""Types below it are the same in every database of a server version.

Source: FirstNormalObjectId in
https://github.com/postgres/postgres/blob/REL_18_STABLE/src/include/access/transam.h
"""

_TYPES = """
SELECT t.oid::int8, n.nspname, t.typname, t.typtype::text, t.typbasetype::int8,
    t.typtypmod,
    coalesce((SELECT e.oid::int8 FROM pg_type e WHERE e.typarray = t.oid), 0),
    t.typdelim::text,
    ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid
        ORDER BY enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('b', 'd', 'e', 'r', 'm', 'c') AND (
    t.typtype <> 'c' OR EXISTS (SELECT FROM pg_class c
        WHERE c.oid = t.typrelid AND c.relkind = 'c'))
"""


@dataclass(frozen=True, slots=True)
class ServerType:
    """A type as the server has it.

    Attributes:
        oid: Its object id.
        schema: Its schema.
        name: Its name, unquoted.
        kind: ``b`` base, ``d`` domain, ``e`` enum, ``r`` range, ``m`` multirange,
            ``c`` composite.
        base: Of a domain, the type below it; else 0.
        base_modifier: The type modifier that the domain gives the type below it.
        element: Of an array, its elements' type; else 0.
        delimiter: What separates elements of an array **of this type**.
        labels: Of an enum, in its order.
    """

    oid: int
    schema: str
    name: str
    kind: str = "b"
    base: int = 0
    base_modifier: int = -1
    element: int = 0
    delimiter: str = ","
    labels: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """The types of a database at one moment.

    A type that was made later is missing: see :meth:`missing`.
    """

    types: Mapping[int, ServerType] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, connection: psycopg.Connection[Any]) -> Catalog:
        """Read all types, built-in ones too: one query, some hundred rows.

        Raises:
            psycopg.Error: The server did not answer.
        """
        rows: list[tuple[Any, ...]] = connection.execute(_TYPES).fetchall()
        types = (ServerType(*row) for row in rows)
        return cls({one.oid: one for one in types})

    def find(self, oid: int) -> ServerType | None:
        """Return a type, None if the server did not have it."""
        return self.types.get(oid)

    def missing(self, relation: Relation) -> tuple[int, ...]:
        """Return the column types that are not in here: read the catalog again.

        What is still missing then was dropped since; its values are read as text.
        """
        oids: Iterable[int] = (column.type_oid for column in relation.columns)
        return tuple(dict.fromkeys(oid for oid in oids if oid not in self.types))
