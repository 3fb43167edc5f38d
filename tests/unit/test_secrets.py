from __future__ import annotations

import pytest

from streamlab.secrets import objection


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sasl.password", "x"),
        ("API_KEY", "x"),
        ("dsn", "postgres://me:pw@host/db"),
        ("dsn", "host=db password=pw"),
        ("dsn", "Server=db;Pwd=pw1"),
        ("db_pwd", "x"),
        ("access_key", "x"),
        ("Authorization", "Basic bWU6cHc="),
        ("header", "Bearer abcdefgh.1234"),
        ("text", '{"user": "me", "password": "pw"}'),
        ("ca", "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----"),
        ("password", b"x"),
        ("dsn", b"postgres://me:pw@host/db"),
        ("path", "/home/me/data.csv"),
        ("path", "~/data.csv"),
        ("path", "C:\\data\\planes.csv"),
    ],
)
def test_secrets_and_machine_paths_are_objected_to(
    name: str, value: str | bytes
) -> None:
    """What must not leave this machine is found by its name or by its form."""
    why = objection(name, value)

    assert why
    assert str(value) not in why


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sasl.password", "${env:KAFKA_PASSWORD}"),
        ("dsn", "postgres://me:${env:PW}@host/db"),
        ("separator", "/"),
        ("route", "/flights"),
        ("path", "tables/planes.parquet"),
        ("url", "https://example.org/a/b/c"),
        ("limit", 15),
        ("text", "the bearer of this letter"),
        ("text", '{"password": "${env:PW}"}'),
        ("ca", "-----BEGIN CERTIFICATE-----"),
        ("bytes", b"\xff"),
        ("text", ""),
    ],
)
def test_references_and_plain_values_pass(name: str, value: object) -> None:
    """A reference is not the secret; a separator is not a path."""
    assert objection(name, value) == ""
