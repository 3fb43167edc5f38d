"""Latency from when events were sent and when a position had passed them."""

from __future__ import annotations

import polars as pl
import pytest

from demo.commits import Latency, seen_at

SENT = pl.DataFrame(
    {"partition": [0, 0, 1], "offset": [0, 1, 0], "sent_us": [0, 1_000, 2_000]},
    schema_overrides={"partition": pl.Int32},
)
MOVES = pl.DataFrame(
    {"partition": [0, 0, 1], "position": [1, 2, 1], "seen_us": [5_000, 9_000, 4_000]},
    schema_overrides={"partition": pl.Int32},
)


def test_event_is_seen_when_its_position_is_passed() -> None:
    """The first committed position behind an event tells its time."""
    seen = seen_at(SENT, MOVES).sort("sent_us")
    assert seen.get_column("seen_us").to_list() == [5_000, 9_000, 4_000]


def test_event_that_was_never_committed_is_an_error() -> None:
    """No event is left out of the figures silently."""
    with pytest.raises(RuntimeError, match="1 of 3 events"):
        seen_at(SENT, MOVES.head(1).vstack(MOVES.tail(1)))


def test_warm_up_does_not_count() -> None:
    """Events sent in the first part are left out."""
    seen = pl.DataFrame({"sent_us": [0, 1_000_000], "seen_us": [900_000, 1_010_000]})
    assert Latency.of(seen, warm_up_s=0.5) == Latency(1, 10.0, 10.0)
