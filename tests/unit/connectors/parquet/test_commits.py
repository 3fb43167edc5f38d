"""The log of commits survives torn lines and refuses damaged ones."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from streamlab.connectors.parquet import commits
from streamlab.connectors.parquet.commits import Commit, CommitLog, exclusive
from streamlab.errors import Refused, Unavailable
from streamlab.positions import Progress, TopicPartition

PLACE = TopicPartition("flights", 0)


def commit(epoch: int) -> Commit:
    """Return the commit of an epoch."""
    progress = Progress(str(PLACE), epoch, {PLACE: (epoch, 7)}, {"flights": "c/t"})
    return Commit("delayed", [progress], f"{epoch}.parquet", 10)


@pytest.fixture
def log(tmp_path: Path) -> CommitLog:
    """Return a log with two commits."""
    log = CommitLog(tmp_path / "commits.log")
    log.append(commit(1))
    log.append(commit(2))
    return log


def reread(log: CommitLog) -> CommitLog:
    """Return the log as another process reads it."""
    other = CommitLog(log.path)
    other.refresh()
    return other


def test_commits_come_back_as_they_were(log: CommitLog) -> None:
    """Files in order, and the last progress of each task."""
    found = reread(log)
    assert found.files == ["1.parquet", "2.parquet"]
    assert found.of("delayed") == {str(PLACE): commit(2).progress[0]}
    assert found.size == log.size


def test_refresh_adds_what_others_have_appended(log: CommitLog) -> None:
    """A log that was read before takes in the new lines only."""
    other = reread(log)
    log.append(commit(3))
    other.refresh()
    assert other.files == ["1.parquet", "2.parquet", "3.parquet"]


def test_every_torn_line_is_cut_off(log: CommitLog) -> None:
    """Wherever a crash has torn the last line, it does not count, and is replaced."""
    whole = log.path.read_bytes()
    line = commit(3).to_line()
    for length in range(len(line)):
        log.path.write_bytes(whole + line[:length])
        found = reread(log)
        assert found.files == ["1.parquet", "2.parquet"]
        found.append(commit(4))
        assert reread(log).files == ["1.parquet", "2.parquet", "4.parquet"]


def test_zeros_behind_the_last_line_do_not_count(log: CommitLog) -> None:
    """A power cut can leave zeros where a line should be."""
    with log.path.open("ab") as file:
        file.write(b"\0" * 100)
    assert reread(log).files == ["1.parquet", "2.parquet"]


def test_damage_before_the_last_line_stops(log: CommitLog) -> None:
    """A changed byte in the middle is not skipped silently."""
    damaged = bytearray(log.path.read_bytes())
    damaged[30] ^= 1
    log.path.write_bytes(damaged)
    with pytest.raises(Refused, match="damaged at byte 0"):
        reread(log)


def test_lock_that_another_process_holds_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped worker with the lock makes the next one try again later."""
    monkeypatch.setattr(commits, "LOCK_TIMEOUT_S", 0.1)
    path = tmp_path / "lock"
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(path, held, release))
    holder.start()
    try:
        assert held.wait(20)
        with pytest.raises(Unavailable), exclusive(path):
            pass
    finally:
        release.set()
        holder.join(20)
    with exclusive(path):
        pass


def hold(path: Path, held: object, release: object) -> None:
    """Hold the lock until told to let go."""
    with exclusive(path):
        held.set()
        release.wait(20)


def test_the_name_of_a_new_log_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that a power cut could take away would forget its first commits."""
    folders: list[Path] = []
    monkeypatch.setattr(commits, "sync_folder", folders.append)
    log = CommitLog(tmp_path / "commits.log")
    log.append(commit(1))
    log.append(commit(2))
    assert folders == [tmp_path]
