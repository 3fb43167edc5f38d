"""The messages of logical replication that are not about rows, one class each.

Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from streamlab.connectors.postgres.changes.relation import Column, Relation

POSTGRES_EPOCH_US = 946_684_800_000_000
"""Microseconds from 1970 to 2000, where PostgreSQL's clock begins."""

# Of fixed size as a whole, with their tag: unpacking refuses any other length.
_BEGIN = struct.Struct("!xQqI")
_COMMIT = struct.Struct("!xBQQq")
_EMITTED = struct.Struct("!BQ")
_PLACE = struct.Struct("!Q")
_LENGTH = struct.Struct("!I")
_COUNT = struct.Struct("!H")
_COLUMN_TYPE = struct.Struct("!Ii")


@dataclass(frozen=True, slots=True)
class Transaction:
    """What a Begin message says about a transaction that committed.

    Attributes:
        commit_lsn: Where its commit record begins in the WAL. It rises from one
            transaction to the next, in commit order.
        commit_time_us: When it committed, in microseconds since 1970, UTC.
        xid: Its number.
    """

    commit_lsn: int
    commit_time_us: int
    xid: int


@dataclass(frozen=True, slots=True)
class LogicalMessage:
    """What an application wrote with ``pg_logical_emit_message``.

    Attributes:
        lsn: Where it is in the WAL.
        prefix: Whose it is.
        content: Its bytes.
        transactional: Whether it belongs to the transaction it stands in.
    """

    lsn: int
    prefix: str
    content: bytes
    transactional: bool


class Reader:
    """Reads the parts of one message in turn; raises on a message that is short."""

    def __init__(self, message: bytes) -> None:
        """Start behind the tag."""
        self._message = message
        self._place = 1

    def fixed(self, parts: struct.Struct) -> tuple[int, ...]:
        """Return numbers of fixed size."""
        found = parts.unpack_from(self._message, self._place)
        self._place += parts.size
        return found

    def text(self) -> str:
        """Return a text that ends with a zero byte."""
        end = self._message.index(0, self._place)
        found = self._message[self._place : end].decode()
        self._place = end + 1
        return found

    def counted(self) -> bytes:
        """Return bytes that come behind their number."""
        (length,) = self.fixed(_LENGTH)
        end = self._place + length
        if end > len(self._message):
            raise IndexError
        found = self._message[self._place : end]
        self._place = end
        return found

    def byte(self) -> int:
        """Return one byte."""
        found = self._message[self._place]
        self._place += 1
        return found

    def end(self) -> None:
        """Refuse a message that goes on."""
        if self._place != len(self._message):
            raise ValueError


def read_begin(message: bytes) -> Transaction:
    """Return what a Begin message says."""
    lsn, time_us, xid = _BEGIN.unpack(message)
    return Transaction(lsn, time_us + POSTGRES_EPOCH_US, xid)


def read_commit(message: bytes) -> tuple[int, int]:
    """Return where the commit record begins, and where the transaction ends."""
    _, commit_lsn, end_lsn, _ = _COMMIT.unpack(message)
    return commit_lsn, end_lsn


def read_relation(message: bytes) -> Relation:
    """Return the version of a table that a Relation message describes."""
    reader = Reader(message)
    (oid,) = reader.fixed(_LENGTH)
    schema, table = reader.text(), reader.text()
    identity = chr(reader.byte())
    (count,) = reader.fixed(_COUNT)
    columns = tuple(_read_column(reader) for _ in range(count))
    reader.end()
    return Relation(oid, schema or "pg_catalog", table, identity, columns)


def _read_column(reader: Reader) -> Column:
    flags, name = reader.byte(), reader.text()
    type_oid, modifier = reader.fixed(_COLUMN_TYPE)
    return Column(name, type_oid, modifier, is_key=bool(flags & 1))


def read_type(message: bytes) -> tuple[int, str, str]:
    """Return a type's object id, and the schema and name of its **base** type."""
    reader = Reader(message)
    (oid,) = reader.fixed(_LENGTH)
    schema, name = reader.text(), reader.text()
    reader.end()
    return oid, schema or "pg_catalog", name


def read_origin(message: bytes) -> tuple[int, str]:
    """Return the LSN of the commit where it was made first, and that server's name."""
    reader = Reader(message)
    (lsn,) = reader.fixed(_PLACE)
    name = reader.text()
    reader.end()
    return lsn, name


def read_truncate(message: bytes) -> tuple[int, ...]:
    """Return the object ids of the tables that were emptied together."""
    reader = Reader(message)
    (count,) = reader.fixed(_LENGTH)
    if count > len(message):
        raise IndexError
    reader.byte()  # CASCADE and RESTART IDENTITY: nothing a reader must do
    oids = tuple(reader.fixed(_LENGTH)[0] for _ in range(count))
    reader.end()
    return oids


def read_logical_message(message: bytes) -> LogicalMessage:
    """Return a message that an application emitted."""
    reader = Reader(message)
    flags, lsn = reader.fixed(_EMITTED)
    prefix, content = reader.text(), reader.counted()
    reader.end()
    return LogicalMessage(lsn, prefix, content, transactional=bool(flags & 1))
