"""Servers that stop, die and come back; workers that share, freeze and are stopped."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streamlab.stack import Stack
from tests.faults.conftest import RIGHT, Events, Project, Verdict, rows_of

pytestmark = pytest.mark.integration

ENGINE = "max_rows = 500"


def wait_for(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("select to_regclass(%s)", [table]).fetchone()
        if found == (None,):
            return 0
        row = connection.execute(f"select count(*) from {table}").fetchone()
        return 0 if row is None else row[0]


@pytest.fixture
def events(kafka_address: str, make_topic: Callable[..., str]) -> Events:
    return Events(kafka_address, make_topic(partitions=4))


def postgres_project(
    make_project: Callable[..., Project], topic: str, table: str, **servers: str
) -> Project:
    project = make_project(**servers)
    project.write(
        topic,
        f'type = "postgres"\ntable = "{table}"',
        'file = "dead.jsonl"',
        ENGINE,
    )
    return project


def test_sigterm_finishes_what_was_read_and_exits_0(
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """A stopped worker leaves nothing half done, and the next one reads on."""
    events.send(5_000)
    project = postgres_project(make_project, events.topic, table)
    worker = project.start()
    wait_for(lambda: count(postgres_dsn, table) > 0)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, project.log()
    events.send(1_000)
    assert project.finish() == 0, project.log()
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected) == RIGHT


def test_both_servers_may_stop_and_come_back(
    own_stack: Callable[..., Stack], make_project: Callable[..., Project]
) -> None:
    """An outage of the sink, then of the broker, needs no restart of the worker."""
    servers = own_stack()
    topic, table = "outage", "outage"
    admin = AdminClient({"bootstrap.servers": servers.kafka})
    admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(20)
    events = Events(servers.kafka, topic)
    events.send(1_000)
    project = postgres_project(
        make_project, topic, table, kafka=servers.kafka, postgres=servers.postgres
    )
    worker = project.start()
    wait_for(lambda: count(servers.postgres, table) == 900)

    servers.server("postgres").kill()
    events.send(1_000)
    time.sleep(3)
    assert worker.poll() is None, project.log()
    servers.server("postgres").start()
    wait_for(lambda: count(servers.postgres, table) == 1_800)

    servers.server("kafka").kill()
    time.sleep(3)
    assert worker.poll() is None, project.log()
    servers.server("kafka").start()
    events.send(1_000)
    wait_for(lambda: count(servers.postgres, table) == 2_700)
    worker.terminate()
    assert worker.wait(30) == 0, project.log()
    assert Verdict.of(rows_of(servers.postgres, table), events.expected) == RIGHT


def test_workers_share_the_partitions_and_survive_a_kill(
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """Three workers of one pipeline, one killed under load: every row once."""
    project = postgres_project(make_project, events.topic, table)
    workers = [project.start("--worker", f"w{number}") for number in range(3)]
    for step in range(6):
        events.send(500)
        if step == 3:
            workers[0].kill()
    wait_for(lambda: count(postgres_dsn, table) >= len(list(events.expected)))
    for worker in workers[1:]:
        worker.terminate()
    assert [worker.wait(30) for worker in workers[1:]] == [0, 0], project.log()
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected) == RIGHT


def test_a_frozen_worker_cannot_write_when_it_wakes(
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """A zombie, stopped in its transaction and overtaken, doubles nothing."""
    events.send(2_000)
    project = postgres_project(make_project, events.topic, table)
    zombie = project.start(
        environment={"STREAMLAB_FAILPOINT": "after-dead-letters=stop@2"}
    )
    wait_for(lambda: _stopped(zombie.pid))
    other = project.start("--until-caught-up")
    assert other.wait(90) == 0, project.log()
    os.kill(zombie.pid, signal.SIGCONT)
    events.send(500)
    wait_for(lambda: count(postgres_dsn, table) >= len(list(events.expected)))
    zombie.terminate()
    zombie.wait(30)
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected) == RIGHT


def test_a_recreated_topic_stops_the_worker_with_both_incarnations(
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    kafka_address: str,
) -> None:
    """Positions of the old topic are never used in the new one."""
    events.send(200)
    project = postgres_project(make_project, events.topic, table)
    assert project.finish() == 0, project.log()
    admin = AdminClient({"bootstrap.servers": kafka_address})
    admin.delete_topics([events.topic], operation_timeout=20)[events.topic].result(20)
    wait_for(lambda: events.topic not in admin.list_topics(timeout=5).topics)
    admin.create_topics([NewTopic(events.topic, 4, 1)])[events.topic].result(20)
    Events(kafka_address, events.topic).send(300)
    assert project.finish() == 1
    assert "was deleted and created again" in project.log()
    assert "position reset" in project.log()


def test_an_expired_offset_stops_the_worker_with_the_exact_gap(
    kafka_address: str,
    make_topic: Callable[..., str],
    make_project: Callable[..., Project],
    table: str,
) -> None:
    """Events that retention took before they were read are named, not skipped."""
    events = Events(kafka_address, make_topic(partitions=1))
    events.send(100)
    project = postgres_project(make_project, events.topic, table)
    assert project.finish() == 0, project.log()
    read = 100 + events.poison
    events.send(100)
    admin = AdminClient({"bootstrap.servers": kafka_address})
    [gone] = admin.delete_records([TopicPartition(events.topic, 0, read + 40)]).values()
    gone.result(20)
    assert project.finish() == 1
    assert f"{events.topic}/0 [{read}, {read + 40}) = 40 offsets" in project.log()


def _stopped(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"
