"""A slot of logical replication on a real server, read as plainly as can be."""

from __future__ import annotations

import contextlib
import select
import struct
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from streamlab.connectors.postgres.changes.pgoutput import lsn_number
from streamlab.connectors.postgres.changes.session import startup_options

PATIENCE_S = 30


@dataclass
class ChangeStream:
    """Everything that was committed to some tables since this was made."""

    dsn: str
    slot: str
    publication: str

    def read(self, **options: str) -> list[tuple[int, bytes]]:
        """Return (LSN, payload) of every message up to now, from the slot's start.

        What was read is not confirmed, so each call begins at the same place.
        """
        with psycopg.connect(self.dsn, autocommit=True) as admin:
            # A marker of our own: where the answer may end.
            admin.execute("SELECT pg_logical_emit_message(true, 'marker', 'end')")
            row = admin.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        return list(self._messages(lsn_number(row[0]), options))

    def _messages(
        self, end: int, options: dict[str, str]
    ) -> Iterator[tuple[int, bytes]]:
        given = {
            "proto_version": "1",
            "publication_names": self.publication,
            "messages": "true",
            **options,
        }
        listed = ", ".join(f"{name} '{value}'" for name, value in given.items())
        opened = psycopg.connect(
            self.dsn,
            replication="database",
            autocommit=True,
            options=startup_options(),
        )
        # Closed, not left by its own `with`: that would send a COMMIT into the stream.
        with contextlib.closing(opened) as replication:
            connection = replication.pgconn
            command = f"START_REPLICATION SLOT {self.slot} LOGICAL 0/0 ({listed})"
            result = connection.exec_(command.encode())
            assert result.status == psycopg.pq.ExecStatus.COPY_BOTH, (
                result.error_message
            )
            connection.nonblocking = 1
            deadline = time.monotonic() + PATIENCE_S
            while time.monotonic() < deadline:
                size, view = connection.get_copy_data(1)
                if size == 0:
                    select.select([connection.socket], [], [], 0.2)
                    connection.consume_input()
                    continue
                assert size > 0, connection.error_message
                message = bytes(view)
                if message[:1] == b"w":
                    payload = message[25:]
                    yield struct.unpack_from("!Q", message, 1)[0], payload
                    if _is_marker_end(payload, end):
                        return
                elif struct.unpack_from("!Q", message, 1)[0] >= end:
                    return  # a keepalive: nothing more before that
        raise AssertionError("the stream did not come to its end")


def _is_marker_end(payload: bytes, end: int) -> bool:
    return payload[:1] == b"C" and struct.unpack_from("!QQ", payload, 2)[1] >= end


@contextlib.contextmanager
def change_stream(dsn: str, tables: str = "ALL TABLES") -> Iterator[ChangeStream]:
    """Make a publication and a slot, and drop them at the end.

    ``tables`` is what stands behind FOR, such as ``TABLE a, b``.
    """
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as admin:
        identifier = sql.Identifier(name)
        admin.execute(
            sql.SQL("CREATE PUBLICATION {} FOR ").format(identifier) + sql.SQL(tables)
        )
        admin.execute(
            "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name]
        )
        try:
            yield ChangeStream(dsn, name, name)
        finally:
            _drop_slot(admin, name)
            admin.execute(sql.SQL("DROP PUBLICATION {}").format(identifier))


def _drop_slot(admin: psycopg.Connection, name: str) -> None:
    """Drop a slot as soon as the server noticed that its reader left."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        admin.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
            "WHERE slot_name = %s AND active",
            [name],
        )
        try:
            admin.execute("SELECT pg_drop_replication_slot(%s)", [name])
        except psycopg.errors.ObjectInUse:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
