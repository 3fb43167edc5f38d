"""Running a query: the events in Kafka, a worker on them, its rows in PostgreSQL."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from confluent_kafka import OFFSET_BEGINNING, TIMESTAMP_LOG_APPEND_TIME, Consumer
from confluent_kafka import TopicPartition as Place

from benchmarks.nexmark.generator import KEYS, Events, schema
from benchmarks.nexmark.oracle import answers
from benchmarks.nexmark.queries import QUERIES, SIDE
from demo import flights
from demo.process import Measured
from demo.project import Servers
from streamlab.contracts import odcs

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("streamlab"))
KILL_AT = 3  # the epoch in which the worker is killed
RELATIVE = 1e-9  # how far floats may be apart
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Run:
    """How a query is run once.

    Attributes:
        query: Its name.
        epoch_rows: Most events of an epoch.
        killed: Whether the worker is killed in the middle and started again.
    """

    query: str
    epoch_rows: int
    killed: bool = False

    @property
    def name(self) -> str:
        """Return the name of its pipeline."""
        return f"nexmark-{self.query}-{self.epoch_rows}{'-killed' * self.killed}"

    @property
    def table(self) -> str:
        """Return the table of its rows."""
        return self.name.replace("-", "_")


@dataclass(frozen=True)
class Outcome:
    """What a run has given.

    Attributes:
        rows: Rows in the table.
        equal: Whether they are those of the oracle.
        seconds: What the worker says that its run took, from connecting on.
        peak_rss_mb: Its largest resident set, in 10^6 bytes.
        difference: What differs first, in words; empty where nothing does.
    """

    rows: int
    equal: bool
    seconds: float
    peak_rss_mb: float
    difference: str = ""


@dataclass(frozen=True)
class Suite:
    """The events on their servers.

    Attributes:
        servers: The servers.
        events: The events; sent by :meth:`send`.
        folder: Where pipelines and logs are written.
        prefix: Begins the names of the topics.
    """

    servers: Servers
    events: Events
    folder: Path
    prefix: str = ""

    def send(self) -> None:
        """Create the topics and send the events."""
        for stream in self.events.frames:
            config = {"message.timestamp.type": "LogAppendTime"}  # for q12
            topic = f"{self.prefix}{stream}"
            flights.create_topic(
                self.servers.kafka, topic, partitions=flights.PARTITIONS, **config
            )
            frame = self.events.sent(stream)
            text = io.BytesIO()
            frame.write_ndjson(text)
            producer = flights.producer(self.servers.kafka)
            keys = frame[KEYS[stream]].cast(pl.String).to_list()
            for key, value in zip(keys, text.getvalue().splitlines(), strict=True):
                producer.produce(topic, value, key)
                producer.poll(0)
            producer.flush()

    def run(self, run: Run) -> Outcome:
        """Run a query, and compare its rows with the oracle's."""
        home = self._written(run)
        options = ["run", str(home), "--until-caught-up", "--finish"]
        if run.killed:
            places = {"STREAMLAB_FAILPOINT": f"after-transform=kill@{KILL_AT}"}
            dying = self._worker(run, options, places)
            code = dying.wait(PATIENCE_S)
            if code != -signal.SIGKILL:
                message = f"{run.name} was to be killed and ended with {code}"
                raise RuntimeError(message)
        worker = self._worker(run, options, {})
        with worker:
            code = worker.wait(PATIENCE_S)
        if code:
            raise RuntimeError(worker.log.read_text(errors="replace")[-2_000:])
        seconds = _told(worker.log)["seconds"]
        expected = answers(self._frames, run.query)
        found = self._rows(run.table, expected)
        difference = differs(found, expected)
        return Outcome(
            found.height, not difference, seconds, worker.peak_rss_mb, difference
        )

    def messages(self, query: str) -> int:
        """Return how many events the query reads."""
        streams = QUERIES[query].streams
        return sum(self.events.frames[stream].height for stream in streams)

    def _worker(
        self, run: Run, options: list[str], environment: Mapping[str, str]
    ) -> Measured:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        return Measured(
            [COMMAND, *options],
            folder=self.folder,
            name=run.name,
            environment={**environment, "PYTHONPATH": os.pathsep.join(paths)},
        )

    def _written(self, run: Run) -> Path:
        """Write the pipeline's files and return their folder."""
        home = self.folder / run.name
        home.mkdir(parents=True, exist_ok=True)
        query = QUERIES[run.query]
        for stream in query.streams:
            odcs.save(schema(stream), home / f"{stream}.yaml")
        names = [f'"benchmarks.nexmark.queries:{name}"' for name in query.functions]
        several = len(query.streams) > 1
        sources = "".join(
            f"[{f'sources.{stream}' if several else 'source'}]\n"
            f'type = "kafka"\ntopic = "{self.prefix}{stream}"\nformat = "json"\n'
            f'schema = "{stream}.yaml"\n'
            for stream in query.streams
        )
        key = ", ".join(f'"{name}"' for name in query.key)
        mode = f'mode = "{query.mode}"\nkey = [{key}]\n' if key else ""
        (home / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{run.name}"\ntransforms = [{", ".join(names)}]\n'
            f"{sources}"
            f'[sink]\ntype = "postgres"\ntable = "{run.table}"\n{mode}'
            f'[dead_letters]\nfile = "dead.jsonl"\n'
            f"[engine]\nmax_rows = {run.epoch_rows}\n"
        )
        return home

    @cached_property
    def _frames(self) -> Mapping[str, pl.DataFrame]:
        """Return the tables of the oracle's SQL."""
        arrivals = pl.DataFrame(
            self._arrivals(), schema=["bidder", "arrived"], orient="row"
        )
        return {**self.events.frames, "side": SIDE, "arrivals": arrivals}

    def _arrivals(self) -> list[tuple[int, int]]:
        """Return the bidder of each bid and when the broker took it, in ms."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers.kafka,
                "group.id": "nexmark-oracle",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        consumer.assign(
            [
                Place(f"{self.prefix}bids", n, OFFSET_BEGINNING)
                for n in range(flights.PARTITIONS)
            ]
        )
        values, times, ended = [], [], 0
        while ended < flights.PARTITIONS:
            for message in consumer.consume(10_000, 1.0):
                if message.error() is not None:
                    ended += 1
                    continue
                kind, time_ms = message.timestamp()
                assert kind == TIMESTAMP_LOG_APPEND_TIME
                values.append(message.value() or b"")
                times.append(time_ms)
        consumer.close()
        bidders = pl.read_ndjson(b"\n".join(values))["bidder"].to_list()
        return list(zip(bidders, times, strict=True))

    def _rows(self, table: str, expected: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a table with the columns and dtypes of the oracle's."""
        columns = ", ".join(f'"{name}"' for name in expected.columns)
        with psycopg.connect(self.servers.postgres) as connection:
            rows = connection.execute(f"SELECT {columns} FROM {table}").fetchall()
        found = pl.DataFrame(
            rows, schema=expected.columns, orient="row", infer_schema_length=None
        )
        return found.select(
            (
                pl.col(name).dt.epoch("ms")
                if isinstance(found.schema[name], pl.Datetime)
                else pl.col(name)
            ).cast(dtype)
            for name, dtype in expected.schema.items()
        )


def _told(log: Path) -> dict[str, Any]:
    """Return what a worker says when it ends."""
    told: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    return told


def differs(found: pl.DataFrame, expected: pl.DataFrame) -> str:
    """Return how two frames differ as multisets of rows; empty where they do not.

    Floats may be apart by :data:`RELATIVE` of their size.
    """
    if found.height != expected.height:
        return f"{found.height:,} rows instead of {expected.height:,}"
    floats = [name for name, dtype in expected.schema.items() if dtype.is_float()]
    order = [name for name in expected.columns if name not in floats] + floats
    left, right = found.sort(order), expected.sort(order)
    for name in order:
        a, b = left[name], right[name]
        same = (
            (a - b).abs() <= RELATIVE * b.abs() if name in floats else a.eq_missing(b)
        )
        if not same.all():
            return f"column {name}: {(~same).sum():,} of {found.height:,} rows differ"
    return ""
