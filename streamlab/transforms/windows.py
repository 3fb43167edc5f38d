"""Windows: how events fall into groups by their event time."""

from __future__ import annotations

from dataclasses import dataclass

from streamlab.transforms.event_time import EventTime


@dataclass(frozen=True)
class Window:
    """What all kinds of windows have.

    Attributes:
        on: The event time.
        lateness_us: For how long after its end a window takes late events, in µs.
    """

    on: EventTime
    lateness_us: int = 0
