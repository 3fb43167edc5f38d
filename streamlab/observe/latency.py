"""Latency: how old events are when a sink has committed them."""

from __future__ import annotations

import time

import polars as pl

from streamlab.sources import RawBatch
from streamlab.transforms.event_time import EventTime

MOST_PROBES = 200  # events of an epoch whose age is taken; the others are like them


def latencies_ms(
    raw: RawBatch, events: pl.DataFrame, event_time: EventTime | None
) -> tuple[list[float], list[float]]:
    """Return the ages of some events of a batch, now.

    Args:
        raw: The batch, for the source's own time of each event.
        events: The decoded events, for their event time.
        event_time: How ``events`` say when they happened.

    Returns:
        Ages by the source's time and ages by event time, in ms; the latter empty
        without an event time.
    """
    now_ms = time.time() * 1000
    step = max(1, len(raw) // MOST_PROBES)
    stamps = [raw.origins.timestamp_ms(row) for row in range(0, len(raw), step)]
    broker = [now_ms - stamp for stamp in stamps if stamp is not None]
    if event_time is None or events.is_empty():
        return broker, []
    few = events.select(event_time.column).gather_every(step).drop_nulls()
    return broker, [now_ms - at / 1000 for at in event_time.microseconds(few)]
