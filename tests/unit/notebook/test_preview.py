"""A preview: a transform on the events that a live tap follows."""

from __future__ import annotations

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import streamlab as sl
from streamlab.notebook.preview import Preview
from tests.unit.taps.made import PEOPLE, live, person, read


@pytest.fixture
def tap():
    """Follow a topic with three events, a second apart each."""
    following = live(read(PEOPLE, [person(1), person(2), person(1)]))
    yield following
    following.stop()


@sl.transform(window=sl.tumbling("2s", on="_timestamp"), keys="id")
def counted(people: pl.LazyFrame) -> pl.LazyFrame:
    return people.group_by("window_start", "id").agg(n=pl.len())


def test_windows_are_shown_on_the_newest_events(tap):
    """As if the stream began and ended with them."""
    preview = Preview(counted, tap)
    events, rows = preview.output()
    assert preview.error is None
    assert events.height == 3
    expected = events.group_by(
        window_start=pl.col("_timestamp").dt.cast_time_unit("us").dt.truncate("2s"),
        id="id",
    ).agg(n=pl.len())
    assert_frame_equal(rows, expected, check_row_order=False)


def test_so_is_a_fold(tap):
    """Of the library, too."""
    once = sl.deduplicate("id", within=None)
    _, rows = Preview(once, tap).output()
    assert rows["id"].to_list() == [1, 2]
