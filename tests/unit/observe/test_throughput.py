"""Throughput: rates between readings of counts."""

from types import MappingProxyType

from streamlab.observe.throughput import RATES_SCHEMA, CountReading, Throughput, rates
from streamlab.observe.workers import announced

SECOND_NS = 1_000_000_000


def reading(second, **counts):
    return CountReading(second * SECOND_NS, second * 1_000, MappingProxyType(counts))


def test_a_rate_is_the_growth_per_second():
    """100 events in 2 seconds are 50 a second."""
    found = rates([reading(0, a=0), reading(2, a=100)])
    assert found["per_s"].to_list() == [50.0]
    assert found.schema == RATES_SCHEMA


def test_a_worker_that_was_started_again_begins_anew():
    """A count that fell gives no negative rate."""
    assert rates([reading(0, a=900), reading(1, a=10)])["per_s"].to_list() == [0.0]


def test_a_series_that_came_later_has_no_rate_at_first():
    """A worker that just started has nothing to compare with."""
    found = rates([reading(0, a=0), reading(1, a=1, b=5), reading(2, a=2, b=6)])
    assert found["series"].to_list() == ["a", "a", "b"]


def test_a_single_reading_has_no_rates():
    """One reading gives an empty frame with the right columns."""
    assert rates([reading(0, a=1)]).schema == RATES_SCHEMA


def test_a_worker_that_does_not_answer_is_left_out(tmp_path):
    """A worker that is starting or ending is no error, it has no numbers yet."""
    with announced("delays", "w", port=9, state_folder=tmp_path):
        throughput = Throughput(state_folder=tmp_path)
    assert throughput.sampler.readings[-1].counts == {}
