"""Positions and dead letters of a pipeline, looked at and changed from outside."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from streamlab.engines.local import position
from streamlab.engines.local.replaying import Kept
from streamlab.errors import Fenced, UsageError
from streamlab.pipelines import Pipeline
from streamlab.pipelines.file import load
from tests.faults.conftest import (
    RIGHT,
    Events,
    Project,
    Verdict,
    ids_of,
    make_project,
    messages_of,
    rows_of,
    table,
)

__all__ = ["make_project", "table"]  # fixtures

pytestmark = pytest.mark.integration

COUNT = 200


@pytest.fixture
def events(kafka_address: str, make_topic: Callable[..., str]) -> Events:
    made = Events(kafka_address, make_topic(partitions=2))
    made.send(COUNT)
    return made


@pytest.fixture
def project(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> Project:
    made = make_project()
    monkeypatch.chdir(made.folder)
    return made


def into_postgres(project: Project, events: Events, table: str) -> Pipeline:
    project.write(
        events.topic, f'type = "postgres"\ntable = "{table}"', 'file = "dead.jsonl"'
    )
    return load(project.folder)


def test_places_show_what_the_sink_keeps(
    project: Project, events: Events, table: str
) -> None:
    """Before a run nothing is stored, after it each partition stands at its end."""
    pipeline = into_postgres(project, events, table)
    assert [place.position for place in position.places(pipeline)] == [None, None]
    assert project.finish() == 0, project.log()
    places = position.places(pipeline)
    assert [place.keeper for place in places] == ["sink", "sink"]
    assert all(place.position == place.end for place in places)
    assert sum(int(str(place.end)) for place in places) == COUNT + events.poison


def test_a_reset_says_what_it_repeats_and_repeats_just_that(
    project: Project, events: Events, table: str, postgres_dsn: str
) -> None:
    """A reset to the start reads everything once more: an append sink has it twice."""
    pipeline = into_postgres(project, events, table)
    assert project.finish() == 0, project.log()
    moves = position.planned(pipeline, "earliest")
    assert [str(move).rpartition(", ")[2] for move in moves] == [
        f"repeats {move.place.end} offsets" for move in moves
    ]
    position.reset(pipeline, moves)
    assert project.finish() == 0, project.log()
    verdict = Verdict.of(rows_of(postgres_dsn, table), events.expected)
    assert verdict == Verdict(0, len(events.expected), 0)


def test_a_reset_of_a_plain_topic_moves_the_group(
    project: Project, events: Events, make_topic: Callable[..., str]
) -> None:
    """Where the source keeps the position, its group is what moves."""
    target = make_topic()
    project.write(
        events.topic, f'type = "kafka"\ntopic = "{target}"', 'file = "dead.jsonl"'
    )
    pipeline = load(project.folder)
    assert project.finish() == 0, project.log()
    position.reset(pipeline, position.planned(pipeline, "earliest"))
    assert project.finish() == 0, project.log()
    assert Verdict.of(ids_of(events.address, target), events.expected).doubled == len(
        events.expected
    )


def test_a_reset_beside_a_running_worker_is_refused(
    project: Project, events: Events, table: str, postgres_dsn: str
) -> None:
    """A position is not moved under a worker's feet."""
    pipeline = into_postgres(project, events, table)
    worker = project.start()
    deadline = time.monotonic() + 30
    while position.places(pipeline)[0].position in {None, 0}:
        assert time.monotonic() < deadline, project.log()
        time.sleep(0.1)
    with pytest.raises(Fenced, match="is running"):
        position.reset(pipeline, position.planned(pipeline, "earliest"))
    worker.terminate()
    assert worker.wait(30) == 0
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected) == RIGHT


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("0=100000", "has no position 100000"),
        ("7=1", "has no partition 7"),
        ("0=x", "is not an offset"),
        ("0=1", "would be a guess"),
        ("yesterday", "does not say where to start"),
    ],
)
def test_a_reset_to_nowhere_is_refused(
    to: str, message: str, project: Project, events: Events, table: str
) -> None:
    """What a run could not start from is an error before anything is changed."""
    with pytest.raises(UsageError, match=message):
        position.planned(into_postgres(project, events, table), to)


@pytest.mark.parametrize("kept_in", ["file", "topic"])
def test_dead_letters_go_back_where_they_came_from_once(
    kept_in: str,
    project: Project,
    events: Events,
    table: str,
    make_topic: Callable[..., str],
) -> None:
    """A replay sends bytes and key into the same partition, and not a second time."""
    dead = 'file = "dead.jsonl"' if kept_in == "file" else f'topic = "{make_topic()}"'
    project.write(events.topic, f'type = "postgres"\ntable = "{table}"', dead)
    assert project.finish() == 0, project.log()
    kept = Kept.of(load(project.folder))
    assert len(kept.letters) == events.poison
    before = messages_of(events.address, events.topic)
    assert kept.replay(kept.chosen(code="not-json")) == events.poison
    after = messages_of(events.address, events.topic)
    assert _poison(after) == {
        partition: 2 * count for partition, count in _poison(before).items()
    }
    assert Kept.of(load(project.folder)).chosen() == []


def test_the_commands_show_and_refuse_in_one_message(
    project: Project, events: Events, table: str
) -> None:
    """`position` and `dlq` work in a shell; nobody to ask is no traceback."""
    into_postgres(project, events, table)
    assert project.finish() == 0, project.log()

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "streamlab.cli", *words],
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert f"{events.topic}/0" in command("position", "show", ".").stdout
    shown = command("dlq", "show", ".")
    assert f"{events.poison} dead letter(s)" in shown.stdout
    assert "poison" not in shown.stdout
    unasked = command("position", "reset", ".", "--to", "earliest")
    assert unasked.returncode == 1
    assert "Traceback" not in unasked.stderr
    assert "--yes" in unasked.stderr
    assert command("position", "reset", ".", "--to", "latest", "--yes").returncode == 0


def _poison(messages: list[tuple[int, int, bytes]]) -> dict[int, int]:
    """Return how many values of each partition do not decode."""
    counted: dict[int, int] = {}
    for partition, _, value in messages:
        try:
            json.loads(value)
        except ValueError:
            counted[partition] = counted.get(partition, 0) + 1
    return counted
