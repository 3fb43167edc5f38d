"""Throughput of the tap and the worker on 1 M flights, beside the bare client."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean

import polars as pl
import psycopg
from psycopg import sql

from benchmarks.bare import limit
from benchmarks.gate import Gate
from benchmarks.pipelines import Case
from benchmarks.results import Result
from demo import flights
from demo.broker import Broker, shared_by, wait_until
from demo.commits import Connection, positions
from demo.process import Measured
from demo.project import Servers

MESSAGES = 1_000_000
DELAYED = pl.col("arr_delay") > 15  # noqa: PLR2004 -- as in the measured transform
COMMAND = str(Path(sys.executable).with_name("streamlab"))


@dataclass(frozen=True, slots=True)
class Job:
    """One pipeline on its servers.

    Attributes:
        case: The pipeline.
        servers: Where it runs.
        file: Its ``pipeline.toml``.
        table: Where its rows go, if they go into a table.
    """

    case: Case
    servers: Servers
    file: Path
    table: str = ""


@dataclass(frozen=True)
class Runner:
    """Who does a job: streamlab.

    Attributes:
        label: Goes before the names of its cases, topics and tables.
    """

    label: str = ""

    def command(self, job: Job) -> list[str]:
        """Return the command that works until SIGTERM."""
        return [COMMAND, "run", str(job.file)]

    def group(self, job: Job) -> str:
        """Return the consumer group it joins."""
        return job.case.group

    def committed(self, connection: Connection, job: Job) -> int:
        """Return how many messages are in the table, as far as that is cheap to see."""
        return sum(positions(connection, job.case.name).values())


@dataclass(frozen=True)
class Bench:
    """What every case needs.

    Attributes:
        servers: The servers to measure on.
        folder: Where pipelines and logs are written; its settings name the servers.
        frame: The flights that are sent.
        batch: The same as messages.
        runner: Who does the work.
    """

    servers: Servers
    folder: Path
    frame: pl.DataFrame
    batch: flights.Messages
    runner: Runner = field(default_factory=Runner)

    @classmethod
    def on(cls, servers: Servers, folder: Path, messages: int = MESSAGES) -> Bench:
        """Return a bench with that many flights."""
        frame = flights.repeated(flights.flights(), messages)
        return cls(servers, folder, frame, flights.messages(frame))

    def by(self, runner: Runner) -> Bench:
        """Return the same bench for another runner."""
        return replace(self, runner=runner)

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
        plain = "kafka-kafka" if workers == 1 else f"kafka-kafka-{workers}-workers"
        name = self.runner.label + plain
        target = f"bench-{name}-out"
        job = self._job(name, f'type = "kafka"\ntopic = "{target}"', "flows:delayed")
        flights.create_topic(self.servers.kafka, target)
        expected = self.frame.filter(DELAYED).height
        admin = Broker(self.servers.kafka)

        def done() -> bool:
            return admin.messages(target, flights.PARTITIONS) >= expected

        return self._worker(name, job, done, workers)

    def kafka_postgres(self) -> Result:
        """Measure all columns of every flight into a table."""
        name = f"{self.runner.label}kafka-postgres"
        table = f"bench_{name}".replace("-", "_")
        sink = f'type = "postgres"\ntable = "{table}"'
        job = replace(self._job(name, sink), table=table)
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:

            def done() -> bool:
                return self.runner.committed(connection, job) >= len(self.batch)

            result = self._worker(name, job, done, workers=1)
            found = count(connection, table)
        if found != len(self.batch):
            message = f"the table holds {found} of {len(self.batch)} rows"
            raise RuntimeError(message)
        return result

    def _job(self, name: str, sink: str, transform: str = "") -> Job:
        case = Case(f"bench-{name}", f"bench-{name}-in", sink, transform)
        return Job(case, self.servers, case.write(self.folder))

    def _worker(
        self, name: str, job: Job, done: Callable[[], bool], workers: int
    ) -> Result:
        """Start the workers, let the messages through, wait for the last row."""
        kafka, case = self.servers.kafka, job.case
        gate = Gate(kafka, case.topic, self.batch)
        flights.create_topic(kafka, case.dead_letters)
        admin = Broker(kafka)
        with ExitStack() as running:
            children = [
                running.enter_context(
                    Measured(
                        self.runner.command(job),
                        folder=self.folder,
                        name=f"{case.name}-{number}",
                    )
                )
                for number in range(workers)
            ]

            def check() -> None:
                for child in children:
                    child.check()

            def shared() -> bool:
                shares = admin.shares(self.runner.group(job))
                return shared_by(workers, flights.PARTITIONS, shares)

            wait_until(shared, f"{workers} to share the work", check=check, every_s=0.2)
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


def count(connection: Connection, table: str) -> int:
    """Return the number of rows of a table, 0 if it is not there."""
    there = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
    if there in (None, (None,)):
        return 0
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
    found = connection.execute(query).fetchone()
    return int(str(found[0])) if found else 0
