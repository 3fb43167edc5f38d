"""Samples without a broker: equality, replay, files that are none."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.errors import UsageError
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
