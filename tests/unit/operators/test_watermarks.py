"""How far the event time of a task has come."""

from __future__ import annotations

import json

import polars as pl

from streamlab.operators.operator import END_OF_TIME, Moment
from streamlab.operators.watermarks import Watermarks
from streamlab.positions import TopicPartition

A, B = TopicPartition("t", 0), TopicPartition("t", 1)


def two(bound: int = 10) -> Watermarks:
    """Return the event time of a task of two partitions."""
    made = Watermarks({"t": bound})
    made.add([A, B])
    return made


def seen(marks: Watermarks, partition: TopicPartition, *times: int) -> list[int]:
    """Return the watermark at each of some events."""
    return marks.observe(partition, pl.Series(times, dtype=pl.Int64)).to_list()


def test_a_partitions_watermark_is_the_highest_of_its_prefix_less_the_bound() -> None:
    """Also over the border of two batches, so cuts make no difference."""
    whole = seen(two(), A, 100, 90, 120, 80)
    cut = two()
    assert seen(cut, A, 100, 90) + seen(cut, A, 120, 80) == whole == [90, 90, 110, 110]


def test_the_tasks_watermark_is_the_lowest_and_waits_for_every_partition() -> None:
    """It never goes back."""
    marks = two()
    seen(marks, A, 100)
    assert marks.advance(1) == Moment(None, None, 1)
    seen(marks, B, 60)
    assert marks.advance(2) == Moment(None, 50, 2)
    seen(marks, B, 300)
    assert marks.advance(3) == Moment(50, 90, 3)


def test_an_idle_partition_is_left_out_and_late_for_what_closed_without_it() -> None:
    """Until it has caught up, and whatever the cuts behind its return."""
    marks = two()
    seen(marks, A, 100)
    seen(marks, B, 50)
    marks.advance(0)
    marks.set_aside(B)
    seen(marks, A, 500)
    assert marks.advance(0).after == 490
    assert seen(marks, B, 60, 70) == [490, 490]
    assert seen(marks, B, 80, 700) == [490, 690]
    assert marks.advance(0) == Moment(490, 490, 0)
    assert marks.idled == 1


def test_the_end_of_all_input_closes_everything() -> None:
    """The moment says so."""
    marks = two()
    marks.end()
    assert marks.advance(0).after == END_OF_TIME


def test_it_is_the_same_after_being_stored() -> None:
    """With idle partitions and what was closed without them."""
    marks = two()
    seen(marks, A, 100)
    marks.set_aside(B)
    marks.advance(0)
    seen(marks, B, 20)
    again = Watermarks.from_json(json.loads(json.dumps(marks.to_json())), {"t": 10})
    assert again == marks
    assert seen(again, B, 30) == [90]
