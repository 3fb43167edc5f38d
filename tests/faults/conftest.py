"""What fault tests share: events with an oracle, and workers that can be killed.

The oracle knows nothing of streamlab: it compares what was acknowledged by the broker
with what psycopg and a bare consumer find.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, IsolationLevel, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

KEYS = 7
POISON_EVERY = 50

FLOWS = '''
"""The transform under test."""

import polars as pl

import streamlab as sl


@sl.transform
def kept(events: pl.LazyFrame) -> pl.LazyFrame:
    """Drop every tenth event."""
    return events.filter(pl.col("id") % 10 != 0)
'''

SCHEMA = """
apiVersion: v3.1.0
kind: DataContract
schema:
  - name: events
    properties:
      - {name: id, logicalType: integer}
      - {name: key, logicalType: string}
      - {name: seq, logicalType: integer}
"""


@dataclass
class Events:
    """Events that a broker has acknowledged, and what must become of them.

    Attributes:
        address: The broker.
        topic: Where they are.
        sent: Ids of good events; every tenth is dropped by the transform.
        poison: How many values do not decode.
    """

    address: str
    topic: str
    sent: list[int] = field(default_factory=list)
    poison: int = 0

    def send(self, count: int) -> None:
        """Add events behind those that are there, poison in between."""
        producer = Producer({"bootstrap.servers": self.address, "linger.ms": 5})
        for number in range(len(self.sent), len(self.sent) + count):
            event = {"id": number, "key": f"k{number % KEYS}", "seq": number // KEYS}
            producer.produce(self.topic, json.dumps(event), key=event["key"])
            self.sent.append(number)
            if number % POISON_EVERY == 0:
                producer.produce(self.topic, b"\x00poison", key=event["key"])
                self.poison += 1
        assert producer.flush(20) == 0

    @property
    def expected(self) -> Counter[int]:
        """Return how often each id must be in the sink."""
        return Counter(number for number in self.sent if number % 10)


@dataclass(frozen=True)
class Verdict:
    """What the oracle found."""

    lost: int
    doubled: int
    phantom: int

    @classmethod
    def of(cls, found: Iterable[int], expected: Counter[int]) -> Verdict:
        """Compare ids with what must be there."""
        counted = Counter(found)
        return cls(
            lost=len(expected.keys() - counted.keys()),
            doubled=sum(count - 1 for count in counted.values() if count > 1),
            phantom=len(counted.keys() - expected.keys()),
        )


RIGHT = Verdict(0, 0, 0)


@dataclass
class Project:
    """A folder with a pipeline, and the processes that run it."""

    folder: Path
    name: str
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def write(self, topic: str, sink: str, dead_letters: str, engine: str = "") -> None:
        """Write the pipeline's files."""
        (self.folder / "flows.py").write_text(FLOWS)
        (self.folder / "schema.yaml").write_text(SCHEMA)
        (self.folder / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{self.name}"\ntransform = "flows:kept"\n'
            f'[source]\ntype = "kafka"\ntopic = "{topic}"\nformat = "json"\n'
            f'schema = "schema.yaml"\n[sink]\n{sink}\n'
            f"[dead_letters]\n{dead_letters}\n[engine]\n{engine}\n"
        )

    def start(
        self, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker."""
        log = (self.folder / "worker.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlab.cli", "run", ".", *options],
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.running.append(process)
        return process

    def finish(self, **environment: str) -> int:
        """Run a worker until it has caught up, and return its exit code."""
        return self.start("--until-caught-up", environment=environment).wait(90)

    def log(self) -> str:
        """Return what the workers have said."""
        return (self.folder / "worker.log").read_text(errors="replace")

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait(10)


@pytest.fixture
def make_project(
    tmp_path: Path, kafka_address: str, postgres_dsn: str
) -> Iterator[Callable[..., Project]]:
    """Return a function that makes a project whose settings name the servers."""
    made: list[Project] = []

    def make(kafka: str = kafka_address, postgres: str = postgres_dsn) -> Project:
        project = Project(tmp_path, f"faults-{uuid.uuid4().hex[:8]}")
        (tmp_path / "streamlab.toml").write_text(
            'default_profile = "here"\n[profiles.here.kafka]\n'
            f'"bootstrap.servers" = "{kafka}"\n'
            f'[profiles.here.postgres]\ndsn = "{postgres}"\n'
        )
        made.append(project)
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture
def table(postgres_dsn: str) -> Iterator[str]:
    """Return the name of a table that is dropped in the end."""
    name = f"faults_{uuid.uuid4().hex[:8]}"
    yield name
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(f"drop table if exists {name}")


def rows_of(dsn: str, table: str) -> list[int]:
    """Return the ids in a table."""
    with psycopg.connect(dsn) as connection:
        return [row[0] for row in connection.execute(f"select id from {table}")]


def messages_of(address: str, topic: str) -> list[tuple[int, int, bytes]]:
    """Return partition, offset and value of every committed message of a topic."""
    _await_closed_transactions(address, topic)
    consumer = Consumer(
        {
            "bootstrap.servers": address,
            "group.id": f"oracle-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, ended, deadline = [], set(), time.monotonic() + 30
    while len(ended) < len(partitions) and time.monotonic() < deadline:
        for message in consumer.consume(10_000, 0.2):
            if message.error() is not None:
                ended.add(message.partition())
            else:
                found.append((message.partition(), message.offset(), message.value()))
    consumer.close()
    return found


def _await_closed_transactions(address: str, topic: str) -> None:
    """Wait until the broker has aborted what a killed worker left open.

    Until then, which is ``transaction.timeout.ms`` after the kill, a reader of
    committed messages sees nothing behind it, and would take for lost what only waits.
    """
    admin = AdminClient({"bootstrap.servers": address})
    partitions = admin.list_topics(topic, 10).topics[topic].partitions
    latest = {TopicPartition(topic, n): OffsetSpec.latest() for n in partitions}

    def ends(isolation: IsolationLevel) -> list[int]:
        found = admin.list_offsets(latest, isolation_level=isolation)
        return [found[one].result(10).offset for one in latest]

    deadline = time.monotonic() + 30
    while ends(IsolationLevel.READ_COMMITTED) != ends(IsolationLevel.READ_UNCOMMITTED):
        assert time.monotonic() < deadline, f"a transaction in {topic} stays open"
        time.sleep(0.2)


def ids_of(address: str, topic: str) -> list[int]:
    """Return the ids in a topic."""
    return [json.loads(value)["id"] for *_, value in messages_of(address, topic)]
