"""What an error of PostgreSQL makes the worker do."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import errors

from streamlab.connectors.postgres.failures import (
    blames_rows,
    reason,
    translated,
    translation,
)
from streamlab.errors import Refused, Unavailable

CANARY = "PII-canary"


@pytest.mark.parametrize(
    "kind",
    [
        errors.SerializationFailure,
        errors.DeadlockDetected,
        errors.AdminShutdown,
        errors.CrashShutdown,
        errors.CannotConnectNow,
        errors.TooManyConnections,
        errors.DiskFull,
        errors.QueryCanceled,
        errors.LockNotAvailable,
        errors.ReadOnlySqlTransaction,
        errors.IdleInTransactionSessionTimeout,
        errors.TransactionTimeout,
        psycopg.OperationalError,
        psycopg.InterfaceError,
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_passes_is_tried_again(kind: type[psycopg.Error]) -> None:
    """A server that is busy, restarting or away makes the worker wait."""
    error = kind(CANARY)
    assert isinstance(translated(error, "writing"), Unavailable)
    assert not blames_rows(error)


@pytest.mark.parametrize(
    "kind",
    [
        errors.UndefinedTable,
        errors.UndefinedColumn,
        errors.InsufficientPrivilege,
        errors.SyntaxError,
        psycopg.ProgrammingError,
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_does_not_pass_stops(kind: type[psycopg.Error]) -> None:
    """A dropped table or a missing right is nobody's row and no outage."""
    error = kind(CANARY)
    assert isinstance(translated(error, "writing"), Refused)
    assert not blames_rows(error)


@pytest.mark.parametrize(
    "kind",
    [
        errors.NotNullViolation,
        errors.UniqueViolation,
        errors.CheckViolation,
        errors.ForeignKeyViolation,
        errors.NumericValueOutOfRange,
        errors.CharacterNotInRepertoire,
        errors.UntranslatableCharacter,
        errors.RaiseException,
        errors.ProgramLimitExceeded,
        errors.WithCheckOptionViolation,
    ],
    ids=lambda kind: kind.__name__,
)
def test_what_blames_rows_is_looked_for_among_them(kind: type[psycopg.Error]) -> None:
    """Data errors, constraints, limits and triggers are about rows."""
    assert blames_rows(kind(CANARY))


def test_words_of_an_error_have_no_value() -> None:
    """The driver's text, which repeats rows, is in neither message nor cause."""
    assert reason(errors.NotNullViolation(CANARY)) == "not null violation (23502)"
    with pytest.raises(Refused) as caught, translation("writing"):
        raise errors.UndefinedTable(CANARY)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
