"""Changes of a database through kills: nothing lost, doubled or out of order."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from streamlab.connectors.memory import MemorySink, MemoryTarget, Wait
from streamlab.engines.local import Worker
from streamlab.stack import Stack
from tests.cut_kafka import cut_kafka
from tests.faults.shop_oracle import Change, Findings, compared, converged, judged
from tests.faults.test_outages import wait_for
from tests.faults.torture_cdc import Torture
from tests.integration.test_postgres_source import Shop, replayed, there

SEED = 20_26
KILLS = 18


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_change_arrives_once_and_in_order_through_kills(
    postgres_dsn: str, temporary_home: Path, tmp_path: Path
) -> None:
    """Random transactions, three sinks, and workers that are killed at every step."""
    with cut_kafka(temporary_home / "kafka") as kafka:
        torture = Torture(postgres_dsn, kafka.address, tmp_path, SEED, kafka.proxy)
        report = torture.run(KILLS)
    assert (report["lost"], report["doubled"], report["out_of_order"]) == (0, 0, 0), (
        report["notes"]
    )
    assert report["equal"], report["notes"]
    assert report["kills"] >= KILLS
    # What else a run meets is chance in a short one; ``make torture-cdc`` meets it all.
    assert report["cuts"] > 0
    assert report["compared_with_the_server"] > 0


CHANGES: list[Change] = [
    (9, 0, "snapshot", (1,), ("a",)),
    (9, 1, "snapshot", (2,), ("b",)),
    (20, 0, "update", (1,), ("c",)),
    (20, 2, "delete", (2,), (None,)),
    (30, 0, "insert", (3,), ("d",)),
]
TABLE = {(1,): ("c",), (3,): ("d",)}


def test_the_oracle_finds_right_what_is_right() -> None:
    """The control's control."""
    assert judged(CHANGES, TABLE) == Findings()
    truth = [(lsn, index, op) for lsn, index, op, *_ in CHANGES]
    assert compared(CHANGES, truth, 0) == Findings()


def test_the_oracle_of_a_sink_that_repeats_sees_what_is_wrong() -> None:
    """An epoch may come again; a lost delete or a place used twice is wrong."""
    again = [*CHANGES, *CHANGES[2:]]
    assert converged(again, TABLE) == Findings()
    assert not converged([*CHANGES[:3], CHANGES[4]], TABLE).equal
    other = (9, 1, "snapshot", (4,), ("z",))
    assert converged([*CHANGES, other], {**TABLE, (4,): ("z",)}).doubled == 1


def test_the_oracle_sees_what_is_wrong() -> None:
    """A lost, a doubled and a displaced change each make the verdict red."""
    truth = [(lsn, index, op) for lsn, index, op, *_ in CHANGES]
    without_update = [*CHANGES[:2], *CHANGES[3:]]
    assert not judged(without_update, TABLE).equal
    assert compared(without_update, truth, 0).lost == 1
    assert judged([*CHANGES, CHANGES[-1]], TABLE).doubled == 1
    assert compared([*CHANGES, CHANGES[-1]], truth, 0).doubled == 1
    swapped = [*CHANGES[:2], CHANGES[3], CHANGES[2], CHANGES[4]]
    assert judged(swapped, TABLE).out_of_order == 1
    # A row of the snapshot that the stream brings again: the overlap.
    overlap = [*CHANGES, (40, 0, "insert", (1,), ("c",))]
    assert judged(overlap, TABLE).doubled == 1
    # A change of a row that was never read: the gap.
    assert judged([*CHANGES, (40, 0, "update", (7,), ("x",))], TABLE).lost == 1


@pytest.mark.integration
@pytest.mark.slow
@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_a_server_that_restarts_is_read_on_from(
    ending: str,
    own_stack: Callable[..., Stack],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It can stop while a slot is read, and comes back to the same worker."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamlab.toml").write_text("")
    servers = own_stack("postgres")
    name = f"cdc_{uuid.uuid4().hex[:8]}"
    shop = Shop(servers.postgres, tmp_path, f"t_{name}", name)
    shop.run(
        "create table {t} (id int primary key, name text, price numeric(10, 2))",
        "insert into {t} select i, 'n' || i, i from generate_series(1, 10) i",
    )
    target = MemoryTarget()
    worker = Worker(shop.pipeline(MemorySink(target=target)))
    running = threading.Thread(target=worker.run)
    running.start()
    try:
        wait_for(lambda: target.frame().height == 10)
        shop.run("update {t} set name = 'before'")
        wait_for(lambda: target.frame().height == 20)
        server = servers.server("postgres")
        began = time.monotonic()
        server.kill() if ending == "killed" else server.stop()
        assert time.monotonic() - began < 10, "the server waited for its reader"
        wait_for(lambda: worker.status().state == "paused")
        server.start()
        shop.run("update {t} set name = 'after' where id < 5")
        wait_for(lambda: target.frame().height == 24)
    finally:
        worker.stop()
        running.join()
    assert replayed(target.frame()) == there(shop)


@pytest.mark.integration
@pytest.mark.slow
def test_a_server_can_stop_while_a_sink_is_stalled(
    own_stack: Callable[..., Stack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that stops waits until its readers have confirmed all: forever, here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamlab.toml").write_text("")
    servers = own_stack("postgres")
    name = f"cdc_{uuid.uuid4().hex[:8]}"
    shop = Shop(servers.postgres, tmp_path, f"t_{name}", name)
    shop.run("create table {t} (id int primary key, name text, price numeric(10, 2))")
    target, gate = MemoryTarget(), threading.Event()
    shop.catch_up(target)
    worker = Worker(shop.pipeline(MemorySink(target=target, script=[Wait(gate)])))
    running = threading.Thread(target=worker.run)
    running.start()
    server = servers.server("postgres")
    try:
        wait_for(lambda: worker.status().state == "running")
        shop.run("insert into {t} values (1, 'x', 1)")
        time.sleep(1)  # it is with the sink now, which does not return
        began = time.monotonic()
        server.stop()
        took = time.monotonic() - began
        server.start()
        gate.set()
        wait_for(lambda: target.frame().height == 1)
        shop.run("insert into {t} values (2, 'x', 1)")
        wait_for(lambda: target.frame().height == 2)
    finally:
        gate.set()
        worker.stop()
        running.join()
    assert took < 8, "the server waited for its reader"
