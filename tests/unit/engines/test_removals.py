"""Messages without a value in the input of a table."""

from __future__ import annotations

import polars as pl

from streamlab.contracts import Schema
from streamlab.engines.local.removals import with_removals
from streamlab.formats import Context, named
from streamlab.operators.operator import REMOVED
from streamlab.positions import Span, TopicPartition
from streamlab.sources import ListedOrigins, RawBatch

PLACE = TopicPartition("customers", 0)
SCHEMA = Schema.of(pl.Schema({"id": pl.Int64, "name": pl.String}))


def batch(*events: tuple[bytes | None, bytes | None]) -> RawBatch:
    """Return events of keys and values."""
    count = len(events)
    origins = ListedOrigins(
        [PLACE] * count, list(range(count)), listed_keys=[k for k, _ in events]
    )
    span = Span(PLACE, 0, count)
    return RawBatch([value for _, value in events], (span,), origins, 0)


def test_they_are_rows_where_they_were() -> None:
    """Between those before and behind them; one without a key is still rejected."""
    raw = batch(
        (b"1", b'{"id": 1, "name": "Ada"}'),
        (b"1", None),
        (None, None),
        (b"2", b"{"),
        (b"1", b'{"id": 1, "name": "Eve"}'),
    )
    decoded = named("json", Context()).decode(raw.values, SCHEMA)
    made = with_removals(decoded, raw, ["id"])
    assert made.frame.select("id", "name", REMOVED).rows() == [
        (1, "Ada", False),
        (1, None, True),
        (1, "Eve", False),
    ]
    assert [one.row for one in made.rejected] == [2, 3]
    assert made.kept(len(raw)) == [0, 1, 4]
