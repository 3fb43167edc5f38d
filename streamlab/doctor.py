"""Doctors: what works and what does not on the way to a server, one for each system.

``streamlab doctor kafka`` is :func:`kafka` on the command line, and so for the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamlab.connectors.diagnosis import Diagnosis, Step
from streamlab.connectors.kafka.doctor import diagnose as kafka
from streamlab.errors import MissingExtra


def postgres(
    profile: str = "", *, dsn: str = "", tables: Sequence[str] = ()
) -> Diagnosis:
    """Test whether a database can be read as a stream of changes.

    Args:
        profile: Profile of the settings file; the default one if empty.
        dsn: Connection string or a reference to one; wins over the profile.
        tables: ``schema.table`` each; all of the database without any.

    Raises:
        UnknownName: There is no such profile.
        MissingExtra: The driver is not installed.
    """
    try:
        from streamlab.connectors.postgres.doctor import diagnose
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise MissingExtra("the doctor for postgres", "postgres") from error
    return diagnose(profile, dsn=dsn, tables=tables)


__all__ = ["Diagnosis", "Step", "kafka", "postgres"]
