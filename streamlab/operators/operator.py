"""The interface of an operator: one declared transform, at work on one task.

Times are Int64, in µs since 1970 UTC, and half-open: a watermark ``w`` says that all
events before ``w`` have come. An operator must give the same multiset of rows, and
call the same events late, however its input is cut into epochs; so whatever decides
about a row depends on the row, on its own partition's prefix (its *floor*, see
``floors``), and on nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import polars as pl

from streamlab.state.table import StateTable, TableLayout
from streamlab.transforms.event_time import EventTime

FLOOR: Final = "_floor"
"""Hidden Int64 column of an operator's input: what is closed for this row already.

Null where nothing is. For windows: those that end at or before it are closed. The
operator that reads it drops it before the user's function sees the row.
"""

REMOVED: Final = "_removed"
"""Hidden Boolean column of a table's input: true of a message without a value.

Only the columns of its key are filled; the row of that key is removed.
"""

LATE: Final = 2**63 - 1
"""The floor of an event that is late: everything is closed for it."""

BEHIND: Final = (
    "its partition's watermark was ahead of it by more than the lateness when it came"
)
"""Why an event is late that nothing but its time decides about."""

END_OF_TIME: Final = 2**63 - 1
"""The watermark of a stream that has ended: every window closes."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The event time of a task in one epoch.

    Attributes:
        before: Its watermark when the epoch began; None while there is none.
        after: Its watermark with the epoch's events; never before ``before``;
            ``END_OF_TIME`` once all bounded inputs have ended.
        wall_us: The clock when the epoch was read, for early firing and for expiry by
            processing time; recorded with the epoch, never read anew.
    """

    before: int | None = None
    after: int | None = None
    wall_us: int = 0

    @property
    def ended(self) -> bool:
        """Return whether no event can come any more."""
        return self.after == END_OF_TIME


@dataclass(frozen=True)
class Counts:
    """The account of an operator over some epochs, in rows.

    accepted = held (a difference here) + released + expired, always.

    Attributes:
        accepted: Rows that were taken in.
        released: Rows that were shown to the function for the last time, or folded.
        expired: Rows that left the state without that, such as by a TTL.
        forgotten: Keys whose state a TTL dropped; these are no rows of the input.
    """

    accepted: int = 0
    released: int = 0
    expired: int = 0
    forgotten: int = 0

    @property
    def held(self) -> int:
        """Return how many more rows are held than before."""
        return self.accepted - self.released - self.expired

    def __add__(self, other: Counts) -> Counts:
        """Return both together."""
        return Counts(
            self.accepted + other.accepted,
            self.released + other.released,
            self.expired + other.expired,
            self.forgotten + other.forgotten,
        )


@dataclass(frozen=True)
class Failed:
    """Rows that made the user's function fail; they become dead letters.

    Attributes:
        rows: Input rows of the groups at fault, with the operator's input schema.
        reason: One sentence, without any value of an event.
        input: Parameter that got the rows.
    """

    rows: pl.DataFrame
    reason: str
    input: str = "events"


@dataclass(frozen=True)
class Outcome:
    """What an operator made of one epoch.

    Attributes:
        output: Rows with the operator's ``output_schema``.
        counts: The epoch's account.
        failed: Groups that the function failed on.
        sides: Named side outputs, if the function returned a mapping of frames.
    """

    output: pl.DataFrame
    counts: Counts = field(default_factory=Counts)
    failed: tuple[Failed, ...] = ()
    sides: Mapping[str, pl.DataFrame] = field(default_factory=dict)


class Operator(ABC):
    """One transform at work. Holds no state of its own: all of it is in its tables.

    Attributes:
        name: Unique in its chain; begins the names of its tables.
        inputs: Names of its inputs.
        layouts: Its state tables.
        output_schema: Columns and dtypes of every output.
        times: Parameter → event time of that input, for those that have one.
        timeless: Inputs that are tables to look up: their events do not hold the
            watermark back, and are read to their present end before the first event
            of another input is.
        wants: Metadata columns that the chain hands in beside those of the input,
            where the operator is the first thing that events come to.
        needs_keyed_partitions: Whether all rows of a key must be of one partition,
            because they are taken in the order in which they come.
        tables: Inputs that are tables → the columns of their keys. A message without
            a value is a row of them, marked by ``REMOVED``.
        deterministic: Whether the same input gives the same output again. If not, an
            epoch that a sink gets twice may come otherwise the second time.
        result_key: Columns that name a row of its output, where that has ``_op``:
            a later row replaces an earlier one. None where rows are only inserted and
            deleted.
        keeps: What it keeps in its state, in words, such as ``rows``.
        late_reason: Why an event that is late is, for its dead letter.
    """

    name: str
    inputs: Sequence[str]
    layouts: Sequence[TableLayout]
    output_schema: pl.Schema
    times: Mapping[str, EventTime] = MappingProxyType({})
    timeless: frozenset[str] = frozenset()
    wants: Sequence[str] = ()
    needs_keyed_partitions: bool = False
    tables: Mapping[str, Sequence[str]] = MappingProxyType({})
    deterministic: bool = True
    result_key: Sequence[str] = ()
    keeps: str = "rows"
    late_reason: str = BEHIND

    def floors(
        self, name: str, times: pl.Series, watermarks: pl.Series
    ) -> pl.Series | None:
        """Return the floor of each event of an input, decided where it is read.

        Args:
            name: Which input, by its parameter.
            times: Event time of each event, Int64 µs.
            watermarks: Watermark of its own partition when it came (running maximum
                of the prefix including it, less the bound), Int64 µs.

        Returns:
            Int64: null where nothing is closed for the event, ``LATE`` where it is
            late, else what is closed; None where no event of this operator is late.
        """
        del name, times, watermarks
        return None

    @abstractmethod
    def step(
        self,
        frames: Mapping[str, pl.DataFrame],
        moment: Moment,
        tables: Mapping[str, StateTable],
    ) -> Outcome:
        """Take in an epoch's rows, and give what it completes.

        Args:
            frames: Parameter → rows; every input has one, perhaps without rows. They
                have the input's columns; and ``FLOOR`` where ``floors`` gave some.
            moment: The event time.
            tables: The operator's tables by the names of its layouts.

        Raises:
            TransformError: The function is at fault whatever the rows.
        """
