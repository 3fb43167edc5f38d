"""Messages of logical replication, written by hand as the protocol has them.

Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

UNCHANGED = object()
OID = 16_400
Value = str | None | object


def begin(lsn: int = 1000, *, time_us: int = 0, xid: int = 7) -> bytes:
    return b"B" + struct.pack("!QqI", lsn, time_us, xid)


def commit(lsn: int = 1000, end: int = 1050) -> bytes:
    return b"C" + struct.pack("!BQQq", 0, lsn, end, 0)


def relation(
    *columns: tuple[str, int],
    oid: int = OID,
    table: str = "orders",
    identity: str = "d",
    keys: Sequence[str] = ("id",),
) -> bytes:
    """Describe a table of (name, type's object id)."""
    parts = [
        bytes([identity == "f" or name in keys])
        + name.encode()
        + b"\0"
        + struct.pack("!Ii", type_oid, -1)
        for name, type_oid in columns
    ]
    return b"".join(
        [
            b"R" + struct.pack("!I", oid),
            b"public\0" + table.encode() + b"\0" + identity.encode(),
            struct.pack("!H", len(columns)),
            *parts,
        ]
    )


def image(*values: Value) -> bytes:
    parts = [struct.pack("!h", len(values))]
    for value in values:
        if value is None:
            parts.append(b"n")
        elif value is UNCHANGED:
            parts.append(b"u")
        else:
            raw = str(value).encode()
            parts.append(b"t" + struct.pack("!i", len(raw)) + raw)
    return b"".join(parts)


def insert(*values: Value, oid: int = OID) -> bytes:
    return b"I" + struct.pack("!I", oid) + b"N" + image(*values)


def update(
    *values: Value,
    key: Sequence[Value] | None = None,
    old: Sequence[Value] | None = None,
    oid: int = OID,
) -> bytes:
    before = b""
    if key is not None:
        before = b"K" + image(*key)
    if old is not None:
        before = b"O" + image(*old)
    return b"U" + struct.pack("!I", oid) + before + b"N" + image(*values)


def delete(
    *, key: Sequence[Value] = (), old: Sequence[Value] = (), oid: int = OID
) -> bytes:
    before = b"K" + image(*key) if key else b"O" + image(*old)
    return b"D" + struct.pack("!I", oid) + before


def truncate(*oids: int) -> bytes:
    listed = b"".join(struct.pack("!I", oid) for oid in oids or (OID,))
    return b"T" + struct.pack("!IB", len(oids or (OID,)), 0) + listed


def emitted(prefix: str, content: bytes, *, transactional: bool = False) -> bytes:
    head = b"M" + struct.pack("!BQ", transactional, 900)
    return head + prefix.encode() + b"\0" + struct.pack("!I", len(content)) + content


def numbered(*messages: bytes, first: int = 900) -> list[tuple[int, bytes]]:
    """Give the messages rising LSNs."""
    return [(first + place, message) for place, message in enumerate(messages)]
