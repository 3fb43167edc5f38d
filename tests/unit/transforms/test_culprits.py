"""Which events a function fails on: halved, bounded, by origin."""

from __future__ import annotations

import time

import polars as pl
import pytest

from streamlab.errors import TransformError
from streamlab.transforms.culprits import MOST
from streamlab.transforms.evaluation import evaluate
from streamlab.transforms.transform import transform

ROWS = 5_000


def numbers(wrong: set[int]) -> pl.DataFrame:
    """Return events on two partitions; some hold a text that is no number."""
    rows = pl.int_range(ROWS, eager=True)
    return pl.DataFrame(
        {
            "_topic": ["orders"] * ROWS,
            "_partition": (rows % 2).cast(pl.Int32),
            "_offset": rows // 2,
            "n": [f"secret {row}" if row in wrong else str(row) for row in rows],
        }
    )


@transform
def as_number(events: pl.LazyFrame) -> pl.LazyFrame:
    """Fail on a text that is no number."""
    return events.select(pl.col("n").cast(pl.Int64))


def failure(frame: pl.DataFrame, function: object = as_number) -> TransformError:
    """Return the error of an evaluation."""
    with pytest.raises(TransformError) as caught:
        evaluate(function, frame)  # type: ignore[arg-type]  # any transform
    return caught.value


def test_the_events_are_named_by_origin() -> None:
    """Each event that fails alone is in the error and its text, without its value."""
    error = failure(numbers({7, 4001}))
    assert error.events == ("orders/1@3", "orders/1@2000")
    assert "Events: orders/1@3, orders/1@2000" in str(error)
    assert "secret" not in str(error)


def test_without_metadata_rows_are_numbered() -> None:
    """A frame of the user's own has no origins, so the row number is the name."""
    error = failure(numbers({7}).select("n"))
    assert error.events == ("row 7",)


def test_many_events_are_named_up_to_a_number() -> None:
    """Of thousands the first are named, and that there are more."""
    error = failure(numbers(set(range(100, 3_000))))
    assert len(error.events) == MOST
    assert error.more_events
    assert "and more" in str(error)


def test_rows_that_fail_together_are_named_together() -> None:
    """A failure that no single event causes names the range that does."""

    @transform
    def unlike_its_neighbour(events: pl.LazyFrame) -> pl.LazyFrame:
        def check(values: pl.Series) -> pl.Series:
            if {"2", "3"} <= set(values):
                raise ValueError
            return values

        return events.select(pl.col("n").map_batches(check, return_dtype=pl.String))

    error = failure(numbers(set()).head(4), unlike_its_neighbour)
    assert error.events == ("orders/0@1 … orders/1@1",)


def test_a_function_that_fails_on_anything_names_no_event() -> None:
    """Where no rows fail too, no event is the cause."""

    @transform
    def broken(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.select(pl.col("no_such_column"))

    assert failure(numbers(set()), broken).events == ()


def test_the_search_is_bounded() -> None:
    """A slow function is not searched for longer than two seconds and a call."""

    @transform
    def slow(events: pl.LazyFrame) -> pl.LazyFrame:
        def check(values: pl.Series) -> pl.Series:
            time.sleep(0.3 if len(values) else 0)
            if "40" in set(values):
                raise ValueError
            return values

        return events.select(pl.col("n").map_batches(check, return_dtype=pl.String))

    started = time.monotonic()
    error = failure(numbers(set()), slow)
    assert time.monotonic() - started < 8
    assert error.more_events
    assert " … " in error.events[0]
