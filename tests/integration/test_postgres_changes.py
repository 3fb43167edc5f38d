"""The decoder of PostgreSQL's changes, on streams of a real server."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from itertools import count
from random import Random

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


STATEMENTS = {
    "INSERT INTO {t} VALUES ({new}, {n}, repeat('x', 9000))": 180,
    "UPDATE {t} SET n = {n} WHERE id = {old}": 125,
    "UPDATE {t} SET v = repeat('y', {size}) WHERE id = {old}": 50,
    "UPDATE {t} SET v = NULL WHERE id = {old}": 25,
    "UPDATE {t} SET id = {new}, n = {n} WHERE id = {old}": 50,
    "DELETE FROM {t} WHERE id = {old}": 70,
    "TRUNCATE {t}": 1,
}
"""What random transactions do, and how often; {new} is a key nobody had."""


def _random_statement(random: Random, fresh: Iterator[int], keys: list[int]) -> str:
    """Return a statement about the table; it may find no row of its key."""
    (chosen,) = random.choices([*STATEMENTS], [*STATEMENTS.values()])
    new = next(fresh)
    statement = chosen.format(
        t="{t}",
        new=new,
        old=random.choice(keys[-30:]),
        n=random.random(),
        size=random.choice([0, 10, 9001]),
    )
    keys.append(new)
    return statement


def _random_transaction(random: Random, fresh: Iterator[int], keys: list[int]) -> str:
    """Return a transaction, of which parts or all may be rolled back."""
    lines = ["BEGIN"]
    for _ in range(random.randint(1, 8)):
        if random.random() < 0.2:
            undone = [_random_statement(random, fresh, keys) for _ in range(2)]
            lines += ["SAVEPOINT s", *undone, "ROLLBACK TO s"]
        lines.append(_random_statement(random, fresh, keys))
    return "; ".join([*lines, "ROLLBACK" if random.random() < 0.15 else "COMMIT"])


def _replica(frame: pl.DataFrame) -> dict[int, dict[str, object]]:
    """Apply change rows as a sink has to: unavailable values stay what they were."""
    rows: dict[int, dict[str, object]] = {}
    moved: dict[str, object] = {}
    for change in frame.iter_rows(named=True):
        own = {name: change[name] for name in ("id", "n", "v")}
        unavailable = change["_unavailable"] or []
        if change["_op"] == "truncate":
            rows.clear()
        elif change["_op"] == "delete":
            moved = rows.pop(own["id"])
        else:
            before = moved if change["_op"] == "insert" else rows.get(own["id"], {})
            kept = {name: before[name] for name in unavailable}
            rows[own["id"]] = {**own, **kept}
    return rows


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_a_replica_of_random_transactions_is_the_table(postgres_dsn, table, identity):
    """Changes applied in order give the table, row by row and value by value."""
    random = Random(6)
    fresh, keys = count(1), [0]
    transactions = [_random_transaction(random, fresh, keys) for _ in range(400)]
    with recorded(
        postgres_dsn,
        table,
        "CREATE TABLE {t} (id int PRIMARY KEY, n float8, v text); "
        f"ALTER TABLE {{t}} ALTER v SET STORAGE EXTERNAL, REPLICA IDENTITY {identity}",
        *transactions,
    ) as messages:
        decoder = Decoder()
        batches = [
            decoder.feed(messages[n : n + 37]) for n in range(0, len(messages), 37)
        ]
    with psycopg.connect(postgres_dsn) as connection:
        catalog = Catalog.read(connection)
        stored = connection.execute(f"SELECT id, n, v FROM {table}").fetchall()
    frame = pl.concat(
        ChangeTable(one.relation, catalog, key=["id"]).rows(one).frame
        for batch in batches
        for one in batch.changes
    )
    assert frame.select(pl.struct("_lsn", "_index").is_unique().all()).item()
    replica = _replica(frame)
    assert {row["id"]: (row["n"], row["v"]) for row in replica.values()} == {
        key: (n, v) for key, n, v in stored
    }
    assert len(replica) > 5
    seen = set(frame["_op"].unique())
    assert seen == {"insert", "update", "delete", "truncate"}
    assert (frame["_unavailable"].null_count() < frame.height) is (
        identity == "DEFAULT"
    )
