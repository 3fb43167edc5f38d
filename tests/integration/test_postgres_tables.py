"""Tables that are added to a pipeline, and tables that change their columns."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.connectors.postgres.reading import monitor
from streamlab.connectors.postgres.reading.looking import look
from streamlab.connectors.postgres.reading.seen import Seen
from streamlab.engines.local import Worker
from streamlab.errors import Refused, Unavailable, UsageError
from streamlab.pipelines import Pace, Pipeline
from tests.integration.test_postgres_slots import wait_for
from tests.integration.test_postgres_source import Shop, shop

pytestmark = pytest.mark.integration
assert shop  # a fixture


@pytest.fixture
def other(shop: Shop) -> Iterator[str]:
    """Return a second table, which nobody has published yet."""
    name = f"{shop.table}_other"
    shop.run(
        f"create table {name} (id int primary key, name text)",
        f"insert into {name} select i, 'o' || i from generate_series(1, 5) i",
    )
    yield name
    shop.run(f"drop table {name}")


def of_publication(shop: Shop, target: MemoryTarget) -> Pipeline:
    """Return a pipeline of whatever the publication has."""
    pipeline = shop.pipeline(MemorySink(target=target), shape="flat")
    given = pipeline.input
    source = replace(given.source, tables=())
    return replace(pipeline, inputs=(replace(given, source=source),))


def ops_of(target: MemoryTarget, table: str) -> list[str]:
    frame = target.frame()
    if frame.is_empty():
        return []
    return frame.filter(pl.col("_table") == table)["_op"].to_list()


def state_of(target: MemoryTarget, table: str) -> dict[int, str]:
    """Return the rows that a table's events make, applied one by one."""
    rows: dict[int, str] = {}
    for event in target.frame().filter(pl.col("_table") == table).iter_rows(named=True):
        row = json.loads(event["value"])
        if event["_op"] in {"snapshot", "insert"}:
            assert row["id"] not in rows, "a row came twice"
        if event["_op"] == "delete":
            del rows[row["id"]]
        else:
            rows[row["id"]] = row["name"]
    return rows


OTHER = {1: "changed", **{i: f"o{i}" for i in (3, 4, 5)}, 6: "new"}
CHANGES = (
    "update {t}_other set name = 'changed' where id = 1",
    "delete from {t}_other where id = 2",
    "insert into {t}_other values (6, 'new')",
)


def test_a_restart_gives_a_published_table_its_snapshot(shop: Shop, other: str) -> None:
    """Also one that somebody else has added, and changes that came before that."""
    shop.run(f"create publication {shop.slot} for table {{t}}")
    target = MemoryTarget()
    pipeline = of_publication(shop, target)
    Worker(pipeline).run(until_caught_up=True)
    shop.run(f"alter publication {shop.slot} add table {other}", *CHANGES[:2])
    Worker(pipeline).run(until_caught_up=True)
    shop.run(CHANGES[2], "delete from {t} where id = 3")
    Worker(pipeline).run(until_caught_up=True)
    assert state_of(target, other) == OTHER
    assert ops_of(target, other) == ["snapshot"] * 4 + ["insert"]
    assert ops_of(target, shop.table) == ["snapshot"] * 10 + ["delete"]


@pytest.mark.parametrize("noticed", ["by a change", "by a look"])
def test_a_running_pipeline_takes_a_table_that_is_published(
    noticed: str, shop: Shop, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a snapshot of its own, and no change of it before that."""
    if noticed == "by a look":
        monkeypatch.setattr(monitor, "EVERY_S", 0.2)
    shop.run(f"create publication {shop.slot} for table {{t}}")
    target = MemoryTarget()
    worker = Worker(of_publication(shop, target))
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        wait_for(lambda: len(ops_of(target, shop.table)) == 10)
        shop.run(f"alter publication {shop.slot} add table {other}")
        if noticed == "by a change":
            shop.run(*CHANGES[:2], "delete from {t} where id = 3")
        wait_for(lambda: "snapshot" in ops_of(target, other))
        if noticed == "by a look":
            shop.run(*CHANGES[:2], "delete from {t} where id = 3")
        shop.run(CHANGES[2])
        wait_for(lambda: "insert" in ops_of(target, other))
        wait_for(lambda: "delete" in ops_of(target, shop.table))
    finally:
        worker.stop()
        running.join()
    assert worker.status().counts["retries"] == 0
    assert state_of(target, other) == OTHER
    assert ops_of(target, shop.table) == ["snapshot"] * 10 + ["delete"]


def test_rows_of_one_table_stop_when_another_is_published(
    shop: Shop, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have no columns in common."""
    monkeypatch.setattr(monitor, "EVERY_S", 0.2)
    target = MemoryTarget()
    shop.catch_up(target)
    shop.run(f"alter publication {shop.slot} add table {other}", CHANGES[0])
    with pytest.raises(UsageError, match="no columns in common"):
        Worker(shop.pipeline(MemorySink(target=target))).run(until_caught_up=True)
    assert ops_of(target, other) == []


def test_events_stop_at_a_removed_column_until_that_is_accepted(shop: Shop) -> None:
    """Starting again is no consent: the stop is remembered."""
    target = MemoryTarget()
    shop.catch_up(target, shape="flat")
    shop.run(
        "insert into {t} values (11, 'x', 1)",
        "alter table {t} drop column price",
        "insert into {t} values (12, 'x')",
    )
    for _ in range(2):
        with pytest.raises(Refused, match="price was removed") as caught:
            shop.catch_up(target, shape="flat")
        assert target.frame().height <= 11
    accepted = caught.value.hint.partition('["')[2].partition('"]')[0]
    with pytest.raises(Refused, match="price was removed"):
        shop.catch_up(target, shape="flat", accept=f"public.{shop.table}:00000000")
    rows = shop.catch_up(target, shape="flat", accept=accepted)
    assert "price" not in json.loads(rows["value"][-1])
    assert rows.height == 12
    shop.run("insert into {t} values (13, 'x')")
    assert shop.catch_up(target, shape="flat").height == 13


def test_a_column_that_came_and_went_is_missed_after_a_restart(shop: Shop) -> None:
    """What was added is part of what must not go away.

    Read message by message: a description alone is no batch, and counts all the same.
    """
    target = MemoryTarget()
    pipeline = shop.pipeline(MemorySink(target=target), shape="flat")
    worker = Worker(replace(pipeline, pace=Pace(max_rows=1)))
    worker.run(until_caught_up=True)
    shop.run(
        "insert into {t} values (11, 'x', 1)",
        "alter table {t} add column extra int",
        "insert into {t} values (12, 'x', 1, 5)",
    )
    worker = Worker(replace(pipeline, pace=Pace(max_rows=1)))
    worker.run(until_caught_up=True)
    assert target.frame().height == 12
    shop.run("alter table {t} drop column extra", "insert into {t} values (13, 'x', 1)")
    worker = Worker(replace(pipeline, pace=Pace(max_rows=1)))
    with pytest.raises(Refused, match="extra was removed"):
        worker.run(until_caught_up=True)


def test_what_was_described_behind_the_position_comes_again(shop: Shop) -> None:
    """A worker that dies between a description and its rows has seen no change back."""
    target = MemoryTarget()
    shop.catch_up(target, shape="flat")
    shop.run(
        "insert into {t} values (11, 'x', 1)",
        "alter table {t} add column extra int",
        "insert into {t} values (12, 'x', 1, 5)",
    )
    (table,) = look(shop.source(shape="flat").reading("x")).tables
    (progress,) = target.progress.values()
    (position,) = progress.positions.values()
    assert isinstance(position, tuple)
    Seen.of(shop.slot).note([table.relation], int(position[0]))
    assert shop.catch_up(target, shape="flat").height == 12


def test_what_came_while_the_server_could_not_be_asked_comes_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that could not be decoded for want of a connection is not behind us."""
    target = MemoryTarget()
    shop.catch_up(target, shape="flat")
    shop.run(
        "insert into {t} values (11, 'x', 1)",
        "alter table {t} add column extra int",
        "insert into {t} values (12, 'x', 1, 5)",
    )
    described, failures = Seen.described, [1, 1]

    def fail_at_first(self: Seen, *arguments: Any) -> None:
        described(self, *arguments)
        if failures:
            failures.pop()
            message = "not now"
            raise Unavailable(message)

    monkeypatch.setattr(Seen, "described", fail_at_first)
    rows = shop.catch_up(target, shape="flat")
    assert [json.loads(value)["id"] for value in rows["value"][10:]] == [11, 12]
