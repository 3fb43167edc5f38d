"""The decoder of PostgreSQL's changes, on streams of a real server."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import polars as pl
import psycopg
import pytest

from streamlab.connectors.postgres.changes.catalog import Catalog
from streamlab.connectors.postgres.changes.frames import ChangeTable
from streamlab.connectors.postgres.changes.pgoutput import Batch, Decoder
from tests.integration.change_stream import change_stream

pytestmark = pytest.mark.integration


@pytest.fixture
def table(postgres_dsn: str) -> Iterator[str]:
    """Return the name of a table nobody else uses; it is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {name} CASCADE")


@contextlib.contextmanager
def recorded(dsn: str, table: str, create: str, *statements: str):
    """Yield the messages that statements cause, each a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(create.format(t=table))
        with change_stream(dsn, f"TABLE {table}") as stream:
            for statement in statements:
                connection.execute(statement.format(t=table))
            yield stream.read()


def frame_of(dsn: str, batch: Batch) -> pl.DataFrame:
    """Return the changes of a batch of one table, all versions of one shape."""
    with psycopg.connect(dsn) as connection:
        catalog = Catalog.read(connection)
    rows = [ChangeTable(c.relation, catalog).rows(c) for c in batch.changes]
    assert not any(one.rejected for one in rows)
    return pl.concat(one.frame for one in rows)


def test_inserts_updates_and_deletes_come_in_commit_order(postgres_dsn, table):
    """Each change is there once, in order, with its operation and values."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY, v text)",
        "INSERT INTO {t} VALUES (1, 'a'), (2, NULL), (3, '')",
        "UPDATE {t} SET v = 'b' WHERE id = 1",
        "DELETE FROM {t} WHERE id = 2",
        "UPDATE {t} SET id = 4 WHERE id = 3",
        "TRUNCATE {t}",
    ) as messages:
        batch = Decoder().feed(messages)
    frame = frame_of(postgres_dsn, batch)
    assert frame.select("_op", "id", "v").rows() == [
        ("insert", 1, "a"),
        ("insert", 2, None),
        ("insert", 3, ""),
        ("update", 1, "b"),
        ("delete", 2, None),
        ("delete", 3, None),
        ("insert", 4, ""),
        ("truncate", None, None),
    ]
    places = frame.select("_lsn", "_index").rows()
    assert places == sorted(set(places))
    assert frame["_before"].to_list()[4:7] == [{"id": 2}, {"id": 3}, {"id": 3}]
    assert batch.confirmable_lsn > batch.position.lsn
