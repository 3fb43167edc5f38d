"""Reading a database: first its rows, then its changes, by one slot.

There is one task: a slot is one ordered log, whatever tables it is of. The order of
things at a first run is what makes the hand-over exact: publication, slot with its
exported snapshot, rows of the snapshot, stream from the slot's point.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from streamlab import failpoints
from streamlab.connectors.postgres.reading import preparing
from streamlab.connectors.postgres.reading.confirming import Confirming
from streamlab.connectors.postgres.reading.decoding import (
    NO_PLACES,
    ChangeOrigins,
    Shaped,
)
from streamlab.connectors.postgres.reading.kept import KeptProgress
from streamlab.connectors.postgres.reading.looking import Reading, look
from streamlab.connectors.postgres.reading.lsn import (
    ATTEMPT_BITS,
    IN_SNAPSHOT,
    NOT_BEGUN,
    ROWS_BITS,
    ROWS_MASK,
    lsn_text,
    numbers_of,
    state_of,
)
from streamlab.connectors.postgres.reading.monitor import SlotMonitor
from streamlab.connectors.postgres.reading.newcomers import Newcomers
from streamlab.connectors.postgres.reading.overlap import Overlap
from streamlab.connectors.postgres.reading.recalling import recall
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.connectors.postgres.reading.snapshot import (
    Piece,
    Snapshot,
    SnapshotState,
    cut_here,
    exported_again,
)
from streamlab.connectors.postgres.reading.streaming import Stream, Streamed
from streamlab.errors import DatabaseReplaced, Unavailable, UsageError
from streamlab.formats import changes as columns
from streamlab.positions import Position, Progress, Span, TopicPartition
from streamlab.sources import Assignment, Listener, RawBatch, Reader
from streamlab.values import FrameValues

HELD_NAP_S = 0.05
AGAIN_S = 1.0  # before a broken connection is made again

logger = logging.getLogger(__name__)


class PostgresReader(Reader):
    """An open PostgreSQL source."""

    def __init__(self, reading: Reading, listener: Listener) -> None:
        """Look at the server.

        Raises:
            UsageError: It cannot be read as it is described.
            Unavailable: It cannot be reached.
        """
        self._reading = reading
        self._listener = listener
        self._kept = KeptProgress.of(reading.slot)
        self._seen = Seen.of(reading.slot)
        self._look = look(reading)
        self._newcomers = Newcomers(reading, self._seen)
        self._position: Position | None = None
        self._state: SnapshotState | None = None
        self._lsn = 0
        self._rows = 0
        self._snapshot: Snapshot | None = None
        self._stream: Stream | None = None
        self._overlap: Overlap | None = None
        self._monitor: SlotMonitor | None = None
        self._adding = False
        self._doubtful = False
        self._confirming = Confirming(self._kept, reading.partition, self._confirm)
        self._held = self._closed = False

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Return the next rows or changes; the first call finds where to begin."""
        if self._closed:
            message = "the reader is closed"
            raise UsageError(message)
        if self._position is None:
            self._begin()
            return None
        self._confirming.due()
        if self._held:
            time.sleep(min(timeout_s, HELD_NAP_S))
            return None
        try:
            if self._position == NOT_BEGUN:
                return self._first()
            if self._adding:
                return self._add_tables(timeout_s)
            if self._state is not None and not self._state.is_complete:
                return self._read_snapshot(max_rows)
            return self._read_stream(max_rows, timeout_s)
        except Unavailable as error:
            self._drop()
            if error.after_s is None:
                error.after_s = AGAIN_S
            raise

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Keep the position, and let the server forget what is before it."""
        self._confirming.acknowledge(progress)

    def _confirm(self, position: Position) -> None:
        """Tell the server that it may forget what is before a position."""
        numbers = numbers_of(position)
        if self._stream is not None and numbers[1] != IN_SNAPSHOT:
            self._stream.confirm(numbers[0])

    def hold(self, *, held: bool) -> None:
        """Stop or go on delivering; the server hears of us all the same."""
        self._held = held

    def close(self) -> None:
        """Drop the connections; a second call does nothing."""
        if self._closed:
            return
        if self._position is not None:
            self._listener.revoked((self._reading.partition,))
        self._closed = True
        with contextlib.suppress(Unavailable):  # what is not kept comes again
            self._confirming.due(at_once=True)
        self._confirming.close()
        self._drop()
        if self._monitor is not None:
            self._monitor.close()

    def healthy(self) -> None:
        """Raise what the look at the slot has found.

        Raises:
            SlotLost: It is gone, or useless.
        """
        if self._monitor is not None and self._monitor.failure is not None:
            raise self._monitor.failure

    def ends(self) -> Mapping[TopicPartition, Position]:
        """Return where the log ends now, as far as it concerns us."""
        if self._position is None:
            return {}
        end: Position
        if self._stream is not None:
            end = self._carrying(self._stream.end)
        else:
            end = (max(self._lsn, numbers_of(self._position)[0]) + 1, 0)
        return {self._reading.partition: end}

    def facts(self) -> Mapping[str, float]:
        """Return the slot, and the snapshot that is being read, in numbers."""
        snapshot, monitor = self._snapshot, self._monitor
        return {
            **(monitor.facts if monitor else {}),
            **(snapshot.facts if snapshot else {}),
        }

    # The beginning.

    def _begin(self) -> None:
        """Ask where to read, and look at the slot from there."""
        partition, found = self._reading.partition, self._look
        incarnations = {partition.topic: found.incarnation}
        kept = self._kept.read()
        given = Assignment(
            partitions=(partition,),
            committed={} if kept is None else {partition: kept},
            start={partition: NOT_BEGUN},
            incarnations=incarnations,
            replaced=DatabaseReplaced,
        )
        chosen = self._listener.assigned(given)[partition]
        if kept is None:
            if chosen == NOT_BEGUN:
                preparing.require_no_slot(self._reading)
            # So that a run that is cut short here is known to have been ours.
            here = {partition: chosen}
            self._kept.write(Progress(str(partition), 0, here, incarnations))
        numbers = numbers_of(chosen)
        text = state_of(chosen)
        self._state = SnapshotState.from_text(text) if text else None
        recall(self._reading, self._look, self._seen, self._state, chosen)
        self._position = chosen
        self._lsn = numbers[0]
        if chosen == NOT_BEGUN:
            return
        if numbers[1] == IN_SNAPSHOT:
            self._rows = numbers[2]
            self._doubtful = self._listener.repeats
            preparing.require_slot(self._reading, found.database, self._lsn)
        else:
            self._read_on((numbers[0], numbers[1]))

    def _read_on(self, place: tuple[int, int]) -> None:
        """Read the stream, or first the rows of tables that are new."""
        new = [
            t for t in self._look.tables if t.relation.oid not in self._seen.versions
        ]
        if new and not self._reading.with_snapshot:
            preparing.publish(self._reading, self._look)
            self._seen.know(table.relation.oid for table in new)
        elif new and self._state is None:
            preparing.require_slot(self._reading, self._look.database, self._lsn)
            self._state = SnapshotState(tuple(map(str, new)), then=place)
            self._adding = True
            return
        self._open_stream(place)

    def _adopt(self) -> None:
        """Look again, as after a restart: tables were added to the publication."""
        lsn, index, *_ = numbers_of(self._position or NOT_BEGUN)
        found = look(self._reading)
        self._drop()
        self._stream = None
        if self._monitor is not None:
            self._monitor.close()
        self._look, self._lsn = found, lsn
        self._read_on((lsn, index))
        self._newcomers.forget()

    @property
    def _has_new_tables(self) -> bool:
        if self._state is not None:  # one snapshot after the other
            return False
        there = {table.relation.oid for table in self._look.tables}
        if self._monitor is not None:
            there |= self._monitor.published
        return self._newcomers.any_of(there)

    def _add_tables(self, timeout_s: float) -> RawBatch | None:
        """Begin the snapshot of new tables, once it is stored that it has begun.

        Before that the publication is left as it is: it is what tells new tables.
        """
        state = self._state
        if state is None or self._position is None:
            return None
        if numbers_of(self._position)[1] != IN_SNAPSHOT:
            # No two rows have one place, though the log may not move in between.
            known = len(self._look.tables) - len(state.tables)
            self._rows = known << (ROWS_BITS + ATTEMPT_BITS)
            logger.info("adding %s", ", ".join(state.tables))
            place = (self._lsn, IN_SNAPSHOT, self._rows, state.to_text())
            return self._moved(place)
        if self._confirming.acknowledged != self._position:
            time.sleep(min(timeout_s, HELD_NAP_S))
            return None
        self._confirming.due(at_once=True)
        names = set(state.tables)
        self._seen.know(
            table.relation.oid for table in self._look.tables if str(table) in names
        )
        self._adding = False
        return None

    def _first(self) -> RawBatch:
        """Make the slot, and open the snapshot that comes with it."""
        self._lsn, self._snapshot, state = preparing.first(self._reading, self._look)
        if self._snapshot is None:
            return self._finished_snapshot()
        self._state = state
        return self._moved((self._lsn, IN_SNAPSHOT, 0, state.to_text()))

    # The snapshot.

    def _read_snapshot(self, max_rows: int) -> RawBatch:
        snapshot = self._snapshot or self._snapshot_again()
        piece = snapshot.read(max_rows)
        failpoints.passing("in-snapshot")
        if piece is None:
            failpoints.passing("after-snapshot")
            self._state = snapshot.state
            return self._finished_snapshot()
        return self._delivered(piece)

    def _snapshot_again(self) -> Snapshot:
        """Open a new snapshot for what is left, and note from where it holds.

        A sink that keeps no position may have taken rows behind it before we were
        killed. Changes of those must not be left out, whatever the new rows show; and
        the rows, which are others now, get places of their own.
        """
        state = self._state
        if state is None:
            message = "there is no snapshot to go on with"
            raise UsageError(message)
        if state.then is not None:
            preparing.publish(self._reading, self._look)
        connection, lsn, exported = exported_again(self._reading.address)
        with connection:
            if not self._doubtful:
                state = cut_here(state, lsn)
            self._snapshot = Snapshot(
                self._reading.address, exported, self._look.tables, state
            )
        self._state = state
        self._rows += int(self._doubtful) << ROWS_BITS
        self._doubtful = False
        logger.info(
            "going on with the snapshot at %s, after %s rows",
            lsn_text(lsn),
            f"{self._rows & ROWS_MASK:,}",
        )
        return self._snapshot

    def _delivered(self, piece: Piece) -> RawBatch:
        versions = self._look.versions
        table = versions.of(piece.table.relation)
        place = self._lsn - 1  # where no transaction can have committed
        rows = table.snapshot_rows(
            piece.text,
            lsn=place,
            time_us=time.time_ns() // 1000,
            first_index=self._rows,
        )
        source = piece.text.with_columns(
            pl.lit(place).alias(columns.LSN),
            pl.int_range(self._rows, self._rows + pl.len()).alias(columns.INDEX),
        )
        # Before anything is noted: a shape may need a server that does not answer.
        shaped = versions.shaped([(table, rows, source)])
        self._rows += piece.text.height
        self._state = piece.state
        position = (self._lsn, IN_SNAPSHOT, self._rows, piece.state.to_text())
        return self._moved(position, shaped, piece.size_bytes)

    def _finished_snapshot(self) -> RawBatch:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.close()
        left = self._state.then if self._state is not None else None
        if self._state is not None and not self._state.cuts:
            self._state = None
        self._open_stream(left or (self._lsn, 0))
        return self._moved(self._carrying(left or (self._lsn, 0)))

    # The stream.

    def _open_stream(self, position: tuple[int, int]) -> None:
        reading = self._reading
        self._stream = stream = Stream(
            reading.address,
            reading.slot,
            reading.publication,
            self._look.database,
            position,
            self._seen,
        )
        self._monitor = SlotMonitor(
            reading.address,
            reading.slot,
            self._look.database,
            stream.seen,
            reading.publication,
        )
        if self._state is not None and self._state.is_complete:
            self._overlap = Overlap(reading.address, self._look.tables, self._state)

    def _read_stream(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        if self._has_new_tables:
            self._adopt()
        stream = self._stream
        if stream is None:
            return None
        before = stream.position
        came = stream.read(max_rows, timeout_s)
        if came is None:
            return None
        if came.position[1]:
            failpoints.passing("in-transaction")
        try:
            shaped = self._shaped(came, before[0])
        except Unavailable:
            stream.position = before  # what came is not behind us: it is sent again
            raise
        if came.position == before:  # a table was described, and no row of it came yet
            return None
        if self._overlap is not None and came.position[0] >= self._overlap.until:
            self._overlap = self._state = None
        return self._moved(self._carrying(came.position), shaped, came.size_bytes)

    def _shaped(self, came: Streamed, before: int) -> Shaped | None:
        if came.batch is None:
            return None
        versions = self._look.versions
        known = [r for r in came.batch.relations if not self._newcomers.is_new(r.oid)]
        self._seen.described(known, before, self._reading.accept)
        rows = []
        for changes in came.batch.changes:
            if self._newcomers.waits(changes.relation.oid):
                continue
            table = versions.of(changes.relation)
            decoded = table.rows(changes)
            if self._overlap is not None:
                kept = self._overlap.without(str(changes.relation), decoded.frame)
                decoded = replace(decoded, frame=kept)
            rows.append((table, decoded, changes))
        return versions.shaped(rows)

    def _carrying(self, place: tuple[int, int]) -> Position:
        """Return a place in the stream with what must not be forgotten yet."""
        return place if self._state is None else (*place, self._state.to_text())

    def _moved(
        self, position: Position, shaped: Shaped | None = None, size_bytes: int = 0
    ) -> RawBatch:
        """Return a batch up to a new position, and remember it."""
        before, self._position = self._position, position
        shaped = shaped or Shaped(FrameValues(pl.DataFrame()), NO_PLACES)
        partition = self._reading.partition
        return RawBatch(
            values=shaped.values,
            spans=(Span(partition, NOT_BEGUN if before is None else before, position),),
            origins=ChangeOrigins(partition, shaped.places),
            size_bytes=size_bytes,
        )

    def _drop(self) -> None:
        """Drop the connections; what is left is read by new ones."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            snapshot.close()
        if self._stream is not None:
            self._stream.close()
