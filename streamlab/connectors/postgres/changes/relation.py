"""What the stream of changes says about a table, and how two versions of it differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

IDENTITY_DEFAULT = "d"
IDENTITY_NOTHING = "n"
IDENTITY_FULL = "f"
IDENTITY_INDEX = "i"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as a Relation message has it.

    Attributes:
        name: Its name, unquoted.
        type_oid: Object id of its type; a domain's own, not its base type's.
        type_modifier: ``atttypmod``: precision, length …; -1 for none.
        is_key: Whether it is part of the replica identity. With the identity FULL
            every column is, so this is **not** the primary key then.
    """

    name: str
    type_oid: int
    type_modifier: int
    is_key: bool


@dataclass(frozen=True, slots=True)
class Relation:
    """A version of a table: published columns only, in the table's order.

    Attributes:
        oid: Object id; with ``publish_via_partition_root`` the root's.
        schema: Its schema; ``pg_catalog`` where the stream says ``""``.
        table: Its name, unquoted.
        replica_identity: ``d`` default, ``n`` nothing, ``f`` full, ``i`` index.
        columns: Its columns. Generated ones are left out by the server unless the
            publication asks for them.
    """

    oid: int
    schema: str
    table: str
    replica_identity: str
    columns: tuple[Column, ...]

    def __str__(self) -> str:
        """Return ``schema.table``."""
        return f"{self.schema}.{self.table}"

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns."""
        return tuple(column.name for column in self.columns)

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns whose old values come with updates and deletes."""
        return tuple(column.name for column in self.columns if column.is_key)

    @property
    def is_full(self) -> bool:
        """Return whether updates and deletes come with the whole old row."""
        return self.replica_identity == IDENTITY_FULL


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a new version of a table differs from the one before.

    Attributes:
        kind: ``added``, ``removed`` and ``retyped`` are about a column (a renamed
            column is removed and added); ``moved`` about the order of columns;
            ``renamed`` about the table's name or schema, ``identity`` about the
            replica identity.
        column: The column, ``""`` for ``moved``, ``renamed`` and ``identity``.
    """

    kind: Literal["added", "removed", "retyped", "moved", "renamed", "identity"]
    column: str = ""

    @property
    def is_additive(self) -> bool:
        """Return whether what read the old version can go on reading."""
        return self.kind in {"added", "moved"}


def differences(old: Relation, new: Relation) -> tuple[Difference, ...]:
    """Return how a version differs from the one before; empty if it does not.

    The stream does not say whether an added column may be null, nor that a column was
    renamed: a catalog that is read *now* may already be ahead of the stream.
    """
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    found: list[Difference] = []
    if (old.schema, old.table) != (new.schema, new.table):
        found.append(Difference("renamed"))
    found += [Difference("removed", name) for name in before if name not in after]
    found += [Difference("added", name) for name in after if name not in before]
    common = [name for name in after if name in before]
    found += [
        Difference("retyped", name)
        for name in common
        if _type(before[name]) != _type(after[name])
    ]
    if common != [name for name in before if name in after]:
        found.append(Difference("moved"))
    if _identity(old, before) != _identity(new, after):
        found.append(Difference("identity"))
    return tuple(found)


def _type(column: Column) -> tuple[int, int]:
    return column.type_oid, column.type_modifier


def _identity(
    relation: Relation, columns: Mapping[str, Column]
) -> tuple[str, frozenset[str]]:
    """Return what decides about old values, apart from columns that came or went."""
    if relation.is_full:
        return relation.replica_identity, frozenset()
    keys = frozenset(name for name, column in columns.items() if column.is_key)
    return relation.replica_identity, keys
