"""Throughput of the tap and the worker on 1 M flights, beside the bare client."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import polars as pl
import psycopg

from benchmarks.bare import limit
from benchmarks.gate import Gate
from benchmarks.pipelines import Case
from benchmarks.results import Result
from demo import flights
from demo.broker import Broker, shared_by, wait_until
from demo.process import Measured
from demo.project import Servers

MESSAGES = 1_000_000
DELAYED = pl.col("arr_delay") > 15  # noqa: PLR2004 -- as in the measured transform
COMMAND = str(Path(sys.executable).with_name("streamlab"))


@dataclass(frozen=True)
class Bench:
    """What every case needs.

    Attributes:
        servers: The servers to measure on.
        folder: Where pipelines and logs are written; its settings name the servers.
        frame: The flights that are sent.
        batch: The same as messages.
    """

    servers: Servers
    folder: Path
    frame: pl.DataFrame
    batch: flights.Messages

    @classmethod
    def on(cls, servers: Servers, folder: Path, messages: int = MESSAGES) -> Bench:
        """Return a bench with that many flights."""
        frame = flights.repeated(flights.flights(), messages)
        return cls(servers, folder, frame, flights.messages(frame))

    def tap(self) -> Result:
        """Measure one tap of the whole topic, with metadata columns."""
        topic = "bench-tap"
        Gate(self.servers.kafka, topic, self.batch).open()
        before = limit(self.servers.kafka, topic, len(self.batch))
        command = [sys.executable, "-m", "benchmarks.tapped", topic]
        with Measured(
            [*command, str(len(self.batch))],
            folder=self.folder,
            name=topic,
            environment={"PYTHONPATH": str(Path.cwd())},
        ) as child:
            child.wait(120)
        seconds, cpu_s = map(float, child.log.read_text(encoding="utf-8").split()[-2:])
        after = limit(self.servers.kafka, topic, len(self.batch))
        return self._result("tap", seconds, [before, after], [child], cpu_s)

    def kafka_kafka(self, workers: int) -> Result:
        """Measure filter and project from one topic into another."""
        name = "kafka-kafka" if workers == 1 else f"kafka-kafka-{workers}-workers"
        target = f"bench-{name}-out"
        case = Case(
            name=f"bench-{name}",
            topic=f"bench-{name}-in",
            sink=f'type = "kafka"\ntopic = "{target}"',
            transform="flows:delayed",
        )
        flights.create_topic(self.servers.kafka, target)
        expected = self.frame.filter(DELAYED).height
        admin = Broker(self.servers.kafka)

        def done() -> bool:
            return admin.messages(target, flights.PARTITIONS) >= expected

        return self._worker(name, case, done, workers)

    def kafka_postgres(self) -> Result:
        """Measure all columns of every flight into a table."""
        case = Case(
            name="bench-kafka-postgres",
            topic="bench-kafka-postgres-in",
            sink='type = "postgres"\ntable = "bench_flights"',
        )
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:

            def done() -> bool:
                return committed(connection, case.name) >= len(self.batch)

            result = self._worker("kafka-postgres", case, done, workers=1)
            found = connection.execute("SELECT count(*) FROM bench_flights").fetchone()
        if found != (len(self.batch),):
            message = f"the table holds {found} of {len(self.batch)} rows"
            raise RuntimeError(message)
        return result

    def _worker(
        self, name: str, case: Case, done: Callable[[], bool], workers: int
    ) -> Result:
        """Start the workers, let the messages through, wait for the last row."""
        kafka = self.servers.kafka
        gate = Gate(kafka, case.topic, self.batch)
        flights.create_topic(kafka, case.dead_letters)
        file = case.write(self.folder)
        admin = Broker(kafka)
        with ExitStack() as running:
            children = [
                running.enter_context(
                    Measured(
                        [COMMAND, "run", str(file)],
                        folder=self.folder,
                        name=f"{case.name}-{number}",
                    )
                )
                for number in range(workers)
            ]

            def check() -> None:
                for child in children:
                    child.check()

            wait_until(
                lambda: shared_by(
                    workers, flights.PARTITIONS, admin.shares(case.group)
                ),
                f"{workers} worker(s) to share the partitions",
                check=check,
                every_s=0.2,
            )
            time.sleep(1)  # let a rebalance settle before the clock runs
            cpu_before = sum(child.cpu_s() for child in children)
            started = gate.open()
            ended = wait_until(done, f"the last row of {name}", check=check)
            cpu_s = sum(child.cpu_s() for child in children) - cpu_before
        limits = [limit(kafka, case.topic, len(self.batch)) for _ in range(2)]
        return self._result(name, ended - started, limits, children, cpu_s)

    def _result(
        self,
        name: str,
        seconds: float,
        limits: Sequence[float],
        children: Sequence[Measured],
        cpu_s: float,
    ) -> Result:
        rate, bare = len(self.batch) / seconds, mean(limits)
        return Result(
            case=name,
            messages_per_s=rate,
            limit_messages_per_s=bare,
            ratio=rate / bare,
            peak_rss_mb=max(child.peak_rss_mb for child in children),
            cpu_s_per_million=cpu_s * 1e6 / len(self.batch),
        )


def committed(connection: psycopg.Connection[tuple[object, ...]], pipeline: str) -> int:
    """Return the sum of the positions stored in the transactions of the rows."""
    found = connection.execute(
        "SELECT coalesce(sum(value::bigint), 0)::bigint FROM streamlab.progress, "
        "jsonb_each_text(positions) WHERE pipeline = %s",
        [pipeline],
    ).fetchone()
    return int(str(found[0])) if found else 0
