"""Whether a server's log is the one that was read, or has branched off before that.

A server that recovers from a backup, or a standby that takes over, begins a new
timeline and writes down where it left the old one. What was read from the old one
behind that place never happened on the new one. Source:
https://www.postgresql.org/docs/current/protocol-replication.html
"""

from __future__ import annotations

from typing import Any

import psycopg

from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading.lsn import lsn_number, lsn_text
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.errors import SlotLost


def require_common(
    address: Address, slot: str, seen: Seen, position: tuple[int, ...]
) -> None:
    """Check that the server's log has everything that was read, and note its timeline.

    Args:
        address: The database.
        slot: Name of the slot, for the error.
        seen: What is known of the server; its timeline is noted.
        position: LSN and index that was read to.

    Raises:
        SlotLost: The server has branched off before the position.
        Unavailable: It does not answer.
    """
    with (
        database.connect_to_replicate(address, f"streamlab {slot}") as connection,
        translation("asking for the timeline"),
    ):
        row = connection.execute("IDENTIFY_SYSTEM").fetchone()
        now = int(row[1]) if row else 0
        if seen.timeline not in {0, now}:
            left = _left_at(connection, now, seen.timeline)
            _require_before(slot, seen.timeline, now, left, position)
    seen.note_timeline(now)


def _require_before(
    slot: str, was: int, now: int, left: int | None, position: tuple[int, ...]
) -> None:
    lsn, index = position[0], position[1]
    # Inside of a transaction its commit, which is at the LSN, is part of what was read.
    if left is not None and lsn + int(index > 0) <= left:
        return
    where = f"at {lsn_text(left)}" if left is not None else "unknown to it"
    what = (
        f"is on timeline {now} of the server, which left timeline {was} {where}; this "
        f"pipeline has read timeline {was} to {lsn_text(lsn)}: the server was restored "
        "from an older backup, or a standby took over that was behind"
    )
    raise SlotLost(slot, what)


def _left_at(
    connection: psycopg.Connection[Any], timeline: int, parent: int
) -> int | None:
    """Return where a timeline's history left another one; None if it never was on it.

    A line of the history is ``parent, tab, LSN, tab, why``.
    """
    if timeline < parent:
        return None
    row = connection.execute(f"TIMELINE_HISTORY {timeline}".encode()).fetchone()
    content = row[1] if row else ""
    text = content.decode() if isinstance(content, bytes) else str(content)
    for line in text.splitlines():
        parts = line.split()
        if len(parts) > 1 and parts[0] == str(parent):
            return lsn_number(parts[1])
    return None
