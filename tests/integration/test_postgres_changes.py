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
from streamlab.connectors.postgres.changes.pgoutput import Batch, Decoder, Position
from streamlab.connectors.postgres.changes.relation import Difference, differences
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


def test_an_unchanged_long_value_is_unavailable(postgres_dsn, table):
    """A value stored out of line is named where the server does not send it."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY, n int, v text); "
        "ALTER TABLE {t} ALTER v SET STORAGE EXTERNAL",
        "INSERT INTO {t} VALUES (1, 1, repeat('x', 100000))",
        "UPDATE {t} SET n = 2",
        "UPDATE {t} SET v = NULL",
    ) as messages:
        batch = Decoder().feed(messages)
    frame = frame_of(postgres_dsn, batch)
    assert frame["v"].str.len_bytes().to_list() == [100_000, None, None]
    assert frame["_unavailable"].to_list() == [None, ["v"], None]


def test_with_full_identity_nothing_is_unavailable(postgres_dsn, table):
    """The whole old row gives the long value that the new row lacks."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY, n int, v text); "
        "ALTER TABLE {t} ALTER v SET STORAGE EXTERNAL, REPLICA IDENTITY FULL",
        "INSERT INTO {t} VALUES (1, 1, repeat('x', 100000))",
        "UPDATE {t} SET n = 2",
        "DELETE FROM {t}",
    ) as messages:
        batch = Decoder().feed(messages)
    frame = frame_of(postgres_dsn, batch)
    assert frame["v"].str.len_bytes().to_list() == [100_000] * 3
    assert frame["_unavailable"].null_count() == 3
    assert [row and row["n"] for row in frame["_before"]] == [None, 1, 2]


def test_columns_may_change_within_a_transaction(postgres_dsn, table):
    """A new version of the table begins with the first row that has it."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY)",
        "BEGIN; INSERT INTO {t} VALUES (1); ALTER TABLE {t} ADD COLUMN v text; "
        "INSERT INTO {t} VALUES (2, 'a'); ALTER TABLE {t} RENAME COLUMN v TO w; "
        "INSERT INTO {t} VALUES (3, 'b'); COMMIT",
    ) as messages:
        batch = Decoder().feed(messages)
    assert [one.relation.names for one in batch.changes] == [
        ("id",),
        ("id", "v"),
        ("id", "w"),
    ]
    first, second, third = batch.relations
    assert differences(first, second) == (Difference("added", "v"),)
    assert differences(second, third) == (
        Difference("removed", "v"),
        Difference("added", "w"),
    )


def test_what_was_rolled_back_is_not_there(postgres_dsn, table):
    """Neither aborted transactions nor savepoints that were rolled back leave a row."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY)",
        "BEGIN; INSERT INTO {t} VALUES (1); ROLLBACK",
        "BEGIN; INSERT INTO {t} VALUES (2); SAVEPOINT s; INSERT INTO {t} VALUES (3); "
        "ROLLBACK TO s; INSERT INTO {t} VALUES (4); COMMIT",
    ) as messages:
        batch = Decoder().feed(messages)
    frame = frame_of(postgres_dsn, batch)
    assert frame["id"].to_list() == [2, 4]
    assert frame["_index"].to_list() == [0, 2]


def test_quoted_names_and_generated_columns(postgres_dsn, table):
    """Names come unquoted; a stored generated column is not in the stream."""
    with recorded(
        postgres_dsn,
        table,
        'CREATE TABLE {t} ("Id" int PRIMARY KEY, "a b" text, '
        '"ż" int GENERATED ALWAYS AS ("Id" * 2) STORED)',
        "INSERT INTO {t} VALUES (1, 'x')",
    ) as messages:
        batch = Decoder().feed(messages)
    frame = frame_of(postgres_dsn, batch)
    assert frame.select("Id", "a b").rows() == [(1, "x")]
    assert "ż" not in frame.columns


def test_a_large_transaction_passes_in_pieces(postgres_dsn, table):
    """Pieces of a large commit add up to it, and only the last one ends it."""
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY, v text)",
        "INSERT INTO {t} SELECT i, 'row ' || i FROM generate_series(1, 25000) i",
    ) as messages:
        decoder = Decoder()
        batches = [decoder.feed(messages[n : n + 4000]) for n in range(0, 25_000, 4000)]
    frame = pl.concat(frame_of(postgres_dsn, batch) for batch in batches)
    assert frame["id"].to_list() == list(range(1, 25_001))
    assert frame["_index"].to_list() == list(range(0, 50_000, 2))
    assert frame["v"].to_list() == [f"row {n}" for n in range(1, 25_001)]
    assert [batch.in_transaction for batch in batches] == [True] * 6 + [False]
    assert [batch.confirmable_lsn is None for batch in batches] == [True] * 6 + [False]
    middle = batches[2].position
    again = Decoder(after=middle).feed(messages)
    assert len(again) == 25_000 - sum(map(len, batches[:3]))
    assert isinstance(middle, Position)
