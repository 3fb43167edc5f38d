"""What a transform declares: nothing that would change nothing is taken in silence."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.errors import UsageError

HOUR = sl.tumbling("1h", on="t")
COUNT = {"n": pl.Int64}
TABLE = sl.table_join("orders", "customers", keys="id")


@pytest.mark.parametrize(
    ("declared", "message", "hint"),
    [
        ({"on": "t"}, "on=… changes nothing without a state or a window", "tumbling"),
        ({"keys": "k"}, "without a window or a state or a join", "write window=…"),
        ({"ttl": "1d"}, "ttl=… changes nothing without a state", "state=…"),
        ({"emit": "updates"}, "emit=… changes nothing without a window", "window=…"),
        ({"window": HOUR, "on": "t"}, "on=… belongs to the window", "on=…"),
        ({"window": HOUR, "lateness": "1h"}, "belongs to the window", "lateness=…"),
        ({"window": HOUR, "ttl": "1h"}, "ttl=… is of a state, not of a window", ""),
        ({"window": HOUR, "early": "1s"}, "early=… is for updates", "updates"),
        ({"window": "1h"}, "window=… is a str, not a window", "sl.tumbling"),
        ({"state": COUNT, "keys": "k", "emit": "updates"}, "is of a window", ""),
        ({"state": ["n"], "keys": "k"}, "state=… is a list, not a mapping", "Int64"),
        ({"state": {"n": "Int64"}, "keys": "k"}, "has no polars type", "pl.Int64"),
        ({"window": HOUR, "keys": [pl.col("k")]}, "not Expr", "keys="),
        ({"join": TABLE, "keys": "id"}, "keys=… belongs to the join", "keys=…"),
        ({"join": TABLE, "changelog": True}, "not of a join", "leave it out"),
        ({"join": "orders"}, "join=… is a str, not a join", "sl.table_join"),
        ({"window": HOUR, "state": COUNT}, "not window and state", "two transforms"),
    ],
)
def test_what_does_not_go_together_is_refused(
    declared: dict[str, Any], message: str, hint: str
) -> None:
    """The message names the argument, and the hint where it belongs."""
    with pytest.raises(UsageError) as error:
        sl.transform(**declared)
    assert message in error.value.message
    assert hint in (error.value.hint or "")


def test_the_function_of_a_join_takes_pairs() -> None:
    """Not its two inputs."""
    with pytest.raises(UsageError, match="must take the pairs as one frame"):
        sl.transform(join=TABLE)(lambda orders, customers: (orders, customers))


@pytest.mark.parametrize("on", [None, pl.col("t"), 5])
def test_an_event_time_is_named_by_its_column(on: Any) -> None:
    """An expression or nothing is refused where it is given, not where it is used."""
    with pytest.raises(UsageError, match="an event time cannot be a"):
        sl.tumbling("1h", on=on)
