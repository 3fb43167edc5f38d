"""The sinks that need a server pass the conformance checks, on the real server."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import polars as pl
import psycopg
import pytest
from psycopg import sql

from streamlab.connectors.postgres import progress
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.sinks import Sink
from streamlab.testing import SINK_CHECKS, SINK_SCHEMA, SinkCase

pytestmark = pytest.mark.integration


@pytest.fixture(params=["append", "upsert"])
def case(request: pytest.FixtureRequest, postgres_dsn: str) -> SinkCase:
    """Return a sink to check, one after another."""
    key = ("id",) if request.param == "upsert" else ()

    def make() -> PostgresSink:
        table = f"conformance_{uuid.uuid4().hex[:12]}"
        return PostgresSink(table, request.param, key, dsn=postgres_dsn)

    return SinkCase(make, read_postgres, refused_text="nobody may see this\0")


@pytest.mark.parametrize("check", SINK_CHECKS, ids=lambda check: check.__name__)
def test_sink_conforms(check: Callable[[SinkCase], None], case: SinkCase) -> None:
    """Each sink passes each check."""
    check(case)


def test_check_finds_a_sink_that_does_not_compare(
    case: SinkCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without compare-and-set a stale worker writes its rows again, and it is seen."""
    monkeypatch.setattr(progress, "require_same_place", lambda *_: None)
    fences = {check.__name__: check for check in SINK_CHECKS}["fences_a_stale_worker"]
    with pytest.raises(AssertionError, match="not Fenced"):
        fences(case)


def read_postgres(sink: Sink) -> pl.DataFrame:
    """Return the rows of a table in the order in which they were written."""
    query = sql.SQL("SELECT * FROM {} ORDER BY ctid").format(sql.Identifier(sink.table))
    with psycopg.connect(sink.dsn) as connection:
        rows = connection.execute(query).fetchall()
    return pl.DataFrame(rows, SINK_SCHEMA, orient="row")
