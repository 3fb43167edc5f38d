"""A replication connection that streams changes, with a thread of its own.

psycopg has no replication API, but libpq's calls are all there. The thread reads into a
bounded queue and confirms what is durable, both by its own clock: a sink that stalls
neither fills the memory nor makes the server hang up. Source:
https://www.postgresql.org/docs/current/protocol-replication.html
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import pq, sql

from streamlab.connectors.postgres.connection import Address, connect_to_replicate
from streamlab.connectors.postgres.failures import translated_result
from streamlab.connectors.postgres.reading.lsn import lsn_text
from streamlab.errors import ConnectorError, Unavailable

POSTGRES_EPOCH_S = 946_684_800
MOST_QUEUED_BYTES = 32 * 2**20
"""What was received and not yet taken; then the server waits."""

MOST_QUEUED = 100_000  # messages
FEEDBACK_S = 5.0
"""How often the server hears of us. It hangs up after ``wal_sender_timeout``."""

SILENT_S = 60.0
"""After that long without a word a connection is given up. A server that has nothing
to say is asked for an answer each time it hears of us; a network that swallows what we
send may never say so."""

SOON_S = 0.2  # how often a confirmed position is passed on
STORM = 20
"""Requests for a reply without a change in between: only a server that wants to shut
down asks again as soon as it has an answer, and waits for us to confirm everything."""

STORM_S = 1.0
_STATUS = struct.Struct("!cQQQqB")
_LSN = struct.Struct("!Q")
_DATA_HEADER = 25

Message = tuple[int, bytes]
"""Start LSN and payload of an XLogData message."""


class Replication:
    """A running stream of changes.

    Attributes:
        end: How far the server has come in its log, as last heard.
        confirmed: What it was told to be durable.
    """

    def __init__(
        self,
        address: Address,
        slot: str,
        start: int,
        confirmed: int,
        options: Mapping[str, str],
    ) -> None:
        """Connect and start the stream.

        Args:
            address: The database.
            slot: The replication slot.
            start: LSN to start from.
            confirmed: LSN up to which everything is durable downstream.
            options: Options of the slot's plugin.

        Raises:
            Unavailable: The server cannot be reached, or the slot is in use.
            Refused: It will not stream.
        """
        self.end = start
        self.confirmed = confirmed
        self._received = start
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._failure: ConnectorError | None = None
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._requests = 0
        self._requests_since = 0.0
        self._told_at = 0.0
        self._heard_at = time.monotonic()
        self._told = -1
        self._connection = connect_to_replicate(address, f"streamlab {slot}")
        try:
            self._start(slot, start, options)
        except BaseException:
            self._connection.close()
            raise
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(
            target=self._run, name=f"replication {slot}", daemon=True
        )
        self._thread.start()

    def take(self, most: int, timeout_s: float) -> tuple[list[Message], int]:
        """Return what has come, waiting for the first message only.

        Args:
            most: At most so many messages.
            timeout_s: How long to wait.

        Returns:
            The messages and the sum of their lengths.

        Raises:
            ConnectorError: The stream broke, and everything before that was taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._messages or self._failure, timeout_s)
            if not self._messages:
                if self._failure is not None:
                    raise self._failure
                return [], 0
            was_full = self._is_full
            count = min(most, len(self._messages))
            taken = [self._messages.popleft() for _ in range(count)]
            size = sum(len(payload) for _, payload in taken)
            self._bytes -= size
            wake = was_full and not self._is_full
        if wake:
            self._wake()
        return taken, size

    def is_dry(self) -> bool:
        """Return whether everything that came was taken."""
        return not self._messages

    def confirm(self, lsn: int) -> None:
        """Let the server forget everything before an LSN; it hears of it soon."""
        if lsn > self.confirmed:
            self.confirmed = lsn
            self._wake()

    def close(self) -> None:
        """End the stream; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._wake()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    @property
    def is_wanted_gone(self) -> bool:
        """Return whether the server asks again and again, as it does to shut down."""
        return self._requests > 1

    @property
    def _is_full(self) -> bool:
        return self._bytes >= MOST_QUEUED_BYTES or len(self._messages) >= MOST_QUEUED

    def _start(self, slot: str, start: int, options: Mapping[str, str]) -> None:
        listed = ", ".join(
            f"{name} {sql.Literal(value).as_string(None)}"
            for name, value in options.items()
        )
        name = sql.Identifier(slot).as_string(None)
        statement = (
            f"START_REPLICATION SLOT {name} LOGICAL {lsn_text(start)} ({listed})"
        )
        pgconn = self._connection.pgconn
        result = pgconn.exec_(statement.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            raise translated_result(result, f"reading slot {slot!r}")
        pgconn.nonblocking = 1

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"\0")

    # The thread.

    def _run(self) -> None:
        failure: ConnectorError
        try:
            self._pump()
            failure = Unavailable("the replication stream was closed")
        except psycopg.Error as error:
            failure = Unavailable(
                f"the replication stream broke: {type(error).__name__}"
            )
        except ConnectorError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 -- who takes must hear of it
            failure = Unavailable(f"the replication stream broke: {error}")
        finally:
            self._connection.close()
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def _pump(self) -> None:
        pgconn = self._connection.pgconn
        socket, drained = pgconn.socket, True
        while not self._closing.is_set():
            full = self._is_full
            watched = [self._wake_read] if full else [self._wake_read, socket]
            wait_s = self._patience_s() if full or drained else 0
            readable, _, _ = select.select(watched, [], [], wait_s)
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
            if socket in readable:
                pgconn.consume_input()
            if not self._is_full:
                drained = self._receive(pgconn)
                self._require_word(socket in readable)
            else:
                self._heard_at = time.monotonic()  # it is us who do not listen
            if self._is_due():
                self._tell()
        self._tell()

    def _require_word(self, heard: bool) -> None:
        now = time.monotonic()
        if heard:
            self._heard_at = now
        elif now - self._heard_at > SILENT_S:
            message = f"PostgreSQL has not said a word for {SILENT_S:g} s"
            raise Unavailable(message)

    def _receive(self, pgconn: Any) -> bool:
        """Read until nothing is there or the queue is full; return which."""
        fresh: list[Message] = []
        size, empty = 0, False
        while size < MOST_QUEUED_BYTES - self._bytes and len(fresh) < MOST_QUEUED:
            length, view = pgconn.get_copy_data(1)
            if length == 0:
                empty = True
                break
            if length < 0:
                self._hand_over(fresh, size)
                raise translated_result(pgconn.get_result(), "reading changes")
            message = bytes(view)
            if message[0] == ord("w"):
                (lsn,) = _LSN.unpack_from(message, 1)
                fresh.append((lsn, message[_DATA_HEADER:]))
                size += length - _DATA_HEADER
            else:
                self._hand_over(fresh, size)
                fresh, size = [], 0
                self._keepalive(message)
        self._hand_over(fresh, size)
        return empty

    def _hand_over(self, fresh: list[Message], size: int) -> None:
        if not fresh:
            return
        self._requests = 0
        with self._changed:
            self._messages.extend(fresh)
            self._bytes += size
            self._received = max(self._received, fresh[-1][0])
            self._changed.notify_all()

    def _keepalive(self, message: bytes) -> None:
        """Note how far the server is, and answer: it asks only once."""
        (end,) = _LSN.unpack_from(message, 1)
        with self._changed:
            self.end = max(self.end, end)
            self._received = max(self._received, end)
        if not message[17]:
            return
        now = time.monotonic()
        if now - self._requests_since > STORM_S:
            self._requests_since, self._requests = now, 0
        self._requests += 1
        if self._requests > STORM and self.confirmed < self.end:
            raise Unavailable("PostgreSQL is shutting down")
        self._tell()

    def _patience_s(self) -> float:
        wait_s = SOON_S if self._told != self.confirmed else FEEDBACK_S
        return max(0.0, self._told_at + wait_s - time.monotonic())

    def _is_due(self) -> bool:
        return self._patience_s() == 0

    def _tell(self) -> None:
        """Tell the server that we live, and what is durable."""
        confirmed = self.confirmed
        now_us = int((time.time() - POSTGRES_EPOCH_S) * 1e6)
        pgconn = self._connection.pgconn
        received = max(self._received, confirmed)
        ask = int(time.monotonic() - self._heard_at >= FEEDBACK_S)
        status = _STATUS.pack(b"r", received, confirmed, confirmed, now_us, ask)
        pgconn.put_copy_data(status)
        pgconn.flush()
        self._told, self._told_at = confirmed, time.monotonic()
