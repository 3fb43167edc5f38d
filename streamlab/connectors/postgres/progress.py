"""The table ``streamlab.progress``: how far each task has come, beside the rows.

It is written in the transaction of the rows, so that both take effect or neither.
Times are transaction-local settings, which also hold behind a connection pooler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from streamlab.positions import Progress
from streamlab.sinks import first_claims, require_same_place

LOCK_TIMEOUT_S = 10
TRANSACTION_TIMEOUT_S = 120
"""After this time a stopped or vanished worker no longer holds its rows locked."""

TRANSACTION_TIMEOUT_SINCE = 17_00_00  # server version

_CREATE = """
CREATE SCHEMA IF NOT EXISTS streamlab;
CREATE TABLE IF NOT EXISTS streamlab.progress (
    pipeline text NOT NULL,
    task text NOT NULL,
    epoch bigint NOT NULL,
    state_id text,
    positions jsonb NOT NULL,
    incarnations jsonb NOT NULL,
    watermarks jsonb NOT NULL,
    updated_at timestamp with time zone NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, task)
);
"""
_CREATION_LOCK = 0x73_74_72_65_61_6D  # "stream": two workers may start at once

_COLUMNS = "task, epoch, state_id, positions, incarnations, watermarks"
_SELECT = f"SELECT {_COLUMNS} FROM streamlab.progress WHERE pipeline = %s"  # noqa: S608 -- made of constants
_INSERT = f"""
INSERT INTO streamlab.progress (pipeline, {_COLUMNS})
VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""  # noqa: S608 -- made of constants
_UPDATE = """
UPDATE streamlab.progress
SET epoch = %s, state_id = %s, positions = %s, incarnations = %s, watermarks = %s,
    updated_at = now()
WHERE pipeline = %s AND task = %s
"""
_BEGIN = f"""
SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s';
SET LOCAL idle_in_transaction_session_timeout = '{TRANSACTION_TIMEOUT_S}s';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT set_config('synchronous_commit', 'on', true)
WHERE current_setting('synchronous_commit') = 'off';
"""
_BEGIN_SINCE_17 = f"SET LOCAL transaction_timeout = '{TRANSACTION_TIMEOUT_S}s';{_BEGIN}"


def create(connection: psycopg.Connection[Any]) -> None:
    """Create the table if it is not there, also when two workers start at once."""
    if connection.execute("SELECT to_regclass('streamlab.progress')").fetchone() != (
        None,
    ):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_CREATION_LOCK])
        connection.execute(_CREATE)


def begin(connection: psycopg.Connection[Any]) -> None:
    """Prepare the transaction that was just begun.

    A commit is durable whatever the role's default is, constraints are checked at the
    statement that breaks them, and nothing is waited for without an end.
    """
    recent = connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE
    connection.execute(_BEGIN_SINCE_17 if recent else _BEGIN)


def claim(
    connection: psycopg.Connection[Any], pipeline: str, initial: Sequence[Progress]
) -> list[Progress]:
    """Make sure that each task has a row, and return the rows in the same order.

    The rows are read under their locks: after a broken connection its last commit may
    still be under way, and is waited for.
    """
    with connection.transaction():
        begin(connection)
        new = first_claims(initial, _stored(connection, pipeline))
        if new:
            with connection.cursor() as cursor:
                cursor.executemany(
                    _INSERT, [[pipeline, each.task, *_values(each)] for each in new]
                )
        # A worker that claimed at the same time may have been first.
        stored = _locked(connection, pipeline, initial)
    return [stored[progress.task] for progress in initial]


def advance(
    connection: psycopg.Connection[Any],
    pipeline: str,
    before: Sequence[Progress],
    after: Sequence[Progress],
) -> None:
    """Lock the rows, compare them with ``before`` and set them to ``after``.

    Must run inside the transaction that writes the rows.

    Raises:
        Fenced: Stored is something else: another worker has taken over.
    """
    require_same_place(before, _locked(connection, pipeline, before))
    with connection.cursor() as cursor:
        cursor.executemany(
            _UPDATE, [[*_values(each), pipeline, each.task] for each in after]
        )


def of(connection: psycopg.Connection[Any], pipeline: str) -> list[Progress]:
    """Return the progress of a pipeline; none where nothing was ever stored."""
    found = connection.execute("SELECT to_regclass('streamlab.progress')").fetchone()
    if found == (None,):
        return []
    return list(_stored(connection, pipeline).values())


def _stored(connection: psycopg.Connection[Any], pipeline: str) -> dict[str, Progress]:
    rows = connection.execute(_SELECT, [pipeline]).fetchall()
    return {row[0]: _progress(row) for row in rows}


def _locked(
    connection: psycopg.Connection[Any], pipeline: str, tasks: Sequence[Progress]
) -> dict[str, Progress]:
    """Return the tasks' rows, locked in the order of their names: no deadlocks."""
    names = [progress.task for progress in tasks]
    rows = connection.execute(
        _SELECT + " AND task = ANY(%s) ORDER BY task FOR UPDATE", [pipeline, names]
    ).fetchall()
    return {row[0]: _progress(row) for row in rows}


def _progress(row: tuple[Any, ...]) -> Progress:
    return Progress.from_json(dict(zip(_COLUMNS.split(", "), row, strict=True)))


def _values(progress: Progress) -> list[Any]:
    stored = progress.to_json()
    return [
        stored["epoch"],
        stored["state_id"],
        Jsonb(stored["positions"]),
        Jsonb(stored["incarnations"]),
        Jsonb(stored["watermarks"]),
    ]
