"""An evaluation: numbers, verdicts, cost and time, on a frame or a sample."""

from __future__ import annotations

import time
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.transforms.evaluation import evaluate

EVENTS = pl.DataFrame(
    {
        "_partition": pl.Series([0, 1] * 50, dtype=pl.Int32),
        "_offset": range(100),
        "id": range(100),
    }
)


@sl.transform
def large(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.filter(pl.col("id") >= 90).select("id", at=pl.col("_offset"))


def test_an_evaluation_has_the_numbers() -> None:
    """Rows in and out, the schema, the metadata and the output are there."""
    evaluation = evaluate(large, EVENTS)
    assert (evaluation.rows_in, evaluation.rows_out) == (100, 10)
    assert evaluation.filtered == 90
    assert evaluation.schema == {"id": pl.Int64, "at": pl.Int64}
    assert evaluation.metadata == ("_offset",)
    assert evaluation.output["at"].to_list() == list(range(90, 100))
    assert evaluation.head is None
    assert evaluation.seconds_per_million > 0
    assert evaluation.conversion_seconds_per_million is None


def test_the_text_has_all_but_the_rows() -> None:
    """The text form names numbers, schema, verdicts and cost."""
    text = str(evaluate(large, EVENTS))
    assert "in     100 events\nout    10 rows, 90 filtered\n" in text
    assert "schema id Int64, at Int64" in text
    assert "rows   shown: " in text
    assert "uses   _offset" in text


def test_a_sample_brings_its_name_and_schema() -> None:
    """Of a sample only the columns of its schema are the event's own."""

    @dataclass
    class Double:
        name: str
        frame: pl.DataFrame
        schema: Schema

    sample = Double(
        "flights",
        EVENTS.with_columns(extra=pl.lit(1)),
        Schema.of({"id": pl.Int64()}),
    )
    evaluation = evaluate(sl.transform(lambda f: f.select(pl.all())), sample)
    assert evaluation.sample == "flights"
    assert evaluation.output.columns == ["id"]


def test_several_transforms_are_evaluated_as_one() -> None:
    """A row of transforms has one output and one verdict."""
    doubled = sl.transform(lambda f: f.select(pl.col("at") * 2))
    evaluation = evaluate([large, doubled], EVENTS)
    assert evaluation.rows_out == 10
    assert evaluation.name.startswith("large() and ")


def test_what_is_not_shown_to_filter_is_not_called_so() -> None:
    """Events in minus rows out is only a number of filtered events if shown."""
    doubled = sl.transform(lambda f: pl.concat([f, f]))
    assert evaluate(doubled, EVENTS).filtered is None


def test_pandas_states_its_cost() -> None:
    """A transform for pandas says what the conversion costs."""
    same = sl.transform(pandas=True)(lambda frame: frame)
    evaluation = evaluate(same, EVENTS)
    assert evaluation.conversion_seconds_per_million is not None
    assert "for pandas" in str(evaluation)


def test_a_slow_function_is_evaluated_on_a_head() -> None:
    """A function that takes too long on all events says on how many it ran."""

    def slow(events: pl.LazyFrame) -> pl.DataFrame:
        rows = events.collect()
        time.sleep(rows.height * 5e-6)
        return rows

    many = pl.DataFrame({"id": range(200_000)})
    begin = time.monotonic()
    evaluation = evaluate(sl.transform(slow), many)
    assert evaluation.head == evaluation.rows_in < 200_000
    assert f"on its first {evaluation.head:,} events" in str(evaluation)
    assert time.monotonic() - begin < 10  # 2 s on an idle machine


def test_a_function_that_fails_on_no_rows_is_shown_with_its_verdict() -> None:
    """The output on the sample is there; the verdict says what is wrong."""

    def first(events: pl.LazyFrame) -> pl.DataFrame:
        rows = events.collect()
        return rows.with_columns(first=pl.lit(rows["id"][0]))

    evaluation = evaluate(sl.transform(first), EVENTS)
    assert evaluation.rows_out == 100
    assert "fails on an empty piece" in str(evaluation.rows)


def test_a_function_that_fails_is_an_error() -> None:
    """A mistake points at the user's line; there is nothing to evaluate."""
    wrong: Any = sl.transform(lambda f: f.select("ids"))
    with pytest.raises(TransformError, match="there is no column 'ids'"):
        evaluate(wrong, EVENTS)


def test_metadata_that_the_frame_lacks_is_named() -> None:
    """A frame without the metadata that the function names is refused."""
    with pytest.raises(UsageError, match="has no column '_offset'"):
        evaluate(large, EVENTS.drop("_offset"))


def test_no_events_can_be_evaluated() -> None:
    """A tap that found nothing still gives schema and verdicts."""
    evaluation = evaluate(large, EVENTS.clear())
    assert (evaluation.rows_in, evaluation.rows_out) == (0, 0)
    assert evaluation.rows.kind == "shown"


def test_an_evaluation_is_a_value() -> None:
    """It cannot be changed, and its repr shows no row."""
    evaluation = evaluate(large, EVENTS)
    with pytest.raises(FrozenInstanceError):
        evaluation.head = 3  # type: ignore[misc]
    assert "shape" not in repr(evaluation)
