"""Where an event came from, as people write it: ``flights/0@17``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from streamlab.errors import UsageError
from streamlab.sources import Headers

Place: TypeAlias = tuple[int, int]
"""Partition and offset of an event of one topic."""

HeadersByPlace: TypeAlias = Mapping[Place, Headers]

BY_HAND = -1
"""The partition of events that were made by hand. No broker has it, so they collide
with no event that was read; their offsets count from 0 in each sample."""

_WRITTEN = re.compile(r"(?P<topic>.+)/(?P<partition>-?[0-9]+)@(?P<offset>[0-9]+)")


class Origin(NamedTuple):
    """Topic, partition and offset of an event."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return ``topic/partition@offset``."""
        return f"{self.topic}/{self.partition}@{self.offset}"

    @property
    def place(self) -> Place:
        """Return partition and offset."""
        return self.partition, self.offset

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Return the origin that ``str()`` wrote.

        Raises:
            UsageError: It is none.
        """
        found = _WRITTEN.fullmatch(text.strip())
        if found is None:
            message = f"{text!r} is not where an event came from"
            raise UsageError(message, hint="write topic/partition@offset: flights/0@17")
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))
