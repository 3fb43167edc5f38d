"""How a user's function is called with frames, and what of it fails."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import TransformError
from streamlab.operators.calling import Function
from streamlab.transforms.steps import Step

EVENTS = pl.Schema({"k": pl.String, "v": pl.Int64})


def made(function: Any, *, others: int = 0, **declared: Any) -> Function:
    """Return a function on one stream of events."""
    step = Step(sl.transform(**declared)(function))
    return Function.of(step, {"events": EVENTS}, others=others)


def rows(*pairs: tuple[str, int]) -> pl.DataFrame:
    """Return events."""
    return pl.DataFrame(list(pairs), EVENTS, orient="row")


def by_text(events: pl.LazyFrame) -> pl.LazyFrame:
    """Fail on negative values."""
    return events.group_by("k").agg(
        pl.col("v").cast(pl.UInt8).sum().cast(pl.Int64).alias("total")
    )


def test_a_frame_is_the_output() -> None:
    """Lazy or eager."""
    function = made(by_text)
    assert function.empty.output.schema == {"k": pl.String, "total": pl.Int64}
    assert function({"events": rows(("a", 1), ("a", 2))}).output.rows() == [("a", 3)]


def test_of_a_mapping_the_first_is_the_output_and_the_others_are_sides() -> None:
    """Each with its name."""

    def split(events: pl.LazyFrame) -> dict[str, pl.LazyFrame]:
        return {
            "small": events.filter(pl.col("v") < 5),
            "big": events.filter(pl.col("v") >= 5).select("v"),
        }

    results = made(split)({"events": rows(("a", 1), ("b", 7))})
    assert results.output.rows() == [("a", 1)]
    assert {name: one.rows() for name, one in results.sides.items()} == {"big": [(7,)]}


def test_a_fold_returns_a_pair() -> None:
    """Whose second frame is the new state."""

    def fold(events: pl.LazyFrame) -> tuple[pl.LazyFrame, pl.LazyFrame]:
        return events, events.select("k")

    function = made(fold, others=1)
    assert function.empty.others[0].schema == {"k": pl.String}
    (state,) = function({"events": rows(("a", 1))}).others
    assert state.rows() == [("a",)]


def test_groups_at_fault_are_found_and_the_others_come_out() -> None:
    """By halving; the reason holds no value."""
    good = [(f"k{n}", n) for n in range(20)]
    events = rows(*good[:7], ("bad", -987), *good[7:], ("bad", 1), ("worse", -5))
    results, failed = made(by_text).by_groups({"events": events}, ["k"])
    assert sorted(results.output.rows()) == sorted(good)
    assert [one.rows.rows() for one in failed] == [
        [("bad", -987), ("bad", 1)],
        [("worse", -5)],
    ]
    assert all("987" not in one.reason for one in failed)
    assert "by_text() failed" in failed[0].reason
    assert {one.input for one in failed} == {"events"}


def test_without_groups_all_rows_are_at_fault() -> None:
    """They are one group."""
    results, failed = made(by_text).by_groups({"events": rows(("a", -1), ("b", 1))}, [])
    assert results.output.is_empty()
    assert [one.rows.height for one in failed] == [2]


def test_a_schema_that_depends_on_the_data_is_an_error_whatever_the_groups() -> None:
    """It names the column."""

    def uneven(events: pl.LazyFrame) -> pl.DataFrame:
        frame = events.collect()
        return frame.with_columns(v=pl.lit("x")) if frame.height else frame

    with pytest.raises(TransformError, match=r"the output of uneven.. has .* 'v'"):
        made(uneven).by_groups({"events": rows(("a", 1))}, ["k"])


def test_a_side_output_that_is_there_only_at_times_is_an_error() -> None:
    """It names them all."""

    def uneven(events: pl.LazyFrame) -> dict[str, pl.DataFrame]:
        frame = events.collect()
        return {"main": frame} | ({"more": frame} if frame.height else {})

    with pytest.raises(TransformError, match="the side output 'more'; on empty"):
        made(uneven)({"events": rows(("a", 1))})


def test_a_function_that_fails_on_empty_frames_is_explained() -> None:
    """With the missing column and what it could be."""

    def misspelt(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.select("w")

    with pytest.raises(TransformError, match="there is no column 'w'"):
        made(misspelt)


@pytest.mark.parametrize("returned", [3, {}, {1: pl.DataFrame()}, None])
def test_what_is_no_frame_is_an_error(returned: object) -> None:
    """It says what is wanted."""

    def wrong(events: pl.LazyFrame) -> object:
        return returned

    with pytest.raises(TransformError, match=r"returned .*, not a"):
        made(wrong)


def test_a_function_for_pandas_gets_and_returns_pandas() -> None:
    """With the same dtypes on empty frames as on rows."""

    def counted(events: Any) -> Any:
        return events.groupby("k", as_index=False)["v"].sum()

    function = made(counted, pandas=True)
    results, failed = function.by_groups({"events": rows(("a", 1), ("a", 2))}, ["k"])
    assert (results.output.rows(), failed) == ([("a", 3)], ())
