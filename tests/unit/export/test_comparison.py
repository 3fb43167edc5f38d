from __future__ import annotations

import polars as pl

from streamlab.export.comparison import difference

ROWS = pl.DataFrame({"n": [1, 2, 3], "name": ["a", "b", None], "x": [0.5, None, 1.5]})


def test_equal_frames_do_not_differ() -> None:
    """The same rows in the same order are the same."""
    assert difference(ROWS, ROWS.clone()) == ""


def test_order_counts_for_nothing() -> None:
    """The same rows in another order are the same."""
    assert difference(ROWS, ROWS.reverse()) == ""


def test_nan_equals_nan() -> None:
    """A NaN that is expected is no difference, also in another order."""
    frame = pl.DataFrame({"x": [float("nan"), 1.0]})

    assert difference(frame, frame.reverse()) == ""


def test_a_changed_value_names_row_and_column() -> None:
    """The first differing row is shown with the columns that differ, only these."""
    changed = ROWS.with_columns(name=pl.Series(["a", "B", None]))

    text = difference(ROWS, changed)

    assert text == "row 1 of 3: name should be 'b' and is 'B'"


def test_a_changed_row_is_shown_beside_the_one_most_like_it() -> None:
    """When the order differs too, rows are not paired by their place."""
    changed = ROWS.with_columns(x=pl.col("x") * 2).reverse()

    text = difference(ROWS, changed)

    assert text == "row 0 of 3: x should be 0.5 and is 1.0"


def test_a_doubled_row_is_found() -> None:
    """Rows are counted: twice is not once."""
    text = difference(ROWS, pl.concat([ROWS, ROWS[1:2]]))

    assert text == "row 3 of 4 was not expected: n = 2, name = 'b', x = None"


def test_a_lost_row_is_found() -> None:
    """A missing row is shown."""
    text = difference(ROWS, ROWS[:2])

    assert text == "row 2 of 3 is missing: n = 3, name = None, x = 1.5"


def test_another_type_is_a_difference() -> None:
    """Equal numbers of another type are not equal output."""
    text = difference(ROWS, ROWS.cast({"n": pl.Int32}))

    assert text == "column 'n' is Int32, not Int64"


def test_a_missing_column_is_a_difference() -> None:
    """A column that is not there is named."""
    assert difference(ROWS, ROWS.drop("x")) == "column 'x' is missing, not Float64"
