"""Samples without a broker: equality, replay, files that are none."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Field, Schema
from streamlab.errors import UsageError
from streamlab.formats import Rejection
from streamlab.positions import Span, TopicPartition
from streamlab.sources import METADATA_DTYPES
from streamlab.taps.sample import Sample


@pytest.fixture
def sample() -> Sample:
    """Return three events of two partitions, in order of time."""
    dtypes = {**METADATA_DTYPES, "n": pl.Int64()}
    rows = [
        ("t", 1, 7, 1000, b"k", 1),
        ("t", 0, 3, 2000, None, 2),
        ("t", 0, 4, 3000, b"", 3),
    ]
    frame = pl.DataFrame(rows, schema=list(dtypes), orient="row").cast(dtypes)
    return Sample(
        name="t",
        topic="t",
        frame=frame,
        spans=(
            Span(TopicPartition("t", 0), 3, 5),
            Span(TopicPartition("t", 1), 7, 8),
        ),
        schema=Schema.of({"n": pl.Int64()}),
        format="json",
        cut={"last": 3, "stopped_by": "end"},
        values=pl.Series("value", [b'{"n":1}', b'{"n":2}', b'{"n":3}']),
    )


def test_equality_sees_each_part(sample):
    """A sample differs where any of its parts does."""
    assert sample == replace(sample)
    for change in (
        {"frame": sample.frame.reverse()},
        {"values": sample.values.reverse()},
        {"spans": sample.spans[:1]},
        {"cut": {}},
        {"schema": Schema.of({"n": pl.Int32()})},
        {"format": "bytes"},
    ):
        assert sample != replace(sample, **change)


def test_pandas_gets_the_same_rows(sample):
    """One step leads to pandas."""
    pytest.importorskip("pandas")
    assert sample.to_pandas()["n"].tolist() == [1, 2, 3]


def test_what_is_no_sample_is_said(tmp_path):
    """A missing file, other bytes and another Parquet file are clear errors."""
    with pytest.raises(UsageError, match="cannot be read"):
        Sample.load(tmp_path / "none.parquet")
    (tmp_path / "bytes.parquet").write_bytes(b"x" * 100)
    with pytest.raises(UsageError, match="not a sample"):
        Sample.load(tmp_path / "bytes.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="not a sample"):
        Sample.load(tmp_path / "other.parquet")


def test_a_folder_that_is_not_there_is_said(sample, tmp_path):
    """Saving leaves nothing behind where it cannot."""
    with pytest.raises(UsageError, match="cannot be written"):
        sample.save(tmp_path / "none" / "s.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_the_same_bytes_each_time(sample, tmp_path):
    """A sample under version control changes when it changes."""
    first = sample.save(tmp_path / "one.parquet").read_bytes()
    assert sample.save(tmp_path / "two.parquet").read_bytes() == first
    again = Sample.load(tmp_path / "one.parquet").save(tmp_path / "three.parquet")
    assert again.read_bytes() == first


def test_everything_goes_through_a_file(sample, tmp_path):
    """Rejected values with their places, headers, marks of personal fields."""
    places = sample.frame.select(list(METADATA_DTYPES)).head(1)
    whole = replace(
        sample,
        schema=Schema((Field("n", pl.Int64(), required=True, personal=True),)),
        rejected=(Rejection(3, "not-json", "why"),),
        rejected_values=(b"\xff",),
        rejected_places=places.with_columns(_offset=pl.lit(9, pl.Int64)),
        headers={(1, 7): (("h", b"\xff"), ("h", None))},
        masks=(("n",),),
        withheld=2,
    )
    loaded = Sample.load(whole.save(tmp_path / "s.parquet"))
    assert loaded == whole
    assert loaded.rejected_places.equals(whole.rejected_places)
    assert loaded.rejected_places.schema == whole.rejected_places.schema
    assert loaded.headers == whole.headers
    assert loaded.is_masked


def old_file(sample: Sample, path: Path) -> Path:
    """Write a sample as the first version of streamlab did."""
    notes = {
        "name": "t",
        "topic": "t",
        "format": "json",
        "cut": {"last": 3, "stopped_by": "end"},
        "spans": [[0, 3, 5], [1, 7, 8]],
        "schema_name": "events",
        "fields": [["n", False]],
        "rejected": [[1, "not-json", "the value is not JSON"]],
        "rejected_values": ["ew=="],
    }
    sample.frame.with_columns(sample.values.alias("_value")).write_parquet(
        path, metadata={"streamlab.sample": json.dumps(notes)}
    )
    return path


def test_a_file_of_the_first_version_is_read(sample, tmp_path):
    """It has no places of rejected values; all else is there."""
    old = Sample.load(old_file(sample, tmp_path / "old.parquet"))
    assert old.events.equals(sample.events)
    assert old.spans == sample.spans
    assert old.rejected_values == (b"{",)
    assert old.rejected_places.height == 0
    assert sl.replay([], old).rows_in == 3
    assert Sample.load(old.save(tmp_path / "new.parquet")) == old


def test_a_file_of_the_first_version_grows(sample, tmp_path):
    """What has no place cannot be put in order: it is left out, and counted."""
    old = Sample.load(old_file(sample, tmp_path / "old.parquet"))
    grown = old.with_values([b'{"n": 4}'])
    assert grown.frame.height == 4
    assert (grown.rejected, grown.withheld) == ((), 1)


def test_a_file_of_a_later_version_is_refused(sample, tmp_path):
    """Rather no sample than half of one."""
    path = sample.save(tmp_path / "s.parquet")
    notes = json.loads(pl.read_parquet_metadata(path)["streamlab.sample"])
    pl.read_parquet(path).write_parquet(
        path, metadata={"streamlab.sample": json.dumps({**notes, "version": 3})}
    )
    with pytest.raises(UsageError, match="later"):
        Sample.load(path)


@pytest.mark.parametrize(
    ("path", "says"),
    [("nowhere/t.parquet", "there is no such folder"), (".", "it is a folder")],
)
def test_a_place_that_cannot_be_written_is_told(
    sample: Sample, tmp_path: Path, path: str, says: str
) -> None:
    """The message names the place that was asked for, and what is wrong with it."""
    with pytest.raises(UsageError, match=says):
        sample.save(tmp_path / path)


def test_a_device_is_not_replaced_by_a_sample(sample: Sample, tmp_path: Path) -> None:
    """What is no ordinary file would be destroyed by a file that takes its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(UsageError, match="no ordinary file"):
        sample.save(pipe)

    assert pipe.is_fifo()
