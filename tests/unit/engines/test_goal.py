"""When a run is over, and what it reads until then."""

from __future__ import annotations

import polars as pl
import pytest

from streamlab.engines.local.goal import Goal
from streamlab.positions import Span, TopicPartition
from streamlab.sources import ListedOrigins, RawBatch
from streamlab.values import FrameValues, RejectedValue

ONE, TWO = TopicPartition("events", 1), TopicPartition("events", 2)


def batch(values: object = None) -> RawBatch:
    """Return offsets 3 to 6 of one partition and 0 to 1 of another."""
    return RawBatch(
        values=values or [b"3", b"4", b"0", b"5", b"6", b"1"],  # type: ignore[arg-type]
        spans=(Span(ONE, 3, 7), Span(TWO, 0, 2)),
        origins=ListedOrigins(
            [ONE, ONE, TWO, ONE, ONE, TWO],
            [3, 4, 0, 5, 6, 1],
            listed_keys=[b"a", b"b", b"c", b"d", b"e", b"f"],
            listed_headers={3: (("h", b"x"),)},
        ),
        size_bytes=6,
    )


def test_a_batch_is_cut_at_the_positions() -> None:
    """What is behind them is not covered either, so that the next run reads it."""
    cut = Goal(limits={ONE: 6, TWO: 1}).cut(batch())
    assert cut is not None
    assert list(cut.values) == [b"3", b"4", b"0", b"5"]
    assert cut.spans == (Span(ONE, 3, 6), Span(TWO, 0, 1))
    assert list(cut.origins.keys()) == [b"a", b"b", b"c", b"d"]
    assert cut.origins.headed() == {3: (("h", b"x"),)}
    assert cut.origins.counts() == {ONE: 3, TWO: 1}


def test_a_partition_without_a_position_is_not_read() -> None:
    """It stays where it is."""
    cut = Goal(limits={TWO: 9}).cut(batch())
    assert cut is not None
    assert cut.spans == (Span(TWO, 0, 2),)
    assert Goal(limits={TWO: 0}).cut(batch()) is None


def test_a_frame_stays_a_frame_when_it_is_cut() -> None:
    """Rows of a database are not encoded for it, and their rejects stay in place."""
    frame = pl.DataFrame({"n": [3, 0, 5, 6, 1]})
    values = FrameValues(frame, [RejectedValue(1, b"bad", "odd", "it is odd")])
    cut = Goal(limits={ONE: 6, TWO: 1}).cut(batch(values))
    assert cut is not None
    assert isinstance(cut.values, FrameValues)
    assert cut.values.frame["n"].to_list() == [3, 0, 5]
    assert [(one.row, one.value) for one in cut.values.rejected] == [(1, b"bad")]


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        (Goal(caught_up=True), False),
        (Goal(limits={ONE: 5}), True),
        (Goal(limits={ONE: 6}), False),
    ],
)
def test_a_goal_is_reached_by_all_partitions(goal: Goal, *, reached: bool) -> None:
    """At the end of the source, or at each position; the others do not matter."""
    assert goal.reached({ONE: 5, TWO: 1}, {ONE: 5, TWO: 2}) is reached
