"""Random transactions on a real PostgreSQL, three pipelines, and a killer.

``python -m tests.faults.torture_cdc`` runs the long one and writes
``.streamlab/faults/cdc.json``; a short one with a fixed seed is a test. The seed is
printed and recorded; it fixes the transactions and the order of kills, not the timing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import psycopg

from streamlab import stack
from streamlab.connectors.parquet.sink import scan
from streamlab.connectors.postgres.reading.kept import KeptFile, KeptProgress
from streamlab.connectors.postgres.reading.lsn import lsn_number
from streamlab.failpoints import PLACES
from tests.cut_kafka import CutKafka, cut_kafka
from tests.faults.conftest import messages_of
from tests.faults.shop_oracle import (
    Change,
    Findings,
    compared,
    converged,
    judged,
    truth,
)
from tests.integration.cutting_proxy import Proxy

SMALL_EPOCHS = "max_rows = 400"
LARGE = 3_000  # rows of a large transaction
MOST_ADDED = 20  # columns
CUT_POSTGRES, CUT_KAFKA = 0.05, 0.03  # each tenth of a second
LIFE_S = (5.0, 12.0)  # of a worker that no failpoint gets
SNAPSHOT_PLACES = (
    "after-slot",
    "in-snapshot",
    "in-snapshot",
    "in-snapshot",
    "after-snapshot",
    "in-sink-transaction",
    "after-sink-commit",
)


STREAM_PLACES = ("in-transaction", "before-feedback")


@dataclass
class Shop:
    """Two tables that change all the time, and a slot that records the truth."""

    dsn: str
    seed: int
    name: str = field(default_factory=lambda: f"tor_{uuid.uuid4().hex[:6]}")
    transactions: int = 0
    added: int = 0
    may_truncate: bool = False

    @property
    def orders(self) -> str:
        """Name of the table with one key column and long values."""
        return f"{self.name}_orders"

    @property
    def items(self) -> str:
        """Name of the table with a key of two columns."""
        return f"{self.name}_items"

    def connect(self) -> psycopg.Connection[Any]:
        """Connect; the caller closes."""
        return psycopg.connect(self.dsn, autocommit=True)

    def create(self, rows: int) -> None:
        """Make the tables, and the slot of the truth before all others."""
        with self.connect() as c:
            c.execute(
                f"create table {self.orders} (id int primary key, v text, "
                "n numeric(20, 4), long text);"
                f"alter table {self.orders} alter column long set storage external;"
                f"create table {self.items} (a int, b text, x int, primary key (a, b));"
                f"create publication {self.name} for table {self.orders}, {self.items};"
            )
            c.execute(
                "select pg_create_logical_replication_slot(%s, 'pgoutput')", [self.name]
            )
            c.execute(
                f"insert into {self.orders} select i, 'v' || i, i / 7.0, "
                f"repeat('x', 3000) from generate_series(1, {rows}) i"
            )
            c.execute(
                f"insert into {self.items} select i, 'b' || i % 9, i "
                f"from generate_series(1, {rows // 4}) i"
            )

    def drop(self) -> None:
        """Remove everything."""
        with self.connect() as c:
            for (slot,) in c.execute(
                "select slot_name from pg_replication_slots where slot_name like %s",
                [f"{self.name}%"],
            ).fetchall():
                with contextlib.suppress(psycopg.Error):
                    c.execute("select pg_drop_replication_slot(%s)", [slot])

    def change(self, stop: threading.Event) -> None:
        """Commit random transactions until told to stop."""
        rng = random.Random(self.seed)
        with psycopg.connect(self.dsn) as connection:
            while not stop.is_set():
                with contextlib.suppress(psycopg.errors.UniqueViolation):
                    self._transaction(connection, rng)
                connection.rollback()
                stop.wait(rng.choice([0, 0.001, 0.01]))

    def _transaction(
        self, connection: psycopg.Connection[Any], rng: random.Random
    ) -> None:
        kind = rng.random()
        if kind < 0.01:
            first = rng.randrange(10**6, 10**9)
            connection.execute(
                f"insert into {self.orders} select i, 'large', 0, null "
                f"from generate_series({first}, {first + LARGE}) i "
                "on conflict do nothing"
            )
            connection.execute(
                f"delete from {self.orders} where v = 'large' and id % 5 > 0"
            )
        elif kind < 0.013 and self.may_truncate:
            connection.execute(f"truncate {self.items}")
        elif kind < 0.014 and self.may_truncate:
            connection.execute(f"truncate {self.orders}, {self.items}")
        elif kind < 0.017 and self.added < MOST_ADDED:
            # Of rows a pipeline's file would fix the columns: events take them all.
            connection.execute(f"alter table {self.items} add e{self.added} int")
            self.added += 1
        for _ in range(rng.randrange(1, 9)):
            if rng.random() < 0.1:
                connection.execute("savepoint s")
                self._statement(connection, rng)
                connection.execute("rollback to s")
            self._statement(connection, rng)
        if rng.random() < 0.1:
            return
        connection.commit()
        self.transactions += 1

    def _statement(
        self, connection: psycopg.Connection[Any], rng: random.Random
    ) -> None:
        some = rng.randrange(1, 20_000)
        long = f"repeat('{rng.choice('abc')}', {rng.choice([10, 4000])})"
        orders, items, moved = self.orders, self.items, some + 20_000
        item = f"({some % 500}, 'b{some % 9}', 1)"
        statements = (
            f"""insert into {orders} values ({some}, 'new', 1.5, {long})
                on conflict do nothing""",
            f"update {orders} set v = v || '!' where id = {some}",
            f"update {orders} set n = n + 1 where id between {some} and {some + 5}",
            f"update {orders} set long = {long} where id = {some}",
            f"""update {orders} set id = {moved} where id = {some}
                and not exists (select from {orders} where id = {moved})""",
            f"delete from {orders} where id = {some}",
            f"delete from {orders} where id = {moved}",
            f"""insert into {items} values {item}
                on conflict (a, b) do update set x = excluded.x + 1""",
            f"""update {items} set b = 'c' || b
                where a = {some % 500} and length(b) < 6""",
            f"delete from {items} where a = {some % 500} and x % 2 = 0",
        )
        connection.execute(rng.choice(statements))


@dataclass
class Run:
    """One pipeline in a folder of its own."""

    folder: Path
    slot: str
    process: subprocess.Popen[bytes] | None = None

    def write(self, source: str, sink: str, settings: str) -> None:
        """Write its files."""
        self.folder.mkdir(parents=True)
        (self.folder / "streamlab.toml").write_text(settings)
        (self.folder / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{self.slot}"\ntransforms = []\n'
            f'[source]\ntype = "postgres"\nslot = "{self.slot}"\n'
            f'publication = "{self.slot}"\n{source}\n[sink]\n{sink}\n'
            f'[dead_letters]\nfile = "dead.jsonl"\n[engine]\n{SMALL_EPOCHS}\n'
        )

    def start(self, *options: str, failpoint: str = "") -> None:
        """Start a worker, to be killed at a failpoint if one is named."""
        environment = {**os.environ}
        if failpoint:
            environment["STREAMLAB_FAILPOINT"] = failpoint
        with (self.folder / "worker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlab.cli", "run", ".", *options],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> bool:
        """Kill the worker; return whether it has died by a signal at all."""
        process = self.process
        if process is None:
            return False
        if process.poll() is None:
            process.kill()
        return process.wait() < 0

    def finish(self, patience_s: float = 300) -> None:
        """Run until caught up."""
        self.start("--until-caught-up")
        assert self.process is not None
        code = self.process.wait(patience_s)
        assert code == 0, f"{self.slot} ended with {code}:\n{self.log()[-3000:]}"

    def log(self) -> str:
        """Return what its workers have said."""
        return (self.folder / "worker.log").read_text(errors="replace")

    @property
    def last_cut(self) -> int:
        """Return the last moment that a snapshot was taken again."""
        cuts = re.findall(
            r"going on with the snapshot at ([0-9A-F]+/[0-9A-F]+)", self.log()
        )
        return max(map(lsn_number, cuts), default=0)


@dataclass
class Torture:
    """The whole: tables, pipelines, kills, verdict."""

    dsn: str
    kafka: str
    folder: Path
    seed: int
    proxy: Proxy | None = None
    rows: int = 8_000
    kills: int = 0
    luck: random.Random = field(default_factory=lambda: random.Random(1))
    cuts: int = 0
    kafka_cuts: int = 0
    rounds: int = 0
    repeated: int = 0
    compared: int = 0
    places: Counter[str] = field(default_factory=Counter)

    def run(self, kills: int) -> dict[str, Any]:
        """Kill so often, let everything catch up, and return the report."""
        shop = Shop(self.dsn, self.seed)
        shop.create(self.rows)
        runs = self._pipelines(shop)
        stop = threading.Event()
        writer = threading.Thread(target=shop.change, args=(stop,))
        writer.start()
        try:
            self._kill(shop, runs, kills)
        finally:
            stop.set()
            writer.join()
            for run in runs.values():
                run.kill()
        for run in runs.values():
            run.finish()
        findings, changes = self._judged(shop, runs)
        shop.drop()
        return {
            "seed": self.seed,
            "kills": self.kills,
            "cuts": self.cuts + self.kafka_cuts,
            "cuts_of_kafka": self.kafka_cuts,
            "transactions": shop.transactions,
            "changes": changes,
            "columns_added": shop.added,
            "lost": findings.lost,
            "doubled": findings.doubled,
            "out_of_order": findings.out_of_order,
            "equal": findings.equal,
            "repeated_in_topics": self.repeated,
            "snapshots_resumed": sum(
                run.log().count("going on with the snapshot") for run in runs.values()
            ),
            "compared_with_the_server": self.compared,
            "kills_by_place": dict(self.places),
            "notes": findings.notes,
        }

    def _pipelines(self, shop: Shop) -> dict[str, Run]:
        kafka = f"127.0.0.1:{self.proxy.port}" if self.proxy else self.kafka
        settings = (
            f'default_profile = "here"\n[profiles.here.kafka]\n'
            f'"bootstrap.servers" = "{kafka}"\n'
            f'[profiles.here.postgres]\ndsn = "{self.dsn}"\n'
        )
        one = f'tables = ["public.{shop.orders}"]'
        two = f'tables = ["public.{shop.orders}", "public.{shop.items}"]'
        sinks = {
            "replica": (
                one,
                f"""type = "postgres"
                    table = "{shop.orders}_r"
                    mode = "changes"
                    key = "id"
                    truncate = true""",
            ),
            "files": (one, 'type = "parquet"\nfolder = "rows"'),
            "topics": (
                two,
                f"""type = "kafka"
                    topic = "{shop.name}.{{_table}}"
                    format = "bytes"
                    partitions = 1""",
            ),
        }
        runs = {}
        for name, (source, sink) in sinks.items():
            run = Run(self.folder / name, f"{shop.name}_{name}")
            run.write(source, sink, settings)
            runs[name] = run
        return runs

    def _kill(self, shop: Shop, runs: dict[str, Run], kills: int) -> None:
        rng = random.Random(self.seed + 1)
        while self.kills < kills:
            self.rounds += 1
            # Truncating while a snapshot is interrupted stops it, as it should.
            shop.may_truncate = all(self._is_streaming(run) for run in runs.values())
            chosen = {}
            for name, run in runs.items():
                streaming = self._is_streaming(run)
                places = (*PLACES, *STREAM_PLACES) if streaming else SNAPSHOT_PLACES
                chosen[name] = rng.choice(places)
                run.start(failpoint=f"{chosen[name]}=kill@{rng.randrange(1, 8)}")
            self._wait(shop, runs)
            for name, run in runs.items():
                died = run.process is not None and run.process.poll() is not None
                self.places[chosen[name] if died else "at random"] += 1
                self.kills += run.kill()
                self._require_no_error(run)

    def _wait(self, shop: Shop, runs: dict[str, Run]) -> None:
        """Cut connections now and then, until all are dead or had their time.

        By luck of its own: how long it takes must not choose where the next ones die.
        """
        luck = self.luck
        deadline = time.monotonic() + luck.uniform(*LIFE_S)
        while time.monotonic() < deadline:
            if all(
                run.process and run.process.poll() is not None for run in runs.values()
            ):
                return
            time.sleep(0.1)
            if luck.random() < CUT_POSTGRES:
                self.cuts += self._cut(shop)
            if self.proxy is not None and luck.random() < CUT_KAFKA:
                self.kafka_cuts += self.proxy.cut_all()

    def _cut(self, shop: Shop) -> int:
        """Cut connections of workers, of whatever kind they are."""
        with shop.connect() as connection:
            cut = connection.execute(
                "select count(pg_terminate_backend(pid)) from (select pid from "
                "pg_stat_activity where application_name like 'streamlab%' "
                "order by random() limit 2) s"
            ).fetchone()
        return int(cut[0]) if cut else 0

    def _is_streaming(self, run: Run) -> bool:
        file = KeptFile(run.folder / ".streamlab" / "slots" / f"{run.slot}.json")
        kept = KeptProgress(file).read()
        if kept is None:
            return False
        (position,) = kept.positions.values()
        return isinstance(position, tuple) and len(position) == 2 and position > (0, 0)

    def _require_no_error(self, run: Run) -> None:
        code = run.process.returncode if run.process else 0
        assert code <= 0, f"{run.slot} ended with {code}:\n{run.log()[-3000:]}"

    def _judged(self, shop: Shop, runs: dict[str, Run]) -> tuple[Findings, int]:
        findings = Findings()
        with shop.connect() as c:
            orders = {
                (row[0],): row[1:]
                for row in c.execute(f"select id, v, n from {shop.orders}")
            }
            items = {
                tuple(row[:2]): row[2:]
                for row in c.execute(f"select a, b, x from {shop.items}")
            }
            full = f"select * from {shop.orders} order by id"
            replica = f"select * from {shop.orders}_r order by id"
            found = Findings()
            found.equal = c.execute(full).fetchall() == c.execute(replica).fetchall()
            if not found.equal:
                found.note("the replica is not equal")
            findings.add(found)
            (oid,) = c.execute(
                "select %s::regclass::oid::int8", [shop.orders]
            ).fetchone() or (0,)
            sent = truth(c, shop.name, shop.name, oid)
        changes = file_changes(scan(runs["files"].folder / "rows").collect())
        findings.add(judged(changes, orders))
        first = min((c[0] for c in changes if c[2] == "snapshot"), default=0) + 1
        since = max(first, runs["files"].last_cut)
        findings.add(compared(changes, sent, since))
        self.compared = sum(lsn >= since for lsn, *_ in sent)
        for table, rows, key in (
            (shop.orders, orders, ("id",)),
            (shop.items, items, ("a", "b")),
        ):
            events = topic_changes(self.kafka, f"{shop.name}.{table}", key)
            self.repeated += len(events) - len(set(events))
            findings.add(converged(events, rows))
        return findings, len(changes)


def file_changes(frame: pl.DataFrame) -> list[Change]:
    """Return what the Parquet sink has, in its order."""
    return [
        (row["_lsn"], row["_index"], row["_op"], (row["id"],), (row["v"], row["n"]))
        for row in frame.select("_lsn", "_index", "_op", "id", "v", "n").iter_rows(
            named=True
        )
    ]


def topic_changes(address: str, topic: str, key: tuple[str, ...]) -> list[Change]:
    """Return what a topic of one partition has, in its order."""
    from decimal import Decimal

    found: list[Change] = []
    for *_, value in messages_of(address, topic):
        row = json.loads(value)
        rest: tuple[Any, ...] = (
            (row["v"], None if row["n"] is None else Decimal(str(row["n"])))
            if key == ("id",)
            else (row["x"],)
        )
        place = tuple(row[name] for name in key)
        found.append((row["_lsn"], row["_index"], row["_op"], place, rest))
    return found


@contextlib.contextmanager
def servers() -> Iterator[tuple[str, CutKafka]]:
    """Run servers for the long one."""
    with tempfile.TemporaryDirectory(prefix="streamlab-torture-") as home:
        Path(home).chmod(0o755)
        with (
            stack.up(Path(home), servers=("postgres",)) as running,
            cut_kafka(Path(home, "kafka")) as kafka,
        ):
            yield running.postgres, kafka


def main() -> None:
    """Run the long one, and record it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with servers() as (dsn, kafka), tempfile.TemporaryDirectory() as folder:
        torture = Torture(dsn, kafka.address, Path(folder), arguments.seed, kafka.proxy)
        report = torture.run(arguments.kills)
    print(json.dumps(report, indent=2))
    place = Path(".streamlab/faults/cdc.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(report, indent=2) + "\n")
    wrong = report["lost"] or report["doubled"] or report["out_of_order"]
    sys.exit(bool(wrong or not report["equal"]))


if __name__ == "__main__":
    main()
