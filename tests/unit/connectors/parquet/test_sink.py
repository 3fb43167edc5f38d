"""The Parquet sink: what readers see, and what a crash leaves."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from streamlab.connectors.parquet import ParquetSink, commits, scan
from streamlab.connectors.parquet.commits import CommitLog
from streamlab.connectors.parquet.sink import ParquetWriter, file_stem
from streamlab.errors import Refused, SchemaError, Unavailable, UsageError
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sinks import SinkBatch, SinkContext

PLACE = TopicPartition("flights", 0)
FRAME = pl.DataFrame({"v": [1, 2]})


def progress(epoch: int, position: Position, topic: str = "flights") -> Progress:
    """Return progress of one partition."""
    place = TopicPartition(topic, 0)
    return Progress(str(place), epoch, {place: position})


def opened(folder: Path, frame: pl.DataFrame = FRAME) -> ParquetWriter:
    """Return a writer for frames like the given one."""
    return ParquetSink(folder).open(SinkContext("delayed", frame.schema))


def batch(before: Sequence[Progress], frame: pl.DataFrame = FRAME) -> SinkBatch:
    """Return the next epoch of ten events."""
    after = [
        Progress(p.task, p.epoch + 1, {PLACE: p.positions[PLACE] + 10}) for p in before
    ]
    return SinkBatch(frame, before, after)


def test_plain_readers_see_the_committed_files(tmp_path: Path) -> None:
    """``*.parquet`` of the folder is all there is, named by what it covers."""
    writer = opened(tmp_path)
    first = batch(writer.claim([progress(0, 0)]))
    writer.write(first)
    writer.write(batch(first.after))
    names = sorted(path.name for path in tmp_path.glob("*.parquet"))
    assert names == ["flights-0-0-10.e1.parquet", "flights-0-10-20.e2.parquet"]
    assert pl.read_parquet(tmp_path / "*.parquet").height == 4


@pytest.mark.parametrize(
    ("step", "rows"), [("append", 0), ("sync", 0), ("rename", 2)], ids=str
)
def test_crash_at_a_step_leaves_an_epoch_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, rows: int
) -> None:
    """Whatever step a crash interrupts, claim puts the folder in order."""
    writer = opened(tmp_path)
    stored = writer.claim([progress(0, 0)])
    target = {
        "append": (CommitLog, "append"),
        "sync": (commits.os, "fsync"),
        "rename": (Path, "rename"),
    }[step]

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*target, crash)
        with pytest.raises(KeyboardInterrupt):
            writer.write(batch(stored))
    assert list(tmp_path.glob("*.parquet")) == []
    successor = opened(tmp_path)
    assert successor.claim([progress(0, 0)])[0].epoch == (1 if rows else 0)
    assert len(list(tmp_path.glob("*.parquet"))) == (1 if rows else 0)
    assert list((tmp_path / "_streamlab" / "staged").iterdir()) == []
    assert (scan(tmp_path).collect().height if rows else 0) == rows


def test_scan_finds_rows_that_a_crash_left_unmoved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed rows are read also before the next worker has moved their file."""
    writer = opened(tmp_path)
    stored = writer.claim([progress(0, 0)])
    monkeypatch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(5)))
    with pytest.raises((Unavailable, Refused)):
        writer.write(batch(stored))
    assert scan(tmp_path).collect().equals(FRAME)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """A Parquet file that the sink did not write is neither removed nor replaced."""
    other = tmp_path / "flights-0-0-10.e1.parquet"
    other.write_bytes(b"not ours")
    writer = opened(tmp_path)
    stored = writer.claim([progress(0, 0)])
    with pytest.raises(Refused, match="exists already"):
        writer.write(batch(stored))
    assert other.read_bytes() == b"not ours"


def test_rows_with_other_columns_are_refused_on_opening(tmp_path: Path) -> None:
    """A folder holds one schema; the error names what differs."""
    writer = opened(tmp_path)
    writer.write(batch(writer.claim([progress(0, 0)])))
    with pytest.raises(SchemaError, match=r"'v' \(Int64 there, String now\)"):
        opened(tmp_path, pl.DataFrame({"v": ["a"]}))


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, Unavailable), (errno.EACCES, Refused)]
)
def test_full_disk_passes_and_a_forbidden_one_does_not(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    error: type[Exception],
) -> None:
    """The worker waits for space, and stops where it may not write."""
    writer = opened(tmp_path)
    stored = writer.claim([progress(0, 0)])

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(CommitLog, "append", fail)
        with pytest.raises(error):
            writer.write(batch(stored))
    assert writer.claim([progress(0, 0)])[0].epoch == 0
    writer.write(batch(stored))
    assert scan(tmp_path).collect().height == 2


def test_scan_of_a_folder_without_rows_says_so(tmp_path: Path) -> None:
    """A wrong folder is a readable mistake."""
    with pytest.raises(UsageError, match="no parquet sink"):
        scan(tmp_path)


def test_file_names_are_safe_and_not_too_long() -> None:
    """Whatever topics are called, and however many, a name fits a file system."""
    before = [progress(3, (1, 2), f"../{'x' * 50}/{n}") for n in range(9)]
    after = [progress(4, (5, 6), f"../{'x' * 50}/{n}") for n in range(9)]
    name = file_stem(SinkBatch(FRAME, before, after))
    assert "/" not in name
    assert len(name.encode()) < 250
    assert name.endswith(".e4")
    one = file_stem(SinkBatch(FRAME, before[:1], after[:1]))
    assert one == f".._{'x' * 50}_0-0-1_2-5_6.e4"


def test_tasks_that_did_not_move_are_not_in_the_name() -> None:
    """A file is named by what it covers."""
    still = progress(3, 5, "other")
    found = file_stem(
        SinkBatch(FRAME, [progress(1, 0), still], [progress(2, 9), still])
    )
    assert found == "flights-0-0-9.e3"
