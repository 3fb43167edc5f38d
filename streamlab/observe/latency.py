"""Latency: how old events are when a sink has committed them."""

from __future__ import annotations

import time

import polars as pl

from streamlab.sources import RawBatch

MOST_PROBES = 200  # events of an epoch whose age is taken; the others are like them


def latencies_ms(
    raw: RawBatch, events: pl.DataFrame, event_time: str | None
) -> tuple[list[float], list[float]]:
    """Return the ages of some events of a batch, now.

    Args:
        raw: The batch, for the source's own time of each event.
        events: The decoded events, for their event time.
        event_time: Column of ``events``: a Datetime, or an integer of ms since 1970.

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
    column = events[event_time].gather_every(step).drop_nulls()
    if isinstance(column.dtype, pl.Datetime):
        column = column.dt.epoch("ms")
    return broker, [now_ms - stamp for stamp in column.to_list()]
