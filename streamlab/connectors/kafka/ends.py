"""Where partitions end, as a consumer last heard it with what it fetched."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck

from streamlab.positions import TopicPartition

REFRESH_S = 0.5


class KnownEnds:
    """The ends of assigned partitions, looked up now and then and never asked for."""

    def __init__(self) -> None:
        """Begin without any."""
        self.known: Mapping[TopicPartition, int] = {}
        self._at = 0.0

    def refresh(self, consumer: Any, positions: Mapping[TopicPartition, int]) -> None:
        """Look the ends up in the consumer's own memory, if that is due.

        Args:
            consumer: The client that fetches.
            positions: Where each partition is read to; no end is before that.
        """
        now = time.monotonic()
        if now - self._at < REFRESH_S:
            return
        self._at = now
        # A partition that was not fetched from yet has no known end: leave it out.
        self.known = {
            partition: max(position, end)
            for partition, position in positions.items()
            for end in [_cached(consumer, partition)]
            if end >= 0
        }


def _cached(consumer: Any, partition: TopicPartition) -> int:
    _, high = consumer.get_watermark_offsets(ck.TopicPartition(*partition), cached=True)
    return int(high)
