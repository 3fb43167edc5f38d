"""An evaluation of any transform on samples: stateless ones, and those with state.

What a transform with a window, state or a join gives of a sample depends on where the
sample ends: windows that are still open are shown apart, as incomplete. What may be
claimed is tested: the same rows must come out however the events are cut into epochs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from streamlab.contracts import Schema
from streamlab.errors import TransformError, UsageError
from streamlab.operators import cuts
from streamlab.operators.chain import Chain, late
from streamlab.operators.driving import (
    OFFSET,
    PARTITION,
    Drive,
    partitions_of,
    with_times,
)
from streamlab.operators.netting import near_rows, netted
from streamlab.sources import METADATA
from streamlab.transforms import evaluation as stateless
from streamlab.transforms.evaluation import (
    BUDGET_S,
    EPOCH_ROWS,
    PROBE_ROWS,
    Evaluation,
    SampleLike,
    Transforms,
)
from streamlab.transforms.transform import Transform
from streamlab.transforms.verdicts import (
    LOOKS_ACROSS,
    NOT_REPEATABLE,
    Verdict,
    failed,
)
from streamlab.transforms.windows import WINDOW_START

RANDOM_CUTS = (2, 5, 13)  # epochs of consecutive events
WHOLE_RUNS = 8  # about how often the sample is run by all checks together
MB_FROM_KB = 100  # less than that is written in kB
MOST_SHOWN = 4_000  # events of a picture, of all streams together

_SEED = 20130101
_UNORDERED = Verdict(
    "unknown", "rows come out when they are complete; no order among them is promised"
)


@dataclass(frozen=True, eq=False)
class StreamEvaluation(Evaluation):
    """What a transform with a window, state or a join made of a sample.

    ``output`` has the rows that are complete when the sample ends.

    Attributes:
        incomplete: Rows that came only because the sample ended: of open windows, of
            pairs that still could find a partner.
        late: How many events came too late.
        held: Rows in the state when the sample ended.
        state_bytes: The largest size of the state, in bytes.
        state_bytes_per_million: The same by the number of events, in bytes for each
            million; a bounded state grows less.
        course: What a picture is made of: ``stream``, ``order`` (of reading),
            ``time`` and ``watermark`` (Datetime µs, UTC) and ``late`` of each event,
            of the first few thousand.
    """

    incomplete: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    late: int = 0
    held: int = 0
    state_bytes: int = 0
    state_bytes_per_million: float = 0.0
    course: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)

    @property
    def weight(self) -> str:
        """Return what the state weighs per million events, such as ``1.2 MB``."""
        kilo = self.state_bytes_per_million / 1e3
        return f"{kilo / 1e3:,.1f} MB" if kilo >= MB_FROM_KB else f"{kilo:,.1f} kB"

    def __str__(self) -> str:
        """Return the evaluation as a few lines of text, without any row."""
        return "\n".join(
            [
                super().__str__(),
                f"late   {self.late:,} events",
                f"open   {self.incomplete.height:,} rows when the sample ended",
                f"state  {self.held:,} rows, {self.weight} per million events",
            ]
        )


def evaluate(
    transform: Transforms,
    events: SampleLike | pl.DataFrame | Mapping[str, SampleLike | pl.DataFrame],
    *,
    base: Path | None = None,
    partition: pl.Series | None = None,
    budget_s: float = BUDGET_S,
) -> Evaluation:
    """Run a transform on a sample, and say what may be claimed of it.

    Args:
        transform: One transform, or several that follow one another.
        events: A sample, or a frame whose columns are the event's own (and metadata);
            for several streams, the name of each and its sample.
        base: Folder that the paths of tables count from.
        partition: Partition of each event; taken from ``_partition`` if left out.
        budget_s: Seconds it may take; a longer sample is evaluated on its head.

    Returns:
        The evaluation; a :class:`StreamEvaluation` where a transform needs a window,
        state or a join. A function that fails on no rows, or whose schema depends on
        the data, is evaluated too where it is stateless: its verdict says so.

    Raises:
        TransformError: The function fails on the events; points at the user's line,
            and its ``events`` are the origins of those it fails on.
        UsageError: A table cannot be read, a frame lacks a column, or there is no
            sample for a stream.
    """
    transforms = [transform] if isinstance(transform, Transform) else list(transform)
    needing = [one for one in transforms if one.needs is not None]
    if not needing:
        if isinstance(events, Mapping):
            (events,) = events.values()
        return stateless.evaluate(
            transforms, events, base=base, partition=partition, budget_s=budget_s
        )
    streams = needing[0].streams
    if not isinstance(events, Mapping):
        events = {streams[0]: events}
    missing = [name for name in streams if name not in events]
    if missing:
        message = f"{needing[0].name}() reads {', '.join(streams)}"
        hint = f"give a sample of each: {{{missing[0]!r}: …}}"
        raise UsageError(f"{message}; there is none for {missing[0]!r}", hint=hint)
    given = {name: _given(events[name], partition) for name in streams}
    return _Trial.of(transforms, given, base or Path(), budget_s).evaluation()


@dataclass(frozen=True, eq=False)
class _Given:
    """Events of one stream: with the partition of each, if that is known."""

    name: str
    frame: pl.DataFrame
    schema: Schema


def _given(events: SampleLike | pl.DataFrame, partition: pl.Series | None) -> _Given:
    if isinstance(events, pl.DataFrame):
        own = {k: v for k, v in events.schema.items() if k not in METADATA}
        name, frame, schema = "a frame", events, Schema.of(pl.Schema(own))
    else:
        name, frame, schema = events.name, events.frame, events.schema
    if partition is not None:
        frame = frame.with_columns(partition.alias(PARTITION))
    return _Given(name, frame, schema)


@dataclass(frozen=True, eq=False)
class _Ran:
    """One run over the events, in epochs."""

    complete: pl.DataFrame
    incomplete: pl.DataFrame
    drive: Drive
    state_bytes: int
    held: int
    seconds: float

    @property
    def rows(self) -> pl.DataFrame:
        """Return all rows, complete or not."""
        return pl.concat([self.complete, self.incomplete])


@dataclass(frozen=True, eq=False)
class _Trial:
    """Transforms on trial: on as much of the samples as fits into the budget."""

    transforms: Sequence[Transform[..., object]]
    chain: Chain
    name: str
    frames: Mapping[str, pl.DataFrame]
    head: int | None
    deadline: float

    @classmethod
    def of(
        cls,
        transforms: Sequence[Transform[..., object]],
        given: Mapping[str, _Given],
        base: Path,
        budget_s: float,
    ) -> _Trial:
        deadline = time.monotonic() + budget_s
        chain = Chain.of(transforms, {n: one.schema for n, one in given.items()}, base)
        frames = {name: _columns(chain, name, one) for name, one in given.items()}
        name = " and ".join(one.name for one in given.values())
        probe = cls(
            transforms,
            chain,
            name,
            {stream: frame.head(PROBE_ROWS) for stream, frame in frames.items()},
            None,
            deadline,
        )
        probe.run()  # warms polars up
        seconds = probe.run().seconds
        # A half of the budget, because the first runs took their share already.
        per_row = max(seconds / max(1, probe.count), 1e-9)
        rows = max(PROBE_ROWS, int(budget_s / 2 / WHOLE_RUNS / per_row))
        total = sum(frame.height for frame in frames.values())
        if rows >= total:
            return cls(transforms, chain, name, frames, None, deadline)
        cut = {n: f.head(-(-f.height * rows // total)) for n, f in frames.items()}
        count = sum(frame.height for frame in cut.values())
        return cls(transforms, chain, name, cut, count, deadline)

    @property
    def count(self) -> int:
        """Return the number of events."""
        return sum(frame.height for frame in self.frames.values())

    def run(self, epochs: Sequence[Mapping[str, pl.DataFrame]] | None = None) -> _Ran:
        """Run over the events, in some epochs or in those of a worker."""
        drive, largest = Drive.of(self.chain, partitions_of(self.frames)), 0
        begin = time.perf_counter()
        for epoch in (
            epochs if epochs is not None else cuts.slices(self.frames, EPOCH_ROWS)
        ):
            drive.epoch(epoch)
            largest = max(largest, _size(drive))
        seconds = time.perf_counter() - begin
        complete, held = drive.output, sum(t.height for t in drive.tables.values())
        last = drive.epoch({}, ended=True)
        # In a worker these would be dead letters; here a person wants to see them.
        drive.require_success(f"{self._functions} fails")
        return _Ran(complete, last.output, drive, largest, held, seconds)

    @property
    def _functions(self) -> str:
        return " and ".join(f"{one.name}()" for one in self.transforms)

    def evaluation(self) -> StreamEvaluation:
        """Run, test, and return what came out."""
        ran = self.run()
        events = max(1, self.count)
        weight = ran.state_bytes * 1e6 / events
        return StreamEvaluation(
            name=self._functions,
            sample=self.name,
            output=_by_window(ran.complete),
            rows_in=self.count,
            head=self.head,
            rows=self._verdict(ran),
            order=_UNORDERED,
            at_most_one=False,
            metadata=tuple(
                dict.fromkeys(
                    name
                    for one in self.chain.entrance.values()
                    for name in one.metadata
                )
            ),
            seconds_per_million=ran.seconds * 1e6 / events,
            conversion_seconds_per_million=None,
            incomplete=_by_window(ran.incomplete),
            late=sum(f.height for fs in ran.drive.late.values() for f in fs),
            held=ran.held,
            state_bytes=ran.state_bytes,
            state_bytes_per_million=weight,
            course=_course(self.chain, self.frames),
        )

    def _verdict(self, whole: _Ran) -> Verdict:
        """Return whether the rows are the same however the events are cut."""
        keys = self.chain.result_key
        expected = netted(whole.rows, keys)
        for number, (what, epochs) in enumerate(self._cuts()):
            if time.monotonic() > self.deadline:
                slow = f"too slow to test within the time: {number} checks held"
                return Verdict("unknown", slow)
            try:
                found = netted(self.run(epochs).rows, keys)
            except TransformError as error:
                return failed(LOOKS_ACROSS, f"cut {what}: {error.message}")
            if not near_rows(found, expected):
                kind = NOT_REPEATABLE if what == "a second time" else LOOKS_ACROSS
                why = f"the events {what} gave other rows"
                if found.height != expected.height:
                    why += f" ({found.height:,} instead of {expected.height:,})"
                return failed(kind, f"{why}; look within windows and keys only")
        sample = f"on {self.count:,} events, cut into epochs in several ways"
        return Verdict("tested", f"held {sample}; other events may show otherwise")

    def _cuts(self) -> Iterator[tuple[str, Sequence[Mapping[str, pl.DataFrame]]]]:
        chance = random.Random(_SEED)  # noqa: S311 -- no secret
        yield "a second time", list(cuts.slices(self.frames, EPOCH_ROWS))
        for number in RANDOM_CUTS:
            yield f"in {number} epochs", cuts.random_slices(self.frames, number, chance)
        if any(PARTITION in frame.columns for frame in self.frames.values()):
            yield "one partition at a time", cuts.by_partition(self.frames)


def _columns(chain: Chain, name: str, given: _Given) -> pl.DataFrame:
    """Return the columns that a chain wants of a stream, and the partition.

    Raises:
        UsageError: The frame lacks one.
    """
    wanted = chain.entrance[name].input_schema.names()
    missing = [
        column
        for column in wanted
        if column not in {*given.frame.columns, PARTITION, OFFSET}
    ]
    if missing:
        raise UsageError(
            f"{given.name} has no column {missing[0]!r}, which the transform uses",
            hint="a tapped Sample has the metadata columns",
        )
    chosen = [c for c in given.frame.columns if c in wanted or c == PARTITION]
    return with_times(chain, name, given.frame.select(chosen))


def _by_window(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows as a person expects to see them: one window after the other."""
    if WINDOW_START not in rows.columns:
        return rows
    return rows.sort(WINDOW_START, maintain_order=True)


def _size(drive: Drive) -> int:
    return sum(table.size_bytes for table in drive.tables.values())


def _course(chain: Chain, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return event time, watermark and lateness of the first events, for a picture."""
    parts = []
    for name in chain.times:
        if name in chain.timeless or name not in frames:
            continue
        events = frames[name].head(MOST_SHOWN // len(frames))
        drive = Drive.of(chain, partitions_of({name: events}))
        times, marks, floors = drive.timed(name, events)
        parts.append(
            pl.DataFrame(
                {
                    "stream": [name] * events.height,
                    "order": range(events.height),
                    "time": times.cast(pl.Datetime("us", "UTC")),
                    "watermark": marks.cast(pl.Datetime("us", "UTC")),
                    "late": pl.repeat(False, events.height, eager=True)
                    if floors is None
                    else late(floors),
                },
                schema_overrides={"order": pl.Int64, "stream": pl.String},
            )
        )
    return pl.concat(parts) if parts else pl.DataFrame()
