"""Which metadata columns a function gets."""

from __future__ import annotations

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.errors import TransformError
from streamlab.transforms.metadata import needed

SCHEMA = Schema.of({"id": pl.Int64()})


def test_a_function_that_names_none_needs_none() -> None:
    """Selecting everything does not count as naming metadata."""
    assert needed(sl.transform(lambda f: f.select(pl.all())), SCHEMA) == ()


def test_exactly_the_named_ones_are_found() -> None:
    """Each metadata column that the function names is found, and no other."""
    transform = sl.transform(lambda f: f.select("id", "_key", pl.col("_offset") + 1))
    assert needed(transform, SCHEMA) == ("_offset", "_key")


def test_declared_ones_are_kept() -> None:
    """Declared metadata is handed in, named or not."""
    transform = sl.transform(metadata=["_timestamp"])(lambda f: f.select("id"))
    assert needed(transform, SCHEMA) == ("_timestamp",)


def test_declared_and_named_ones_come_together() -> None:
    """A function that declares one and names another gets both."""
    transform = sl.transform(metadata=["_timestamp"])(lambda f: f.select("_offset"))
    assert needed(transform, SCHEMA) == ("_offset", "_timestamp")


def test_a_pandas_function_is_tried_as_well() -> None:
    """A KeyError of pandas leads to the column as polars' own error does."""
    transform = sl.transform(pandas=True)(lambda f: f[["id", "_offset"]])
    assert needed(transform, SCHEMA) == ("_offset",)


def test_a_mistake_is_reported_without_metadata() -> None:
    """If metadata does not help, the error lists the event's own columns."""
    with pytest.raises(TransformError) as caught:
        needed(sl.transform(lambda f: f.select("ids")), SCHEMA)
    assert "did you mean 'id'" in caught.value.hint
    assert "_offset" not in caught.value.hint
