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
        ("path", "/home/me/data.csv"),
        ("path", "~/data.csv"),
        ("path", "C:\\data\\planes.csv"),
    ],
)
def test_secrets_and_machine_paths_are_objected_to(name: str, value: str) -> None:
    """What must not leave this machine is found by its name or by its form."""
    why = objection(name, value)

    assert why
    assert value not in why


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
        ("text", ""),
    ],
)
def test_references_and_plain_values_pass(name: str, value: object) -> None:
    """A reference is not the secret; a separator is not a path."""
    assert objection(name, value) == ""
