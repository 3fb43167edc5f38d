"""The stream of changes, from a position on, over reconnects."""

from __future__ import annotations

import time
from dataclasses import dataclass

from psycopg import sql

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.changes import pgoutput, session
from streamlab.connectors.postgres.changes.pgoutput import (
    INDEX_STEP,
    Batch,
    Decoder,
)
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading import timelines
from streamlab.connectors.postgres.reading.replication import Replication
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.connectors.postgres.reading.slot import Slot

IDLE_MOVE_S = 10.0
"""How often the position follows a log in which nothing was of interest. Each time is
an epoch without rows: the sink must know before the server may forget."""

IDLE_MOVE_BYTES = 16 * 2**20

MOST_AT_ONCE = 10_000
"""Messages that are decoded in one go: more are no faster, and take more memory."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """What came.

    Attributes:
        batch: The changes; None where the log has only moved on.
        position: The place behind them: LSN and index.
        size_bytes: Length of the messages.
    """

    batch: Batch | None
    position: tuple[int, int]
    size_bytes: int


class Stream:
    """Changes of one slot."""

    def __init__(
        self,
        address: Address,
        slot: str,
        publication: str,
        database_name: str,
        position: tuple[int, int],
        seen: Seen,
    ) -> None:
        """Begin behind what was read; nothing is connected yet.

        Args:
            address: The database.
            slot: Name of the slot.
            publication: Name of the publication.
            database_name: Name of the database, which the slot must belong to.
            position: LSN and index to read on from.
            seen: What is known of the server.
        """
        self._address = address
        self._slot = slot
        self._publication = publication
        self._database = database_name
        self.position = position
        self._seen = seen
        self._confirmed = position[0]
        self._target = 0
        self._replication: Replication | None = None
        self._decoder = Decoder()
        self._moved_at = time.monotonic()

    def read(self, most: int, timeout_s: float) -> Streamed | None:
        """Return the next changes, waiting for the first one only.

        Raises:
            Unavailable: The stream broke; the next call connects again.
            SlotLost: The slot cannot send what comes next.
        """
        replication = self._replication or self._connected()
        # A changed key makes two events of one message.
        count = max(1, min(most // 2, MOST_AT_ONCE))
        try:
            messages, size = replication.take(count, timeout_s)
        except BaseException:
            self.close()
            raise
        if not messages:
            return self._moved_on(replication)
        batch = self._decoder.feed(messages)
        before, self.position = self.position, self._behind(batch)
        if not len(batch) and not batch.relations and self.position == before:
            return None
        self._moved_at = time.monotonic()
        return Streamed(batch, self.position, size)

    def confirm(self, lsn: int) -> None:
        """Let the server forget everything before an LSN. From any thread."""
        self._confirmed = max(self._confirmed, lsn)
        if (replication := self._replication) is not None:
            replication.confirm(lsn)

    def seen(self, slot: Slot) -> None:
        """Note how far the server's log goes, as a look from outside has found."""
        self._target = max(self._target, slot.log_end)

    @property
    def end(self) -> tuple[int, int]:
        """Return where the log ends now, as far as it concerns this stream."""
        replication = self._replication
        end = replication.end if replication else 0
        if (
            replication
            and end >= self._target
            and replication.is_dry()
            and not self._decoder.in_transaction
        ):
            return self.position
        return (max(end, self._target, self.position[0] + 1), 0)

    def close(self) -> None:
        """Drop the connection; a second call does nothing."""
        replication, self._replication = self._replication, None
        if replication is not None:
            replication.close()

    def _connected(self) -> Replication:
        """Check the slot, and connect."""
        with (
            database.connect(self._address, f"streamlab {self._slot}") as connection,
            translation("looking at the replication slot"),
        ):
            found = slots.find(connection, self._slot)
        slot = slots.require_usable(found, self._slot, self._database)
        slots.require_behind(slot, self._confirmed)
        timelines.require_common(self._address, self._slot, self._seen, self.position)
        self._target = max(self._target, slot.log_end)
        lsn, index = self.position
        self._seen.return_to(lsn)
        self._decoder = Decoder(pgoutput.Position(lsn, index - 1))
        self._replication = Replication(
            database.with_settings(self._address, session.startup_options()),
            self._slot,
            lsn,
            self._confirmed,
            {
                **pgoutput.OPTIONS,
                "publication_names": sql.Identifier(self._publication).as_string(None),
            },
        )
        return self._replication

    def _behind(self, batch: Batch) -> tuple[int, int]:
        """Return the place behind a batch."""
        places = [self.position]
        if batch.transactions and batch.confirmable_lsn is not None:
            places.append((batch.confirmable_lsn, 0))
        if batch.in_transaction and batch.position is not None:
            last = batch.position
            places.append((last.lsn, last.index + INDEX_STEP))
        return max(places)

    def _moved_on(self, replication: Replication) -> Streamed | None:
        """Follow the log where it has nothing for us, now and then."""
        end = replication.end
        # In this order: what came before the end was heard of has been taken.
        if not replication.is_dry() or self._decoder.in_transaction:
            return None
        behind = end - self.position[0]
        waited_s = time.monotonic() - self._moved_at
        due = (
            waited_s >= IDLE_MOVE_S
            or behind >= IDLE_MOVE_BYTES
            or replication.is_wanted_gone
        )
        if behind <= 0 or not due:
            return None
        self._moved_at = time.monotonic()
        self.position = (end, 0)
        return Streamed(None, self.position, 0)
