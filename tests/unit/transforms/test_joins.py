"""How joins are declared."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import UsageError
from streamlab.transforms.event_time import EventTime, signed_us


def interval(**changed: Any) -> Any:
    """Declare an interval join of auctions and bids."""
    given = {"keys": "id", "times": "at", "upper": "1h", **changed}
    return sl.interval_join("auctions", "bids", **given)


@pytest.mark.parametrize(
    ("keys", "pairs"),
    [
        ("id", (("id", "id"),)),
        (["id", "day"], (("id", "id"), ("day", "day"))),
        ([("id", "auction"), "day"], (("id", "auction"), ("day", "day"))),
    ],
)
def test_keys_are_columns_or_pairs(keys: Any, pairs: Any) -> None:
    """A column alone is the same on both sides."""
    assert interval(keys=keys).keys == pairs


@pytest.mark.parametrize(
    "times",
    [
        ("opened", EventTime("made")),
        {"bids": EventTime("made"), "auctions": "opened"},
    ],
)
def test_times_are_a_pair_or_by_name(times: Any) -> None:
    """In the order of the sides."""
    assert interval(times=times).times == (EventTime("opened"), EventTime("made"))


def test_a_bound_is_a_duration_or_a_column() -> None:
    """A duration may be negative."""
    made = interval(lower=timedelta(minutes=-1), upper="expires")
    assert (made.lower, made.upper) == (-60_000_000, "expires")
    assert interval(lower="-1m").lower == -60_000_000
    assert signed_us("-1h30m", "lower") == -5_400_000_000


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keys": []}, "a join needs keys"),
        ({"keys": [("id", "a", "b")]}, "a key of a join cannot be"),
        ({"keys": [pl.col("id")]}, "a key of a join cannot be"),
        ({"times": ["at"]}, "needs the event times of auctions and of bids"),
        ({"times": {"bids": "at"}}, "needs the event times of auctions and of bids"),
        ({"upper": "1 hour"}, "upper is '1 hour', which is not a duration"),
        ({"upper": "-1h"}, "lower is 0s and upper -1h, so nothing can meet"),
        ({"how": "outer"}, "how is 'outer'"),
    ],
)
def test_what_is_no_join_is_refused(changed: dict[str, Any], message: str) -> None:
    """With what it could be."""
    with pytest.raises(UsageError, match=message):
        interval(**changed)


def test_a_stream_joined_to_itself_is_one_stream_with_one_time() -> None:
    """Two times are refused."""
    same = sl.interval_join("a", "a", keys="id", times="at", upper="1h")
    assert same.streams == ("a",)
    with pytest.raises(UsageError, match="has one event time"):
        sl.interval_join("a", "a", keys="id", times=("at", "to"), upper="1h")


def test_a_table_is_another_input_with_a_time_or_none() -> None:
    """Which is what as_of gives."""
    latest = sl.table_join("orders", "customers", keys="id", on="at")
    assert (latest.on, latest.as_of) == (EventTime("at"), None)
    versions = sl.table_join("orders", "customers", keys="id", as_of=("at", "since"))
    assert (versions.on, versions.as_of) == (EventTime("at"), EventTime("since"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"how": "full"}, "how is 'full'"),
        ({"table": "orders"}, "the stream and the table are both orders"),
        ({"on": "at", "as_of": ("at", "since")}, "as_of has the event time"),
    ],
)
def test_what_is_no_join_with_a_table_is_refused(
    changed: dict[str, Any], message: str
) -> None:
    """With what it could be."""
    given = {"stream": "orders", "table": "customers", "keys": "id", **changed}
    with pytest.raises(UsageError, match=message):
        sl.table_join(**given)


def test_a_plan_says_when_rows_meet() -> None:
    """In the columns of both inputs."""
    times = {"auctions": "opened", "bids": "made"}
    made = interval(times=times, lower="-1m", upper="expires")
    assert made.detail == "made of bids from opened - 1m to expires of auctions"
    latest = sl.table_join("orders", "rates", keys="id")
    assert latest.detail == "the latest row of rates"
    as_of = sl.table_join("orders", "rates", keys="id", as_of=("at", "since"))
    assert as_of.detail == "the row of rates whose since was last at at"
