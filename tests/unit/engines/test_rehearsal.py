"""A sample through the real engine: the same rows and dead letters every time."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.console import ConsoleSink
from streamlab.connectors.memory import MemorySink, MemoryTarget
from streamlab.engines.local.rehearsal import Replayed
from streamlab.pipelines import DeadLetters, Input, Pace, Pipeline
from streamlab.sinks import Guarantee
from streamlab.taps.sample import Sample
from tests.unit.taps.made import read

SCHEMA = sl.Schema(
    (sl.Field("n", pl.Int64(), required=True), sl.Field("s", pl.String()))
)
BAD = (b"{", None, b'{"n": "1"}', b'{"n": null}', b"\xff", b"[]", b"")

PROGRAM = """
import sys, polars as pl, streamlab as sl
from streamlab.pipelines import DeadLetters, Input, Pace, Pipeline
from tests.unit.engines.test_rehearsal import digest, kept, pipeline
sample = sl.Sample.load(sys.argv[1])
print(digest(sl.replay(pipeline(int(sys.argv[2])), sample)))
"""


@sl.transform
def kept(t: pl.LazyFrame) -> pl.LazyFrame:
    """Fail on 13, drop every fifth, and show where the others came from."""
    half = pl.when(pl.col("n") == 13).then(pl.lit("x")).otherwise(pl.lit("1"))
    return t.filter(pl.col("n") % 5 > 0).select(
        "n",
        "s",
        "_partition",
        "_offset",
        "_timestamp",
        "_key",
        one=half.str.to_integer(strict=True),
    )


def pipeline(rows: int = 50_000) -> Pipeline:
    return Pipeline(
        name="rehearsed",
        inputs=(Input(sl.MemorySource(), "json", SCHEMA),),
        transforms=(kept,),
        sink=MemorySink(),
        dead_letters=DeadLetters(file=Path("never.jsonl")),
        pace=Pace(max_rows=rows),
    )


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Work in an empty folder without settings, and look at it afterwards."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sample() -> Sample:
    """Return 120 events of three partitions: some bad, some late, some with headers."""
    chance = random.Random(7)
    values = [
        chance.choice(BAD)
        if chance.random() < 0.1
        else json.dumps({"n": chance.randrange(40), "s": f"é{row}"}).encode()
        for row in range(120)
    ]
    return read(
        SCHEMA,
        values,
        partitions=[row % 3 for row in range(120)],
        offsets=[10 + 2 * (row // 3) for row in range(120)],
        timestamps_ms=[row + chance.randrange(20) for row in range(120)],
        keys=[chance.choice([None, b"", b"k\xff"]) for _ in range(120)],
        headers={row: (("h", b"%d" % row), ("h", None)) for row in range(0, 120, 5)},
    )


def digest(replayed: Replayed) -> str:
    """Return a digest of all that came out, in its order."""
    rows = repr((replayed.output.schema, replayed.output.rows()))
    letters = repr(replayed.dead_letters)
    return hashlib.sha256(f"{rows}{letters}".encode()).hexdigest()


def test_a_hundred_replays_are_one(sample):
    """Whatever the size of epochs and the speed: rows, letters, order are the same."""
    first = sl.replay(pipeline(), sample)
    speeds = (None, None, None, 1.0, 7.5, 100.0)
    found = {
        digest(sl.replay(pipeline(1 + run * run % 97), sample, speed=speeds[run % 6]))
        for run in range(100)
    }
    assert found == {digest(first)}
    assert first.rows_in == 120
    assert first.output.height > 60
    codes = {letter.code for letter in first.dead_letters}
    assert codes >= {"not-json", "tombstone", "transform-error"}


def test_another_process_sees_the_same(sample, tmp_path):
    """A saved sample gives in a fresh process what it gives here."""
    path = sample.save(tmp_path / "sample.parquet")
    expected = digest(sl.replay(pipeline(), sample))
    root = Path(__file__).parents[3]
    for seed, rows in (("1", "7"), ("2", "50000")):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path), rows],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"PYTHONPATH": str(root), "PYTHONHASHSEED": seed},
        )
        assert done.stdout.strip() == expected


def test_dead_letters_are_those_of_the_log(sample):
    """Each has its bytes, place, key, time and headers; they are in order."""
    letters = sl.replay(pipeline(3), sample).dead_letters
    failed = [letter for letter in letters if letter.stage == "decode"]
    places = sample.rejected_places.sort("_partition", "_offset")
    assert [(one.partition, one.position, one.key) for one in failed] == places.select(
        "_partition", "_offset", "_key"
    ).rows()
    assert [(one.partition, one.position) for one in letters] == sorted(
        (one.partition, one.position) for one in letters
    )
    assert {one.value for one in failed} == set(BAD)
    with_headers = [one for one in failed if one.headers]
    assert with_headers
    assert all(
        one.headers == sample.headers[one.partition, one.position]
        for one in with_headers
    )


def test_a_rejected_value_left_out_is_seen(sample):
    """The comparison above would notice a sample that lost its rejected values."""
    lossy = replace(sample, rejected_places=sample.rejected_places.clear())
    assert digest(sl.replay(pipeline(), lossy)) != digest(sl.replay(pipeline(), sample))


def test_a_replay_leaves_nothing_behind(sample, home):
    """No file, no mark of a run, no key, and the directory is not changed."""
    sl.replay(pipeline(), sample)
    sl.replay(kept, sample)
    assert list(home.iterdir()) == []
    assert Path.cwd() == home


def test_a_transform_needs_no_pipeline(sample):
    """A bare transform, or several, is taken with the sample's schema and format."""

    @sl.transform
    def small(t: pl.LazyFrame) -> pl.LazyFrame:
        return t.filter(pl.col("n") < 3)

    @sl.transform
    def renamed(t: pl.LazyFrame) -> pl.LazyFrame:
        return t.select(m="n")

    assert sl.replay(small, sample).output["n"].max() == 2
    assert sl.replay([small, renamed], sample).output.columns == ["m"]


def test_a_sample_without_events_ends_at_once():
    """There is nothing to wait for; the columns are there."""
    replayed = sl.replay(pipeline(), Sample.empty("t", SCHEMA))
    assert replayed.rows_in == 0
    assert replayed.output.columns[:2] == ["n", "s"]
    assert replayed.output.height == 0


def test_a_pipeline_can_run_on_a_replay(sample):
    """The source ends, so the worker does, at the sink that it has."""
    target = MemoryTarget()
    one = replace(pipeline(), sink=MemorySink(target=target))
    summary = sl.run(one.on(sample.replay()))
    assert summary.counts["read"] == 120
    assert target.frame().equals(sl.replay(pipeline(), sample).output)
    again = sl.run(one.on(sample.replay()))
    assert again.counts["read"] == 0


@pytest.mark.parametrize(
    "sink", [ConsoleSink(), MemorySink(promise=Guarantee.AT_LEAST_ONCE)]
)
def test_a_replay_is_no_history(sample, home, sink):
    """Where the sink keeps no position each run is a first one, also the real one."""
    one = replace(pipeline(), sink=sink).on(sample.replay())
    for _ in range(2):
        assert sl.run(one).counts["read"] == 120
    assert not (home / ".streamlab" / "history").exists()


def test_what_came_out_shows_no_dead_letter(sample):
    """A repr ends up in logs; the bytes of letters stay out of it."""
    assert "DeadLetter" not in repr(sl.replay(pipeline(), sample))


def test_a_sample_ends_so_all_its_windows_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of it: a replay is one, and leaves no state behind."""
    monkeypatch.chdir(tmp_path)

    @sl.transform(window=sl.tumbling("1h", on="at"))
    def counted(t: pl.LazyFrame) -> pl.LazyFrame:
        return t.group_by("window_start").agg(pl.col("n").sum())

    schema = sl.Schema.of({"n": pl.Int64(), "at": pl.Datetime("us", "UTC")})
    values = [
        {"n": n, "at": f"2013-01-01T{hour:02}:30:00Z"}
        for n, hour in [(1, 5), (2, 5), (4, 6)]
    ]
    sample = read(schema, values)
    for _ in range(2):
        replayed = sl.replay(counted, sample)
        assert sorted(replayed.output["n"].to_list()) == [3, 4]
    assert list(tmp_path.rglob("*.version")) == []
