"""Transforms made ready: tables, metadata, a fixed schema, several in a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError
from streamlab.transforms.application import prepare

SCHEMA = Schema.of({"id": pl.Int64(), "carrier": pl.String()})
EVENTS = pl.DataFrame(
    {"_offset": [7, 8, 9], "id": [3, 1, 2], "carrier": ["AA", None, "UA"]}
)


@sl.transform
def large(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(pl.col("id") > 1)


@sl.transform
def with_origin(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select("id", origin=pl.col("_offset"))


def _apply(*transforms: Any, events: pl.DataFrame = EVENTS) -> pl.DataFrame:
    return prepare(transforms, SCHEMA, Path()).apply(events)


def test_apply_gives_the_rows_in_their_order() -> None:
    """Rows come out in the order of the events, with the schema that was fixed."""
    prepared = prepare([large], SCHEMA, Path())
    output = prepared.apply(EVENTS)
    assert output["id"].to_list() == [3, 2]
    assert output.schema == prepared.output_schema


def test_apply_hides_metadata_that_is_not_named() -> None:
    """A function that names no metadata does not see it in ``pl.all()``."""
    prepared = prepare([large], SCHEMA, Path())
    assert prepared.metadata == ()
    assert prepared.apply(EVENTS).columns == ["id", "carrier"]


def test_apply_hands_in_metadata_in_front_whatever_its_place() -> None:
    """Named metadata comes before the event's own columns, as in the notebook."""
    everything = sl.transform(metadata=["_offset"])(lambda frame: frame)
    output = _apply(everything, events=EVENTS.select("carrier", "id", "_offset"))
    assert output.columns == ["_offset", "id", "carrier"]


def test_transforms_run_one_after_another() -> None:
    """The second gets what the first returns, its metadata included."""
    prepared = prepare([large, with_origin], SCHEMA, Path())
    assert prepared.metadata == ("_offset",)
    assert prepared.apply(EVENTS).to_dict(as_series=False) == {
        "id": [3, 2],
        "origin": [7, 9],
    }


def test_no_transforms_pass_the_events_through() -> None:
    """Without transforms the output is the event's own columns, one row for one."""
    prepared = prepare([], SCHEMA, Path())
    assert prepared.apply(EVENTS).equals(EVENTS.select("id", "carrier"))
    assert prepared.at_most_one


def test_tables_are_read_once(tmp_path: Path) -> None:
    """A table's file may go away after the start; its path counts from the base."""
    names = pl.DataFrame({"carrier": ["AA", "UA"], "name": ["American", "United"]})
    names.write_parquet(tmp_path / "names.parquet")
    joined = sl.transform(tables={"names": sl.table("names.parquet", key="carrier")})(
        lambda frame, names: frame.join(
            names, on="carrier", how="left", maintain_order="left"
        )
    )
    prepared = prepare([joined], SCHEMA, tmp_path)
    (tmp_path / "names.parquet").unlink()
    assert prepared.apply(EVENTS)["name"].to_list() == ["American", None, "United"]
    assert prepared.at_most_one


def test_a_table_without_a_key_may_multiply() -> None:
    """Without a declared key nothing is claimed about filtered events."""
    stops = pl.DataFrame({"id": [1, 1], "stop": ["a", "b"]})
    joined = sl.transform(tables={"stops": stops})(
        lambda frame, stops: frame.join(stops, on="id")
    )
    assert not prepare([joined], SCHEMA, Path()).at_most_one


def test_a_schema_that_depends_on_the_data_is_refused() -> None:
    """A batch with another schema is an error that names the column."""

    @sl.transform
    def by_data(frame: pl.LazyFrame) -> pl.LazyFrame:
        rows = frame.collect()
        dtype = pl.Float64 if rows.height else pl.Int64
        return rows.lazy().with_columns(pl.col("id").cast(dtype))

    with pytest.raises(TransformError, match=r"column 'id' is Float64.*it is Int64"):
        _apply(by_data)


def test_pandas_keeps_the_dtypes_of_columns_with_nulls() -> None:
    """An integer column with a missing value stays one on the way to pandas."""
    same = sl.transform(pandas=True)(lambda frame: frame[frame["carrier"].notna()])
    events = EVENTS.with_columns(id=pl.Series([None, 1, 2], dtype=pl.Int64))
    assert _apply(same, events=events).to_dict(as_series=False) == {
        "id": [None, 2],
        "carrier": ["AA", "UA"],
    }


def test_the_rows_of_a_table_are_in_no_repr() -> None:
    """A prepared transform prints its names, not the rows of its tables."""
    secrets = pl.DataFrame({"id": [1], "name": ["Ada Lovelace"]})
    joined = sl.transform(tables={"people": secrets})(
        lambda frame, people: frame.join(people, on="id")
    )
    assert "Ada" not in repr(prepare([joined], SCHEMA, Path()))
