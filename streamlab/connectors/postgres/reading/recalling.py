"""Comparing a server with what was seen of it, before it is read on."""

from __future__ import annotations

from streamlab.connectors.postgres.reading import timelines
from streamlab.connectors.postgres.reading.looking import Look, Reading
from streamlab.connectors.postgres.reading.lsn import NOT_BEGUN, numbers_of
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.connectors.postgres.reading.shapes import RowShape
from streamlab.connectors.postgres.reading.snapshot import SnapshotState
from streamlab.positions import Position


def recall(
    reading: Reading,
    found: Look,
    seen: Seen,
    state: SnapshotState | None,
    chosen: Position,
) -> None:
    """Bring what was seen of the tables up to where they are read on.

    Args:
        reading: What is read.
        found: The server as it is now.
        seen: What is known of it; brought up to date.
        state: Of a snapshot that is not done, or whose changes still overlap.
        chosen: Where the source is read on.

    Raises:
        PositionLost: The server's timeline left ours before that place.
    """
    there = found.published
    tables = [table.relation for table in found.tables]
    numbers = numbers_of(chosen)
    if chosen == NOT_BEGUN:
        seen.begin_anew()
        seen.note(tables, 0)
    elif seen.is_new:
        seen.know(one.oid for one in tables if not there or one.oid in there)
    else:
        if there:
            seen.keep_only(there)
        seen.return_to(numbers[0])
    if isinstance(reading.shape, RowShape):
        seen.forget_versions()
    if state is not None:
        names = set(state.tables)
        seen.know(one.oid for one in tables if str(one) in names)
        numbers = (max(numbers[0], state.last_cut), 0)
    timelines.require_common(reading.address, reading.slot, seen, numbers)
