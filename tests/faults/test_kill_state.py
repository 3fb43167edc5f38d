"""A worker with windows, killed at each of its steps, loses and doubles nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import polars as pl
import psycopg
import pytest
from confluent_kafka import Producer

from streamlab.failpoints import PLACES, STATE_PLACES
from tests.faults.conftest import Project, messages_of

pytestmark = pytest.mark.integration

COUNT = 3_000
KILLED = -signal.SIGKILL
FEW_ROWS = "max_rows = 300"
MINUTE_MS = 60_000

FLOWS = '''
"""The transform under test."""

import polars as pl

import streamlab as sl

TIME = sl.event_time("at", bound="5s")


@sl.transform(window=sl.tumbling("1m", on=TIME), keys=["key"])
def summed(events: pl.LazyFrame) -> pl.LazyFrame:
    """Sum each minute by key."""
    return events.group_by("window_start", "key").agg(
        pl.col("id").sum(), pl.len().cast(pl.Int64).alias("n")
    )
'''

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

Row = tuple[int, str, int, int]


class Minutes:
    """Events of a few hours that a broker has, and the windows that they make."""

    def __init__(self, address: str, topic: str, *, partitions: int = 4) -> None:
        """Send them, some of them out of order and some of them late."""
        # Idempotent, so that a batch that is sent again keeps its place.
        producer = Producer({"bootstrap.servers": address, "enable.idempotence": True})
        highest: dict[int, int] = {}
        sums: dict[tuple[int, str], list[int]] = {}
        self.late = 0
        for number in range(COUNT):
            partition = number % partitions
            back = {0: 3_000, 1: 90_000}.get(number % 50, 0)
            event = {"id": number, "key": f"k{number % 7}", "at": number * 400 - back}
            event["at"] = max(0, int(str(event["at"])))
            producer.produce(topic, json.dumps(event), partition=partition)
            at = int(str(event["at"]))
            highest[partition] = max(highest.get(partition, 0), at)
            start = at // MINUTE_MS * MINUTE_MS
            if highest[partition] - 5_000 >= start + MINUTE_MS:
                self.late += 1
                continue
            found = sums.setdefault((start, str(event["key"])), [0, 0])
            found[0] += number
            found[1] += 1
        assert producer.flush(20) == 0
        self.windows: list[Row] = sorted(
            (start, key, total, count) for (start, key), (total, count) in sums.items()
        )


@pytest.fixture
def minutes(kafka_address: str, make_topic: Callable[..., str]) -> tuple[Minutes, str]:
    topic = make_topic(partitions=4)
    return Minutes(kafka_address, topic), topic


def write(project: Project, topic: str, sink: str, dead: str, engine: str) -> None:
    """Write the files of a pipeline with windows."""
    project.write(topic, sink, dead, engine)
    (project.folder / "flows.py").write_text(FLOWS)
    (project.folder / "schema.yaml").write_text(SCHEMA)
    file = project.folder / "pipeline.toml"
    file.write_text(file.read_text().replace("flows:kept", "flows:summed"))


def finished(project: Project, **environment: str) -> int:
    """Run a worker to the end of its topic, close the windows, return its code."""
    return project.start("--finish", environment=environment).wait(120)


def killed_then_finished(project: Project, failpoint: str) -> None:
    """Kill a worker at a place, and run another one to the end."""
    killed = finished(project, STREAMLAB_FAILPOINT=failpoint)
    assert killed == KILLED, project.log()
    assert finished(project) == 0, project.log()


def windows_of(dsn: str, table: str) -> list[Row]:
    """Return the rows of a table as the oracle has them."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            f"select extract(epoch from window_start) * 1000, key, id, n from {table}"
        ).fetchall()
    return sorted((int(start), key, int(total), n) for start, key, total, n in found)


@pytest.mark.parametrize("place", [*PLACES, *STATE_PLACES[:-1]])
def test_every_window_is_there_once_after_a_kill(
    place: str,
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """Rows, position and the name of the state are one transaction."""
    events, topic = minutes
    project = make_project()
    sink = f'type = "postgres"\ntable = "{table}"'
    write(project, topic, sink, 'file = "dead.jsonl"', FEW_ROWS)
    killed_then_finished(project, f"{place}=kill@3")
    assert windows_of(postgres_dsn, table) == events.windows
    assert events.late == len(late_in(project.folder / "dead.jsonl")) > 0


def test_every_window_is_there_once_after_a_kill_while_state_is_merged(
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """The segments that were being written are not looked at."""
    events, topic = minutes
    project = make_project()
    sink = f'type = "postgres"\ntable = "{table}"'
    write(project, topic, sink, 'file = "dead.jsonl"', "max_rows = 12")
    killed_then_finished(project, "in-compaction=kill@1")
    assert windows_of(postgres_dsn, table) == events.windows


@pytest.mark.parametrize("place", ["after-state-save", "in-sink-transaction"])
def test_a_transactional_topic_has_every_window_once_after_a_kill(
    place: str,
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    make_topic: Callable[..., str],
    kafka_address: str,
) -> None:
    """The name of the state is in the offset's metadata, in the transaction."""
    events, topic = minutes
    target, dead = make_topic(partitions=2), make_topic()
    project = make_project()
    sink = f'type = "kafka"\ntopic = "{target}"\nkey = "key"\ntransactional = true'
    write(project, topic, sink, f'topic = "{dead}"', FEW_ROWS)
    killed_then_finished(project, f"{place}=kill@3")
    values = [value for *_, value in messages_of(kafka_address, target)]
    assert rows_of_messages(values) == events.windows
    assert len(messages_of(kafka_address, dead)) == events.late


@pytest.mark.parametrize("place", ["after-state-save", "after-sink-commit"])
def test_a_plain_topic_repeats_rows_but_the_state_fits_the_position(
    place: str,
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    make_topic: Callable[..., str],
    kafka_address: str,
) -> None:
    """At-least-once: each window is right, and that of one epoch may be there twice."""
    events, topic = minutes
    target = make_topic(partitions=2)
    project = make_project()
    sink = f'type = "kafka"\ntopic = "{target}"\nkey = "key"'
    write(project, topic, sink, 'file = "dead.jsonl"', FEW_ROWS)
    killed_then_finished(project, f"{place}=kill@3")
    values = [value for *_, value in messages_of(kafka_address, target)]
    found = rows_of_messages(values)
    assert sorted(set(found)) == events.windows


def test_parquet_files_have_every_window_once_after_a_kill(
    minutes: tuple[Minutes, str], make_project: Callable[..., Project]
) -> None:
    """Files that are written again have the same names."""
    events, topic = minutes
    project = make_project()
    sink = 'type = "parquet"\nfolder = "rows"'
    write(project, topic, sink, 'file = "dead.jsonl"', FEW_ROWS)
    killed_then_finished(project, "after-sink-commit=kill@3")
    frame = pl.read_parquet(str(project.folder / "rows" / "**" / "*.parquet"))
    starts = frame["window_start"].dt.epoch("ms")
    found = zip(starts, frame["key"], frame["id"], frame["n"], strict=True)
    assert sorted(found) == events.windows


@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_state_is_refused(
    damage: str,
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """It is never used, and nothing is written beside it."""
    _, topic = minutes
    project = make_project()
    sink = f'type = "postgres"\ntable = "{table}"'
    write(project, topic, sink, 'file = "dead.jsonl"', FEW_ROWS)
    assert project.finish() == 0, project.log()
    before = windows_of(postgres_dsn, table)
    for path in versions(project.folder):
        data = path.read_bytes()
        middle = len(data) // 2
        if damage == "gone":
            path.unlink()
        elif damage == "cut":
            path.write_bytes(data[:-7])
        else:
            flipped = bytes([data[middle] ^ 1])
            path.write_bytes(data[:middle] + flipped + data[middle + 1 :])
    assert finished(project) == 1
    assert "begin without state" in project.log()
    assert windows_of(postgres_dsn, table) == before


CONTROLS = {
    "": "",
    "no compare-and-set of the state": """
from streamlab.connectors.postgres import progress
from streamlab.engines.local.stateful import StatefulProcessor
opened = StatefulProcessor.open
def empty(self, given):
    from dataclasses import replace
    return opened(self, [replace(one, state_id=None) for one in given])
StatefulProcessor.open = empty
progress.require_same_place = lambda *_: None
""",
    "a state file that is not written": """
from streamlab.state.store import TaskState
save, saved = TaskState.save, []
def skipping(self):
    saved.append(save(self))
    return saved[0] if len(saved) > 1 else saved[-1]
TaskState.save = skipping
""",
    "a watermark that is ignored": """
from streamlab.operators.watermarks import Watermarks
observe = Watermarks.observe
Watermarks.observe = lambda self, p, times: observe(self, p, times) * 0
""",
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_worker_that_breaks_the_promise_is_seen(
    control: str,
    minutes: tuple[Minutes, str],
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """The controls: each makes the oracle red; without any, the same run is right."""
    events, topic = minutes
    project = make_project()
    sink = f'type = "postgres"\ntable = "{table}"'
    write(project, topic, sink, 'file = "dead.jsonl"', FEW_ROWS)
    broken = CONTROLS[control] + (
        "\nimport sys\nfrom streamlab.cli import main\nsys.exit(main(sys.argv[1:]))\n"
    )
    (project.folder / "unsafe.py").write_text(broken)
    command = [sys.executable, "unsafe.py", "run", "."]
    first = {**os.environ, "STREAMLAB_FAILPOINT": "after-sink-commit=kill@5"}
    for options, environment in ([], first), (["--finish"], dict(os.environ)):
        subprocess.run(
            [*command, *options],
            cwd=project.folder,
            check=False,
            timeout=120,
            env=environment,
        )
    assert (windows_of(postgres_dsn, table) == events.windows) is (control == "")


def rows_of_messages(values: Iterable[bytes]) -> list[Row]:
    """Return windows as the oracle has them."""
    rows = [json.loads(value) for value in values]
    starts = pl.Series([one["window_start"] for one in rows]).str.to_datetime(
        time_zone="UTC"
    )
    return sorted(
        (start, one["key"], one["id"], one["n"])
        for start, one in zip(starts.dt.epoch("ms"), rows, strict=True)
    )


def late_in(path: Path) -> list[object]:
    """Return the positions of the late events in a file of dead letters."""
    from streamlab.engines.local.dead_letters import DeadLetterFile

    return [one.position for one in DeadLetterFile(path).read() if one.stage == "late"]


def versions(folder: Path) -> list[Path]:
    """Return the files of versions of a project's state."""
    return sorted((folder / ".streamlab" / "state").rglob("*.version"))
