"""The doctor for PostgreSQL as a source: each thing that change data capture needs.

Nothing is created. What is missing comes with the SQL that mends it. Source:
https://www.postgresql.org/docs/current/logical-replication-config.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from streamlab.connectors.diagnosis import Diagnosis, Examination, Finding
from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.connection import Address
from streamlab.connectors.postgres.failures import translation
from streamlab.connectors.postgres.reading import published
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.connectors.postgres.reading.slot import megabytes
from streamlab.errors import ConnectorError, UsageError

MOST_LISTED = 10
OLD_VERSION = 14_00_00
_ROLE = """
SELECT rolname, rolreplication OR rolsuper OR EXISTS (
    SELECT FROM pg_roles m WHERE m.rolname IN ('rds_replication', 'rds_superuser')
        AND pg_has_role(current_user, m.oid, 'member'))
FROM pg_roles WHERE rolname = current_user
"""
_ROOM = """
SELECT current_setting('max_replication_slots')::int,
    (SELECT count(*) FROM pg_replication_slots)::int,
    current_setting('max_wal_senders')::int,
    (SELECT count(*) FROM pg_stat_replication)::int
"""
_TABLES = """
SELECT c.oid::int8, n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT'),
    pg_has_role(c.relowner, 'USAGE'), pg_get_userbyid(c.relowner)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'streamlab')
    AND n.nspname NOT LIKE 'pg\\_%%'
    AND (%(oids)s::oid[] IS NULL OR c.oid = ANY(%(oids)s::oid[]))
ORDER BY n.nspname, c.relname
"""


def diagnose(
    profile: str = "", *, dsn: str = "", tables: Sequence[str] = ()
) -> Diagnosis:
    """Test whether a database can be read as a stream of changes.

    Args:
        profile: Profile of the settings file; the default one if empty.
        dsn: Connection string or a reference to one; wins over the profile.
        tables: ``schema.table`` each; all of the database without any.

    Raises:
        UnknownName: There is no such profile.
    """
    doctor = _Doctor(profile, dsn, tables)
    try:
        doctor.examine()
    finally:
        doctor.close()
    name = "the given dsn" if dsn else profile or "default"
    return Diagnosis("postgres", name, tuple(doctor.exam.steps), doctor.facts)


class _Doctor:
    """One examination."""

    def __init__(self, profile: str, dsn: str, tables: Sequence[str]) -> None:
        self.exam = Examination()
        self.facts: dict[str, str] = {}
        self._profile, self._dsn, self._tables = profile, dsn, tables
        self._address: Address
        self._connection: psycopg.Connection[Any] | None = None

    def examine(self) -> None:
        """Take all steps; one that is not vital does not hide the others."""
        self.exam.take("settings", self._read_settings)
        self.exam.take("login", self._log_in)
        self.exam.take("wal_level", self._level, vital=False)
        self.exam.take("role", self._role, vital=False)
        self.exam.take("replication", self._replication, vital=False)
        self.exam.take("room", self._room, vital=False)
        self.exam.take("WAL budget", self._budget, vital=False)
        self.exam.take("slots", self._slots, vital=False)
        self.exam.take("publication", self._publication, vital=False)
        self.exam.take("tables", self._read_tables, vital=False)

    def close(self) -> None:
        """Drop the connection."""
        if self._connection is not None:
            self._connection.close()

    @property
    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            message = "there is no connection"
            raise UsageError(message)
        return self._connection

    def _row(self, statement: str) -> tuple[Any, ...]:
        with translation("asking the server"):
            return self._open.execute(statement).fetchone() or ()

    def _read_settings(self) -> Finding:
        self._address = database.find(self._profile, self._dsn)
        return Finding(str(self._address))

    def _log_in(self) -> Finding:
        self._connection = database.connect(self._address, "streamlab doctor")
        version = self._connection.info.server_version
        self.facts["server"] = f"PostgreSQL {version // 10_000}.{version % 10_000}"
        if version < OLD_VERSION:
            what = f"{self.facts['server']} is older than 14, and was not tried"
            return Finding(what, "use a newer server", "warn")
        return Finding(f"{self.facts['server']}, as {self._connection.info.user}")

    def _level(self) -> Finding:
        (level,) = self._row("SELECT current_setting('wal_level')")
        if level != "logical":
            raise UsageError(
                f"wal_level is {level!r}: the log does not say which rows changed",
                hint="ALTER SYSTEM SET wal_level = 'logical'; then restart the server "
                "(a managed one has a setting of its own for it)",
            )
        return Finding("logical")

    def _role(self) -> Finding:
        name, may = self._row(_ROLE)
        if not may:
            role = sql.Identifier(name).as_string(self._open)
            message = f"role {name!r} may not replicate"
            raise UsageError(message, hint=f"ALTER ROLE {role} REPLICATION")
        return Finding(f"{name!r} may replicate")

    def _replication(self) -> Finding:
        """Open a replication connection: pg_hba.conf and poolers may be in the way."""
        try:
            with (
                database.connect_to_replicate(
                    self._address, "streamlab doctor"
                ) as open_,
                translation("asking over a replication connection"),
            ):
                said = open_.execute("IDENTIFY_SYSTEM").fetchone() or ("", "")
        except ConnectorError as error:
            error.hint = (
                "connect to the server itself, not to a pooler; pg_hba.conf must let "
                "this role in (logical replication needs no line for 'replication')"
            )
            raise
        self.facts["system"] = f"{said[0]}, timeline {said[1]}"
        return Finding("a replication connection opens")

    def _room(self) -> Finding:
        most_slots, used_slots, most_senders, used_senders = self._row(_ROOM)
        what = (
            f"{used_slots} of {most_slots} slots and {used_senders} of {most_senders} "
            "WAL senders are in use"
        )
        missing = [
            f"ALTER SYSTEM SET {name} = {most + 10}"
            for name, most, used in (
                ("max_replication_slots", most_slots, used_slots),
                ("max_wal_senders", most_senders, used_senders),
            )
            if used >= most
        ]
        if missing:
            raise UsageError(
                what, hint=f"{'; '.join(missing)}; then restart the server"
            )
        return Finding(what)

    def _budget(self) -> Finding:
        limit, timeout = self._row(
            "SELECT current_setting('max_slot_wal_keep_size'), "
            "current_setting('wal_sender_timeout')"
        )
        self.facts["wal_sender_timeout"] = timeout
        if limit == "-1":
            return Finding(
                "max_slot_wal_keep_size is not set: a slot that nobody reads keeps the "
                "log until the disk is full",
                "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; "
                "SELECT pg_reload_conf(); with what the disk has to spare",
                "warn",
            )
        return Finding(f"a slot may hold back {limit} of log")

    def _slots(self) -> Finding:
        with translation("looking at the slots"):
            names = self._open.execute(
                "SELECT slot_name FROM pg_replication_slots "
                "WHERE slot_type = 'logical' ORDER BY slot_name"
            ).fetchall()
            found = [slots.find(self._open, name) for (name,) in names]
        there = [slot for slot in found if slot is not None]
        bad = [slot for slot in there if slot.is_lost or slot.warning]
        shown = [
            f"{slot.name}: {slot.wal_status}, {megabytes(slot.retained_bytes)} held "
            f"back, {'read' if slot.active_pid else 'nobody reads it'}"
            for slot in there[:MOST_LISTED]
        ]
        what = "; ".join(shown) or "there are none yet"
        if bad:
            hint = "; ".join(
                f"if nobody needs it: SELECT pg_drop_replication_slot('{slot.name}')"
                for slot in bad[:MOST_LISTED]
            )
            return Finding(what, hint, "warn")
        return Finding(what)

    def _publication(self) -> Finding:
        name, may = self._row(
            "SELECT current_database(), "
            "has_database_privilege(current_database(), 'CREATE')"
        )
        if not may:
            quoted = sql.Identifier(name).as_string(self._open)
            role = sql.Identifier(self._open.info.user).as_string(self._open)
            return Finding(
                "this role may not create a publication",
                f"GRANT CREATE ON DATABASE {quoted} TO {role}; or have the owner of "
                "the tables create one, and name it: publication = …",
                "warn",
            )
        return Finding(f"this role may create one in {name!r}")

    def _read_tables(self) -> Finding:
        with translation("looking at the tables"):
            oids = (
                published.resolved(self._open, self._tables) if self._tables else None
            )
            rows = self._open.execute(_TABLES, {"oids": oids}).fetchall()
        problems: list[str] = []
        hints: list[str] = []
        for row in rows:
            problem, hint = self._table(row)
            if problem:
                problems.append(problem)
                hints.append(hint)
        if not problems:
            return Finding(f"{len(rows)} can be read and published")
        what = f"{len(problems)} of {len(rows)} cannot be: " + "; ".join(
            problems[:MOST_LISTED]
        )
        if self._tables:
            raise UsageError(what, hint="; ".join(hints[:MOST_LISTED]))
        return Finding(what, "; ".join(hints[:MOST_LISTED]), "warn")

    def _table(self, row: tuple[Any, ...]) -> tuple[str, str]:
        """Return what is wrong with a table and the SQL against it."""
        oid, schema, name, may_read, is_owner, owner = row
        quoted = sql.Identifier(schema, name).as_string(self._open)
        role = sql.Identifier(self._open.info.user).as_string(self._open)
        if not may_read:
            return (
                f"{schema}.{name} may not be read",
                f"GRANT SELECT ON {quoted} TO {role}",
            )
        if not is_owner:
            return (
                f"{schema}.{name} belongs to {owner!r}, who alone may publish it",
                f"as {owner}: CREATE PUBLICATION … FOR TABLE {quoted}",
            )
        try:
            published.tables(self._open, [oid])
        except UsageError as error:
            return error.message, error.hint
        return "", ""
