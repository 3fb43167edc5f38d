"""A table's rows and then its changes, from a real server, without gap or overlap."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from streamlab.connectors.kafka.sink import KafkaSink
from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.connectors.postgres.changes.pgoutput import Decoder
from streamlab.connectors.postgres.reading import streaming
from streamlab.connectors.postgres.sink import PostgresSink
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.engines.local import Worker
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.errors import Refused, SchemaError
from streamlab.pipelines import DeadLetters, Input, Pace, Pipeline
from streamlab.sinks import Sink

pytestmark = pytest.mark.integration


@dataclass
class Shop:
    """A table that changes, and pipelines that read it."""

    dsn: str
    folder: Path
    table: str
    slot: str

    def run(self, *statements: str) -> None:
        """Commit statements, each on its own; ``{t}`` is the table."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.format(t=self.table))

    def source(self, **settings: object) -> PostgresSource:
        return PostgresSource(
            tables=(f"public.{self.table}",),
            slot=self.slot,
            publication=self.slot,
            dsn=self.dsn,
            **settings,
        )

    def pipeline(self, sink: Sink, **settings: object) -> Pipeline:
        source = self.source(**settings)
        return Pipeline(
            name=self.slot,
            inputs=(Input(source, "rows", source.schema()),),
            sink=sink,
            dead_letters=DeadLetters(file=Path("dead.jsonl")),
            folder=self.folder,
        )

    def catch_up(self, target: MemoryTarget, **settings: object) -> pl.DataFrame:
        """Run a worker until it has caught up, and return all rows so far."""
        worker = Worker(self.pipeline(MemorySink(target=target), **settings))
        worker.run(until_caught_up=True)
        return target.frame()

    def slots(self) -> list[str]:
        with psycopg.connect(self.dsn) as connection:
            return [
                row[0]
                for row in connection.execute(
                    "select slot_name from pg_replication_slots where slot_name = %s",
                    [self.slot],
                )
            ]


@pytest.fixture
def shop(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    name = f"cdc_{uuid.uuid4().hex[:8]}"
    (tmp_path / "streamlab.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    shop = Shop(postgres_dsn, tmp_path, f"t_{name}", name)
    shop.run(
        "create table {t} (id int primary key, name text, price numeric(10, 2))",
        "insert into {t} select i, 'n' || i, i from generate_series(1, 10) i",
    )
    yield shop
    deadline = time.monotonic() + 10
    while True:
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute(f"drop publication if exists {name}")
            try:
                connection.execute(
                    "select pg_drop_replication_slot(slot_name) "
                    "from pg_replication_slots where slot_name = %s",
                    [name],
                )
            except psycopg.errors.ObjectInUse:
                assert time.monotonic() < deadline
                time.sleep(0.1)
                continue
            connection.execute(f"drop table if exists {shop.table}")
            return


def replayed(changes: pl.DataFrame) -> dict[int, tuple[object, ...]]:
    """Return the table that the changes make, applied one by one."""
    rows: dict[int, tuple[object, ...]] = {}
    for change in changes.iter_rows(named=True):
        match change["_op"]:
            case "snapshot":
                assert change["id"] not in rows, "a row of the snapshot came twice"
                rows[change["id"]] = (change["name"], change["price"])
            case "insert":
                assert change["id"] not in rows, "a row was inserted that was there"
                rows[change["id"]] = (change["name"], change["price"])
            case "update":
                assert change["id"] in rows, "a row was updated that was not there"
                rows[change["id"]] = (change["name"], change["price"])
            case "delete":
                del rows[change["id"]]
            case "truncate":
                rows.clear()
    return rows


def there(shop: Shop) -> dict[int, tuple[object, ...]]:
    with psycopg.connect(shop.dsn) as connection:
        found = connection.execute(f"select id, name, price from {shop.table}")
        return {row[0]: (row[1], row[2]) for row in found}


def test_rows_and_then_changes(shop: Shop) -> None:
    """The rows that are there come first, each later change behind them, once."""
    target = MemoryTarget()
    first = shop.catch_up(target)
    assert first["_op"].to_list() == ["snapshot"] * 10
    assert first["id"].to_list() == list(range(1, 11))
    shop.run(
        "insert into {t} values (11, 'new', 1.50)",
        "update {t} set name = 'changed' where id = 2",
        "delete from {t} where id = 3",
        "update {t} set id = 40 where id = 4",
    )
    rows = shop.catch_up(target)
    assert rows["_op"].to_list()[10:] == [
        "insert",
        "update",
        "delete",
        "delete",
        "insert",
    ]
    places = list(rows.select("_lsn", "_index").iter_rows())
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert replayed(rows) == there(shop)
    assert shop.catch_up(target).height == rows.height


def test_nothing_is_lost_or_doubled_while_others_write(shop: Shop) -> None:
    """A snapshot taken under load and the stream behind it meet exactly."""
    shop.run("insert into {t} select i, 'n' || i, i from generate_series(11, 20000) i")
    stop = threading.Event()

    def write() -> None:
        number = 100_000
        with psycopg.connect(shop.dsn, autocommit=True) as connection:
            while not stop.is_set():
                number += 1
                with connection.transaction():
                    connection.execute(
                        f"insert into {shop.table} values (%s, 'w', 1)", [number]
                    )
                    connection.execute(
                        f"update {shop.table} set name = 'u' where id = %s",
                        [number % 20_000],
                    )
                if number % 3 == 0:
                    connection.execute(
                        f"delete from {shop.table} where id = %s", [number - 2]
                    )

    writer = threading.Thread(target=write)
    target = MemoryTarget()
    reader = threading.Thread(target=shop.catch_up, args=(target,))
    writer.start()
    try:
        time.sleep(0.2)
        reader.start()
        # It ends when it has caught up with whoever writes faster than it reads: now.
        reader.join(3)
    finally:
        stop.set()
        writer.join()
        reader.join()
    rows = shop.catch_up(target)
    assert (rows["_op"] == "insert").any()
    assert replayed(rows) == there(shop)


@pytest.fixture
def replica(shop: Shop) -> Iterator[str]:
    name = f"r_{shop.table}"
    yield name
    with psycopg.connect(shop.dsn, autocommit=True) as connection:
        connection.execute(f"drop table if exists {name}")
        connection.execute(
            "delete from streamlab.progress where pipeline = %s", [shop.slot]
        )


def keyed_messages(address: str, topic: str) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of every message of a topic, partition by partition."""
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"oracle-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, ended, deadline = [], set(), time.monotonic() + 30
    while len(ended) < len(partitions) and time.monotonic() < deadline:
        for message in consumer.consume(10_000, 0.2):
            if message.error() is not None:
                ended.add(message.partition())
            else:
                found.append((message.key(), message.value()))
    consumer.close()
    return found


def rows_of(dsn: str, table: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(f"select * from {table} order by id").fetchall()


def test_a_replica_is_equal_row_by_row(shop: Shop, replica: str) -> None:
    """Upserts, deletes, key changes, unchanged long values and truncations arrive."""
    sink = PostgresSink(
        table=replica, mode="changes", key=("id",), dsn=shop.dsn, truncate=True
    )
    long = "substr(string_agg(md5(random()::text), ''), 1, 20000)"
    shop.run(
        "alter table {t} add column long text",
        "alter table {t} alter column long set storage external",
        f"update {{t}} set long = (select {long} from generate_series(1, 700))",
    )

    def check() -> None:
        Worker(shop.pipeline(sink)).run(until_caught_up=True)
        assert rows_of(shop.dsn, replica) == rows_of(shop.dsn, shop.table)

    check()
    shop.run(
        "update {t} set price = 5 where id = 1",  # the long value is not sent
        "update {t} set id = 100 where id = 2",  # nor here, under a new key
        "update {t} set long = 'short' where id = 3",
        "update {t} set price = 6 where id = 3",
        "update {t} set id = 101 where id = 3",
        "update {t} set id = 102 where id = 101",
        "delete from {t} where id = 4",
        "insert into {t} values (4, 'again', 1, 'fresh')",
        "update {t} set id = 103, long = null where id = 5",
    )
    check()
    shop.run("truncate {t}", "insert into {t} values (1, 'one', 1, null)")
    check()


def test_a_truncation_stops_a_sink_that_may_not_follow(
    shop: Shop, replica: str
) -> None:
    """Emptying a table is an opt-in; the position stays before it."""
    sink = PostgresSink(table=replica, mode="changes", key=("id",), dsn=shop.dsn)
    Worker(shop.pipeline(sink)).run(until_caught_up=True)
    shop.run("truncate {t}")
    with pytest.raises(Refused, match="truncated"):
        Worker(shop.pipeline(sink)).run(until_caught_up=True)
    assert len(rows_of(shop.dsn, replica)) == 10
    willing = replace(sink, truncate=True)
    Worker(shop.pipeline(willing)).run(until_caught_up=True)
    assert rows_of(shop.dsn, replica) == []


def test_each_table_has_a_topic(
    shop: Shop, kafka_address: str, topic_name: str
) -> None:
    """Events go to the topic of their table, by key, deletes with a tombstone."""
    (shop.folder / "streamlab.toml").write_text(
        'default_profile = "default"\n[profiles.default.kafka]\n'
        f'"bootstrap.servers" = "{kafka_address}"\n'
    )
    other = f"{shop.table}_other"
    shop.run(
        f'create table {other} (a int, "Größe" text, primary key (a, "Größe"))',
        f"insert into {other} values (1, 'x'), (1, 'y')",
    )
    try:
        source = replace(
            shop.source(), tables=(f"public.{shop.table}", f"public.{other}")
        )
        sink = KafkaSink(
            topic=f"{topic_name}.{{_schema}}.{{_table}}",
            format="bytes",
            partitions=2,
            tombstones=True,
        )
        pipeline = replace(
            shop.pipeline(sink), inputs=(Input(source, "rows", source.schema()),)
        )
        Worker(pipeline).run(until_caught_up=True)
        shop.run("delete from {t} where id = 1", f"delete from {other} where a = 1")
        Worker(pipeline).run(until_caught_up=True)
    finally:
        shop.run(f"drop table {other}")
    mine = keyed_messages(kafka_address, f"{topic_name}.public.{shop.table}")
    assert [value is None for key, value in mine if key == b'{"id":1}'] == [
        False,
        False,
        True,
    ]
    assert len(mine) == 12
    first = json.loads(next(value for _, value in mine if value))
    assert first["_op"] == "snapshot"
    assert set(first) >= {"id", "name", "price", "_lsn", "_index", "_table"}
    theirs = keyed_messages(kafka_address, f"{topic_name}.public.{other}")
    assert {key for key, _ in theirs} == {
        '{"a":1,"Größe":"x"}'.encode(),
        '{"a":1,"Größe":"y"}'.encode(),
    }
    assert len(theirs) == 6


def test_a_large_transaction_goes_through_in_pieces(shop: Shop) -> None:
    """Memory stays bounded however much one commit brings."""
    target = MemoryTarget()
    shop.catch_up(target)
    rows, size = 60_000, 2_000  # 120 MB in one transaction
    shop.run(
        "alter table {t} alter column name set storage plain",
        f"insert into {{t}} select i, repeat('x', {size}), 1 "
        f"from generate_series(1000, {999 + rows}) i",
    )
    epochs: list[int] = []

    counting = MemoryTarget()
    counting.progress = target.progress
    sink = MemorySink(target=counting)
    pipeline = shop.pipeline(sink)
    worker = Worker(pipeline)
    counted = pl.Series(dtype=pl.Int64)

    process = psutil.Process()
    before = process.memory_info().rss
    peak = before
    running = threading.Thread(target=worker.run, kwargs={"until_caught_up": True})
    running.start()
    while running.is_alive():
        peak = max(peak, process.memory_info().rss)
        while counting.batches:
            batch = counting.batches.pop(0)
            epochs.append(batch.frame.height)
            counted.append(batch.frame["_lsn"].cast(pl.Int64).unique())
        time.sleep(0.01)
    running.join()
    for batch in counting.batches:
        epochs.append(batch.frame.height)
        counted.append(batch.frame["_lsn"].unique())
    assert sum(epochs) == rows
    # An epoch is cut by its bytes; one read may go beyond.
    assert max(epochs) * size < 1.25 * pipeline.pace.max_bytes < 0.75 * rows * size
    assert counted.n_unique() == 1
    assert (peak - before) / 2**20 < 600


def test_a_column_that_is_added_passes_others_stop(shop: Shop) -> None:
    """What the rows mean may not change behind the reader's back."""
    target = MemoryTarget()
    pipeline = shop.pipeline(MemorySink(target=target))
    Worker(pipeline).run(until_caught_up=True)
    shop.run(
        "alter table {t} add column extra int default 7",
        "insert into {t} values (11, 'x', 1, 5)",
    )
    Worker(pipeline).run(until_caught_up=True)
    assert 11 in target.frame()["id"]
    assert "extra" not in target.frame().columns
    shop.run(
        "alter table {t} rename column price to cost",
        "insert into {t} values (12, 'x', 1, 5)",
    )
    for _ in range(2):
        with pytest.raises(SchemaError, match="'price'"):
            Worker(pipeline).run(until_caught_up=True)
    assert 12 not in target.frame()["id"]


def test_a_dead_letter_has_its_bytes_and_its_place(shop: Shop) -> None:
    """A value that the column's type cannot hold does not stop its neighbours."""
    shop.run(
        "alter table {t} add column at timestamptz",
        "update {t} set at = '2024-01-01' where id > 1",
        "update {t} set at = 'infinity' where id = 1",
    )
    target = MemoryTarget()
    rows = shop.catch_up(target)
    assert rows["id"].to_list() == list(range(2, 11))
    (letter,) = DeadLetterFile(shop.folder / "dead.jsonl").read()
    assert letter.topic == shop.slot
    assert b'"infinity"' in (letter.value or b"")
    assert letter.code == "unrepresentable"
    assert "'at'" in letter.reason


def test_partitions_come_as_their_root(shop: Shop) -> None:
    """Quoted names, generated columns and partitions are one table."""
    shop.run(
        "drop table {t}",
        'create table {t} (id int, name text, price numeric(10, 2), "Art " text, '
        "twice numeric generated always as (price * 2) stored, primary key (id)) "
        "partition by range (id)",
        "create table {t}_a partition of {t} for values from (0) to (100)",
        "create table {t}_b partition of {t} for values from (100) to (200)",
        "insert into {t} values (1, 'a', 1, 'x'), (101, 'b', 2, 'y')",
    )
    target = MemoryTarget()
    shop.catch_up(target)
    shop.run("update {t} set id = id + 1", "update {t} set id = 150 where id = 2")
    rows = shop.catch_up(target)
    assert replayed(rows) == there(shop)
    assert set(rows["_table"]) == {shop.table}
    assert "twice" not in rows.columns
    assert "Art " in rows.columns


def stopped_within_a_commit(shop: Shop) -> MemoryTarget:
    """Return what a worker has written that was stopped inside of a large commit."""
    target = MemoryTarget()
    shop.catch_up(target)
    shop.run("insert into {t} select i, 'n' || i, i from generate_series(1000, 7999) i")
    pipeline = replace(
        shop.pipeline(MemorySink(target=target)), pace=Pace(max_rows=100)
    )
    worker = Worker(pipeline)
    running = threading.Thread(target=worker.run)
    running.start()
    while target.frame().height < 500:
        time.sleep(0.001)
    worker.stop()
    running.join()
    assert 500 <= target.frame().height < 7_000
    return target


def test_a_commit_is_read_on_from_its_middle(shop: Shop) -> None:
    """The server sends it again as a whole; what is written of it is left out."""
    target = stopped_within_a_commit(shop)
    assert replayed(shop.catch_up(target)) == there(shop)


def test_without_the_index_the_commit_comes_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a position that is only an LSN doubles what was written."""
    target = stopped_within_a_commit(shop)
    monkeypatch.setattr(streaming, "Decoder", lambda _=None: Decoder())
    rows = shop.catch_up(target)
    with pytest.raises(AssertionError, match="was inserted that was there"):
        replayed(rows)


def test_events_may_be_debezium_envelopes(shop: Shop) -> None:
    """For readers that expect them, keyed as theirs."""
    target = MemoryTarget()
    shop.catch_up(target, shape="debezium")
    shop.run("update {t} set id = 20 where id = 2", "delete from {t} where id = 3")
    events = shop.catch_up(target, shape="debezium")
    values = [json.loads(value) for value in events["value"]]
    assert [value["op"] for value in values] == ["r"] * 10 + ["d", "c", "d"]
    assert values[11]["after"]["id"] == 20
    assert values[12]["source"]["table"] == shop.table
    assert json.loads(events["_key"][12]) == {"id": 3}
