"""A snapshot that is interrupted goes on, without gap or overlap."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import polars as pl
import psycopg
import pytest

from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.connectors.postgres import connection as database
from streamlab.connectors.postgres.reading.kept import KeptProgress
from streamlab.connectors.postgres.reading.overlap import Overlap
from streamlab.connectors.postgres.reading.snapshot import Snapshot, SnapshotState
from streamlab.engines.local import Worker
from streamlab.errors import PositionLost, Unavailable
from streamlab.pipelines import Input, Pace
from streamlab.sinks import Guarantee
from tests.integration.test_postgres_source import Shop, replayed, shop, there

pytestmark = pytest.mark.integration
assert shop  # a fixture

ROWS = 5_000
CUT = 2_500


def interrupted(shop: Shop, promise: Guarantee = Guarantee.ATOMIC) -> MemoryTarget:
    """Return what a worker has written that was stopped in the middle of a snapshot."""
    shop.run(
        "truncate {t}",
        f"insert into {{t}} select i, 'n' || i, i from generate_series(1, {ROWS}) i",
    )
    target = MemoryTarget()
    pipeline = replace(
        shop.pipeline(MemorySink(target=target, promise=promise)),
        pace=Pace(max_rows=100),
    )
    worker = Worker(pipeline)
    running = threading.Thread(target=worker.run)
    running.start()
    deadline = time.monotonic() + 30
    while target.frame().height < 300:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    worker.stop()
    running.join()
    assert 300 <= target.frame().height < ROWS
    return target


def change_on_both_sides(shop: Shop) -> None:
    """Change rows that were read, rows that were not, and some from here to there."""
    shop.run(
        "update {t} set name = 'read' where id = 5",
        f"update {{t}} set name = 'not yet' where id = {ROWS - 5}",
        "delete from {t} where id = 6",
        f"delete from {{t}} where id = {ROWS - 6}",
        f"update {{t}} set id = {ROWS + 7} where id = 7",
        f"update {{t}} set id = -8 where id = {ROWS - 8}",
        "insert into {t} values (0, 'before', 1)",
        f"insert into {{t}} values ({ROWS + 1}, 'behind', 1)",
    )


def test_an_interrupted_snapshot_goes_on(shop: Shop) -> None:
    """Each row comes once, and each change that no row shows already."""
    target = interrupted(shop)
    read = target.frame().height
    change_on_both_sides(shop)
    rows = shop.catch_up(target)
    assert replayed(rows) == there(shop)
    assert rows["_op"].to_list()[:read] == ["snapshot"] * read
    shop.run("update {t} set name = 'later' where id > 4000")
    assert replayed(shop.catch_up(target)) == there(shop)


def test_without_the_filter_changes_come_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: what the second part of the snapshot shows would come again."""
    unfiltered: Callable[..., object] = lambda _, __, rows: rows  # noqa: E731
    monkeypatch.setattr(Overlap, "without", unfiltered)
    target = interrupted(shop)
    change_on_both_sides(shop)
    rows = shop.catch_up(target)
    with pytest.raises((AssertionError, KeyError)):
        replayed(rows)


def test_a_table_truncated_in_between_stops(shop: Shop) -> None:
    """Which of the rows that were read are gone could not be told."""
    target = interrupted(shop)
    shop.run("truncate {t}")
    with pytest.raises(PositionLost, match="truncated while its snapshot"):
        shop.catch_up(target)


def test_keys_of_several_columns_are_compared_by_the_server(shop: Shop) -> None:
    """In the order of the index, with the collation that a column has."""
    shop.run(
        "drop table {t}",
        'create table {t} (id int, name text collate "POSIX", price numeric(10, 2),'
        " primary key (name, id))",
        f"insert into {{t}} select i, 'n' || i, i from generate_series(1, {ROWS}) i",
        "insert into {t} values (0, 'a', 1), (0, 'B', 1), (0, 'c', 1), (0, 'Z', 1)",
    )
    target = MemoryTarget()
    pipeline = replace(
        shop.pipeline(MemorySink(target=target)), pace=Pace(max_rows=100)
    )
    worker = Worker(pipeline)
    running = threading.Thread(target=worker.run)
    running.start()
    while target.frame().height < 300:
        time.sleep(0.001)
    worker.stop()
    running.join()
    assert target.frame().height < ROWS
    shop.run(
        "update {t} set price = 2 where id = 0",
        "update {t} set name = 'Ä' where name = 'Z'",
    )
    frame = shop.catch_up(target)
    rows: dict[tuple[int, str], object] = {}
    for change in frame.iter_rows(named=True):
        key = (change["id"], change["name"])
        assert (key in rows) == (change["_op"] in {"update", "delete"}), change
        if change["_op"] == "delete":
            del rows[key]
        else:
            rows[key] = change["price"]
    with psycopg.connect(shop.dsn) as connection:
        found = connection.execute(f"select id, name, price from {shop.table}")
        assert rows == {(row[0], row[1]): row[2] for row in found}


def test_a_snapshot_may_be_left_out(shop: Shop) -> None:
    """Only what changes from the first run on."""
    target = MemoryTarget()
    assert shop.catch_up(target, snapshot="never").height == 0
    shop.run("insert into {t} values (11, 'x', 1)")
    assert shop.catch_up(target, snapshot="never")["id"].to_list() == [11]


@pytest.fixture
def other(shop: Shop) -> Iterator[str]:
    """Return a second table, of a thousand rows."""
    name = f"{shop.table}_more"
    shop.run(
        f"create table {name} (id int primary key, name text)",
        f"insert into {name} select i, 'x' from generate_series(1, 1000) i",
    )
    yield name
    shop.run(f"drop table {name}")


def run_over(
    shop: Shop, target: MemoryTarget, *tables: str, stop_at: int = 0
) -> pl.DataFrame:
    """Run over some tables until caught up, or until there are so many rows."""
    source = replace(
        shop.source(), tables=tuple(f"public.{t}" for t in tables), shape="flat"
    )
    pipeline = replace(
        shop.pipeline(MemorySink(target=target), shape="flat"),
        inputs=(Input(source, "rows", source.schema()),),
        pace=Pace(max_rows=20 if stop_at else 1_000),
    )
    worker = Worker(pipeline)
    if not stop_at:
        worker.run(until_caught_up=True)
        return target.frame()
    running = threading.Thread(target=worker.run)
    running.start()
    while running.is_alive() and target.frame().height < stop_at:
        time.sleep(0.001)
    worker.stop()
    running.join()
    return target.frame()


def test_a_table_is_added_to_a_running_pipeline(shop: Shop, other: str) -> None:
    """It gets a snapshot of its own, in parts, too; the others go on."""
    target = MemoryTarget()
    assert run_over(shop, target, shop.table).height == 10
    shop.run("insert into {t} values (11, 'x', 1)")
    begun = run_over(shop, target, shop.table, other, stop_at=200)
    assert 200 <= begun.height < 1_000
    shop.run(
        f"update {other} set name = 'y' where id in (1, 999)",
        f"delete from {other} where id in (2, 998)",
        "insert into {t} values (12, 'x', 1)",
    )
    run_over(shop, target, shop.table, other)
    shop.run(f"insert into {other} values (0, 'z')")
    events = run_over(shop, target, shop.table, other)
    mine = events.filter(pl.col("_table") == shop.table)
    assert mine["_op"].to_list() == ["snapshot"] * 10 + ["insert"] * 2
    rows: dict[int, str] = {}
    for event in events.filter(pl.col("_table") == other).iter_rows(named=True):
        row = json.loads(event["value"])
        assert (row["id"] in rows) == (event["_op"] in {"update", "delete"}), event
        if event["_op"] == "delete":
            del rows[row["id"]]
        else:
            rows[row["id"]] = row["name"]
    with psycopg.connect(shop.dsn) as connection:
        found = connection.execute(f"select id, name from {other}").fetchall()
    assert rows == dict(found)
    assert events.select("_lsn", "_index").n_unique() == events.height


def test_a_sink_without_a_position_gets_what_it_may_not_have(shop: Shop) -> None:
    """Rows that it took and never confirmed may be gone since: their deletes come."""
    target = interrupted(shop, Guarantee.AT_LEAST_ONCE)
    read = target.frame().height
    # Killed before it confirmed the second half of them: the position is before it.
    kept = KeptProgress.of(shop.slot)
    place = target.batches[len(target.batches) // 2].after[0]
    kept.write(place)
    last = target.frame()["id"].to_list()[-1]
    change_on_both_sides(shop)
    shop.run(f"delete from {{t}} where id = {last}")
    worker = Worker(
        shop.pipeline(MemorySink(target=target, promise=Guarantee.AT_LEAST_ONCE))
    )
    worker.run(until_caught_up=True)
    rows: dict[int, tuple[object, ...]] = {}
    frame = target.frame()
    for change in frame.iter_rows(named=True):
        if change["_op"] == "delete":
            rows.pop(change["id"], None)
        else:
            rows[change["id"]] = (change["name"], change["price"])
    assert rows == there(shop)
    assert frame.height > read
    assert frame.select("_lsn", "_index").n_unique() == frame.height


def test_a_snapshot_whose_connection_broke_is_taken_again(shop: Shop) -> None:
    """It is gone with the connection that has exported it; that passes."""
    address = database.find("", shop.dsn)
    with psycopg.connect(shop.dsn) as holding:
        row = holding.execute("SELECT pg_export_snapshot()").fetchone()
    assert row is not None
    with pytest.raises(Unavailable, match="the snapshot is gone"):
        Snapshot(address, row[0], [], SnapshotState(()))
