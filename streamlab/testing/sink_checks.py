"""The conformance checks of sinks: what every sink must do, one function each."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import polars as pl

from streamlab.errors import Fenced, RowsRefused, StreamlabError
from streamlab.positions import Progress, TopicPartition
from streamlab.sinks import Guarantee, Sink, SinkBatch, SinkContext, Writer
from streamlab.testing.requirement import require

SINK_SCHEMA = pl.Schema(
    {
        "part": pl.Int32(),
        "id": pl.Int64(),
        "text": pl.String(),
        "amount": pl.Float64(),
        "seen": pl.Boolean(),
        "at": pl.Datetime("us", "UTC"),
    }
)
"""Columns of the rows that the checks write; ``id`` is unique."""

TEXTS = ("plain", "", None, 'say "hi", ok', "a\nb\r\nc\td", "\\.", "\\N", "NULL", "é😀")
PARTITIONS = 2


@dataclass(frozen=True)
class SinkCase:
    """A sink under test.

    Attributes:
        make: Returns a sink whose target is new and empty.
        read: Returns what the sink's target holds, with the columns and types of
            ``SINK_SCHEMA``, in the order in which the system keeps it.
        refused_text: A ``text`` that the sink refuses; None if it refuses none.
        pipeline: Namespace of the progress; by default one that nobody else has,
            as a system may keep the progress of all pipelines in one place.
    """

    make: Callable[[], Sink]
    read: Callable[[Sink], pl.DataFrame]
    refused_text: str | None = None
    pipeline: str = field(default_factory=lambda: f"checked-{uuid.uuid4().hex[:12]}")

    @contextlib.contextmanager
    def opened(
        self, sink: Sink, *, worker: str = "worker-0", pipeline: str = ""
    ) -> Iterator[Writer]:
        """Open a sink that ``make`` returned, and close it in the end."""
        context = SinkContext(pipeline or self.pipeline, SINK_SCHEMA, worker)
        writer = sink.open(context)
        try:
            yield writer
        finally:
            writer.close()


def check_sink(
    make: Callable[[], Sink],
    read: Callable[[Sink], pl.DataFrame],
    *,
    refused_text: str | None = None,
) -> None:
    """Run all checks on a sink.

    Args:
        make: Returns a sink whose target is new and empty.
        read: Returns what the sink's target holds; see :class:`SinkCase`.
        refused_text: A ``text`` that the sink refuses; None if it refuses none.

    Raises:
        AssertionError: The sink fails a check; the text names it.
    """
    for check in SINK_CHECKS:
        try:
            check(SinkCase(make, read, refused_text))
        except AssertionError as error:
            message = f"{check.__name__}: {error}"
            raise AssertionError(message) from error


def closes_twice(case: SinkCase) -> None:
    """Close a writer twice: the second call does nothing."""
    with case.opened(case.make()) as writer:
        writer.close()


def refuses_calls_after_close(case: SinkCase) -> None:
    """Raise a clear error, and write nothing, after close."""
    sink = case.make()
    with case.opened(sink) as writer:
        stored = _claimed(writer)
    error = _raised(lambda: writer.write(_batch(stored, rows(3))))
    require(error is not None, "write after close raised nothing")
    with contextlib.suppress(StreamlabError):
        found = writer.claim(_initial())
        require(found is None, "claim after close returned progress")
    require(case.read(sink).is_empty(), "rows were written after close")


def keeps_values_and_types(case: SinkCase) -> None:
    """Give back every value as it was, nulls and empty texts told apart."""
    sink = case.make()
    frame = rows(len(TEXTS) * 2)
    with case.opened(sink) as writer:
        written = writer.write(_batch(_claimed(writer), frame))
    require(written == frame.height, f"{written} rows counted, not {frame.height}")
    found = case.read(sink)
    require(found.schema == SINK_SCHEMA, f"types came back as {found.schema}")
    found = found.sort("id")
    different = [
        name
        for name in SINK_SCHEMA
        if not found[name].equals(frame[name], check_dtypes=True)
    ]
    require(not different, f"values of {different} came back different")


def keeps_order_within_a_partition(case: SinkCase) -> None:
    """Keep the rows of a partition in order, also across epochs."""
    sink = case.make()
    with case.opened(sink) as writer:
        progress = _claimed(writer)
        for start in (0, 50, 100):
            batch = _batch(progress, rows(50, first=start))
            writer.write(batch)
            progress = batch.after
    found = case.read(sink)
    for part in range(PARTITIONS):
        ids = found.filter(pl.col("part") == part)["id"]
        require(ids.len() > 0, f"rows of partition {part} are missing")
        require(ids.is_sorted(), f"rows of partition {part} are out of order")


def moves_on_with_an_empty_epoch(case: SinkCase) -> None:
    """Accept an epoch without rows; where progress is kept, it moves."""
    sink = case.make()
    with case.opened(sink) as writer:
        batch = _batch(_claimed(writer), rows(0))
        written = writer.write(batch)
        stored = writer.claim(_initial())
    require(written == 0, f"{written} rows counted for an empty epoch")
    require(case.read(sink).is_empty(), "an empty epoch wrote rows")
    _require_progress(stored, batch.after)


def takes_other_columns_whole_or_not_at_all(case: SinkCase) -> None:
    """Raise and write nothing, or write every row, of a frame with other columns."""
    sink = case.make()
    with case.opened(sink) as writer:
        stored = _claimed(writer)
        other = rows(2).drop("amount")
        error = _raised(lambda: writer.write(_batch(stored, other)))
    expected = other.height if error is None else 0
    found = case.read(sink).height
    require(found == expected, f"{found} rows are there after {error!r}")


def claims_where_the_worker_says(case: SinkCase) -> None:
    """Begin a pipeline without history where its first worker says."""
    sink = case.make()
    with case.opened(sink) as writer:
        first = writer.claim(_initial(at=7))
        again = writer.claim(_initial(at=9))
    _require_progress(first, _initial(at=7))
    _require_progress(again, _initial(at=7))


def begins_new_partitions_at_zero(case: SinkCase) -> None:
    """Begin a partition that is new to a pipeline with history at position 0."""
    sink = case.make()
    old, new = _initial(at=7)
    with case.opened(sink) as writer:
        writer.claim([old])
        stored = writer.claim([old, new])
    _require_progress(stored, [old, new.from_the_start()])


def resumes_after_reopening(case: SinkCase) -> None:
    """Return the last epoch's progress to the next worker, whole."""
    sink = case.make()
    with case.opened(sink) as writer:
        batch = _batch(_claimed(writer), rows(4), state_id="state-1")
        writer.write(batch)
    with case.opened(sink, worker="worker-1") as writer:
        stored = writer.claim(_initial())
    _require_progress(stored, batch.after)


def shows_its_progress_unasked(case: SinkCase) -> None:
    """Show the stored progress without opening, before the first run and after."""
    sink = case.make()
    nothing = sink.stored(case.pipeline)
    with case.opened(sink) as writer:
        batch = _batch(_claimed(writer), rows(4))
        writer.write(batch)
        claimed = writer.claim(_initial())
    found = sink.stored(case.pipeline)
    require(not nothing, f"before the first run, {nothing} is stored")
    shown = None if found is None else sorted(found, key=lambda each: each.task)
    expected = None if claimed is None else list(batch.after)
    require(shown == expected, f"shown is {shown}, stored is {expected}")


def keeps_pipelines_apart(case: SinkCase) -> None:
    """Keep the progress of each pipeline for itself."""
    sink = case.make()
    with case.opened(sink) as writer:
        batch = _batch(_claimed(writer), rows(4))
        writer.write(batch)
    with case.opened(sink, pipeline=f"{case.pipeline}-b") as other:
        stored = other.claim(_initial())
    _require_progress(stored, _initial())


def fences_a_stale_worker(case: SinkCase) -> None:
    """Refuse a worker whose tasks another one has moved on, and write nothing."""
    sink = case.make()
    with case.opened(sink) as zombie, case.opened(sink, worker="worker-1") as successor:
        stored = zombie.claim(_initial())
        if stored is None:
            return
        batch = _batch(_claimed(successor), rows(4))
        successor.write(batch)
        error = _raised(lambda: zombie.write(_batch(stored, rows(4))))
        require(isinstance(error, Fenced), f"a stale write gave {error!r}, not Fenced")
        found = successor.claim(_initial())
    require(case.read(sink).height == batch.frame.height, "a stale write left rows")
    _require_progress(found, batch.after)


def compares_the_whole_place(case: SinkCase) -> None:
    """Compare epoch, state and positions of every task before writing."""
    sink = case.make()
    with case.opened(sink) as writer:
        claimed = writer.claim(_initial())
        if claimed is None:
            return
        right, other = claimed
        for name, wrong in (
            ("epoch", _moved(other, epochs=5, events=0)),
            ("positions", _moved(other, epochs=0, events=5)),
            ("state", _moved(other, epochs=0, events=0, state_id="state-x")),
            ("task", _task(PARTITIONS)),
        ):
            batch = _batch([right, wrong], rows(2))
            error = _raised(partial(writer.write, batch))
            require(
                isinstance(error, Fenced), f"a wrong {name} gave {error!r}, not Fenced"
            )
        stored = writer.claim(_initial())
    require(case.read(sink).is_empty(), "a fenced write left rows")
    _require_progress(stored, _initial())


def leaves_nothing_of_a_refused_epoch(case: SinkCase) -> None:
    """Name the refused rows and write nothing, then take the epoch without them."""
    sink = case.make()
    if case.refused_text is None:
        return
    text = case.refused_text
    bad = pl.col("id").is_in([3, 6])
    frame = rows(8).with_columns(text=pl.when(bad).then(pl.lit(text)).otherwise("text"))
    with case.opened(sink) as writer:
        stored = _claimed(writer)
        error = _raised(lambda: writer.write(_batch(stored, frame)))
        _require_reasons(error, {3, 6}, text)
        left = case.read(sink).height if sink.guarantee is Guarantee.ATOMIC else 0
        require(left == 0, f"{left} rows of a refused epoch are there")
        batch = _batch(stored, frame.filter(~bad))
        writer.write(batch)
        found = writer.claim(_initial())
    ids = set(case.read(sink)["id"])
    require(ids == {0, 1, 2, 4, 5, 7}, f"the rows that are there are {sorted(ids)}")
    _require_progress(found, batch.after)


def describes_itself(case: SinkCase) -> None:
    """Describe the sink and its guarantee in one line."""
    sink = case.make()
    line = sink.describe()
    require("\n" not in line, "the description has several lines")
    require(sink.guarantee.value in line, "the description does not say the guarantee")


SINK_CHECKS: tuple[Callable[[SinkCase], None], ...] = (
    closes_twice,
    refuses_calls_after_close,
    keeps_values_and_types,
    keeps_order_within_a_partition,
    moves_on_with_an_empty_epoch,
    takes_other_columns_whole_or_not_at_all,
    claims_where_the_worker_says,
    begins_new_partitions_at_zero,
    resumes_after_reopening,
    shows_its_progress_unasked,
    keeps_pipelines_apart,
    fences_a_stale_worker,
    compares_the_whole_place,
    leaves_nothing_of_a_refused_epoch,
    describes_itself,
)
"""All checks, in the order in which they make sense to be mended."""


def rows(count: int, *, first: int = 0) -> pl.DataFrame:
    """Return rows with the columns of ``SINK_SCHEMA``, ids from ``first`` on."""
    ids = range(first, first + count)
    return pl.DataFrame(
        {
            "part": [number % PARTITIONS for number in ids],
            "id": list(ids),
            "text": [TEXTS[number % len(TEXTS)] for number in ids],
            "amount": [None if number % 5 == 0 else number / 8 for number in ids],
            "seen": [None if number % 3 == 0 else number % 3 == 1 for number in ids],
            "at": [datetime(2013, 1, 1, 5, 0, 0, n % 10**6, UTC) for n in ids],
        },
        schema=SINK_SCHEMA,
    )


def _task(partition: int, at: int = 0) -> Progress:
    place = TopicPartition("checked", partition)
    return Progress(str(place), 0, {place: at}, {"checked": "cluster/topic"})


def _initial(at: int = 0) -> list[Progress]:
    return [_task(partition, at) for partition in range(PARTITIONS)]


def _claimed(writer: Writer) -> Sequence[Progress]:
    """Return the stored progress; for a sink that keeps none, what it would be."""
    stored = writer.claim(_initial())
    return _initial() if stored is None else stored


def _moved(
    progress: Progress, *, epochs: int, events: int, state_id: str | None = None
) -> Progress:
    """Return progress some epochs and events further on, watermarks with it."""
    positions = {
        partition: position + events
        for partition, position in progress.positions.items()
        if isinstance(position, int)
    }
    return Progress(
        progress.task,
        progress.epoch + epochs,
        positions,
        progress.incarnations,
        state_id,
        dict.fromkeys(positions, 1_356_998_400_000_000 + events),
    )


def _batch(
    before: Sequence[Progress], frame: pl.DataFrame, *, state_id: str | None = None
) -> SinkBatch:
    after = [
        _moved(progress, epochs=1, events=10, state_id=state_id) for progress in before
    ]
    return SinkBatch(frame, before, after)


def _raised(call: Callable[[], object]) -> StreamlabError | None:
    try:
        call()
    except StreamlabError as error:
        return error
    return None


def _require_reasons(
    error: StreamlabError | None, expected: set[int], value: str
) -> None:
    reasons = error.reasons if isinstance(error, RowsRefused) else {}
    require(
        set(reasons) == expected,
        f"rows {expected} should have been refused, but the error was {error!r}",
    )
    for reason in reasons.values():
        require(reason != "", "a refused row has no reason")
        require(value not in reason, "a reason shows the refused value")


def _require_progress(
    found: Sequence[Progress] | None, expected: Sequence[Progress]
) -> None:
    """Compare stored progress, for a sink that keeps it itself."""
    if found is not None:
        require(
            list(found) == list(expected), f"stored is {found}, expected {expected}"
        )
