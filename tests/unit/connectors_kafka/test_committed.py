"""Progress in the metadata of committed offsets."""

from __future__ import annotations

import confluent_kafka as ck
import pytest

from streamlab.connectors.kafka import committed
from streamlab.errors import PositionLost
from streamlab.positions import Progress, TopicPartition

PLACE = TopicPartition("flights", 3)


def test_progress_comes_back_whole():
    """Epoch, state, incarnation and watermark travel with the offset."""
    progress = Progress(
        "flights/3", 12, {PLACE: 400}, {"flights": "c/t"}, "state-1", {PLACE: 77}
    )
    (stored,) = committed.to_kafka([progress])
    assert (stored.topic, stored.partition, stored.offset) == ("flights", 3, 400)
    assert committed.from_kafka([stored]) == {PLACE: progress}


@pytest.mark.parametrize("metadata", ["", "x", "[1]", '{"other": 1}', '"s"'])
def test_offsets_of_other_programs_are_epoch_zero(metadata):
    """An offset without our metadata still says where to read on."""
    foreign = ck.TopicPartition("flights", 3, 9, metadata)
    assert committed.from_kafka([foreign]) == {
        PLACE: Progress("flights/3", 0, {PLACE: 9})
    }


def test_partitions_without_an_offset_are_left_out():
    """Kafka answers a negative offset where nothing was committed."""
    assert committed.from_kafka([ck.TopicPartition("flights", 3, -1001)]) == {}


def test_a_position_of_another_kind_is_refused():
    """A log sequence number is no offset."""
    with pytest.raises(PositionLost):
        committed.to_kafka([Progress("t", 1, {PLACE: (1, 2)})])
