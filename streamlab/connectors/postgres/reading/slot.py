"""The replication slot: what the server keeps for a pipeline, and whether it still can.

A slot is never made again silently. Since version 15 the server starts a stream that
is asked to begin too early at the slot's own position, without a word, so the two are
compared before each start. Source:
https://www.postgresql.org/docs/current/view-pg-replication-slots.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading.lsn import lsn_number, lsn_text
from streamlab.errors import Refused, SlotLost, Unavailable

PLUGIN = "pgoutput"
SNAPSHOT_OPTION_SINCE = 15_00_00  # server versions
FAILOVER_SINCE = 17_00_00
WARN_BELOW = 0.5
"""Of what ``max_slot_wal_keep_size`` allows: less left than that is a warning."""

_SLOT = "SELECT to_jsonb(s) FROM pg_replication_slots s WHERE slot_name = %s"
_LOG_END = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
    ELSE pg_current_wal_flush_lsn() END::text
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot at one moment.

    Attributes:
        name: Its name.
        plugin: What decodes; ours have ``pgoutput``.
        database: Where it belongs.
        active_pid: The server process that streams from it now, if any.
        confirmed: Up to where the server was told that it may forget.
        wal_status: ``reserved``, ``extended``, ``unreserved`` or ``lost``.
        invalidation: Why it was lost, where the server says so (17+).
        retained_bytes: Log that the server keeps for it.
        safe_bytes: Log that may still be written before it is lost; None without limit.
        lag_bytes: From ``confirmed`` to the end of the log.
        log_end: The end of the server's log.
    """

    name: str
    plugin: str
    database: str
    active_pid: int | None
    confirmed: int
    wal_status: str
    invalidation: str
    retained_bytes: int
    safe_bytes: int | None
    lag_bytes: int
    log_end: int

    @property
    def is_lost(self) -> bool:
        """Return whether the server has thrown away what the slot needs."""
        return self.wal_status == "lost"

    @property
    def warning(self) -> str:
        """Return what is about to go wrong; empty if nothing is."""
        if self.wal_status == "unreserved":
            return "the server is about to remove log that the slot needs"
        if self.safe_bytes is None or not self.retained_bytes:
            return ""
        share = self.safe_bytes / (self.safe_bytes + self.retained_bytes)
        if share >= WARN_BELOW:
            return ""
        return (
            f"the slot holds back {megabytes(self.retained_bytes)} of log, and is lost "
            f"after {megabytes(self.safe_bytes)} more"
        )


def megabytes(size: int) -> str:
    """Return a size for people."""
    return f"{size / 2**20:,.1f} MiB"


def log_end(connection: psycopg.Connection[Any]) -> int:
    """Return the end of the server's log."""
    row = connection.execute(_LOG_END).fetchone()
    return lsn_number(row[0]) if row else 0


def find(connection: psycopg.Connection[Any], name: str) -> Slot | None:
    """Return a slot as it is now; None if there is none of that name."""
    row = connection.execute(_SLOT, [name]).fetchone()
    if row is None:
        return None
    found: dict[str, Any] = row[0]
    end = log_end(connection)
    confirmed = lsn_number(found.get("confirmed_flush_lsn") or "0/0")
    restart = lsn_number(found.get("restart_lsn") or "0/0")
    return Slot(
        name=name,
        plugin=found.get("plugin") or "",
        database=found.get("database") or "",
        active_pid=found.get("active_pid"),
        confirmed=confirmed,
        wal_status=found.get("wal_status") or "",
        invalidation=found.get("invalidation_reason") or "",
        retained_bytes=max(0, end - restart) if restart else 0,
        safe_bytes=found.get("safe_wal_size"),
        lag_bytes=max(0, end - confirmed),
        log_end=end,
    )


def require_usable(slot: Slot | None, name: str, database: str) -> Slot:
    """Return the slot, if it can send anything at all.

    Raises:
        SlotLost: There is none, or the server has thrown away what it needs.
        Refused: It is somebody else's: of another database or plugin.
    """
    if slot is None:
        what = "does not exist any more: it was dropped, or the server replaced"
        raise SlotLost(name, what)
    if slot.plugin != PLUGIN or slot.database != database:
        message = (
            f"replication slot {name!r} is of plugin {slot.plugin!r} and database "
            f"{slot.database!r}, not of {PLUGIN!r} and {database!r}"
        )
        raise Refused(message, hint="give the source another slot = …")
    if slot.is_lost:
        why = f" ({slot.invalidation})" if slot.invalidation else ""
        what = (
            f"is lost{why}: the server has removed log that it needed, as "
            "max_slot_wal_keep_size or another limit says"
        )
        raise SlotLost(name, what)
    return slot


def require_behind(slot: Slot, position: int) -> None:
    """Check that a slot can send everything from a position on.

    Args:
        slot: The slot.
        position: LSN from which on changes are needed; or the last one confirmed.

    Raises:
        SlotLost: The slot has moved past it, or the server is behind it.
    """
    if slot.confirmed > position:
        what = (
            f"has moved on to {lsn_text(slot.confirmed)}, but this pipeline has read "
            f"to {lsn_text(position)}: somebody else has read from it, or it was made "
            f"anew; {megabytes(slot.confirmed - position)} of log are missing"
        )
        raise SlotLost(slot.name, what)
    if slot.log_end < position:
        what = (
            f"is on a server whose log ends at {lsn_text(slot.log_end)}, before the "
            f"{lsn_text(position)} that this pipeline has read to: the server was "
            "restored from an older backup, or a standby took over that was behind"
        )
        raise SlotLost(slot.name, what)


def create(
    connection: psycopg.Connection[Any],
    name: str,
    *,
    temporary: bool = False,
    failover: bool = False,
) -> tuple[int, str]:
    """Create a slot that exports a snapshot.

    Waits until the transactions that run now have ended.

    Args:
        connection: A replication connection. The snapshot is there until its next
            statement.
        name: The slot's name.
        temporary: Whether it goes with the connection.
        failover: Whether standbys keep a copy of it, where the server can (17+).

    Returns:
        The consistent point: changes of transactions that commit from there on are
        streamed, those of all others are in the snapshot. And the snapshot's name.

    Raises:
        Refused: The server does not allow it.
        Unavailable: It may do so later, such as when a slot is free again.
    """
    version = connection.info.server_version
    options = "EXPORT_SNAPSHOT"
    if version >= SNAPSHOT_OPTION_SINCE:
        wanted = failover and version >= FAILOVER_SINCE and not temporary
        options = f"(SNAPSHOT 'export'{', FAILOVER' if wanted else ''})"
    statement = sql.SQL("CREATE_REPLICATION_SLOT {} {} LOGICAL {} {}").format(
        sql.Identifier(name),
        sql.SQL("TEMPORARY" if temporary else ""),
        sql.SQL(PLUGIN),
        sql.SQL(options),
    )
    with translation(f"creating replication slot {name!r}"):
        row = connection.execute(statement).fetchone()
    if row is None:
        message = f"PostgreSQL did not say where slot {name!r} begins"
        raise Refused(message)
    return lsn_number(row[1]), row[2]


def drop(connection: psycopg.Connection[Any], name: str) -> None:
    """Drop a slot that nobody reads.

    Raises:
        Unavailable: Somebody does, perhaps a connection that has just broken.
    """
    with translation(f"dropping replication slot {name!r}"):
        try:
            connection.execute("SELECT pg_drop_replication_slot(%s)", [name])
        except psycopg.errors.ObjectInUse:
            message = f"replication slot {name!r} is still in use"
            raise Unavailable(message) from None
