"""What a worker counts, and the percentiles of its latencies."""

from __future__ import annotations

from streamlab.observe.histogram import Histogram
from streamlab.observe.tally import MOST_LATENCIES, EpochCounts, Tally
from streamlab.positions import TopicPartition

PARTITION = TopicPartition("flights", 0)


def epoch(latencies_ms: list[float]) -> EpochCounts:
    return EpochCounts(
        read={PARTITION: len(latencies_ms)},
        dead_lettered={},
        rows_out=len(latencies_ms),
        stage_s={},
        broker_latency_ms=latencies_ms,
    )


def test_percentiles_are_of_all_recent_epochs() -> None:
    """Slow events count also where there are more latencies than are looked at."""
    tally = Tally()
    tally.add(epoch([1.0] * MOST_LATENCIES))
    tally.add(epoch([100.0] * MOST_LATENCIES * 2))
    assert tally.latency_ms() == {"broker_p50": 100.0, "broker_p99": 100.0}


def test_without_an_epoch_there_is_no_latency() -> None:
    """Nothing committed is not a latency of 0."""
    assert Tally().latency_ms() == {}


def test_epochs_add_up_by_partition() -> None:
    """Totals and partitions tell the same."""
    tally = Tally()
    for _ in range(2):
        tally.add(epoch([1.0, 2.0, 3.0]))
    assert tally.counts()["read"] == 6
    assert tally.by_partition() == {
        "flights/0": {"read": 6, "dead_lettered": 0, "late": 0}
    }


def test_latencies_are_counted_since_the_start() -> None:
    """Each kind that was measured has a histogram, and epochs add up in it."""
    tally = Tally()
    tally.add(epoch([4.0]))
    tally.add(epoch([4.0, 400.0]))
    counted = tally.latency_counts()
    assert list(counted) == ["broker"]
    assert Histogram.parsed(counted["broker"]) == Histogram.of([4.0, 4.0, 400.0])
