"""What the plan shows: rows, order, and at most one row for an event."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.transforms.plan import Claims, claims
from streamlab.transforms.steps import read_tables

COLUMNS = pl.Schema({"id": pl.Int64(), "v": pl.Float64(), "s": pl.String()})
SEATS = pl.DataFrame({"id": [1, 2], "kind": ["a", "b"], "seats": [10, 20]})
LEFT: dict[str, Any] = {"how": "left", "maintain_order": "left"}


def _claims(function: Any, key: tuple[str, ...] = (), **options: Any) -> Claims:
    if function.__code__.co_argcount > 1:
        options["tables"] = {"seats": sl.table(SEATS, key=key)}
    return claims(read_tables([sl.transform(**options)(function)], Path()), COLUMNS)


def test_a_join_on_the_whole_key_gives_one_row_at_most() -> None:
    """The declared key of a table is enough to know that rows don't multiply."""
    assert _claims(lambda f, seats: f.join(seats, on="id", **LEFT), ("id",)).at_most_one


def test_a_join_on_a_part_of_the_key_may_multiply() -> None:
    """A key of two columns, joined on one of them, shows nothing."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(seats, on="id", **LEFT)

    found = _claims(joined, ("id", "kind"))
    assert found.rows.kind == "shown"
    assert not found.at_most_one


def test_columns_chosen_from_a_table_keep_its_key() -> None:
    """Filtering a table, or choosing columns, does not lose its key."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        large = seats.filter(pl.col("seats") > 10).select("id", "seats")
        return frame.join(large, on="id", **LEFT)

    assert _claims(joined, ("id",)).at_most_one


def test_a_changed_key_column_is_no_key() -> None:
    """A table whose key column is computed anew may have equal keys."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(seats.with_columns(id=pl.lit(1, pl.Int64)), on="id", **LEFT)

    assert not _claims(joined, ("id",)).at_most_one


def test_validate_shows_one_row_at_most() -> None:
    """Polars itself checks ``validate="m:1"`` against the table."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(seats, on="id", validate="m:1", **LEFT)

    assert _claims(joined).at_most_one


def test_validate_on_the_events_looks_across_rows() -> None:
    """``validate="1:1"`` compares the events of a batch with each other."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(seats, on="id", validate="1:1", **LEFT)

    assert _claims(joined).rows.kind == "failed"


def test_events_on_the_right_of_a_join() -> None:
    """A table joined with the events keeps the right order if it is asked to."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return seats.join(frame, on="id", how="right", maintain_order="right")

    found = _claims(joined, ("id",))
    assert (found.rows.kind, found.order.kind, found.at_most_one) == (
        "shown",
        "shown",
        True,
    )


def test_a_computed_table_is_not_refused() -> None:
    """Grouping a table is not grouping events: not shown, and not wrong either."""

    def joined(frame: pl.LazyFrame, seats: pl.LazyFrame) -> pl.LazyFrame:
        return frame.join(seats.group_by("id").len(), on="id", **LEFT)

    assert _claims(joined).rows.kind == "unknown"


def test_returning_the_table_is_not_row_wise() -> None:
    """A plan without the events would give the table again for every batch."""
    assert _claims(lambda _, seats: seats).rows.kind == "failed"


def test_a_frame_read_early_proves_nothing() -> None:
    """A mean that became a constant of the plan is not taken for one."""

    def above(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.filter(pl.col("v") > frame.collect()["v"].mean())

    found = _claims(above)
    assert found.rows.kind == "unknown"
    assert "reads rows before" in found.rows.message


def test_asking_for_the_schema_reads_nothing() -> None:
    """A function may look at the columns there are while it builds its query."""

    def renamed(frame: pl.LazyFrame) -> pl.LazyFrame:
        names = frame.collect_schema().names()
        return frame.rename({name: name.upper() for name in names})

    assert _claims(renamed).rows.kind == "shown"


def test_a_plan_that_changes_proves_nothing() -> None:
    """A function with a state of its own gives another plan the second time."""
    calls: list[int] = []

    def counting(frame: pl.LazyFrame) -> pl.LazyFrame:
        calls.append(1)
        return frame.with_columns(call=pl.lit(len(calls)))

    assert "differs from one call to the next" in _claims(counting).rows.message


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda f: f.select(pl.lit(1)), "unknown"),
        (lambda f: f.with_columns(x=pl.Series([1, 2])), "unknown"),
        (lambda f: f.filter(pl.col("id").is_in(pl.col("v"))), "unknown"),
        (lambda f: f.filter(pl.col("id").is_in(pl.Series([1, 2]))), "shown"),
        (lambda f: f.select(pl.col("s").cast(pl.Date)), "unknown"),
        (lambda f: f.select(pl.col("v").explode()), "unknown"),
        (lambda f: f.collect_schema() and f.with_row_index(), "failed"),
        (lambda f: f.select(pl.all().sum()), "failed"),
        (lambda f: f.select("id", pl.col("v").sort()), "failed"),
        (lambda f: f.select("id", pl.col("v").sample(fraction=1.0)), "failed"),
        (lambda f: f.fill_null(strategy="forward"), "failed"),
        (lambda f: f.merge_sorted(f, key="id"), "failed"),
        (lambda f: f.sort("v").head(3), "failed"),
        (lambda f: f.top_k(3, by="v"), "failed"),
    ],
)
def test_traps_are_not_shown(function: Any, kind: str) -> None:
    """Expressions that look row-wise and are not, or may not be."""
    assert _claims(function).rows.kind == kind
