"""What a run has done, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamlab.positions import Position


@dataclass(frozen=True)
class RunSummary:
    """What a run has done.

    Attributes:
        counts: As ``WorkerStatus.counts``.
        positions: ``topic/partition`` → next position.
        seconds: How long it ran.
    """

    counts: Mapping[str, int]
    positions: Mapping[str, Position]
    seconds: float
