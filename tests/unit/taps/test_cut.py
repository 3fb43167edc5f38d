"""Where a tap begins: what the arguments mean."""

from __future__ import annotations

import datetime as dt

import pytest

from streamlab.errors import UsageError
from streamlab.positions import TopicPartition
from streamlab.taps.cut import Cut, Window, moment_of

NOW = dt.datetime.now(dt.UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("2h", 7200), ("1d", 86400), ("500ms", 0.5), ("1.5 s", 1.5)],
)
def test_an_age_counts_back_from_now(text, seconds):
    """Ages are numbers with a unit."""
    age = dt.datetime.now(dt.UTC) - moment_of(text)
    assert abs(age.total_seconds() - seconds) < 5


def test_a_time_without_a_zone_is_utc():
    """The same text means the same events on every machine."""
    expected = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
    assert moment_of("2013-01-01T05:00") == expected
    assert moment_of("2013-01-01T06:00+01:00") == expected
    assert moment_of(dt.datetime(2013, 1, 1, 5)) == expected  # noqa: DTZ001 -- the point


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "last week"])
def test_neither_time_nor_age_is_refused(text):
    """The message shows how to write it."""
    with pytest.raises(UsageError, match="neither"):
        moment_of(text)


def test_without_arguments_it_is_the_last_thousand():
    """A tap of a huge topic is small unless it is asked to be large."""
    assert Cut.of(None, None, None) == Cut(last=1000)


def test_a_window_widens_up_to_what_there_is():
    """Reaching back stops at the first offset that is still there."""
    place = TopicPartition("t", 0)
    window = Window({place: 10}, {place: 90}, {place: 100})
    assert window.widened(4).starts == {place: 60}
    assert not window.whole
    assert window.widened(10).whole
    assert window.widened(10).size == 90
