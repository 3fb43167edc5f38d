"""Transforms with windows, state and joins on samples."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import streamlab as sl


@sl.transform(window=sl.tumbling("1h", on="at", lateness="10m"), keys=["key"])
def hourly(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.group_by("window_start", "key").agg(n=pl.len())


@pytest.fixture
def events() -> pl.DataFrame:
    """Three hours of two keys, one event a minute, in two partitions."""
    minutes = pl.Series(range(180))
    return pl.DataFrame(
        {
            "at": (minutes.cast(pl.Int64) * 60_000_000).cast(pl.Datetime("us", "UTC")),
            "key": ["a", "b"] * 90,
            "_partition": pl.Series([0, 1] * 90, dtype=pl.Int32),
        }
    )


def test_open_windows_are_incomplete_and_no_result(events: pl.DataFrame) -> None:
    """The third hour is not over when the sample ends."""
    made = sl.evaluate(hourly, events)
    assert isinstance(made, sl.StreamEvaluation)
    assert made.output["n"].to_list() == [30] * 4
    assert made.incomplete["n"].to_list() == [30] * 2
    assert made.rows.kind == "tested"
    assert 0 < made.held < 180
    assert made.state_bytes_per_million > 0
    assert made.course.columns == ["stream", "order", "time", "watermark", "late"]


def test_a_light_state_is_not_called_nothing(events: pl.DataFrame) -> None:
    """Partial results of a few groups are kilobytes, and no 0.0 MB."""
    made = sl.evaluate(hourly, events)
    assert isinstance(made, sl.StreamEvaluation)
    assert replace(made, state_bytes_per_million=2_345.0).weight == "2.3 kB"
    assert replace(made, state_bytes_per_million=1_234_567.0).weight == "1.2 MB"


def test_late_events_are_counted_and_shown(events: pl.DataFrame) -> None:
    """One that comes two hours late is in no window, and red in the picture."""
    late = events.head(1)
    made = sl.evaluate(hourly, pl.concat([events, late]))
    assert isinstance(made, sl.StreamEvaluation)
    assert made.late == 1
    assert made.course["late"].to_list()[-1]
    assert "late   1 events" in str(made)


def test_a_function_that_looks_across_its_keys_is_found_out(
    events: pl.DataFrame,
) -> None:
    """Its rows depend on which windows happen to close together."""

    @sl.transform(window=sl.tumbling("1h", on="at"), keys=["key"])
    def across(events: pl.LazyFrame) -> pl.LazyFrame:
        counted = events.group_by("window_start", "key").agg(n=pl.len())
        return counted.with_columns(all=pl.col("n").sum())

    made = sl.evaluate(across, events)
    assert made.rows.kind == "failed"
    assert "look within windows and keys only" in made.rows.message


def test_every_stream_needs_a_sample(events: pl.DataFrame) -> None:
    """The message names the one that is missing."""

    @sl.transform(window=sl.tumbling("1h", on="at"), keys=["key"])
    def both(events: pl.LazyFrame, others: pl.LazyFrame) -> pl.LazyFrame:
        return events.join(others, on=["window_start", "key"])

    with pytest.raises(sl.StreamlabError, match="there is none for 'others'"):
        sl.evaluate(both, events)
    made = sl.evaluate(both, {"events": events, "others": events})
    assert made.output.height == 4 * 30 * 30


def test_a_missing_column_is_named(events: pl.DataFrame) -> None:
    """As for stateless transforms."""
    with pytest.raises(sl.StreamlabError, match="'at'"):
        sl.evaluate(hourly, events.drop("at"))
