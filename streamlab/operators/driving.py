"""Driving: a chain on frames in memory, cut into epochs as one likes.

For evaluations on a sample, and for tests: the worker does the same with what it reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from streamlab.errors import TransformError
from streamlab.operators.chain import Chain, Passed, late
from streamlab.operators.operator import REMOVED, Counts, Failed, Moment
from streamlab.operators.watermarks import Watermarks
from streamlab.positions import TopicPartition
from streamlab.state.memory import in_memory
from streamlab.state.table import StateTable
from streamlab.transforms.event_time import EventTime

PARTITION = "_partition"
OFFSET = "_offset"


@dataclass
class Drive:
    """A chain with its state and its event time.

    Attributes:
        chain: The chain.
        tables: Its state.
        watermarks: Its event time.
        outputs: What came out, epoch by epoch.
        late: Stream → late events, epoch by epoch.
        counts: Operator → its account so far.
        failed: Groups that a function failed on.
        moment: Of the last epoch.
        taken: Stream → number of its events so far.
    """

    chain: Chain
    tables: dict[str, StateTable]
    watermarks: Watermarks
    outputs: list[pl.DataFrame] = field(default_factory=list)
    late: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    counts: dict[str, Counts] = field(default_factory=dict)
    failed: list[Failed] = field(default_factory=list)
    moment: Moment = field(default_factory=Moment)
    taken: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        chain: Chain,
        partitions: Mapping[str, int | Sequence[int]] | None = None,
        times: Mapping[str, EventTime] | None = None,
    ) -> Drive:
        """Begin with empty tables.

        Args:
            chain: The chain.
            partitions: Stream → number of its partitions, or their numbers; one of
                each if left out.
            times: Stream → its event time, where it is not the declared one.
        """
        chosen = dict(times or chain.times)
        watermarks = Watermarks({name: on.bound_us for name, on in chosen.items()})
        for name in chosen:
            if name not in chain.timeless:
                known = (partitions or {}).get(name, 1)
                numbers = range(known) if isinstance(known, int) else known
                watermarks.add(TopicPartition(name, number) for number in numbers)
        return cls(chain, in_memory(chain.layouts), watermarks)

    def epoch(
        self,
        events: Mapping[str, pl.DataFrame],
        *,
        ended: bool = False,
        wall_us: int = 0,
    ) -> Passed:
        """Take in one epoch.

        Args:
            events: Stream → its events; may have a column ``_partition`` beside those
                that the chain wants. A stream may be left out.
            ended: Whether nothing comes behind them.
            wall_us: The clock, in µs since 1970 UTC.
        """
        frames = {
            name: self._entered(name, events.get(name)) for name in self.chain.entrance
        }
        if ended:
            self.watermarks.end()
        self.moment = self.watermarks.advance(wall_us)
        passed = self.chain.step(frames, self.moment, self.tables)
        self.outputs.append(passed.output)
        self.failed += passed.failed
        for name, counts in passed.counts.items():
            self.counts[name] = self.counts.get(name, Counts()) + counts
        return passed

    @property
    def output(self) -> pl.DataFrame:
        """Return all that came out."""
        return pl.concat([self.chain.output_schema.to_frame(), *self.outputs])

    def require_success(self, who: str) -> None:
        """Refuse groups that a function failed on; a worker sets them aside.

        Args:
            who: What ran, with its verb: ``hourly() fails``.

        Raises:
            TransformError: There are some.
        """
        if self.failed:
            rows = sum(one.rows.height for one in self.failed)
            what = f"{who} on {rows:,} of the rows"
            raise TransformError(f"{what}: {self.failed[0].reason}")

    def timed(
        self, name: str, events: pl.DataFrame
    ) -> tuple[pl.Series, pl.Series, pl.Series | None]:
        """Return event time, own watermark and floor of each event of a stream.

        Args:
            name: The stream; one with an event time.
            events: Its events.
        """
        times = self.chain.times[name].microseconds(events)
        if PARTITION not in events.columns:
            marks = self.watermarks.observe(TopicPartition(name, 0), times)
            return times, marks, self.chain.floors(name, times, marks)
        here = events[PARTITION].unique(maintain_order=True).to_list()
        numbers = events[PARTITION].replace_strict(
            here, range(len(here)), return_dtype=pl.UInt32
        )
        partitions = [TopicPartition(name, number) for number in here]
        marks = self.watermarks.observe_each(partitions, numbers, times)
        return times, marks, self.chain.floors(name, times, marks)

    def _entered(self, name: str, events: pl.DataFrame | None) -> pl.DataFrame:
        entrance = self.chain.entrance[name]
        columns = entrance.input_schema
        if events is None:
            events = columns.to_frame()
        events = self._placed(name, events, columns)
        floors = None
        if name in self.chain.times and name not in self.chain.timeless:
            *_, floors = self.timed(name, events)
        mask = late(floors)
        if mask is not None and mask.any():
            self.late.setdefault(name, []).append(events.filter(mask))
            events = events.filter(~mask)
            floors = floors.filter(~mask) if floors is not None else None
        removed = [REMOVED] if REMOVED in events.columns else []
        return self.chain.enter(name, events.select(columns.names() + removed), floors)

    def _placed(
        self, name: str, events: pl.DataFrame, columns: pl.Schema
    ) -> pl.DataFrame:
        """Give events of a plain frame the place that the chain asks for."""
        taken = self.taken.get(name, 0)
        self.taken[name] = taken + events.height
        place = {PARTITION: pl.lit(0), OFFSET: pl.int_range(pl.len()) + taken}
        return events.with_columns(
            value.cast(columns[column]).alias(column)
            for column, value in place.items()
            if column in columns and column not in events.columns
        )


def partitions_of(frames: Mapping[str, pl.DataFrame]) -> dict[str, list[int]]:
    """Return stream → numbers of the partitions in its frame, where it tells them."""
    return {
        name: frame[PARTITION].unique().to_list()
        for name, frame in frames.items()
        if PARTITION in frame.columns
    }


def with_times(chain: Chain, name: str, events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of a stream that have an event time, if it wants one."""
    on = chain.times.get(name)
    return events if on is None else events.filter(pl.col(on.column).is_not_null())
