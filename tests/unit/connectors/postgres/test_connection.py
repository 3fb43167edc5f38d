"""Finding a database without showing its password."""

from __future__ import annotations

import socket
import traceback
from pathlib import Path

import pytest

from streamlab.connectors.postgres.connection import connect, find
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.connectors.postgres.table import TableName
from streamlab.errors import SettingsError, Unavailable, UsageError

SECRET = "S3cr3tPw"


def test_dsn_of_the_profile_is_found_and_its_reference_resolved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile names the database, the environment has its password."""
    (tmp_path / "streamlab.toml").write_text(
        '[profiles.work.postgres]\ndsn = "${env:WAREHOUSE}"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WAREHOUSE", f"postgresql://u:{SECRET}@db.example:6543/flights")
    address = find("work")
    assert address.options["password"] == SECRET
    assert str(address) == "db.example:6543/flights"
    assert SECRET not in repr(address)


def test_profile_without_a_database_says_what_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint names the section."""
    (tmp_path / "streamlab.toml").write_text('[profiles.work.kafka]\na = "b"\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"\[profiles\.work\.postgres\]"):
        find("work")


@pytest.mark.parametrize(
    "dsn",
    [f"postgresql://u:{SECRET}@[bad/db", f"host=a password={SECRET} nonsense", SECRET],
)
def test_malformed_dsn_is_not_repeated(dsn: str) -> None:
    """libpq repeats the whole string in its error; ours does not, nor its cause."""
    with pytest.raises(SettingsError) as caught:
        find(dsn=dsn)
    shown = "".join(traceback.format_exception(caught.value))
    # The test's own source line may show; the message, cause and context may not.
    assert SECRET not in shown.replace(dsn, "")
    assert SECRET not in str(caught.value)


def test_nobody_listening_is_an_outage_without_the_password() -> None:
    """A server that is not there is waited for."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        address = find(dsn=f"postgresql://u:{SECRET}@127.0.0.1:{port}/x")
        with pytest.raises(Unavailable) as caught:
            connect(address, "test")
    assert str(port) in str(caught.value)
    assert SECRET not in str(caught.value)


def test_sink_does_not_show_its_dsn() -> None:
    """A connection string with a password stays out of the sink's display."""
    sink = PostgresSink("t", dsn=f"postgresql://u:{SECRET}@h/x")
    assert SECRET not in repr(sink)
    assert SECRET not in sink.describe()


@pytest.mark.parametrize("name", ["", ".t", "a.b.c", "x" * 64, "a\0b", "s."])
def test_impossible_table_names_are_refused(name: str) -> None:
    """PostgreSQL would cut a long name silently."""
    with pytest.raises(UsageError, match="cannot name a table"):
        TableName.parse(name)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "replace"},
        {"mode": "upsert"},
        {"key": ("id",)},
        {"version": "n"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, object],
) -> None:
    """A mode that cannot work is said before any connection."""
    with pytest.raises(UsageError):
        PostgresSink("t", **settings)


def test_one_key_column_may_be_given_as_text() -> None:
    """``key="id"`` is the column id, not i and d."""
    assert PostgresSink("t", mode="upsert", key="id").key == ("id",)
