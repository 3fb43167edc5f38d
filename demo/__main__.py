"""The main job, end to end, on real data: ``make demo``.

Starts servers of its own under ``.streamlab/demo``, loads the flights with poison
among them, runs the tutorial notebook by papermill, installs the package that the
notebook exported, kills its worker in the middle, starts it again, and proves the
table against polars on the original frame. A second run is paced, for the latency.
"""

from __future__ import annotations

import os
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psycopg
from confluent_kafka import Consumer, TopicPartition

from demo import flights, install, load, oracle, paced, project
from demo.broker import Broker, wait_until
from demo.commits import CommitWatch, Latency, positions, seen_at
from demo.process import Measured
from demo.report import Report
from streamlab import headless

HOME = Path(".streamlab/demo").resolve()
SOURCE = Path("notebooks/01_delayed_flights.py")
PARAMETERS = {"SAMPLE_EVENTS": 20_000}
PACKAGE = Path("pipelines/delayed_flights")
PIPELINES_OF_THE_NOTEBOOK = {"streamlab.long_haul"}
BYSTANDER = "bystander"
BYSTANDER_AT = 1_000
KILL_AFTER = 0.2
"""Part of the events that is committed before the worker is killed."""
PACE = paced.Pace(rate=5_000, seconds=10)
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Export:
    """What the exported package says about itself.

    Attributes:
        command: Name of its command.
        pipeline: Name of its pipeline.
        table: Where its rows go.
        dead_letters: File of its dead letters.
    """

    command: str
    pipeline: str
    table: str
    dead_letters: Path

    @classmethod
    def read(cls, folder: Path) -> Export:
        """Read the package's own files."""
        project_file = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
        (command,) = project_file["project"]["scripts"]
        (file,) = folder.rglob("pipeline.toml")
        stored = tomllib.loads(file.read_text("utf-8"))
        return cls(
            command=command,
            pipeline=stored["pipeline"]["name"],
            table=stored["sink"]["table"],
            dead_letters=HOME / stored["dead_letters"]["file"],
        )


class Stages:
    """Says what is being done, and keeps how long each stage took."""

    def __init__(self) -> None:
        """Start the clock."""
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str, text: str) -> Iterator[None]:
        """Announce one stage and time it."""
        self.say(text)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 2)

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        print(f"{time.perf_counter() - self._started:5.1f} s  {text}", flush=True)

    def finished(self) -> dict[str, float]:
        """Return the stages and their total."""
        total = time.perf_counter() - self._started
        return {**self.seconds, "total": round(total, 2)}


class Demo:
    """One run of the demo on running servers."""

    def __init__(self, servers: project.Servers, stages: Stages) -> None:
        """Keep what every stage needs."""
        self.servers, self.stages = servers, stages
        self.broker = Broker(servers.kafka)

    def run(self) -> Report:
        """Carry out every stage and return the report."""
        stage = self.stages.stage
        with stage("load", "loading 336,776 flights, and poison among them"):
            frame = flights.flights()
            load.load(self.servers.kafka)
        with stage("notebook", f"running {SOURCE} by papermill"):
            touched = self._notebook()
        with stage("install", "building the wheel, installing the exported package"):
            export, commands = self._install()
        with stage("verify", "running the installed package on its sample"):
            install.verify(commands, PACKAGE, folder=HOME)
        with stage("run", f"running {export.command}"):
            kills = self._run_with_a_kill(export, commands)
        with stage("proof", "comparing with polars on the original frame"):
            wanted = oracle.expected(frame)
            found = oracle.stored(self.servers.postgres, export.table, wanted)
            difference = oracle.Difference.between(wanted, found)
            events_in = self.broker.messages(flights.TOPIC, flights.PARTITIONS)
            dead = self._dead_letters(frame, export)
        with stage("paced", f"a second run at {PACE.rate:,} events/s"):
            latency = self._paced(export, commands, wanted)
        return Report(
            events_in=events_in,
            events_out=found.height,  # the transform makes at most one row of an event
            filtered=frame.height - wanted.height,
            dead_lettered=dead,
            rows_expected=wanted.height,
            rows_in_sink=found.height,
            lost=difference.lost,
            doubled=difference.doubled,
            kills=kills,
            groups_touched_by_tap=touched,
            seconds=self.stages.finished(),
            p50_ms=round(latency.p50_ms, 1),
            p99_ms=round(latency.p99_ms, 1),
        )

    def _notebook(self) -> int:
        """Run the notebook; return how many consumer groups a tap made or moved."""
        bystander = Consumer(
            {
                "bootstrap.servers": self.servers.kafka,
                "group.id": BYSTANDER,
                "log_level": flights.QUIET,
            }
        )
        mine = [
            TopicPartition(flights.TOPIC, partition, BYSTANDER_AT)
            for partition in range(flights.PARTITIONS)
        ]
        bystander.commit(offsets=mine, asynchronous=False)
        before = self.broker.groups()
        ran = headless.run([SOURCE], PARAMETERS, output=HOME / "notebook", folder=HOME)
        after = bystander.committed(mine, timeout=flights.SECONDS)
        bystander.close()
        if not ran.passed:
            raise RuntimeError(str(ran))
        made = self.broker.groups() - before - PIPELINES_OF_THE_NOTEBOOK
        moved = any(partition.offset != BYSTANDER_AT for partition in after)
        return len(made) + moved

    def _install(self) -> tuple[Export, Path]:
        """Install the exported package; return what it is and where its command is."""
        install.wheel(HOME / "dist")
        commands = install.environment(HOME / "venv")
        install.install(commands, HOME / PACKAGE, HOME / "dist")
        return Export.read(HOME / PACKAGE), commands

    def _run_with_a_kill(self, export: Export, commands: Path) -> int:
        """Run the worker, kill it in the middle, run it until it has caught up."""
        command = [str(commands / export.command), "--until-caught-up"]
        ends = self.broker.ends(flights.TOPIC, flights.PARTITIONS)
        with psycopg.connect(self.servers.postgres, autocommit=True) as connection:

            def committed() -> int:
                return sum(positions(connection, export.pipeline).values())

            with Measured(command, folder=HOME, name="worker-1") as worker:
                wait_until(
                    lambda: committed() >= KILL_AFTER * sum(ends.values()),
                    "the worker to be in the middle",
                    check=worker.check,
                    every_s=0.002,
                )
                worker.kill()
            at = committed()
            if at >= sum(ends.values()):
                message = "the worker had finished before it could be killed"
                raise RuntimeError(message)
            self.stages.say(f"killed it at {at:,} events by SIGKILL, starting it again")
            with Measured(command, folder=HOME, name="worker-2") as worker:
                worker.wait(120)
            left = set(ends.items()) - set(
                positions(connection, export.pipeline).items()
            )
        if left:
            message = f"the worker did not read to the end of partitions {sorted(left)}"
            raise RuntimeError(message)
        return 1

    def _dead_letters(self, frame: pl.DataFrame, export: Export) -> int:
        """Return the number of dead letters, after a check that they are the poison."""
        good = {value for value in flights.messages(frame).values if value}
        poison = oracle.foreign(self.servers.kafka, flights.TOPIC, good)
        found = oracle.dead_letters(export.dead_letters)
        if found != poison:
            wrong = {origin for origin, _ in found.items() ^ poison.items()}
            message = f"{len(wrong)} dead letters are not the poison, byte by byte"
            raise RuntimeError(message)
        return len(found)

    def _paced(self, export: Export, commands: Path, before: pl.DataFrame) -> Latency:
        """Run the worker while events come at a steady pace; prove the table again."""
        log = HOME / "sent.parquet"
        with (
            psycopg.connect(self.servers.postgres, autocommit=True) as connection,
            CommitWatch(self.servers.postgres, export.pipeline) as watch,
            Measured(
                [str(commands / export.command)], folder=HOME, name="worker-3"
            ) as w,
        ):
            with paced.start(self.servers.kafka, flights.TOPIC, PACE, log) as sender:
                if sender.wait(PACE.seconds + 60):
                    message = "the paced producer failed"
                    raise RuntimeError(message)
            ends = self.broker.ends(flights.TOPIC, flights.PARTITIONS)
            wait_until(
                lambda: positions(connection, export.pipeline) == ends,
                "the last events to be committed",
                check=w.check,
                timeout_s=30,
            )
            time.sleep(0.1)  # the watch looks every few milliseconds
        wanted = pl.concat([before, oracle.expected(paced.sent_flights(PACE))])
        found = oracle.stored(self.servers.postgres, export.table, wanted)
        if oracle.Difference.between(wanted, found) != oracle.Difference(0, 0):
            message = "the table is not what it should be after the paced run"
            raise RuntimeError(message)
        seen = seen_at(pl.read_parquet(log), watch.moves())
        return Latency.of(seen, warm_up_s=WARM_UP_S)


def main() -> int:
    """Run the demo, write and print the report; 1 if a promise was not kept."""
    stages = Stages()
    stages.say("starting Kafka and PostgreSQL")
    with project.fresh(HOME, stages.say) as servers:
        report = Demo(servers, stages).run()
    report.write(HOME / "report.json")
    print(f"\n{report.table()}\n")
    shown = [HOME / "report.json", HOME / "notebook" / "report.html"]
    print("\n".join(f"  {os.path.relpath(path)}" for path in shown))
    for complaint in report.complaints():
        print(f"  NOT AS PROMISED: {complaint}")
    return 1 if report.complaints() else 0


if __name__ == "__main__":
    sys.exit(main())
