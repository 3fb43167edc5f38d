"""The newest position of a slot: whole after a kill, never older than the disk's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streamlab.connectors.postgres.reading.confirming import Confirming
from streamlab.connectors.postgres.reading.kept import KeptFile, KeptProgress
from streamlab.connectors.postgres.reading.recent import PLACE_BYTES, Recent
from streamlab.errors import Unavailable
from streamlab.positions import Progress, TopicPartition

PLACE = TopicPartition("s", 0)


def progress(epoch: int, state: str = "") -> Progress:
    return Progress("s/0", epoch, {PLACE: (epoch * 8, 0, state)}, {"s": "1/db"})


@pytest.fixture
def kept(tmp_path: Path) -> KeptProgress:
    return KeptProgress(KeptFile(tmp_path / "slots" / "s.json"))


@pytest.fixture
def recent(tmp_path: Path) -> Recent:
    return Recent(tmp_path / "s.recent")


def test_the_newest_position_is_read(recent: Recent) -> None:
    """Also by another reader, and when longer and shorter ones take turns."""
    for epoch in range(1, 8):
        assert recent.write(progress(epoch, "x" * (100 * (epoch % 3))))
        assert Recent(recent.path).read() == recent.read()
        assert recent.read() == progress(epoch, "x" * (100 * (epoch % 3)))


@pytest.mark.parametrize("epochs", [1, 2, 3, 6])
def test_a_position_that_was_written_in_part_does_not_count(
    recent: Recent, epochs: int
) -> None:
    """Whatever part of it is there, the one before it is read."""
    for epoch in range(1, epochs + 1):
        recent.write(progress(epoch, "old"))
    before = recent.path.read_bytes()
    recent.write(progress(epochs + 1, "new"))
    after = recent.path.read_bytes().ljust(2 * PLACE_BYTES, b"\0")
    before = before.ljust(2 * PLACE_BYTES, b"\0")
    changed = [
        n
        for n, pair in enumerate(zip(before, after, strict=True))
        if len(set(pair)) > 1
    ]
    for end in range(changed[0], changed[-1] + 1):
        recent.path.write_bytes(after[:end] + before[end:])
        assert recent.read() == progress(epochs, "old"), end
        recent.path.write_bytes(before[:end] + after[end:])
        assert recent.read() in (progress(epochs, "old"), progress(epochs + 1, "new"))


@pytest.mark.parametrize("content", [b"", b"\0" * 200_000, b"\xff" * 70_000, b"0 0 "])
def test_what_a_failing_machine_made_of_it_is_no_position(
    kept: KeptProgress, content: bytes
) -> None:
    """The durable one counts, and the next one is written over it."""
    kept.write(progress(3))
    kept.recent.path.write_bytes(content)
    assert kept.read() == progress(3)
    kept.note(progress(4))
    assert kept.read() == progress(4)


def test_the_position_before_is_not_written_over(recent: Recent) -> None:
    """Not by the first write of another process either."""
    for epoch in range(1, 6):
        mine = Recent(recent.path)
        mine.write(progress(epoch))
        mine.close()
        found = recent.path.read_bytes()
        there = set()
        for one in (found[:PLACE_BYTES], found[PLACE_BYTES:].rjust(1, b"\0")):
            recent.path.write_bytes(one)
            left = recent.read()
            there.add(left.epoch if left else 0)
        assert there == {epoch, epoch - 1}
        recent.path.write_bytes(found)


def test_a_newer_durable_position_counts(kept: KeptProgress) -> None:
    """What is noted can be what a failing machine had of long ago."""
    kept.note(progress(2))
    kept.confirm(progress(5))
    assert kept.read() == progress(5)
    kept.note(progress(6))
    kept.confirm(progress(5))
    assert kept.read() == progress(6)


def test_what_is_set_from_outside_counts(kept: KeptProgress) -> None:
    """An earlier position too; and nothing is left of a pipeline that is forgotten."""
    kept.write(progress(1))
    kept.note(progress(9))
    kept.write(progress(2))
    assert kept.read() == progress(2)
    kept.note(progress(3))
    kept.forget()
    assert kept.read() is None
    assert not list(kept.file.path.parent.iterdir())


def test_without_the_durable_file_nothing_is_kept(kept: KeptProgress) -> None:
    """It was removed by hand: what is noted belongs to a history that is over."""
    kept.write(progress(1))
    kept.note(progress(9))
    kept.file.path.unlink()
    assert kept.read() is None
    kept.write(progress(0))
    assert kept.read() == progress(0)


def test_a_position_without_room_is_durable_at_once(kept: KeptProgress) -> None:
    """The state of a snapshot of very many tables is longer than a place."""
    kept.write(progress(1))
    kept.note(progress(2))
    kept.note(progress(3, "x" * PLACE_BYTES))
    assert kept.read() == progress(3, "x" * PLACE_BYTES)


def test_a_durable_position_is_not_replaced_by_an_earlier_one(
    kept: KeptProgress,
) -> None:
    """Positions are confirmed in a thread of their own, which may be late."""
    kept.write(progress(1))
    kept.note(progress(3, "x" * PLACE_BYTES))
    kept.confirm(progress(2))
    assert kept.read() == progress(3, "x" * PLACE_BYTES)


def test_positions_that_are_made_durable_at_once_stay_whole(kept: KeptProgress) -> None:
    """By two threads: the newest one is there afterwards."""
    kept.write(progress(0))

    def confirm(first: int) -> None:
        for epoch in range(first, 200, 2):
            kept.confirm(progress(epoch, "x" * epoch))

    threads = [threading.Thread(target=confirm, args=(first,)) for first in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.read() == progress(199, "x" * 199)


def test_it_cannot_be_written(recent: Recent) -> None:
    """That is said, and may pass."""
    recent.path.mkdir()
    with pytest.raises(Unavailable, match=r"s\.recent cannot be written"):
        recent.write(progress(1))


def test_a_run_that_took_nothing_leaves_what_was_noted_before(
    kept: KeptProgress,
) -> None:
    """A killed worker's position outlives the next one's short life."""
    kept.write(progress(1))
    kept.note(progress(2))
    told: list[object] = []
    confirming = Confirming(kept, PLACE, told.append)
    confirming.close()
    assert kept.read() == progress(2)


def test_after_an_end_in_peace_the_durable_file_is_all(kept: KeptProgress) -> None:
    """What comes later still is durable at once."""
    told: list[object] = []
    kept.write(progress(1))
    confirming = Confirming(kept, PLACE, told.append)
    confirming.acknowledge([progress(2)])
    assert not told
    confirming.due(at_once=True)
    confirming.close()
    assert told == [(16, 0, "")]
    assert [path.name for path in kept.file.path.parent.iterdir()] == ["s.json"]
    confirming.acknowledge([progress(3)])
    assert kept.read() == progress(3)
    assert [path.name for path in kept.file.path.parent.iterdir()] == ["s.json"]


KILLED = """
import os, sys
from pathlib import Path
from streamlab.connectors.postgres.reading.recent import Recent
from streamlab.positions import Progress, TopicPartition
recent, place = Recent(Path(sys.argv[1])), TopicPartition("s", 0)
for epoch in range(1, 10_000_000):
    recent.write(Progress("s/0", epoch, {place: (epoch, 0, "x" * (epoch % 9_000))}))
    os.write(1, b"%d\\n" % epoch)
"""


@pytest.mark.parametrize("kill", range(4))
def test_a_killed_process_loses_nothing_that_it_noted(
    recent: Recent, kill: int
) -> None:
    """What it said it had kept is there, or what came right behind that."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(recent.path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        said = b""
        while said.count(b"\n") < 400 + 97 * kill:
            said += os.read(process.stdout.fileno(), 4096)
        process.send_signal(signal.SIGKILL)
        process.wait()
        said += process.stdout.read()
    last = int(said.split(b"\n")[-2])
    found = recent.read()
    assert found is not None
    assert found.epoch in {last, last + 1}
    assert found.positions[PLACE] == (found.epoch, 0, "x" * (found.epoch % 9_000))
