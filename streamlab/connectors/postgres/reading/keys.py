"""Which columns tell a table's rows apart, and whether it may be published at all.

A table without a key must not be published: from that moment on the server refuses
UPDATE and DELETE on it to everybody, and the application that owns it is down. There
are three ways out, and each is a choice of who owns the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streamlab.connectors.postgres.changes.relation import (
    IDENTITY_FULL,
    IDENTITY_INDEX,
    IDENTITY_NOTHING,
)
from streamlab.errors import UnknownName, UsageError

_ORDINARY, _PARTITIONED, _PERMANENT = "r", "p", "p"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the settings say of tables whose key the catalog does not know.

    Attributes:
        keys: Columns that tell the rows apart, by the table's object id.
        inserts_only: Whether updates and deletes are not published; then the
            application's go on working whatever the table is.
        with_snapshot: Whether rows are read in the order of a key.
    """

    keys: Mapping[int, Sequence[str]] = field(default_factory=dict)
    inserts_only: bool = False
    with_snapshot: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """A table as the catalog has it.

    Attributes:
        oid: Object id.
        name: ``schema.table``.
        quoted: The same, as SQL has it.
        kind: ``relkind``.
        persistence: ``relpersistence``.
        identity: ``relreplident``.
        primary: Columns of the primary key.
        replica: Columns of the index that is the replica identity.
        nullable: Whether each column may be null.
    """

    oid: int
    name: str
    quoted: str
    kind: str
    persistence: str
    identity: str
    primary: Sequence[str]
    replica: Sequence[str]
    nullable: Mapping[str, bool]

    @property
    def own_key(self) -> tuple[str, ...]:
        """Return the key that the server itself knows."""
        return tuple(self.replica if self.identity == IDENTITY_INDEX else self.primary)


def key_of(table: Candidate, choices: Choices) -> tuple[str, ...]:
    """Return the columns that tell a table's rows apart, once it may be published.

    Returns:
        The columns; none for a table of which only inserts are read.

    Raises:
        UsageError: It cannot be published without harm, or needs a choice.
        UnknownName: A declared key has a column that is not there.
    """
    if table.kind not in {_ORDINARY, _PARTITIONED} or table.persistence != _PERMANENT:
        message = f"{table.name} cannot be published: it is no ordinary, logged table"
        raise UsageError(message, hint="leave it out of tables")
    if table.identity == IDENTITY_NOTHING and not choices.inserts_only:
        message = (
            f"{table.name} has the replica identity NOTHING: publishing it would break "
            "every UPDATE and DELETE on it"
        )
        hint = f"ALTER TABLE {table.quoted} REPLICA IDENTITY DEFAULT"
        raise UsageError(message, hint=hint)
    declared = tuple(choices.keys.get(table.oid, ()))
    if declared:
        _require_declarable(table, declared, choices)
        return declared
    if table.own_key or (choices.inserts_only and not choices.with_snapshot):
        return table.own_key
    raise _without_key(table, choices)


def _require_declarable(
    table: Candidate, declared: Sequence[str], choices: Choices
) -> None:
    """Check that a declared key can be in every change, and never null."""
    for name in declared:
        if name not in table.nullable:
            raise UnknownName(f"column of {table.name}", name, list(table.nullable))
        if table.nullable[name]:
            message = f"the key column {name!r} of {table.name} may be null"
            raise UsageError(
                message,
                hint=f'ALTER TABLE {table.quoted} ALTER COLUMN "{name}" SET NOT NULL',
            )
    if table.identity == IDENTITY_FULL or choices.inserts_only:
        return
    message = (
        f"{table.name} has a declared key, but its updates and deletes would not say "
        "which row they are about: its replica identity is not FULL"
    )
    raise UsageError(message, hint=f"ALTER TABLE {table.quoted} REPLICA IDENTITY FULL")


def _without_key(table: Candidate, choices: Choices) -> UsageError:
    """Return the error that has all the choices, with their SQL."""
    setting = f'keys = {{ "{table.name}" = ["…"] }}'
    if choices.inserts_only:
        message = (
            f"{table.name} has no primary key: a snapshot of it could not be read on "
            "where it was interrupted"
        )
        hint = f'name columns that are unique: {setting}; or set snapshot = "never"'
        return UsageError(message, hint=hint)
    if table.identity == IDENTITY_FULL:
        message = (
            f"{table.name} has no primary key: its rows cannot be told from each other"
        )
        hint = (
            f"name columns that are unique and NOT NULL: {setting}; or give it a key: "
            f"ALTER TABLE {table.quoted} ADD PRIMARY KEY (…)"
        )
        return UsageError(message, hint=hint)
    message = (
        f"{table.name} has no primary key: publishing it would break every UPDATE and "
        "DELETE on it, so it was not published"
    )
    return UsageError(
        message,
        hint=f"give it one: ALTER TABLE {table.quoted} ADD PRIMARY KEY (…); or name a "
        "unique index on columns that are NOT NULL: "
        f"ALTER TABLE {table.quoted} REPLICA IDENTITY USING INDEX …; or log whole rows "
        f"and declare a key: ALTER TABLE {table.quoted} REPLICA IDENTITY FULL and "
        f'{setting}; or read inserts only: publish = "inserts"; or leave it out of '
        "tables",
    )
