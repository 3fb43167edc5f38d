"""Latency at a steady pace: 5,000 events of 1.2 kB a second through one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import orjson
import polars as pl
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.pipelines import Case
from benchmarks.results import Result
from benchmarks.throughput import COMMAND, count
from demo import flights, paced
from demo.broker import Broker, shared_by, wait_until
from demo.commits import CommitWatch, Latency, positions, seen_at
from demo.process import Measured
from demo.project import Servers

RUNS = 3
WARM_UP_S = 2.0
"""Events of the first seconds do not count: connections and caches fill."""
PACE = paced.Pace(rate=5_000, seconds=20, bytes_each=1_200)


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run.

    Attributes:
        latency: Of the events after the warm-up.
        peak_rss_mb: Largest resident set of the worker, in 10^6 bytes.
        cpu_s: Processor seconds of the worker while events came.
    """

    latency: Latency
    peak_rss_mb: float
    cpu_s: float


@dataclass(frozen=True)
class Paced:
    """Latency runs: each has a worker, a producer and a reader of the results.

    Attributes:
        servers: The servers to measure on.
        folder: Where pipelines and logs are written; its settings name the servers.
        pace: How events are sent.
        runs: How often; the medians of the runs are the result.
    """

    servers: Servers
    folder: Path
    pace: paced.Pace = PACE
    runs: int = RUNS

    def kafka(self) -> Result:
        """Measure from sending an event to reading its result from a topic."""
        runs = [self._kafka_run(number) for number in range(self.runs)]
        return self._median("latency-kafka", runs)

    def postgres(self) -> Result:
        """Measure from sending an event to seeing its row committed."""
        runs = [self._postgres_run(number) for number in range(self.runs)]
        return self._median("latency-postgres", runs)

    def _kafka_run(self, number: int) -> Run:
        name = f"bench-latency-kafka-{number}"
        target = f"{name}-out"
        flights.create_topic(self.servers.kafka, target)
        sink = f'type = "kafka"\ntopic = "{target}"'
        case = Case(name, f"{name}-in", sink, padded=True)
        arrivals = Arrivals(self.servers.kafka, target, self.pace.events)
        arrivals.start()
        worker, cpu_s, _ = self._drive(case, lambda: not arrivals.is_alive())
        latency = Latency.of(arrivals.seen(), warm_up_s=WARM_UP_S)
        return Run(latency, worker.peak_rss_mb, cpu_s)

    def _postgres_run(self, number: int) -> Run:
        name, table = f"bench-latency-postgres-{number}", f"bench_latency_{number}"
        sink = f'type = "postgres"\ntable = "{table}"'
        case = Case(name, f"{name}-in", sink, padded=True)
        with (
            psycopg.connect(self.servers.postgres, autocommit=True) as connection,
            CommitWatch(self.servers.postgres, name) as watch,
        ):

            def done() -> bool:
                return sum(positions(connection, name).values()) >= self.pace.events

            worker, cpu_s, sent = self._drive(case, done)
            rows = count(connection, table)
        if rows != self.pace.events:
            message = f"{table} holds {rows} of {self.pace.events} rows"
            raise RuntimeError(message)
        latency = Latency.of(seen_at(sent, watch.moves()), warm_up_s=WARM_UP_S)
        return Run(latency, worker.peak_rss_mb, cpu_s)

    def _drive(
        self, case: Case, done: Callable[[], bool]
    ) -> tuple[Measured, float, pl.DataFrame]:
        """Run a worker and a producer until ``done()``; return what was sent too."""
        kafka = self.servers.kafka
        for topic in (case.topic, case.dead_letters):
            flights.create_topic(kafka, topic)
        admin = Broker(kafka)
        log = self.folder / f"{case.name}.parquet"
        file = case.write(self.folder)
        with Measured(
            [COMMAND, "run", str(file)], folder=self.folder, name=case.name
        ) as worker:
            wait_until(
                lambda: shared_by(1, flights.PARTITIONS, admin.shares(case.group)),
                "the worker to take the partitions",
                check=worker.check,
                every_s=0.2,
            )
            cpu_before = worker.cpu_s()
            with paced.start(kafka, case.topic, self.pace, log) as sender:
                if sender.wait(self.pace.seconds + 60):
                    message = "the paced producer failed"
                    raise RuntimeError(message)
            wait_until(done, "the last result", check=worker.check, timeout_s=30)
            time.sleep(0.1)  # who watches the results looks every few milliseconds
            cpu_s = worker.cpu_s() - cpu_before
        return worker, cpu_s, pl.read_parquet(log)

    def _median(self, case: str, runs: list[Run]) -> Result:
        return Result(
            case=case,
            messages_per_s=float(self.pace.rate),
            peak_rss_mb=max(run.peak_rss_mb for run in runs),
            cpu_s_per_million=median(run.cpu_s for run in runs)
            * 1e6
            / self.pace.events,
            p50_ms=median(run.latency.p50_ms for run in runs),
            p99_ms=median(run.latency.p99_ms for run in runs),
        )


class Arrivals(threading.Thread):
    """Reads a topic as its next consumer would, and notes when each event came.

    The thread ends when it has seen all of them, or nothing for a minute.
    """

    IDLE_S = 60.0

    def __init__(self, kafka: str, topic: str, events: int) -> None:
        """Keep what to read; ``start`` begins."""
        super().__init__(name=f"arrivals-{topic}", daemon=True)
        self._kafka, self._topic, self._events = kafka, topic, events
        self._seen: list[tuple[int, int]] = []

    def seen(self) -> pl.DataFrame:
        """Return ``sent_us`` and ``seen_us`` of each event, after the end.

        Raises:
            RuntimeError: Not all events came.
        """
        if len(self._seen) != self._events:
            message = f"{len(self._seen)} of {self._events} events came"
            raise RuntimeError(message)
        columns = {"sent_us": pl.Int64, "seen_us": pl.Int64}
        return pl.DataFrame(self._seen, schema=columns, orient="row")

    def run(self) -> None:
        """Read until all events came."""
        consumer = Consumer(
            {
                "bootstrap.servers": self._kafka,
                "group.id": self._topic,  # required, never joined
                "enable.auto.commit": False,
                "fetch.queue.backoff.ms": 5,
            }
        )
        consumer.assign(
            [
                TopicPartition(self._topic, partition, OFFSET_BEGINNING)
                for partition in range(flights.PARTITIONS)
            ]
        )
        try:
            while len(self._seen) < self._events:
                first = consumer.poll(self.IDLE_S)
                if first is None:
                    return
                now = time.time_ns() // 1_000
                for message in [first, *consumer.consume(1_000, 0)]:
                    event = orjson.loads(message.value() or b"{}")
                    self._seen.append((event["sent_us"], now))
        finally:
            consumer.close()
