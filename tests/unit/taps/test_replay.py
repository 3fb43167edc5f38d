"""A sample as a source: order, pace, positions."""

from __future__ import annotations

import time
from dataclasses import replace

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.errors import UsageError
from streamlab.positions import Span, TopicPartition
from streamlab.sources import RawBatch
from streamlab.taps.sample import Sample
from streamlab.testing import SOURCE_CHECKS, SourceCase
from tests.unit.taps.made import read

NUMBERS = Schema.of({"n": pl.Int64()})

KEPT = [
    check
    for check in SOURCE_CHECKS
    # A replay begins at the beginning.
    if check.__name__ != "remembers_what_was_acknowledged"
]


class Listening:
    """Begins at the start of what it is given, or where it is told."""

    def __init__(self, at=None):
        self.at = at or {}

    def assigned(self, given):
        self.given = given
        return {p: self.at.get(p.partition, given.start[p]) for p in given.partitions}

    def revoked(self, partitions):
        self.gone = partitions


@pytest.fixture
def sample() -> Sample:
    """Return events of two partitions; the clock of one goes back."""
    return read(
        NUMBERS,
        [{"n": 0}, b"{", None, {"n": 3}, {"n": 4}],
        partitions=[1, 0, 1, 0, 1],
        offsets=[7, 3, 9, 4, 10],
        timestamps_ms=[1000, 1100, 900, 1050, None],
        keys=[b"a", b"", None, b"d", b"e"],
        headers={1: (("h", b"x"),), 4: (("g", None),)},
    )


def batches(sample: Sample, rows: int = 1000, speed=None, at=None) -> list[RawBatch]:
    """Return what a reader delivers, up to the end."""
    reader = sample.replay(speed=speed).open("p", Listening(at))
    assert reader.poll(rows, 0) is None
    found: list[RawBatch] = []
    while sum(map(len, found)) < len(sample.origins):
        batch = reader.poll(rows, 1)
        if batch is None and speed is None:
            break
        found += [batch] if batch else []
    reader.close()
    return found


def test_events_come_as_they_were(sample):
    """Bytes, keys, times, offsets, headers; tombstones and rejected in their places."""
    [batch] = batches(sample)
    origins = batch.origins
    assert [p.partition for p in origins.partitions()] == [1, 1, 1, 0, 0]
    assert origins.positions() == [7, 9, 10, 3, 4]
    assert batch.values == [b'{"n": 0}', None, b'{"n": 4}', b"{", b'{"n": 3}']
    assert origins.keys() == [b"a", None, b"e", b"", b"d"]
    assert origins.timestamps_ms() == [1000, 900, None, 1100, 1050]
    assert [origins.headers(row) for row in range(5)] == [
        (),
        (),
        (("g", None),),
        (("h", b"x"),),
        (),
    ]
    assert batch.size_bytes == 25
    assert batch.spans == (
        Span(TopicPartition("t", 0), 3, 5),
        Span(TopicPartition("t", 1), 7, 11),
    )


def test_the_order_does_not_depend_on_how_events_are_cut(sample):
    """One by one they come as all at once, also from a sample in another order."""
    [whole] = batches(sample)
    single = RawBatch.concat(batches(sample, rows=1))
    assert single.values == whole.values
    assert list(single.origins.positions()) == list(whole.origins.positions())
    assert single.spans == whole.spans
    turned = replace(
        sample, frame=sample.frame.reverse(), values=sample.values.reverse()
    )
    assert batches(turned)[0].values == whole.values


@pytest.mark.parametrize("check", KEPT, ids=lambda check: check.__name__)
def test_it_keeps_the_promises_of_a_source(check):
    """What every source does, but for what only a system with a memory can."""

    def make(events):
        places = [(p, o) for p, values in events.items() for o in range(len(values))]
        return read(
            NUMBERS,
            [events[partition][offset] for partition, offset in places],
            partitions=[partition for partition, _ in places],
            offsets=[offset for _, offset in places],
        ).replay()

    check(SourceCase(make))


def test_it_reads_on_from_a_position(sample):
    """A sink that keeps a position is not given events twice."""
    [batch] = batches(sample, at={0: 4, 1: 10})
    assert batch.values == [b'{"n": 4}', b'{"n": 3}']
    assert batches(sample, at={0: 5, 1: 11}) == []


def test_its_incarnation_is_its_events(sample):
    """A position in one sample means nothing in another."""

    def incarnation(one: Sample) -> str:
        listener = Listening()
        one.replay().open("p", listener).poll(1, 0)
        return listener.given.incarnations["t"]

    assert incarnation(sample) == incarnation(replace(sample, name="other"))
    assert incarnation(sample) != incarnation(sample.only([0]))


def test_time_passes_at_the_given_speed():
    """Events come when their time has come, and not before."""
    sample = read(
        NUMBERS, [{"n": n} for n in range(4)], timestamps_ms=[0, 0, 1000, 3000]
    )
    began = time.monotonic()
    sizes = [len(batch) for batch in batches(sample, speed=10)]
    assert sizes == [2, 1, 1]
    assert 0.3 <= time.monotonic() - began < 1.5


def test_a_poll_waits_no_longer_than_it_may():
    """A worker that waits for the next event can be stopped."""
    sample = read(NUMBERS, [{"n": 1}, {"n": 2}], timestamps_ms=[0, 3_600_000])
    reader = sample.replay(speed=1).open("p", Listening())
    reader.poll(10, 0)
    assert len(reader.poll(10, 0)) == 1
    began = time.monotonic()
    assert reader.poll(10, 0.05) is None
    reader.hold(held=True)
    assert reader.poll(10, 0.05) is None
    assert 0.09 <= time.monotonic() - began < 1


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_at_which_nothing_moves_is_refused(sample, speed):
    """The message says which speeds there are."""
    with pytest.raises(UsageError, match="speed"):
        sample.replay(speed=speed)


def test_its_line_in_a_plan_has_no_value(sample):
    """Sample, topic and speed."""
    assert sample.replay(speed=2.5).describe() == (
        "sample t of topic t, 2.5 times as fast"
    )
    assert repr(sample.replay()) == "SampleSource(speed=None)"
