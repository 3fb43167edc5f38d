"""Chunks of messages, cut and put together without a gap between the spans."""

from __future__ import annotations

from dataclasses import replace

from streamlab.connectors.kafka.following import Chunk
from streamlab.positions import TopicPartition

ZERO, ONE = TopicPartition("t", 0), TopicPartition("t", 1)


def chunk() -> Chunk:
    return Chunk(
        values=[b"a", b"b", None, b"d"],
        keys=[None, b"k", None, None],
        partitions=[0, 1, 0, 1],
        offsets=[5, 8, 7, 9],
        timestamps_ms=[1, 2, 3, 4],
        positions={ZERO: 9, ONE: 10},
    )


def test_a_head_is_read_up_to_the_first_event_left_out():
    """Positions point at what was cut off, also behind gaps in the log."""
    head = chunk().head(2)
    assert head.values == [b"a", b"b"]
    assert head.positions == {ZERO: 7, ONE: 9}


def test_a_head_of_all_is_the_chunk():
    """Nothing is left out, so the positions stay where the reader was."""
    assert chunk().head(4) == chunk()


def test_a_head_of_none_has_read_nothing():
    """All events are still to come."""
    assert chunk().head(0).positions == {ZERO: 5, ONE: 8}


def test_chunks_join_in_order():
    """The later chunk says how far was read."""
    later = Chunk([b"e"], [None], [0], [9], [5], {ZERO: 10, ONE: 10})
    joined = Chunk.concat([chunk(), later])
    assert joined.values == [b"a", b"b", None, b"d", b"e"]
    assert joined.positions == {ZERO: 10, ONE: 10}


def test_headers_stay_with_their_messages():
    """Rows are counted anew where messages are left out or put together."""
    first = replace(chunk(), headers={1: (("h", b"1"),), 3: (("h", b"3"),)})
    assert first.take([3, 0], {}).headers == {0: (("h", b"3"),)}
    assert first.head(2).headers == {1: (("h", b"1"),)}
    joined = Chunk.concat([chunk(), first])
    assert joined.headers == {5: (("h", b"1"),), 7: (("h", b"3"),)}
