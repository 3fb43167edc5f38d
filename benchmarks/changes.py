"""Change data capture: ``python -m benchmarks.changes [CASE …]``.

One million rows of 235 B of a table, read as a snapshot or as a stream of inserts, and
the time from a commit to the change's arrival at 1,000 changes a second.
"""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import orjson
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.results import Result, show, write
from benchmarks.throughput import COMMAND, count
from demo import project
from demo.broker import Broker, wait_until
from demo.process import Measured
from demo.project import Servers

HOME = Path(".streamlab/bench/cdc")
ROWS = 1_000_000
TRANSACTION = 1_000  # rows
PACE = 1_000  # changes a second, each a transaction of its own
PACED_S = 15.0
WARM_UP_S = 3.0
PATIENCE_S = 120.0
TEXT = "x" * 180  # with the other columns about 235 B a row in text
PARTITIONS = 4

CREATE = """
DROP TABLE IF EXISTS {table} CASCADE;
CREATE TABLE {table} (id int PRIMARY KEY, sent_us bigint, price numeric(10, 2),
    at timestamptz, name text)
"""
FILL = """
INSERT INTO {table} SELECT i, 0, i / 100.0, now(), '{text}'
FROM generate_series({a}, {b}) i
"""
UPDATE = "UPDATE {table} SET sent_us = 1 WHERE id BETWEEN {a} AND {b}"


@dataclass(frozen=True)
class Changes:
    """The cases.

    Attributes:
        servers: The servers to measure on.
        folder: Where pipelines and logs are written; its settings name the servers.
    """

    servers: Servers
    folder: Path

    def snapshot(self, sink: str) -> Result:
        """Measure reading a full table into an empty target."""
        name = f"snapshot_{sink}"
        self._table(name)
        self._fill(name, ROWS)
        with self._worker(name, sink) as worker:
            return self._drained(
                f"snapshot-{sink}", worker, lambda: self._arrived(name, sink)
            )

    def stream(self, sink: str) -> Result:
        """Measure working off inserts that were committed while nobody read."""
        name = f"stream_{sink}"
        self._table(name)
        with self._worker(name, sink) as worker:
            self._wait_for_slot(name, worker)
        self._fill(name, ROWS)
        with self._worker(name, sink) as worker:
            return self._drained(
                f"stream-{sink}", worker, lambda: self._arrived(name, sink)
            )

    def upsert(self) -> Result:
        """Measure working off updates of rows that the target has."""
        name = "upsert_postgres"
        self._table(name)
        self._fill(name, ROWS)
        with self._worker(name, "postgres") as worker:
            self._wait_for_slot(name, worker)
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:
            for first in range(1, ROWS + 1, TRANSACTION):
                last = first + TRANSACTION - 1
                connection.execute(UPDATE.format(table=name, a=first, b=last))
        with self._worker(name, "postgres") as worker:
            return self._drained(
                "upsert-postgres", worker, lambda: self._updated(f"{name}_copy")
            )

    def latency(self, sink: str) -> Result:
        """Measure from a commit to the change's arrival, at a steady pace."""
        name = f"latency_{sink}"
        self._table(name)
        watch = (
            _Topic(self.servers.kafka, f"bench.{name}")
            if sink == "kafka"
            else _Table(self.servers.postgres, f"{name}_copy")
        )
        with self._worker(name, sink) as worker:
            self._wait_for_slot(name, worker)
            with psycopg.connect(self.servers.postgres, autocommit=True) as connection:
                # So that the topic, or the target, is there.
                connection.execute(f"INSERT INTO {name} VALUES (0, 0)")
                wait_until(
                    lambda: self._arrived(name, sink) > 0, "the first", timeout_s=30
                )
                watch.start()
                committed = _paced(connection, name)
            deadline = time.monotonic() + PATIENCE_S
            while len(watch.seen) < len(committed) and time.monotonic() < deadline:
                time.sleep(0.05)
            watch.stop()
        ages = [
            (watch.seen[number] - at) / 1000
            for number, at in committed.items()
            if number > PACE * WARM_UP_S
        ]
        cuts = quantiles(ages, n=100)
        where = "topic" if sink == "kafka" else "sink"
        return Result(
            case=f"latency-{where}",
            messages_per_s=float(PACE),
            peak_rss_mb=worker.peak_rss_mb,
            p50_ms=cuts[49],
            p99_ms=cuts[98],
        )

    def _table(self, name: str) -> None:
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:
            connection.execute(CREATE.format(table=name))

    def _fill(self, name: str, rows: int) -> None:
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:
            for first in range(1, rows + 1, TRANSACTION):
                last = first + TRANSACTION - 1
                connection.execute(FILL.format(table=name, text=TEXT, a=first, b=last))

    def _worker(self, name: str, sink: str) -> Measured:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        target = (
            f'type = "kafka"\ntopic = "bench.{{_table}}"\nformat = "bytes"\n'
            f"partitions = {PARTITIONS}"
            if sink == "kafka"
            else f'type = "postgres"\ntable = "{name}_copy"\n'
            'mode = "changes"\nkey = "id"'
        )
        shape = 'shape = "flat"' if sink == "kafka" else ""
        (folder / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{name}"\ntransforms = []\n[source]\n'
            f'type = "postgres"\ntables = ["public.{name}"]\n{shape}\n'
            f'[sink]\n{target}\n[dead_letters]\nfile = "dead.jsonl"\n'
        )
        command = [COMMAND, "run", str(folder)]
        return Measured(command, folder=self.folder, name=name)

    def _wait_for_slot(self, name: str, worker: Measured) -> None:
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:

            def streams() -> bool:
                # A slot that is just being made is active, too.
                found = connection.execute(
                    "SELECT state FROM pg_stat_replication WHERE application_name = %s",
                    [f"streamlab streamlab_{name}"],
                ).fetchone()
                return found == ("streaming",)

            wait_until(streams, "the stream", check=worker.check, every_s=0.1)

    def _arrived(self, name: str, sink: str) -> int:
        if sink == "kafka":
            with contextlib.suppress(Exception):  # the topic is not there yet
                return Broker(self.servers.kafka).messages(f"bench.{name}", PARTITIONS)
            return 0
        with psycopg.connect(self.servers.postgres) as connection:
            return count(connection, f"{name}_copy")

    def _updated(self, copy: str) -> int:
        """Return how many rows of the target are updated, the first ones first."""
        with psycopg.connect(self.servers.postgres) as connection:

            def is_pending(number: int) -> bool:
                row = connection.execute(
                    f"SELECT sent_us FROM {copy} WHERE id = {number}"
                ).fetchone()
                return row == (0,)

            return bisect_left(range(1, ROWS + 1), x=True, key=is_pending)

    def _drained(
        self, case: str, worker: Measured, arrived: Callable[[], int]
    ) -> Result:
        """Measure from the first arrivals to the last one: not the start of Python."""
        wait_until(lambda: arrived() > 0, "the first rows", check=worker.check)
        before, began, cpu_before = arrived(), time.monotonic(), worker.cpu_s()
        wait_until(
            lambda: arrived() >= ROWS,
            "the last row",
            check=worker.check,
            every_s=0.1,
            timeout_s=PATIENCE_S,
        )
        seconds, cpu_s = time.monotonic() - began, worker.cpu_s() - cpu_before
        return Result(
            case=case,
            messages_per_s=(ROWS - before) / seconds,
            peak_rss_mb=worker.peak_rss_mb,
            cpu_s_per_million=cpu_s * 1e6 / (ROWS - before),
        )


def _paced(
    connection: psycopg.Connection[tuple[object, ...]], name: str
) -> dict[int, int]:
    """Commit one row at a time; return when each was committed, µs since 1970."""
    committed: dict[int, int] = {}
    began = time.monotonic()
    for number in range(1, int(PACE * PACED_S) + 1):
        wait_s = began + number / PACE - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        connection.execute(
            f"INSERT INTO {name} VALUES (%s, 0, 1.5, now(), %s)", [number, TEXT]
        )
        committed[number] = time.time_ns() // 1000
    return committed


class _Watch(threading.Thread):
    """Notes when each row was first seen, µs since 1970."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: dict[int, int] = {}
        self._done = threading.Event()

    def stop(self) -> None:
        """End watching."""
        self._done.set()
        self.join()


class _Topic(_Watch):
    """Reads a topic as its next consumer would."""

    def __init__(self, kafka: str, topic: str) -> None:
        super().__init__()
        self._kafka, self._topic = kafka, topic

    def run(self) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": self._topic,
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
            }
        )
        consumer.assign(
            [
                TopicPartition(self._topic, n, OFFSET_BEGINNING)
                for n in range(PARTITIONS)
            ]
        )
        while not self._done.is_set():
            first = consumer.poll(0.1)
            if first is None:
                continue
            now = time.time_ns() // 1000
            for message in [first, *consumer.consume(1_000, 0)]:
                number = orjson.loads(message.value() or b"{}")["id"]
                self.seen.setdefault(number, now)
        consumer.close()


class _Table(_Watch):
    """Looks into a table every two milliseconds."""

    def __init__(self, dsn: str, table: str) -> None:
        super().__init__()
        self._dsn, self._name = dsn, table

    def run(self) -> None:
        last = 0
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._done.is_set():
                row = connection.execute(f"SELECT max(id) FROM {self._name}").fetchone()
                now = time.time_ns() // 1000
                newest = int(str(row[0])) if row and row[0] is not None else 0
                for number in range(last + 1, newest + 1):
                    self.seen[number] = now
                last = max(last, newest)
                time.sleep(0.002)


@contextlib.contextmanager
def _bench() -> Iterator[Changes]:
    with project.fresh(HOME.resolve(), print) as servers:
        yield Changes(servers, HOME.resolve())


def main() -> None:
    """Run the named cases, all without names, and write and print the results."""
    with _bench() as bench:
        cases: dict[str, Callable[[], Result]] = {
            "snapshot-kafka": lambda: bench.snapshot("kafka"),
            "snapshot-postgres": lambda: bench.snapshot("postgres"),
            "stream-kafka": lambda: bench.stream("kafka"),
            "stream-postgres": lambda: bench.stream("postgres"),
            "upsert-postgres": bench.upsert,
            "latency-topic": lambda: bench.latency("kafka"),
            "latency-sink": lambda: bench.latency("postgres"),
        }
        parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
        parser.add_argument("case", nargs="*", choices=[*cases, []])
        results = []
        for name in parser.parse_args().case or cases:
            print(f"{name} …", flush=True)
            results.append(cases[name]())
            print(show(results), flush=True)
    path = write("cdc", results)
    print(f"\n{show(results)}\n\nwritten to {path}")


if __name__ == "__main__":
    main()
