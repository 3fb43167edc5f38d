"""Rows of a frame as the values of events."""

from __future__ import annotations

import json

import polars as pl
import pytest

from streamlab.contracts import Schema
from streamlab.errors import SchemaError
from streamlab.formats.rows import RowsFormat
from streamlab.positions import Span, TopicPartition, distance
from streamlab.sources import ListedOrigins, RawBatch
from streamlab.values import FrameValues, RejectedValue, joined_values

FRAME = pl.DataFrame({"id": [1, 2, 3], "data": [b"\x00", b"\xff", None]})
REJECTED = RejectedValue(1, b"odd", "unrepresentable", "column 'id' cannot hold it")


def test_a_row_is_json_when_it_is_asked_for() -> None:
    """Bytes have no form in JSON, and are hexadecimal."""
    assert json.loads(FrameValues(FRAME)[1]) == {"id": 2, "data": "ff"}


def test_a_rejected_event_keeps_its_place_and_bytes() -> None:
    """It lies between the rows, and counts."""
    values = FrameValues(FRAME, [REJECTED])
    assert len(values) == 4
    assert values[1] == b"odd"
    assert [json.loads(v)["id"] for v in (values[0], values[2], values[3])] == [1, 2, 3]
    assert list(values) == [values[row] for row in range(4)]


def test_frames_join_to_a_frame() -> None:
    """A column that came in between is null before it; rejected rows move along."""
    later = FrameValues(FRAME.with_columns(new=pl.lit(7)), [REJECTED])
    joined = joined_values([FrameValues(FRAME), later])
    assert isinstance(joined, FrameValues)
    assert joined.frame["new"].to_list() == [None] * 3 + [7] * 3
    assert joined[4] == b"odd"
    assert isinstance(joined_values([[b"a"], [b"b"]]), list)


def test_the_format_takes_the_columns_of_the_schema() -> None:
    """A column that the schema does not have is left out; rejected rows stay told."""
    schema = Schema.of({"id": pl.Int64()})
    decoded = RowsFormat().decode(FrameValues(FRAME, [REJECTED]), schema)
    assert decoded.frame.columns == ["id"]
    assert [one.row for one in decoded.rejected] == [1]
    assert decoded.kept(4) == [0, 2, 3]


@pytest.mark.parametrize("dtype", [pl.String(), pl.Int32()])
def test_a_column_of_another_type_stops(dtype: pl.DataType) -> None:
    """Nothing is cast silently."""
    with pytest.raises(SchemaError, match="'id'"):
        RowsFormat().decode(FrameValues(FRAME), Schema.of({"id": dtype}))


def test_no_rows_fit_any_schema() -> None:
    """An epoch that only moves the position has none."""
    empty = RowsFormat().decode(
        FrameValues(pl.DataFrame()), Schema.of({"id": pl.Int64()})
    )
    assert empty.frame.schema == {"id": pl.Int64()}


def test_bytes_are_refused() -> None:
    """They need a format of their own."""
    with pytest.raises(SchemaError, match="not bytes"):
        RowsFormat().decode([b"{}"], Schema.of({"id": pl.Int64()}))


def test_a_batch_may_cover_a_place_without_events() -> None:
    """The span moves, the rows are none."""
    place = TopicPartition("slot", 0)
    empty = RawBatch(
        FrameValues(pl.DataFrame()),
        (Span(place, (1, 0), (5, 0)),),
        ListedOrigins([], []),
        0,
    )
    full = RawBatch(
        FrameValues(FRAME), (Span(place, (5, 0), (9, 2)),), ListedOrigins([], []), 0
    )
    joined = RawBatch.concat([empty, full])
    assert joined.spans == (Span(place, (1, 0), (9, 2)),)
    assert len(joined) == 3


def test_distance_is_in_the_first_part_of_a_position() -> None:
    """Offsets for a topic, bytes for a log; never negative."""
    assert distance(3, 10) == 7
    assert distance((100, 4), (350, 0)) == 250
    assert distance((100, 4), (90, 0)) == 0
