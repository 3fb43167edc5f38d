"""A worker killed at each of its steps loses nothing and doubles nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from streamlab.failpoints import PLACES
from tests.faults.conftest import (
    RIGHT,
    Events,
    Project,
    Verdict,
    ids_of,
    messages_of,
    rows_of,
)

pytestmark = pytest.mark.integration

COUNT = 3_000
SMALL_EPOCHS = "max_rows = 300"
KILLED = -signal.SIGKILL


@pytest.fixture
def events(kafka_address: str, make_topic: Callable[..., str]) -> Events:
    made = Events(kafka_address, make_topic(partitions=4))
    made.send(COUNT)
    return made


@pytest.mark.parametrize("place", PLACES)
def test_postgres_has_every_row_once_after_a_kill(
    place: str,
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """Rows and position are one transaction, wherever the worker dies."""
    project = make_project()
    project.write(
        events.topic,
        f'type = "postgres"\ntable = "{table}"',
        'file = "dead.jsonl"',
        SMALL_EPOCHS,
    )
    killed = project.finish(STREAMLAB_FAILPOINT=f"{place}=kill@2")
    assert killed == KILLED, project.log()
    assert project.finish() == 0, project.log()
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected) == RIGHT
    assert len(_origins(project.folder / "dead.jsonl")) == events.poison


@pytest.mark.parametrize("place", ["after-transform", "in-sink-transaction"])
def test_a_transactional_topic_has_every_row_once_after_a_kill(
    place: str,
    events: Events,
    make_project: Callable[..., Project],
    make_topic: Callable[..., str],
    kafka_address: str,
) -> None:
    """Rows, dead letters and offsets are one Kafka transaction."""
    target, dead = make_topic(partitions=2), make_topic()
    project = make_project()
    project.write(
        events.topic,
        f'type = "kafka"\ntopic = "{target}"\nkey = "key"\ntransactional = true',
        f'topic = "{dead}"',
        SMALL_EPOCHS,
    )
    assert project.finish(STREAMLAB_FAILPOINT=f"{place}=kill@2") == KILLED
    assert project.finish() == 0, project.log()
    assert Verdict.of(ids_of(kafka_address, target), events.expected) == RIGHT
    assert len(messages_of(kafka_address, dead)) == events.poison


@pytest.mark.parametrize("place", ["after-transform", "after-sink-commit"])
def test_a_plain_topic_loses_nothing_and_repeats_at_most_what_was_under_way(
    place: str,
    events: Events,
    make_project: Callable[..., Project],
    make_topic: Callable[..., str],
    kafka_address: str,
) -> None:
    """At-least-once: duplicates are those of one epoch, and a kill can make them."""
    target = make_topic(partitions=2)
    project = make_project()
    project.write(
        events.topic,
        f'type = "kafka"\ntopic = "{target}"\nkey = "key"',
        'file = "dead.jsonl"',
        SMALL_EPOCHS,
    )
    assert project.finish(STREAMLAB_FAILPOINT=f"{place}=kill@2") == KILLED
    assert project.finish() == 0, project.log()
    verdict = Verdict.of(ids_of(kafka_address, target), events.expected)
    assert (verdict.lost, verdict.phantom) == (0, 0)
    assert verdict.doubled <= 300
    if place == "after-sink-commit":
        # The control: the same kill does double rows where position and rows are
        # not one transaction, so the tests above can tell the difference.
        assert verdict.doubled > 0


def test_the_oracle_sees_what_is_wrong(events: Events) -> None:
    """A lost, a doubled and an invented row each make the verdict red."""
    right = sorted(events.expected)
    assert Verdict.of(right, events.expected) == RIGHT
    assert Verdict.of(right[1:], events.expected) == Verdict(1, 0, 0)
    assert Verdict.of([*right, right[0]], events.expected) == Verdict(0, 1, 0)
    assert Verdict.of([*right, -1], events.expected) == Verdict(0, 0, 1)


UNSAFE = """
import os, signal, sys
from streamlab.cli import main
from streamlab.connectors.postgres import progress
from streamlab.connectors.postgres.sink import PostgresWriter

advance, write, epochs = progress.advance, PostgresWriter.write, []
progress.advance = lambda *_: None

def rows_first(self, batch):
    rows = write(self, batch)
    epochs.append(batch)
    if len(epochs) == 2 and "kill" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    with self._connection.transaction():
        advance(self._connection, self._context.pipeline, batch.before, batch.after)
    return rows

PostgresWriter.write = rows_first
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_position_in_the_transaction_the_oracle_goes_red(
    events: Events,
    make_project: Callable[..., Project],
    table: str,
    postgres_dsn: str,
) -> None:
    """The negative control: a position stored after the rows doubles what it missed."""
    project = make_project()
    project.write(
        events.topic,
        f'type = "postgres"\ntable = "{table}"',
        'file = "dead.jsonl"',
        SMALL_EPOCHS,
    )
    (project.folder / "unsafe.py").write_text(UNSAFE)
    command = [sys.executable, "unsafe.py", "run", ".", "--until-caught-up"]
    killed = subprocess.run(
        command,
        cwd=project.folder,
        check=False,
        timeout=60,
        env={**os.environ, "kill": "1"},
    )
    assert killed.returncode == KILLED
    subprocess.run(command, cwd=project.folder, check=True, timeout=60)
    assert Verdict.of(rows_of(postgres_dsn, table), events.expected).doubled > 0


def _origins(path: Path) -> set[tuple[str, int, int]]:
    from streamlab.engines.local.dead_letters import DeadLetterFile

    return {
        (letter.topic, letter.partition, int(str(letter.position)))
        for letter in DeadLetterFile(path).read()
    }
