"""A group's committed offsets, with our progress in their metadata.

Kafka keeps a text beside each committed offset. Ours is a small JSON object that
names the epoch, the state and the incarnation of the topic, so that an offset of a
topic that was deleted and created again is not mistaken for one of the new topic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import confluent_kafka as ck

from streamlab.errors import PositionLost
from streamlab.positions import Position, Progress, TopicPartition


def to_kafka(progress: Iterable[Progress]) -> list[ck.TopicPartition]:
    """Return the offsets to commit, each with its share of the progress."""
    return [
        ck.TopicPartition(
            partition.topic,
            partition.partition,
            offset(position),
            _metadata(one, partition),
        )
        for one in progress
        for partition, position in one.positions.items()
    ]


def first(start: Mapping[TopicPartition, int], incarnation: str) -> list[Progress]:
    """Return the progress of a group that begins at these offsets."""
    return [
        Progress(str(partition), 0, {partition: at}, {partition.topic: incarnation})
        for partition, at in start.items()
    ]


def from_kafka(
    committed: Sequence[ck.TopicPartition],
) -> dict[TopicPartition, Progress]:
    """Return the progress of each partition that has a committed offset.

    An offset that another program committed has none of our metadata: its progress
    is epoch 0 with no incarnation.
    """
    return {
        TopicPartition(one.topic, one.partition): _progress(one)
        for one in committed
        if one.offset >= 0
    }


def offset(position: Position) -> int:
    """Return a position as the offset it must be in Kafka.

    Raises:
        PositionLost: It belongs to another kind of source.
    """
    if not isinstance(position, int):
        raise PositionLost(f"{position!r} is no position in a Kafka topic")
    return position


def _metadata(progress: Progress, partition: TopicPartition) -> str:
    kept = {
        "task": progress.task,
        "epoch": progress.epoch,
        "incarnation": progress.incarnations.get(partition.topic),
        "state_id": progress.state_id,
        "watermark": progress.watermarks.get(partition),
    }
    given = {name: value for name, value in kept.items() if value is not None}
    return json.dumps({"streamlab": given}, separators=(",", ":"))


def _progress(committed: ck.TopicPartition) -> Progress:
    partition = TopicPartition(committed.topic, committed.partition)
    kept = _parsed(committed.metadata)
    incarnation = kept.get("incarnation")
    watermark = kept.get("watermark")
    return Progress(
        task=str(kept.get("task", partition)),
        epoch=int(kept.get("epoch", 0)),
        positions={partition: committed.offset},
        incarnations={partition.topic: incarnation} if incarnation else {},
        state_id=kept.get("state_id"),
        watermarks={partition: watermark} if watermark is not None else {},
    )


def _parsed(metadata: str | None) -> Mapping[str, Any]:
    try:
        stored = json.loads(metadata or "")
    except ValueError:
        return {}
    kept = stored.get("streamlab") if isinstance(stored, dict) else None
    return kept if isinstance(kept, dict) else {}
