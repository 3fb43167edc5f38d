"""Arriving: the events of one input in an epoch, with where and when each happened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from streamlab.engines.local.processing import Decoded
from streamlab.operators.chain import Chain, late
from streamlab.operators.watermarks import Watermarks
from streamlab.positions import TopicPartition
from streamlab.sinks import DeadLetter
from streamlab.transforms.event_time import EventTime

NO_TIME = "its event time is null"

_ROW, _PART, _TIME = "row", "partition", "time"


@dataclass(frozen=True)
class Arrived:
    """Events of one input, decoded.

    Attributes:
        decoded: Where they came from.
        events: The events.
        places: For each event its ``row`` among those decoded, the number of its
            ``partition`` in ``partitions``, and its event ``time``, Int64 µs since
            1970 UTC, or null where the input has none.
        partitions: The partitions.
    """

    decoded: Decoded
    events: pl.DataFrame
    places: pl.DataFrame
    partitions: Sequence[TopicPartition]

    @classmethod
    def of(cls, decoded: Decoded, on: EventTime | None) -> Arrived:
        """Return all events of an input.

        Args:
            decoded: The events.
            on: Their event time.
        """
        partitions = list(decoded.raw.origins.counts())
        events = decoded.events
        numbers = _numbers(decoded, partitions)
        times = (
            pl.Series(_TIME, [None], dtype=pl.Int64).new_from_index(0, events.height)
            if on is None
            else on.microseconds(events).rename(_TIME)
        )
        places = pl.DataFrame(
            [
                pl.int_range(events.height, dtype=pl.UInt32, eager=True).rename(_ROW),
                numbers.rename(_PART),
                times,
            ]
        )
        return cls(decoded, events, places, partitions)

    def among(self, partitions: Collection[TopicPartition]) -> Arrived:
        """Return the events of some partitions."""
        wanted = [i for i, one in enumerate(self.partitions) if one in partitions]
        if len(wanted) == len(self.partitions):
            return self
        return self.filter(self.places[_PART].is_in(wanted))

    def filter(self, mask: pl.Series) -> Arrived:
        """Return the events for which a mask is true."""
        return replace(
            self, events=self.events.filter(mask), places=self.places.filter(mask)
        )

    def letters(
        self, mask: pl.Series, stage: str, code: str, reason: str
    ) -> tuple[DeadLetter, ...]:
        """Return the events for which a mask is true as dead letters."""
        rows = self.places[_ROW].filter(mask)
        return self.decoded.letters(stage, code, dict.fromkeys(rows, reason))

    def failed(self, reasons: Mapping[int, str]) -> tuple[DeadLetter, ...]:
        """Return events that a function failed on as dead letters.

        Args:
            reasons: Row of ``events`` → reason.
        """
        rows = self.places[_ROW]
        return self.decoded.letters(
            "transform",
            "transform-error",
            {rows[row]: reason for row, reason in sorted(reasons.items())},
        )

    def timed(self) -> tuple[Arrived, tuple[DeadLetter, ...]]:
        """Return the events that have an event time, and the others as dead letters."""
        times = self.places[_TIME]
        if not times.null_count():
            return self, ()
        mask = times.is_null()
        letters = self.letters(mask, "transform", "no-event-time", NO_TIME)
        return self.filter(~mask), letters

    def observed(
        self, chain: Chain, watermarks: Watermarks
    ) -> tuple[Arrived, pl.Series | None, tuple[DeadLetter, ...]]:
        """Let the watermarks see the events; return those that are not late.

        Returns:
            The events, the floor of each (None where nothing can be late), and the
            late ones as dead letters.
        """
        name, times = self.decoded.name, self.places[_TIME]
        marks = watermarks.observe_each(self.partitions, self.places[_PART], times)
        floors = chain.floors(name, times, marks)
        mask = late(floors)
        if floors is None or mask is None or not mask.any():
            return self, floors, ()
        letters = self.letters(mask, "late", "late", chain.late_reason)
        return self.filter(~mask), floors.filter(~mask), letters


def _numbers(decoded: Decoded, partitions: Sequence[TopicPartition]) -> pl.Series:
    """Return the number of each event's partition in a list of them, UInt32."""
    height = decoded.events.height
    if len(partitions) <= 1:
        return pl.Series([0], dtype=pl.UInt32).new_from_index(0, height)
    known = {partition: number for number, partition in enumerate(partitions)}
    every = [known[one] for one in decoded.raw.origins.partitions()]
    numbers = pl.Series(every, dtype=pl.UInt32)
    return numbers if decoded.rows is None else numbers.gather(list(decoded.rows))
