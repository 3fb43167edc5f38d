"""What PostgreSQL's errors mean for a worker: by SQLSTATE, never by their text.

The server's DETAIL and the driver's context carry values of the row ("Failing row
contains (…)"), so they are dropped. Source of the codes:
https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import pq

from streamlab.errors import ConnectorError, Refused, Unavailable

ROW_CLASSES = frozenset({"21", "22", "23", "44", "54", "P0"})
"""Classes that blame what is written: data, integrity, checks, limits, triggers."""

PASSING_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""Classes that pass: connection, rollback, resources, operator, system."""

PASSING_CODES = frozenset({"55P03", "25006", "25P03", "25P04"})
"""Lock not available, read-only after a failover, the two transaction timeouts."""


PASSING_STREAM_CODES = frozenset({"55006"})
"""A slot in use: the process of a connection that broke may hold it for a while."""


def blames_rows(error: psycopg.Error) -> bool:
    """Return whether some rows are at fault, and the others could be written."""
    return (error.sqlstate or "")[:2] in ROW_CLASSES


def is_passing(error: psycopg.Error) -> bool:
    """Return whether the same call can succeed later.

    An error without a code is the driver's own, about a connection that broke.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in PASSING_CLASSES or error.sqlstate in PASSING_CODES


def reason(error: psycopg.Error) -> str:
    """Return what happened in words, without any value.

    Returns:
        The condition, its SQLSTATE, and the column and constraint where the server
        names them: ``not null violation (23502), column "carrier"``.
    """
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__).lower()
    named = [
        f'{kind} "{name}"'
        for kind, name in (
            ("column", error.diag.column_name),
            ("constraint", error.diag.constraint_name),
        )
        if name
    ]
    code = f" ({error.sqlstate})" if error.sqlstate else ""
    return ", ".join([f"{words}{code}", *named])


def translated(error: psycopg.Error, doing: str) -> ConnectorError:
    """Return the error that tells the worker what to do.

    Args:
        error: What the driver raised.
        doing: What was tried, such as ``writing to table delays``.
    """
    message = f"PostgreSQL failed at {doing}: {reason(error)}"
    if is_passing(error):
        return Unavailable(message)
    return Refused(message, hint=_hint(error))


def translated_result(result: pq.abc.PGresult | None, doing: str) -> ConnectorError:
    """Return the error of a libpq result, for calls that psycopg has no API for."""
    if result is None:
        return Unavailable(f"PostgreSQL hung up at {doing}")
    state = result.error_field(pq.DiagnosticField.SQLSTATE)
    if state is None:
        return Unavailable(f"PostgreSQL ended {doing}")
    try:
        kind: type[psycopg.Error] = psycopg.errors.lookup(state.decode())
    except KeyError:
        kind = psycopg.DatabaseError
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", kind.__name__).lower()
    message = f"PostgreSQL failed at {doing}: {words} ({state.decode()})"
    if state.decode()[:2] in PASSING_CLASSES or state.decode() in PASSING_STREAM_CODES:
        return Unavailable(message)
    # What is wrong with a slot or a publication is in the text alone, and no row is.
    said = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
    return Refused(f"{message}: {said}")


@contextmanager
def translation(doing: str) -> Iterator[None]:
    """Raise our errors in place of the driver's.

    Raises:
        Unavailable: It may succeed later.
        Refused: It will not.
    """
    try:
        yield
    except psycopg.Error as error:
        # The driver's text can hold values of rows: it must not become the cause.
        raise translated(error, doing) from None


def _hint(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "grant the role CREATE on the schema, and INSERT and SELECT on the table"
    return ""
