"""State on a real broker: tasks that move between workers, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Producer

from streamlab.engines.local.keyed import partition_of
from streamlab.pipelines import Keyed

pytestmark = pytest.mark.integration

COUNT = 2_000
MINUTE_MS = 60_000
FLOWS = """
import polars as pl
import streamlab as sl

@sl.transform(
    window=sl.tumbling("1m", on=sl.event_time("at", bound="5s")), keys=["key"]
)
def summed(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.group_by("window_start", "key").agg(pl.col("id").sum())
"""
SCHEMA = """
apiVersion: v3.1.0
kind: DataContract
schema:
  - name: events
    properties:
      - {name: id, logicalType: integer}
      - {name: key, logicalType: string}
      - {name: at, logicalType: integer}
"""


class Project:
    """A pipeline's folder, and the processes that run it."""

    def __init__(self, folder: Path, kafka: str, postgres: str, topic: str) -> None:
        self.folder, self.running = folder, list[subprocess.Popen[bytes]]()
        self.table = f"state_{topic.replace('-', '_')}"[:50]
        self.name = self.table.replace("_", "-")[:40]
        (folder / "flows.py").write_text(FLOWS)
        (folder / "schema.yaml").write_text(SCHEMA)
        (folder / "streamlab.toml").write_text(
            'default_profile = "here"\n[profiles.here.kafka]\n'
            f'"bootstrap.servers" = "{kafka}"\n'
            f'[profiles.here.postgres]\ndsn = "{postgres}"\n'
        )
        self.topic = topic
        self.write()

    def write(self, keyed_by: str = "", name: str = "") -> None:
        """Write the pipeline's file."""
        self.name = name or self.name
        (self.folder / "pipeline.toml").write_text(
            f'[pipeline]\nname = "{self.name}"\ntransform = "flows:summed"\n'
            f'[source]\ntype = "kafka"\ntopic = "{self.topic}"\nformat = "json"\n'
            f'schema = "schema.yaml"\n{keyed_by}\n'
            f'[sink]\ntype = "postgres"\ntable = "{self.table}"\n'
            '[dead_letters]\nfile = "dead.jsonl"\n[engine]\nmax_rows = 200\n'
        )

    def start(self, command: str = "run", *options: str) -> subprocess.Popen[bytes]:
        """Start a command on the pipeline."""
        log = (self.folder / "log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "streamlab.cli", command, *options],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.running.append(process)
        return process

    def call(self, command: str, *options: str) -> int:
        """Run a command to its end, and return its code."""
        return self.start(command, *options).wait(90)

    def log(self) -> str:
        """Return what was said."""
        return (self.folder / "log").read_text(errors="replace")


@pytest.fixture
def project(
    tmp_path: Path,
    kafka_address: str,
    postgres_dsn: str,
    make_topic: Callable[..., str],
) -> Iterator[Project]:
    made = Project(tmp_path, kafka_address, postgres_dsn, make_topic(partitions=4))
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.wait(10)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(f"drop table if exists {made.table}")


def send(
    address: str, topic: str, first: int, count: int, *, by_key: bool = True
) -> None:
    """Send events, spread by their keys as Java's clients do, or in turn."""
    options = {"partitioner": "murmur2_random", "enable.idempotence": True}
    producer = Producer({"bootstrap.servers": address, **options})
    for number in range(first, first + count):
        key = f"k{number % 11}"
        event = {"id": number, "key": key, "at": number * 400}
        place = {} if by_key else {"partition": number % 4}
        producer.produce(topic, json.dumps(event), key=key, **place)
    assert producer.flush(20) == 0


def spread(count: int) -> dict[int, int]:
    """Return how many of the first events each partition has."""
    found = dict.fromkeys(range(4), 0)
    for number in range(count):
        found[partition_of(f"k{number % 11}".encode(), Keyed(("key",)), 4)] += 1
    return found


def named(positions: dict[int, int]) -> str:
    """Return positions as the command line takes them."""
    return ",".join(f"{number}={at}" for number, at in positions.items())


def expected(count: int) -> list[tuple[int, str, int]]:
    """Return all windows of the first events."""
    sums: dict[tuple[int, str], int] = {}
    for number in range(count):
        place = (number * 400 // MINUTE_MS * MINUTE_MS, f"k{number % 11}")
        sums[place] = sums.get(place, 0) + number
    return sorted((start, key, total) for (start, key), total in sums.items())


def found(dsn: str, table: str) -> list[tuple[int, str, int]]:
    """Return the windows in a table."""
    with psycopg.connect(dsn) as connection:
        if connection.execute("select to_regclass(%s)", [table]).fetchone() == (None,):
            return []
        rows = connection.execute(
            f"select extract(epoch from window_start) * 1000, key, id from {table}"
        ).fetchall()
    return sorted((int(start), key, int(total)) for start, key, total in rows)


def until(holds: Callable[[], bool], seconds: float = 25) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_keys_choose_the_partitions_that_the_broker_client_chooses(
    kafka_address: str, make_topic: Callable[..., str]
) -> None:
    """What is recomputed is what librdkafka does, for both partitioners."""
    topic = make_topic(partitions=5)
    for partitioner, ours in [("murmur2", "murmur2"), ("consistent", "crc32")]:
        producer = Producer(
            {"bootstrap.servers": kafka_address, "partitioner": partitioner}
        )
        chosen: dict[bytes, int] = {}

        def note(_error: object, message: object, into=chosen) -> None:  # type: ignore[no-untyped-def, attr-defined]
            into[message.key()] = message.partition()  # type: ignore[attr-defined]

        keys = [b"", *(f"key-{number}".encode()[: number % 9] for number in range(60))]
        for key in filter(None, keys):
            producer.produce(topic, b"", key=key, on_delivery=note)
        assert producer.flush(20) == 0
        keyed = Keyed(("key",), ours)  # type: ignore[arg-type]
        assert chosen
        assert {key: partition_of(key, keyed, 5) for key in chosen} == chosen


def test_tasks_move_between_workers_with_their_state(
    project: Project, kafka_address: str, postgres_dsn: str
) -> None:
    """Workers come, are killed and go; each window comes out whole and once."""
    project.write('keyed_by = ["key"]')
    send(kafka_address, project.topic, 0, COUNT // 4)
    first = project.start("run", ".", "--worker", "first")
    until(lambda: len(found(postgres_dsn, project.table)) > 0)
    second = project.start("run", ".", "--worker", "second")
    until(lambda: project.log().count("reading ") >= 3)
    send(kafka_address, project.topic, COUNT // 4, COUNT // 4)
    time.sleep(2)
    first.kill()
    send(kafka_address, project.topic, COUNT // 2, COUNT // 4)
    third = project.start("run", ".", "--worker", "third")
    time.sleep(4)
    second.terminate()
    assert second.wait(40) == 0
    send(kafka_address, project.topic, 3 * COUNT // 4, COUNT // 4)
    third.terminate()
    assert third.wait(40) == 0
    assert project.call("run", ".", "--finish") == 0, project.log()
    assert found(postgres_dsn, project.table) == expected(COUNT)


def test_a_second_worker_of_state_that_spans_partitions_is_refused(
    project: Project, kafka_address: str, postgres_dsn: str
) -> None:
    """It leaves with the reason, and the first one goes on with all of it."""
    send(kafka_address, project.topic, 0, COUNT // 2, by_key=False)
    first = project.start("run", ".", "--worker", "first")
    until(lambda: len(found(postgres_dsn, project.table)) > 0)
    assert project.call("run", ".", "--worker", "second") == 1
    assert "one worker must read them all" in project.log()
    assert "keyed_by" in project.log()
    before = len(found(postgres_dsn, project.table))
    send(kafka_address, project.topic, COUNT // 2, COUNT // 2, by_key=False)
    until(lambda: len(found(postgres_dsn, project.table)) > before)
    first.terminate()
    assert first.wait(40) == 0
    assert project.call("run", ".", "--finish") == 0, project.log()
    assert found(postgres_dsn, project.table) == expected(COUNT)


def test_a_backfill_hands_over_at_the_right_offset(
    project: Project, kafka_address: str, postgres_dsn: str
) -> None:
    """A span is read exactly; the next run reads on behind it, with open windows."""
    send(kafka_address, project.topic, 0, COUNT)
    half = {number: count // 2 for number, count in spread(COUNT).items()}
    assert project.call("run", ".", "--until", named(half)) == 0, project.log()
    summary = json.loads(project.log().splitlines()[-1])
    assert summary["positions"] == {
        f"{project.topic}/{number}": at for number, at in half.items()
    }
    beyond = {number: at + COUNT for number, at in half.items()}
    assert project.call("run", ".", "--until", named(beyond)) == 1
    assert "has no position" in project.log()
    assert project.call("run", ".", "--finish") == 0, project.log()
    assert found(postgres_dsn, project.table) == expected(COUNT)


def test_a_pipeline_of_another_name_begins_from_a_savepoint(
    project: Project, kafka_address: str, postgres_dsn: str
) -> None:
    """It goes on with the windows that were open, where the other one stopped."""
    send(kafka_address, project.topic, 0, COUNT)
    place = "saved"
    half = {number: count // 2 for number, count in spread(COUNT).items()}
    options = ("--until", named(half), "--savepoint", place)
    assert project.call("run", ".", *options) == 0, project.log()
    project.write(name=f"{project.name}-b"[:60])
    options = ("--from-savepoint", place, "--finish")
    assert project.call("run", ".", *options) == 0, project.log()
    assert found(postgres_dsn, project.table) == expected(COUNT)
    assert project.call("run", ".", *options) == 1
    assert "has run before" in project.log()


def test_state_is_shown_and_reset(
    project: Project, kafka_address: str, postgres_dsn: str
) -> None:
    """A reset drops what is held, and a finished pipeline runs again behind it."""
    send(kafka_address, project.topic, 0, COUNT)
    assert project.call("run", ".", "--finish") == 0, project.log()
    assert project.call("state", "show", ".") == 0
    assert "watermark the end" in project.log()
    assert project.call("run", ".", "--until-caught-up") == 1
    assert "was finished" in project.log()
    reset = ("reset", ".", "--to", "earliest", "--yes")
    assert project.call("state", *reset) == 0, project.log()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(f"truncate {project.table}")
    assert project.call("run", ".", "--finish") == 0, project.log()
    assert found(postgres_dsn, project.table) == expected(COUNT)
