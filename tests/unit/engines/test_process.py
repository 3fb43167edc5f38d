"""Failpoints and what is around a worker's process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab import failpoints
from streamlab.errors import PipelineError

SCRIPT = """
from streamlab import failpoints
for step in range(5):
    print(step, flush=True)
    failpoints.passing("after-poll")
    failpoints.passing("after-transform")
"""


def run(failpoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, failpoints.VARIABLE: failpoint},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_failpoint_kills_where_and_when_it_is_told() -> None:
    """The third time past the place ends the process, and nothing can catch it."""
    ended = run("after-transform=kill@3")
    assert ended.returncode == -9
    assert ended.stdout.split() == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("failpoint", "message"),
    [
        ("after-pol=kill@1", "there is no failpoint 'after-pol'"),
        ("after-poll=die@1", "there is no failpoint action 'die'"),
        ("after-poll=kill", "is not of the form"),
    ],
)
def test_a_wrong_failpoint_is_named(failpoint: str, message: str) -> None:
    """A test that asks for what does not exist fails loudly."""
    ended = run(failpoint)
    assert ended.returncode == 1
    assert message in ended.stderr


def test_without_the_variable_nothing_happens() -> None:
    """A worker in production passes all places."""
    assert run("").returncode == 0


def made(folder: Path, **changes: object) -> sl.Pipeline:
    """Return a pipeline of two rows into Parquet."""
    return sl.Pipeline(
        **{
            "name": "rows",
            "inputs": [
                sl.Input(
                    sl.KafkaSource("rows", profile="nowhere"),
                    "json",
                    sl.Schema.of({"n": pl.Int64()}),
                )
            ],
            "sink": sl.ParquetSink(folder=Path("out")),
            "dead_letters": sl.DeadLetters(file=Path("dead.jsonl")),
            "folder": folder,
            **changes,
        }
    )


def test_a_pipeline_value_is_started_from_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child reads what the value says: here a profile that does not exist."""
    (tmp_path / "streamlab.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    handle = sl.start(made(tmp_path))
    assert (tmp_path / ".streamlab/run/rows/pipeline.toml").exists()
    assert handle.process.wait(30) != 0
    assert "'nowhere'" in handle.last_words()


def test_a_pipeline_with_transforms_is_sent_to_be_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file cannot hold a function: the error says how it gets into one."""
    monkeypatch.chdir(tmp_path)

    @sl.transform
    def small(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows

    with pytest.raises(PipelineError, match=r"small\(\), whose code is in no file"):
        sl.start(made(tmp_path, transforms=(small,)))
