"""The flights as events, and the poison among them."""

from __future__ import annotations

import orjson
import polars as pl
import pytest

from demo import flights, poison


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Return every flight."""
    return flights.flights()


def test_every_flight_is_there(frame: pl.DataFrame) -> None:
    """The frame has all rows and columns, cancelled flights included."""
    assert frame.shape == (336_776, 19)
    assert frame.get_column("dep_time").null_count() == 8_255


def test_messages_hold_the_frame(frame: pl.DataFrame) -> None:
    """A message decodes to its row, with its carrier as key and its event time."""
    head = frame.head(100)
    batch = flights.messages(head)
    assert [orjson.loads(value or b"") for value in batch.values] == head.to_dicts()
    assert batch.keys[0] == head.item(0, "carrier").encode()
    scheduled = head.select(flights.event_time().dt.epoch("ms")).item(0, 0)
    assert batch.timestamps_ms[0] == scheduled


def test_poison_leaves_the_flights_as_they_are(frame: pl.DataFrame) -> None:
    """All good messages stay, in order; the poison is none of them."""
    batch = flights.messages(frame.head(1_000))
    mixed = poison.hidden_in(batch, count=50, unfitting_until=0.5)
    good = set(batch.values)
    assert [value for value in mixed.values if value in good] == batch.values
    assert sum(value not in good for value in mixed.values) == 50
    assert len(mixed.values) == len(mixed.keys) == len(mixed.timestamps_ms)


def test_behind_the_mark_every_object_fits(frame: pl.DataFrame) -> None:
    """Behind the given part no poison decodes, so that a schema can be inferred."""
    batch = flights.messages(frame.head(1_000))
    mixed = poison.hidden_in(batch, count=400, unfitting_until=0.5)
    mark = mixed.values.index(batch.values[500])
    good = set(batch.values)
    behind = [value for value in mixed.values[mark:] if value not in good]
    assert behind
    for value in behind:
        with pytest.raises((ValueError, TypeError)):
            _object(value)


def _object(value: bytes | None) -> dict[str, object]:
    """Return the JSON object that a value holds, or raise."""
    found = orjson.loads(value or b"")
    if not isinstance(found, dict):
        raise TypeError
    return found
