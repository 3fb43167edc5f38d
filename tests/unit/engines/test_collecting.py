"""When what was read becomes an epoch."""

from __future__ import annotations

import pytest

from streamlab.engines.local.collecting import BACKLOG_ROWS, Collector
from streamlab.pipelines import Pace
from streamlab.positions import Span, TopicPartition
from streamlab.sources import ListedOrigins, RawBatch

PARTITION = TopicPartition("numbers", 0)


def batch(rows: int, start: int = 0, value: bytes = b"1") -> RawBatch:
    return RawBatch(
        values=[value] * rows,
        spans=(Span(PARTITION, start, start + rows),),
        origins=ListedOrigins([PARTITION] * rows, list(range(start, start + rows))),
        size_bytes=rows * len(value),
    )


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def collector(clock: Clock) -> Collector:
    return Collector(Pace(latency_ms=100, max_rows=10_000, max_bytes=50_000), clock)


def test_a_trickle_goes_on_at_once(collector: Collector) -> None:
    """One event of a source that has no more makes an epoch."""
    collector.add(batch(1))
    assert collector.ready()


def test_a_backlog_waits_for_a_full_epoch(collector: Collector) -> None:
    """A poll that brings much is followed by more, so the epoch stays open."""
    collector.add(batch(BACKLOG_ROWS))
    assert not collector.ready()


def test_a_full_epoch_goes_on(collector: Collector) -> None:
    """The row limit ends an epoch."""
    for start in range(0, 10_000, 5_000):
        collector.add(batch(5_000, start))
    assert collector.room == 0
    assert collector.ready()


def test_bytes_end_an_epoch(collector: Collector) -> None:
    """The byte limit ends an epoch long before the row limit does."""
    collector.add(batch(BACKLOG_ROWS, value=b"x" * 25))
    assert collector.room == 0
    assert collector.ready()


def test_time_ends_an_epoch(collector: Collector, clock: Clock) -> None:
    """A backlog that comes slowly goes on when the latency target is reached."""
    collector.add(batch(BACKLOG_ROWS))
    clock.now = 0.1
    assert collector.ready()


def test_a_dry_source_ends_an_epoch(collector: Collector) -> None:
    """A poll that brings nothing ends the wait for more."""
    collector.add(batch(BACKLOG_ROWS))
    collector.add(None)
    assert collector.ready()


def test_taking_joins_the_batches(collector: Collector) -> None:
    """An epoch has the rows of all its batches and one span a partition."""
    collector.add(batch(3, 0))
    collector.add(batch(2, 3))
    taken = collector.take()["events"]
    assert len(taken) == 5
    assert taken.spans == (Span(PARTITION, 0, 5),)
    assert list(taken.origins.positions()) == [0, 1, 2, 3, 4]
    assert collector.empty


def test_headers_stay_with_their_events() -> None:
    """In a joined batch headers are found by the event's place in it."""
    headers = [("h", b"1")]
    parts = [
        RawBatch(
            values=[b"x", b"y"],
            spans=(),
            origins=ListedOrigins([PARTITION] * 2, [0, 1], listed_headers=each),
            size_bytes=2,
        )
        for each in ({1: headers}, {}, {0: headers})
    ]
    joined = RawBatch.concat(parts)
    assert joined.origins.headed() == {1: headers, 4: headers}
    assert joined.origins.headers(4) == headers


def test_a_backlog_outlasts_its_epochs(collector: Collector) -> None:
    """Until a poll brings little, who reads need not wait for the stages."""
    collector.add(batch(BACKLOG_ROWS))
    collector.take()
    assert collector.more_to_come
    collector.add(batch(1))
    assert not collector.more_to_come


def test_nothing_is_no_epoch(collector: Collector) -> None:
    """An empty collector is never ready."""
    collector.add(None)
    assert not collector.ready()
