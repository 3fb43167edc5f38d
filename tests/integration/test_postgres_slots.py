"""What can happen to a replication slot stops the pipeline loudly, never silently."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import psycopg
import pytest

from streamlab.connectors.memory import MemorySink, MemoryTarget, Wait
from streamlab.connectors.postgres.reading import published, replication, streaming
from streamlab.connectors.postgres.reading import slot as slots
from streamlab.engines.local import Worker
from streamlab.errors import (
    DatabaseReplaced,
    PositionLost,
    Refused,
    SlotLost,
    UsageError,
)
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.test_postgres_source import Shop, replayed, shop, there

pytestmark = pytest.mark.integration
assert shop  # a fixture


def begun(shop: Shop) -> MemoryTarget:
    """Return a target that a pipeline has filled, with the slot behind it."""
    target = MemoryTarget()
    shop.catch_up(target)
    return target


def drop_slot(shop: Shop) -> None:
    shop.run(f"select pg_drop_replication_slot('{shop.slot}')")


def test_a_dropped_slot_stops_and_is_not_made_again(shop: Shop) -> None:
    """Changes in between are gone for good, so nobody may go on as if they were not."""
    target = begun(shop)
    drop_slot(shop)
    with pytest.raises(SlotLost, match="does not exist"):
        shop.catch_up(target)
    assert shop.slots() == []


def test_a_slot_that_was_made_again_stops(shop: Shop) -> None:
    """The server itself would start a new slot at its own position, silently."""
    target = begun(shop)
    drop_slot(shop)
    shop.run(
        "insert into {t} values (11, 'missed', 1)",
        f"select pg_create_logical_replication_slot('{shop.slot}', 'pgoutput')",
    )
    with pytest.raises(SlotLost, match="has moved on to"):
        shop.catch_up(target)


def test_a_slot_that_somebody_else_has_read_from_stops(shop: Shop) -> None:
    """Two consumers of one slot lose changes to each other."""
    target = begun(shop)
    shop.run(
        "insert into {t} values (11, 'taken', 1)",
        f"select pg_replication_slot_advance('{shop.slot}', pg_current_wal_lsn())",
    )
    with pytest.raises(SlotLost, match="has moved on to"):
        shop.catch_up(target)


def test_without_the_check_the_loss_would_be_silent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the server says nothing, and the change never arrives."""
    target = begun(shop)
    shop.run(
        "insert into {t} values (11, 'taken', 1)",
        f"select pg_replication_slot_advance('{shop.slot}', pg_current_wal_lsn())",
    )
    monkeypatch.setattr(slots, "require_behind", lambda *_: None)
    assert 11 not in shop.catch_up(target)["id"]


def test_a_slot_of_our_name_that_nobody_here_knows_is_left_alone(shop: Shop) -> None:
    """It may be of a pipeline that runs on another machine."""
    shop.run(f"select pg_create_logical_replication_slot('{shop.slot}', 'pgoutput')")
    with pytest.raises(Refused, match="nothing is known of it here"):
        shop.catch_up(MemoryTarget())
    assert shop.slots() == [shop.slot]


def test_a_sink_that_was_emptied_stops(shop: Shop) -> None:
    """A target without a position is not a first run when the source knows better."""
    target = begun(shop)
    shop.run("insert into {t} values (11, 'x', 1)")
    shop.catch_up(target)
    with pytest.raises(PositionLost, match="emptied or replaced"):
        shop.catch_up(MemoryTarget())


def test_another_server_stops(shop: Shop) -> None:
    """A position of one database means nothing on another."""
    target = begun(shop)
    for key, progress in list(target.progress.items()):
        other = {shop.slot: "1234/other"}
        target.progress[key] = type(progress)(
            progress.task, progress.epoch, progress.positions, other
        )
    with pytest.raises(DatabaseReplaced, match="1234/other"):
        shop.catch_up(target)


def test_a_server_behind_the_position_stops(shop: Shop) -> None:
    """A server restored from an older backup has not written what was read."""
    target = begun(shop)
    for key, progress in list(target.progress.items()):
        ahead = dict.fromkeys(progress.positions, (1 << 60, 0))
        target.progress[key] = type(progress)(
            progress.task, progress.epoch, ahead, progress.incarnations
        )
    with pytest.raises(SlotLost, match="older backup"):
        shop.catch_up(target)


def test_a_lost_slot_stops(shop: Shop) -> None:
    """The server removed log that the slot needed, to keep its disk from filling."""
    target = begun(shop)
    shop.run(
        "alter system set max_slot_wal_keep_size = '1MB'", "select pg_reload_conf()"
    )
    try:
        for _ in range(4):
            shop.run(
                "select pg_logical_emit_message(false, 'x', repeat('x', 20000000))",
                "select pg_switch_wal()",
                "checkpoint",
            )
        with pytest.raises(SlotLost, match="is lost"):
            shop.catch_up(target)
    finally:
        shop.run("alter system reset max_slot_wal_keep_size", "select pg_reload_conf()")


def test_a_table_without_a_key_is_refused_before_it_is_published(shop: Shop) -> None:
    """Publishing it would break the application's own updates."""
    shop.run("alter table {t} drop constraint {t}_pkey")
    with pytest.raises(UsageError, match="no primary key"):
        shop.source().schema()
    shop.run("update {t} set name = 'still works'")
    # The control: published, the application's own update fails.
    shop.run(f"create publication {shop.slot} for table {{t}}")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        shop.run("update {t} set name = 'breaks'")


def test_two_workers_do_not_share_a_slot(shop: Shop) -> None:
    """The second one waits; it goes on when the first one is gone."""
    target = begun(shop)
    shop.run("insert into {t} values (11, 'x', 1)")
    first = Worker(shop.pipeline(MemorySink(target=target)))
    running = threading.Thread(target=first.run)
    running.start()
    second = Worker(shop.pipeline(MemorySink(target=target)))
    waiting = threading.Thread(target=second.run)
    try:
        wait_for(
            lambda: first.status().state == "running" and target.frame().height > 10
        )
        waiting.start()
        wait_for(lambda: second.status().state == "paused")
        first.stop()
        running.join()
        shop.run("insert into {t} values (12, 'x', 1)")
        wait_for(lambda: 12 in target.frame()["id"])
    finally:
        for worker in (first, second):
            worker.stop()
        for thread in (running, waiting):
            thread.join()
    assert replayed(target.frame()) == there(shop)


def test_a_terminated_connection_is_made_again(shop: Shop) -> None:
    """The stream goes on from the position, with the same worker."""
    target = begun(shop)
    worker = Worker(shop.pipeline(MemorySink(target=target)))
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        for number in range(11, 15):
            shop.run(f"insert into {{t}} values ({number}, 'x', 1)")
            wait_for(lambda last=number: last in target.frame()["id"])
            shop.run(
                "select pg_terminate_backend(active_pid) from pg_replication_slots "
                f"where slot_name = '{shop.slot}'"
            )
    finally:
        worker.stop()
        running.join()
    assert replayed(target.frame()) == there(shop)
    assert worker.status().counts["retries"] > 0


def test_a_network_that_swallows_everything_is_noticed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reset, no end, only silence: the stream is made again; nothing is lost."""
    monkeypatch.setattr(replication, "FEEDBACK_S", 0.3)
    monkeypatch.setattr(replication, "SILENT_S", 2.0)
    target = begun(shop)
    shop.run("alter role current_user set wal_sender_timeout = '1s'")
    with CuttingProxy(shop.dsn) as proxy:
        through = replace(shop, dsn=proxy.dsn)
        worker = Worker(through.pipeline(MemorySink(target=target)))
        running = threading.Thread(target=worker.run)
        running.start()
        try:
            shop.run("insert into {t} values (11, 'x', 1)")
            wait_for(lambda: 11 in target.frame()["id"])
            time.sleep(3)  # a server that is idle is not silent: it answers
            assert worker.status().counts["retries"] == 0
            assert proxy.swallow_replication()
            shop.run("insert into {t} values (12, 'x', 1)")
            wait_for(lambda: 12 in target.frame()["id"])
        finally:
            worker.stop()
            running.join()
            shop.run("alter role current_user reset wal_sender_timeout")
    assert worker.status().counts["retries"] > 0
    assert replayed(target.frame()) == there(shop)


@pytest.mark.parametrize("way", ["timer", "answers"])
def test_a_stalled_sink_neither_loses_the_connection_nor_confirms(
    way: str, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hears of us by a timer, or when it asks; not of unwritten rows."""
    if way == "timer":
        monkeypatch.setattr(replication, "FEEDBACK_S", 0.3)
    target = begun(shop)
    before = confirmed(shop)
    shop.run("alter role current_user set wal_sender_timeout = '1s'")
    gate = threading.Event()
    try:
        sink = MemorySink(target=target, script=[Wait(gate)])
        worker = Worker(shop.pipeline(sink))
        running = threading.Thread(target=worker.run)
        running.start()
        shop.run("insert into {t} values (11, 'x', 1)")
        time.sleep(3)
        assert confirmed(shop) == before
        assert worker.status().counts["retries"] == 0
        gate.set()
        wait_for(lambda: 11 in target.frame()["id"])
        worker.stop()
        running.join()
    finally:
        gate.set()
        shop.run("alter role current_user reset wal_sender_timeout")
    assert confirmed(shop) > before


def test_an_idle_table_does_not_hold_back_the_log(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others write is followed, so that the server may forget it."""
    monkeypatch.setattr(streaming, "IDLE_MOVE_S", 0.2)
    target = begun(shop)
    worker = Worker(shop.pipeline(MemorySink(target=target)))
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        shop.run("create table {t}_busy as select generate_series(1, 100000)")
        with psycopg.connect(shop.dsn) as connection:
            row = connection.execute("select pg_current_wal_lsn() - '0/0'").fetchone()
        end = int(row[0]) if row else 0
        wait_for(lambda: confirmed(shop) >= end)
    finally:
        worker.stop()
        running.join()
        shop.run("drop table {t}_busy")
    assert target.frame().height == 10


def test_a_published_key_may_be_an_index(shop: Shop) -> None:
    """A unique index serves where it is the replica identity."""
    shop.run(
        "alter table {t} drop constraint {t}_pkey",
        "alter table {t} alter column name set not null",
        "create unique index {t}_name on {t} (name)",
        "alter table {t} replica identity using index {t}_name",
    )
    with psycopg.connect(shop.dsn) as connection:
        oids = published.resolved(connection, [f"public.{shop.table}"])
        (table,) = published.tables(connection, oids)
    assert table.key == ("name",)
    assert begun(shop).frame().height == 10


def confirmed(shop: Shop) -> int:
    with psycopg.connect(shop.dsn) as connection:
        found = slots.find(connection, shop.slot)
    return found.confirmed if found else 0


def wait_for(condition: object, patience_s: float = 20) -> None:
    """Wait until something is so."""
    assert callable(condition)
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


def test_without_a_word_from_us_the_server_hangs_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: neither timer nor answers, and the connection is gone."""
    monkeypatch.setattr(
        replication.Replication,
        "_tell",
        lambda self: setattr(self, "_told_at", time.monotonic()),
    )
    target = begun(shop)
    shop.run("alter role current_user set wal_sender_timeout = '1s'")
    try:
        worker = Worker(shop.pipeline(MemorySink(target=target)))
        running = threading.Thread(target=worker.run)
        running.start()
        wait_for(lambda: worker.status().counts["retries"] > 0)
        worker.stop()
        running.join()
    finally:
        shop.run("alter role current_user reset wal_sender_timeout")


@pytest.mark.parametrize(
    ("safe", "retained", "status", "warns"),
    [
        (None, 10**9, "reserved", False),
        (9 * 10**9, 10**9, "reserved", False),
        (10**9, 9 * 10**9, "extended", True),
        (0, 10**9, "unreserved", True),
    ],
)
def test_a_slot_warns_before_it_is_lost(
    safe: int | None, retained: int, status: str, warns: bool
) -> None:
    """When less than half of what it may hold back is left."""
    slot = slots.Slot("s", "pgoutput", "d", None, 0, status, "", retained, safe, 0, 0)
    assert bool(slot.warning) == warns
