"""The decorator: a typed callable that stays the user's function."""

from __future__ import annotations

import inspect

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import UsageError

EVENTS = pl.LazyFrame({"id": [1, 2]})


@sl.transform
def doubled(events: pl.LazyFrame) -> pl.LazyFrame:
    """Double the ids."""
    return events.select(pl.col("id") * 2)


def test_calling_it_calls_the_function() -> None:
    """What the function returns comes back as it is, lazy here."""
    assert doubled(EVENTS).collect()["id"].to_list() == [2, 4]


def test_it_looks_like_the_function() -> None:
    """Name, docstring, signature and source are the function's own."""
    assert doubled.__name__ == doubled.name == "doubled"
    assert doubled.__doc__ == "Double the ids."
    assert list(inspect.signature(doubled).parameters) == ["events"]
    assert "pl.col(" in inspect.getsource(inspect.unwrap(doubled))


def test_inputs_are_the_parameters_without_tables() -> None:
    """A parameter with a table is no stream."""
    joined = sl.transform(tables={"planes": pl.DataFrame({"id": [1]})})(
        lambda events, planes: events.join(planes, on="id")
    )
    assert joined.inputs == ("events",)


def test_a_function_without_parameters_is_refused() -> None:
    """There has to be a parameter for the events."""
    with pytest.raises(UsageError, match="has no parameter for the stream"):
        sl.transform(lambda: None)


def test_two_streams_are_refused() -> None:
    """A second parameter without a table gets a hint how to declare one."""
    with pytest.raises(UsageError, match=r"takes 2 streams.*\n.*Hint: .*tables="):
        sl.transform(lambda events, planes: events.join(planes))


def test_a_table_for_no_parameter_is_refused() -> None:
    """A misspelt table is named with the parameters that there are."""
    with pytest.raises(UsageError, match="no parameter 'plane'"):
        sl.transform(tables={"plane": pl.DataFrame()})(
            lambda events, planes: events.join(planes)
        )


def test_unknown_metadata_is_refused() -> None:
    """A misspelt metadata column is named with those that there are."""
    with pytest.raises(UsageError, match="'_ofset' is not a metadata column"):
        sl.transform(metadata=["_ofset"])(lambda events: events)


def test_a_parameter_with_a_default_is_no_stream() -> None:
    """A constant may be a default; it is not taken for a second stream."""

    @sl.transform
    def above(events: pl.LazyFrame, limit: int = 1) -> pl.LazyFrame:
        return events.filter(pl.col("id") > limit)

    assert above.inputs == ("events",)
    assert above(EVENTS).collect().height == 1


def test_only_a_function_is_taken() -> None:
    """Anything else is refused with its type."""
    with pytest.raises(UsageError, match="not of int"):
        sl.transform(3)  # type: ignore[call-overload]
