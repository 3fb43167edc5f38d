"""The settings that make a session's text output exact, and the same everywhere.

They decide how the server's output functions write values, in a COPY as well as in
the messages of logical replication, so both connections of a source need them.
"""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "iso_8601",
    "TimeZone": "UTC",
    # Shortest text that reads back to the same float, from version 12 on; 3 asks
    # older servers for enough digits.
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
}
"""Setting → value.

Source: https://www.postgresql.org/docs/current/runtime-config-client.html
"""


def startup_options() -> str:
    """Return the settings as libpq's ``options`` parameter.

    Given at connection, they also hold for a replication connection, which takes no
    SET with parameters. ``client_encoding`` is among them: libpq would set its own.
    """
    return " ".join(
        f"-c {name}={value.replace(' ', chr(92) + ' ')}"
        for name, value in SETTINGS.items()
    )
