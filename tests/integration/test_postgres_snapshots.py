"""A snapshot that is interrupted goes on, without gap or overlap."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.connectors.postgres.overlap import Overlap
from streamlab.engines.local import Worker
from streamlab.errors import PositionLost
from streamlab.pipelines import Pace
from tests.integration.test_postgres_source import Shop, replayed, shop, there

pytestmark = pytest.mark.integration
assert shop  # a fixture

ROWS = 5_000
CUT = 2_500


def interrupted(shop: Shop) -> MemoryTarget:
    """Return what a worker has written that was stopped in the middle of a snapshot."""
    shop.run(
        "truncate {t}",
        f"insert into {{t}} select i, 'n' || i, i from generate_series(1, {ROWS}) i",
    )
    target = MemoryTarget()
    pipeline = replace(
        shop.pipeline(MemorySink(target=target)), pace=Pace(max_rows=100)
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
