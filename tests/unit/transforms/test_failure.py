"""Errors of a user's function: the line, the column, and no value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError
from streamlab.transforms.application import prepare

SCHEMA = Schema.of({"arr_delay": pl.Int64(), "name": pl.String()})
EVENTS = pl.DataFrame({"arr_delay": [20, 1], "name": ["12", "Ada Lovelace"]})


def _error(function: Any, **options: Any) -> str:
    with pytest.raises(TransformError) as caught:
        prepare([sl.transform(**options)(function)], SCHEMA, Path()).apply(EVENTS)
    assert caught.value.__suppress_context__
    return str(caught.value)


def test_a_lazy_missing_column_points_at_its_line() -> None:
    """The line of the step is shown with near names, though it fails when collected."""

    def delayed(frame: pl.LazyFrame) -> pl.LazyFrame:
        return (
            frame.filter(pl.col("arr_delay") > 1)
            .with_columns(pl.col("arr_dealy") * 2)
            .select("name")
        )

    first = delayed.__code__.co_firstlineno
    assert _error(delayed) == (
        f"delayed() failed, line {first + 3} of test_failure.py: "
        "there is no column 'arr_dealy'\n"
        '    .with_columns(pl.col("arr_dealy") * 2)\n'
        "Hint: did you mean 'arr_delay'? The columns there: arr_delay, name"
    )


def test_a_python_error_points_at_its_line() -> None:
    """An ordinary error shows its type, its text and the line."""

    def wrong(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(pl.col("name").str.upper())

    text = _error(wrong)
    assert "AttributeError: " in text
    assert 'frame.with_columns(pl.col("name").str.upper())' in text


def test_a_helper_is_pointed_at() -> None:
    """The innermost line that the user wrote is shown, not the caller's."""

    def doubled(name: str) -> pl.Expr:
        return pl.col(name) * missing_factor  # noqa: F821 -- on purpose

    def calling(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(doubled("arr_delay"))

    assert "return pl.col(name) * missing_factor" in _error(calling)


def test_a_conversion_that_fails_shows_no_value() -> None:
    """The column and the number of values are told; the values are not."""

    def cast(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.select(pl.col("name").cast(pl.Int64))

    text = _error(cast)
    assert "failed in column 'name' for 1 out of 2 values" in text
    assert "Ada" not in text


def test_an_error_that_only_rows_cause_shows_no_value() -> None:
    """A text that may quote an event is left out."""

    def parsed(frame: pl.LazyFrame) -> pl.DataFrame:
        rows = frame.collect()
        return pl.DataFrame({"n": [int(value) for value in rows["name"]]})

    text = _error(parsed)
    assert "ValueError on some value" in text
    assert "int(value) for value in rows" in text
    assert "Ada" not in text


def test_code_in_no_file_is_called_the_cell() -> None:
    """A function of a notebook's cell is placed in the cell."""
    names: dict[str, Any] = {"pl": pl}
    code = "def cell(frame):\n    return frame.select('nme')\n"
    exec(compile(code, "<ipython-input-3>", "exec"), names)
    assert "line 2 of the cell: there is no column 'nme'" in _error(names["cell"])


def test_a_pandas_key_error_points_at_its_line() -> None:
    """A function for pandas fails like any other."""

    def wrong(frame: Any) -> Any:
        return frame[["nme"]]

    text = _error(wrong, pandas=True)
    assert "KeyError" in text
    assert 'frame[["nme"]]' in text


def test_returning_nothing_says_so() -> None:
    """A forgotten return is named, with what to do."""

    def silent(frame: pl.LazyFrame) -> None:
        frame.select("name")

    text = _error(silent)
    assert "silent() returned NoneType" in text
    assert "return" in text.partition("Hint:")[2]


def test_the_transform_that_fails_is_named_in_a_row_of_them() -> None:
    """Of two transforms the one with the mistake is named."""
    good = sl.transform(lambda frame: frame.select("name"))

    @sl.transform
    def second(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.select("arr_delay")

    with pytest.raises(TransformError, match=r"^second\(\) failed"):
        prepare([good, second], SCHEMA, Path())
