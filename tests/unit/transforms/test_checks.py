"""The tests on a sample: each kind of cut has a function that only it refutes."""

from __future__ import annotations

import time
from collections.abc import Callable

import polars as pl
import pytest

import streamlab as sl
from streamlab.transforms import checks
from streamlab.transforms.checks import Outcome, Trial, same_rows
from streamlab.transforms.steps import Step, collected

EVENTS = pl.DataFrame({"id": range(300), "v": [row % 7 for row in range(300)]})
PARTITION = pl.Series([row % 3 for row in range(300)])


def _tested(
    function: Callable[[pl.LazyFrame], pl.LazyFrame | pl.DataFrame],
    *,
    partition: pl.Series | None = PARTITION,
    seconds: float = 60.0,
) -> Outcome:
    steps = (Step(sl.transform(function)),)
    schema = collected(steps, EVENTS.clear()).schema
    deadline = time.monotonic() + seconds
    return Trial(steps, schema, EVENTS, partition, deadline).verdicts()


def test_a_row_wise_function_passes() -> None:
    """A filter holds, in rows and in order."""
    tested = _tested(lambda f: f.filter(pl.col("v") > 3))
    assert (tested.rows.kind, tested.order.kind) == ("tested", "tested")


def test_another_result_the_second_time_is_not_repeatable() -> None:
    """The same input twice must give the same."""
    calls: list[int] = []

    def counting(frame: pl.LazyFrame) -> pl.LazyFrame:
        calls.append(1)
        return frame.with_columns(call=pl.lit(len(calls)))

    assert "not repeatable" in _tested(counting).rows.message


def test_single_events_refute_what_needs_two() -> None:
    """A filter on the height of the batch fails as soon as events come alone."""
    tested = _tested(lambda f: f.filter(pl.len() > 1))
    assert "one at a time" in tested.rows.message


def test_the_doubled_sample_refutes_what_counts_equal_events() -> None:
    """Ids that are unique in a sample hide unique(); repeating the sample does not."""
    tested = _tested(lambda f: f.unique("id", maintain_order=True))
    assert "followed by themselves" in tested.rows.message


def test_pieces_refute_a_limit_that_single_events_never_reach() -> None:
    """A head larger than one event but smaller than the sample is cut apart."""
    tested = _tested(lambda f: f.head(200))
    assert "pieces" in tested.rows.message


def test_a_head_larger_than_the_sample_passes() -> None:
    """What a test cannot see: the reason why the plan is read first."""
    assert _tested(lambda f: f.head(1_000_000)).rows.kind == "tested"


def test_an_exception_on_a_piece_is_a_refutation() -> None:
    """A function that fails on few rows is told with its line, not a traceback."""

    def picky(frame: pl.LazyFrame) -> pl.LazyFrame:
        rows = frame.collect()
        if rows.height == 1:
            raise ValueError(rows["id"][0])
        return rows.lazy()

    message = _tested(picky).rows.message
    assert "it fails on 1 of the events" in message
    assert "ValueError on some value" in message


def test_a_schema_that_changes_is_a_refutation() -> None:
    """A piece with another dtype is named with the column."""

    def by_data(frame: pl.LazyFrame) -> pl.DataFrame:
        rows = frame.collect()
        return rows.cast({"v": pl.Int64 if rows["v"].sum() < 9 else pl.Float64})

    assert "schema depends on the data: column 'v'" in _tested(by_data).rows.message


def test_rows_in_another_order_fail_the_order_only() -> None:
    """A sort has the right rows, in an order that depends on the cut."""
    tested = _tested(lambda f: f.sort("v", maintain_order=True))
    assert (tested.rows.kind, tested.order.kind) == ("tested", "failed")


def test_time_runs_out() -> None:
    """Where there was no time for all checks, nothing is claimed."""
    tested = _tested(lambda f: f.filter(pl.col("v") > 3), seconds=-1.0)
    assert (tested.rows.kind, tested.order.kind) == ("unknown", "unknown")
    assert "too slow" in tested.rows.message


def test_without_the_pieces_a_wrong_function_passes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: the cuts are what finds it."""
    monkeypatch.setattr(Trial, "_cuts", lambda *_: iter(()))
    assert _tested(lambda f: f.head(200)).rows.kind == "tested"


def test_equal_rows_in_another_order_are_the_same() -> None:
    """Nested values, nulls and NaN are compared as values; the order is not."""
    frame = pl.DataFrame(
        {
            "f": [float("nan"), None, 0.5],
            "l": [[1, 2], [], None],
            "s": [{"x": None}, {"x": "a"}, None],
            "b": [b"", None, b"x"],
        }
    )
    assert same_rows(frame, frame[[2, 0, 1]])
    assert not same_rows(frame, frame[[2, 0, 0]])
    assert not same_rows(frame, frame.head(2))


def test_random_cuts_are_the_same_each_time() -> None:
    """The cuts come from a fixed seed: an evaluation can be repeated."""
    import random

    def first() -> list[int]:
        pieces = checks._pieces(EVENTS, 5, random.Random(1))
        return [piece.height for piece in pieces]

    assert first() == first()
    assert sum(first()) == EVENTS.height
    assert 0 in first()
