"""Finding and opening a database, without showing its password to anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from streamlab.errors import SettingsError, Unavailable, first_line
from streamlab.settings import Settings, resolved

CONNECT_TIMEOUT_S = 10
NETWORK_DEFAULTS = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    # A server that vanished without a word is noticed after about half a minute.
    "tcp_user_timeout": 30_000,  # ms
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
}
NAME_BYTES = 63
"""PostgreSQL cuts longer names without an error."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database to connect to.

    Attributes:
        options: libpq's connection parameters; they hold the password.
    """

    options: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        """Return ``host:port/database``, and nothing secret."""
        host = self.options.get("host") or self.options.get("hostaddr") or "localhost"
        port = f":{self.options['port']}" if self.options.get("port") else ""
        return f"{host}{port}/{self.options.get('dbname', '')}"

    def without_secrets(self, text: str) -> str:
        """Return a text of the driver with the password struck out."""
        password = str(self.options.get("password") or "")
        return text.replace(password, "***") if password else text


def find(profile: str = "", dsn: str = "") -> Address:
    """Return the database that a sink means.

    Args:
        profile: Profile of the settings file; the default one if empty.
        dsn: A connection string, URI or a reference to one; wins over the profile.

    Raises:
        SettingsError: No database is configured, or its connection string is
            malformed. The message never repeats the string.
    """
    origin = "the setting dsn"
    if not dsn:
        settings = Settings.load()
        chosen = settings.profile(profile)
        origin = f"the dsn of profile {chosen.name!r}"
        dsn = chosen.postgres.get("dsn", "")
        if not dsn:
            message = f"profile {chosen.name!r} has no PostgreSQL database"
            raise SettingsError(
                message,
                hint=f"add [profiles.{chosen.name}.postgres] with a dsn, "
                "or start the local one: streamlab up",
            )
    try:
        options = conninfo_to_dict(resolved(dsn))
    except psycopg.ProgrammingError:
        # libpq repeats the whole string, password and all, in its error.
        message = f"{origin} is not a PostgreSQL connection string"
        raise SettingsError(
            message, hint="write postgresql://user@host:port/database"
        ) from None
    return Address(options)


def connect(address: Address, application: str) -> psycopg.Connection[Any]:
    """Open a connection that commits only in explicit transactions.

    Args:
        address: What :func:`find` returned.
        application: Shown in ``pg_stat_activity``.

    Raises:
        SettingsError: The server asked for a password and then said no.
        Unavailable: There is no answer.
    """
    connection = _opened(address, application)
    # Compare-and-set by row locks is written for this level, whatever the default.
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
    return connection


def connect_to_replicate(address: Address, application: str) -> psycopg.Connection[Any]:
    """Open a connection that speaks the replication protocol.

    It takes plain SQL too, but no parameters.

    Raises:
        SettingsError: The server asked for a password and then said no.
        Unavailable: There is no answer.
    """
    return _opened(address, application, replication="database")


def with_settings(address: Address, settings: str) -> Address:
    """Return the address with settings of the session, as libpq's ``options``."""
    given = str(address.options.get("options") or "")
    together = f"{given} {settings}".strip()
    return Address({**address.options, "options": together})


def _opened(address: Address, application: str, **more: str) -> psycopg.Connection[Any]:
    options: dict[str, Any] = {
        **NETWORK_DEFAULTS,
        "application_name": application.encode()[:NAME_BYTES].decode(errors="ignore"),
        **address.options,
        **more,
    }
    try:
        # Statements are not prepared: a pooler may hand each transaction to another
        # server process, and these few are planned in no time.
        return psycopg.connect(**options, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        said = address.without_secrets(first_line(error))
        if _login_failed(error):
            message = f"PostgreSQL at {address} refused the login: {said}"
            raise SettingsError(
                message, hint="check user, password and database of the dsn"
            ) from None
        message = f"PostgreSQL at {address} cannot be reached: {said}"
        raise Unavailable(message) from None


def _login_failed(error: psycopg.OperationalError) -> bool:
    """Return whether a password was asked for: only then can it have been wrong."""
    attempt = error.pgconn
    return attempt is not None and bool(attempt.needs_password or attempt.used_password)
