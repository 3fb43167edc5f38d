"""What is made on the server before anything is read, in the order that is exact.

Publication, slot, snapshot: what commits after the slot's point is streamed, the rest
is in the snapshot that the slot exports.
"""

from __future__ import annotations

import logging

from streamlab import failpoints
from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import published
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading.looking import Look, Reading
from streamlab.connectors.postgres.reading.snapshot import Snapshot, SnapshotState
from streamlab.errors import Refused

logger = logging.getLogger(__name__)


def require_no_slot(reading: Reading) -> None:
    """Refuse to begin with a slot of our name that is not known here.

    Raises:
        Refused: There is one.
    """
    with (
        database.connect(reading.address, "streamlab") as connection,
        translation("looking at the replication slot"),
    ):
        if slots.find(connection, reading.slot) is None:
            return
    message = (
        f"replication slot {reading.slot!r} exists, but nothing is known of it here: a "
        "pipeline of that name may run elsewhere, or has run"
    )
    raise Refused(
        message,
        hint="give the source another slot = …; or, if nobody needs it any more: "
        f"SELECT pg_drop_replication_slot('{reading.slot}')",
    )


def require_slot(reading: Reading, database_name: str, position: int) -> None:
    """Check that the slot can send everything from a position on.

    Raises:
        SlotLost: It cannot.
        Refused: It is somebody else's.
    """
    with (
        database.connect(reading.address, "streamlab") as connection,
        translation("looking at the replication slot"),
    ):
        found = slots.find(connection, reading.slot)
    slots.require_behind(
        slots.require_usable(found, reading.slot, database_name), position
    )


def publish(reading: Reading, found: Look) -> None:
    """Publish all tables, also those that are new.

    Raises:
        Refused: The server does not allow it.
    """
    with (
        database.connect(reading.address, "streamlab") as connection,
        translation("preparing the publication"),
    ):
        published.publish(
            connection,
            reading.publication,
            found.tables,
            inserts_only=reading.inserts_only,
        )
    failpoints.passing("after-publication")


def first(reading: Reading, found: Look) -> tuple[int, Snapshot | None, SnapshotState]:
    """Publish, make the slot, and open the snapshot that comes with it.

    A slot that a run left which was cut short here is made again: nothing was
    delivered from it.

    Returns:
        The slot's point, the snapshot unless none is wanted, and its first state.

    Raises:
        Refused: The server does not allow it.
        Unavailable: It does not answer.
    """
    publish(reading, found)
    with (
        database.connect(reading.address, "streamlab") as connection,
        translation("preparing the replication slot"),
    ):
        if slots.find(connection, reading.slot) is not None:
            logger.info("slot %s goes, to begin anew", reading.slot)
            slots.drop(connection, reading.slot)
    state = SnapshotState(tuple(map(str, found.tables)))
    logger.info("making slot %s; it waits for open transactions", reading.slot)
    replicating = database.connect_to_replicate(
        reading.address, f"streamlab {reading.slot}"
    )
    with replicating:
        lsn, exported = slots.create(
            replicating, reading.slot, failover=reading.failover
        )
        failpoints.passing("after-slot")
        if not reading.with_snapshot:
            return lsn, None, state
        return lsn, Snapshot(reading.address, exported, found.tables, state), state
