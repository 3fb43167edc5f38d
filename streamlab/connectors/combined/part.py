"""A part of a combined source: what one client reads, of one input or of several."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from streamlab.positions import Progress
from streamlab.sources import Source


@dataclass(frozen=True)
class Part:
    """What one client reads.

    Attributes:
        pipeline: What its system knows the pipeline as.
        names: The inputs.
        source: What is opened.
        sources: Input → its own source.
    """

    pipeline: str
    names: tuple[str, ...]
    source: Source
    sources: Mapping[str, Source]

    @property
    def streams(self) -> dict[str, str]:
        """Return topic → the input that its events are of."""
        return dict(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """Return each topic of each input with the input."""
        return [
            (topic, name)
            for name in self.names
            for topic in self.sources[name].topics(self.pipeline)
        ]


def share_of(progress: Progress, topics: Collection[str]) -> Progress | None:
    """Return what a progress says of some topics; None where that is nothing."""
    positions = {
        partition: position
        for partition, position in progress.positions.items()
        if partition.topic in topics
    }
    if not positions:
        return None
    return replace(
        progress,
        positions=positions,
        incarnations={k: v for k, v in progress.incarnations.items() if k in topics},
        watermarks={k: v for k, v in progress.watermarks.items() if k.topic in topics},
    )
