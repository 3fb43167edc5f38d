"""Lag: what is left to read, how fast it shrinks, when it is gone."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from streamlab.errors import UnknownName
from streamlab.observe.lag import LAG_SCHEMA, LagReading, group_named, read
from streamlab.positions import TopicPartition


@dataclass
class ListedOffsets:
    """A broker that knows one group."""

    positions: Mapping[TopicPartition, int | None]
    last: Mapping[TopicPartition, int]
    known: list[str] = field(default_factory=lambda: ["streamlab.delays", "other"])

    def groups(self):
        return self.known

    def committed(self, _group):
        return self.positions

    def ends(self, partitions):
        return {each: self.last[each] for each in partitions if each in self.last}

    def close(self):
        pass


def partition(number):
    return TopicPartition("flights", number)


def reading(position, end, *, at_ms=0) -> LagReading:
    offsets = ListedOffsets({partition(0): position}, {partition(0): end})
    return replace(read("streamlab.delays", offsets), at_ms=at_ms)


def test_lag_is_the_distance_to_the_end():
    """Each partition's lag is its end minus the group's position."""
    offsets = ListedOffsets(
        {partition(0): 90, partition(1): 100}, {partition(0): 100, partition(1): 100}
    )
    found = read("streamlab.delays", offsets)
    assert found.frame["lag"].to_list() == [10, 0]
    assert found.frame.schema == LAG_SCHEMA
    assert found.total == 10


def test_a_partition_without_a_commit_has_no_known_lag():
    """Where the group would begin is its own affair: the lag is not made up."""
    found = reading(None, 100)
    assert found.frame["lag"].to_list() == [None]
    assert found.uncommitted == 1
    assert found.total == 0


def test_an_empty_partition_has_no_lag():
    """Nothing written and nothing committed is nothing to read."""
    assert reading(None, 0).frame["lag"].to_list() == [0]


def test_a_partition_that_is_gone_is_left_out():
    """A topic can be deleted while its group is watched."""
    offsets = ListedOffsets({partition(0): 5}, {})
    assert read("streamlab.delays", offsets).frame.height == 0


def test_the_time_to_drain_follows_from_two_readings():
    """1,000 behind, then 600 two seconds later: 200 a second, 3 s to go."""
    found = reading(400, 1_000, at_ms=2_000).since(reading(0, 1_000, at_ms=0))
    assert found.drain_per_s == pytest.approx(200)
    assert found.seconds_to_drain == pytest.approx(3)
    assert found.frame["seconds_to_drain"].to_list() == [pytest.approx(3)]


def test_a_growing_lag_has_no_time_to_drain():
    """What grows is never empty: no figure is shown."""
    found = reading(0, 2_000, at_ms=1_000).since(reading(0, 1_000, at_ms=0))
    assert found.drain_per_s == pytest.approx(-1_000)
    assert found.seconds_to_drain is None
    assert found.frame["seconds_to_drain"].to_list() == [None]


def test_no_lag_is_drained_now():
    """A group that has caught up has nothing left, whatever the rate."""
    assert reading(10, 10).seconds_to_drain == 0


def test_a_single_reading_has_no_rate():
    """One look tells no speed."""
    assert reading(0, 10).drain_per_s is None
    assert reading(0, 10).seconds_to_drain is None


def test_a_pipeline_goes_before_a_group_of_its_name():
    """``delays`` is the pipeline; any other group goes by its own name."""
    offsets = ListedOffsets({}, {}, known=["delays", "streamlab.delays", "other"])
    assert group_named("delays", offsets) == "streamlab.delays"
    assert group_named("other", offsets) == "other"


def test_an_unknown_group_names_near_ones():
    """A slip of the fingers is answered with the name that was meant."""
    with pytest.raises(UnknownName, match="delays"):
        group_named("delas", ListedOffsets({}, {}))
