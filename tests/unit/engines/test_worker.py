"""The worker on a source and a sink in memory: what goes wrong, and what must hold."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.memory import (
    Assign,
    Fail,
    Give,
    Idle,
    Lose,
    MemorySink,
    MemorySource,
    MemoryTopic,
    Revoke,
)
from streamlab.connectors.memory.sink import MemoryWriter
from streamlab.connectors.memory.source import MemoryReader
from streamlab.engines.local import Worker
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.engines.local.partitions import Partitions
from streamlab.errors import (
    Fenced,
    PositionLost,
    Refused,
    TopicRecreated,
    TransformError,
    Unavailable,
)
from streamlab.positions import TopicPartition
from streamlab.sinks import Guarantee, SinkBatch
from streamlab.sources import RawBatch

SCHEMA = sl.Schema.of({"n": pl.Int64()})


def event(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


@sl.transform
def doubled(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.select("n", twice=pl.col("n") * 2)


@sl.transform
def odd(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.filter(pl.col("n") % 2 == 1)


@pytest.fixture
def topic() -> MemoryTopic:
    return MemoryTopic(
        {
            0: [event(number) for number in range(50)],
            1: [event(number) for number in range(100, 150)],
        }
    )


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def pipeline(
    source: MemorySource,
    sink: MemorySink,
    transforms: Sequence[sl.Transform] = (doubled,),
    **pace: int,
) -> sl.Pipeline:
    return sl.Pipeline(
        name="numbers",
        inputs=(sl.Input(source, "json", SCHEMA),),
        transforms=transforms,
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
        pace=sl.Pace(**pace) if pace else sl.Pace(),
    )


def run(source: MemorySource, sink: MemorySink, **options: object) -> Worker:
    worker = Worker(pipeline(source, sink, **options))  # type: ignore[arg-type]
    worker.run(until_caught_up=True)
    return worker


def numbers(sink: MemorySink) -> list[int]:
    return sorted(sink.target.frame()["n"].to_list())


class Once(list[object]):
    """A script for the first reader or writer only; later ones behave."""

    def __iter__(self) -> Iterator[object]:
        while self:
            yield self.pop(0)


EVERY = sorted([*range(50), *range(100, 150)])


def test_every_event_is_transformed_and_written(topic: MemoryTopic) -> None:
    """A pipeline without trouble writes each event once."""
    sink = MemorySink()
    worker = run(MemorySource(topic), sink)
    assert numbers(sink) == EVERY
    assert worker.tally.counts()["read"] == 100
    assert worker.tally.counts()["rows_out"] == 100


def test_order_within_a_partition_is_kept(topic: MemoryTopic) -> None:
    """Rows of a partition come out in the order of its events, over many epochs."""
    sink = MemorySink()
    run(MemorySource(topic), sink, max_rows=7)
    frame = sink.target.frame()
    assert frame.filter(pl.col("n") < 100)["n"].to_list() == list(range(50))
    assert len(sink.target.batches) > 10


@pytest.mark.parametrize("promise", list(Guarantee))
def test_a_second_run_reads_on(topic: MemoryTopic, promise: Guarantee) -> None:
    """A worker that starts again begins where the one before ended."""
    sink = MemorySink(promise=promise)
    run(MemorySource(topic), sink)
    topic.append(0, [event(999)])
    run(MemorySource(topic), sink)
    assert numbers(sink) == [*EVERY, 999]


def test_undecodable_values_are_dead_letters_and_their_neighbours_pass() -> None:
    """A poison value is kept with its bytes, origin and reason."""
    poison = b'{"n": oops}'
    topic = MemoryTopic({0: [event(1), poison, event(2)]})
    sink = MemorySink()
    worker = run(MemorySource(topic), sink)
    [letter] = DeadLetterFile(Path("dead.jsonl")).read()
    assert numbers(sink) == [1, 2]
    assert (letter.value, letter.position, letter.stage) == (poison, 1, "decode")
    assert worker.tally.counts()["dead_lettered"] == 1


def test_events_that_break_the_function_are_dead_letters(topic: MemoryTopic) -> None:
    """Only the events that make the function fail are set aside."""

    @sl.transform
    def strict(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.select(n=(100 // (pl.col("n") - 7)).cast(pl.UInt8))

    topic = MemoryTopic({0: [event(number) for number in (8, 6, 9)]})
    sink = MemorySink()
    run(MemorySource(topic), sink, transforms=(strict,))
    [letter] = DeadLetterFile(Path("dead.jsonl")).read()
    assert numbers(sink) == [50, 100]
    assert (letter.value, letter.stage) == (event(6), "transform")


def test_a_function_that_always_fails_stops_the_pipeline() -> None:
    """When most events fail, the function is wrong: nothing is thrown away."""

    @sl.transform
    def wrong(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.select(pl.col("n").cast(pl.UInt8))

    topic = MemoryTopic({0: [event(-number - 1) for number in range(1000)]})
    sink = MemorySink()
    with pytest.raises(TransformError):
        run(MemorySource(topic), sink, transforms=(wrong,))
    assert not sink.target.batches
    assert not Path("dead.jsonl").exists()


def test_rows_that_the_sink_refuses_are_traced_to_their_events(
    topic: MemoryTopic,
) -> None:
    """A refused row is found among filtered output and its event set aside."""
    sink = MemorySink(refuse=pl.col("n").is_in([7, 105]))
    run(MemorySource(topic), sink, transforms=(odd,))
    letters = list(DeadLetterFile(Path("dead.jsonl")).read())
    assert {letter.value for letter in letters} == {event(7), event(105)}
    assert {letter.code for letter in letters} == {"refused-by-sink"}
    assert numbers(sink) == [n for n in EVERY if n % 2 and n not in {7, 105}]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_sink_that_breaks_around_its_commit_gets_each_row_once(
    topic: MemoryTopic, after: bool
) -> None:
    """A lost connection before or after the commit neither loses nor doubles."""
    sink = MemorySink(script=[Fail(Unavailable(after_s=0.01), after=after)] * 3)
    worker = run(MemorySource(topic), sink, max_rows=20)
    assert numbers(sink) == EVERY
    assert worker.tally.counts()["retries"] > 0
    assert worker.status().state == "stopped"


def test_a_source_that_fails_now_and_then_is_read_on(topic: MemoryTopic) -> None:
    """A broker outage pauses the worker and ends by itself."""
    script = [Give(10), Fail(Unavailable(after_s=0.01)), Give(10), Idle()]
    sink = MemorySink()
    run(MemorySource(topic, script=script), sink)
    assert numbers(sink) == EVERY


@pytest.mark.parametrize("promise", [Guarantee.ATOMIC, Guarantee.AT_LEAST_ONCE])
def test_partitions_that_come_and_go_lose_nothing(
    topic: MemoryTopic, promise: Guarantee
) -> None:
    """What was read is committed before partitions are given back."""
    script = [Give(10), Revoke((0, 1)), Assign((0, 1)), Give(5), Revoke((1,))]
    sink = MemorySink(promise=promise)
    source = MemorySource(topic, script=[*script, Assign((1,))])
    run(source, sink, max_rows=10)
    assert numbers(sink) == EVERY


def test_lost_partitions_are_read_again_from_the_stored_position(
    topic: MemoryTopic,
) -> None:
    """What was read and not written when partitions are lost is read anew."""
    source = MemorySource(topic, script=Once([Give(30), Lose((0, 1))]))
    sink = MemorySink()
    run(source, sink)
    assert numbers(sink) == EVERY


def test_a_fenced_worker_reads_on_from_the_stored_position(topic: MemoryTopic) -> None:
    """A worker that was overtaken takes up what the other one has stored."""
    sink = MemorySink(script=Once([Fail(Fenced("another worker"))]))
    run(MemorySource(topic), sink, max_rows=30)
    assert numbers(sink) == EVERY


def test_a_worker_that_is_always_fenced_gives_up(topic: MemoryTopic) -> None:
    """Two pipelines of one name must not fight for ever."""

    sink = MemorySink(script=[Fail(Fenced("contested"))])
    # Each new writer begins the script anew, so that the first write always fails.
    with pytest.raises(Fenced, match="contested"):
        run(MemorySource(topic), sink)


def test_a_recreated_topic_stops_the_worker(topic: MemoryTopic) -> None:
    """A position never points into a topic that it was not made on."""
    sink = MemorySink()
    run(MemorySource(topic), sink)
    topic.recreate()
    topic.append(0, [event(1)])
    with pytest.raises(TopicRecreated, match="created again"):
        run(MemorySource(topic), sink)


def test_a_missing_position_with_history_stops_the_worker(topic: MemoryTopic) -> None:
    """Group offsets that expired do not make the pipeline begin anew."""
    sink = MemorySink(promise=Guarantee.AT_LEAST_ONCE)
    run(MemorySource(topic), sink)
    topic.committed.clear()
    with pytest.raises(PositionLost, match="position reset") as lost:
        run(MemorySource(topic), sink)
    assert "is gone from the offsets of group streamlab." in lost.value.message


class OfADatabase(MemorySource):
    """A source that keeps its position elsewhere than a broker does."""

    forgets_when = "the slot was dropped, or the file removed"

    def keeps_position_in(self, pipeline: str) -> str:
        return f"slot {pipeline} and a file beside the settings"


def test_a_missing_position_is_told_in_the_words_of_its_source(
    topic: MemoryTopic,
) -> None:
    """What has lost the position is named: a database has no broker."""
    sink = MemorySink(promise=Guarantee.AT_LEAST_ONCE)
    run(OfADatabase(topic), sink)
    topic.committed.clear()
    with pytest.raises(PositionLost, match=r"from slot .* file removed") as lost:
        run(OfADatabase(topic), sink)
    assert "broker" not in str(lost.value)


def test_a_refusing_sink_ends_the_run(topic: MemoryTopic) -> None:
    """What a sink will never take is an error, and the position stays."""
    sink = MemorySink(script=[Fail(Refused("no such table"))])
    with pytest.raises(Refused, match="no such table"):
        run(MemorySource(topic), sink)
    assert not sink.target.batches


def first_write_fails(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the first write fail when the epoch behind it had time to be computed."""
    failures = iter([error])
    write = MemoryWriter.write

    def failing(self: MemoryWriter, batch: SinkBatch) -> int:
        for failure in failures:
            time.sleep(0.2)
            raise failure
        return write(self, batch)

    monkeypatch.setattr(MemoryWriter, "write", failing)


def test_nothing_is_written_behind_an_epoch_that_failed(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink without compare-and-set must not move the position past a failure."""
    first_write_fails(monkeypatch, Refused("no such table"))
    sink = MemorySink(promise=Guarantee.AT_LEAST_ONCE)
    with pytest.raises(Refused, match="no such table"):
        run(MemorySource(topic), sink, max_rows=30)
    assert not sink.target.batches
    assert not topic.acknowledged


def test_an_epoch_sent_after_a_fence_is_not_written(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows a fenced epoch is dropped with it, however late the worker hears."""
    first_write_fails(monkeypatch, Fenced("another worker"))
    slow = logging.Handler()
    monkeypatch.setattr(slow, "emit", lambda _: time.sleep(0.2))
    logger = logging.getLogger("streamlab.engines.local.worker")
    logger.addHandler(slow)
    sink = MemorySink(promise=Guarantee.AT_LEAST_ONCE)
    try:
        run(MemorySource(topic, script=Once([Give(10), Give(10)])), sink)
    finally:
        logger.removeHandler(slow)
    assert numbers(sink) == EVERY


@pytest.mark.parametrize(
    ("error", "expected"),
    [(Fenced("another worker"), None), (Refused("no such table"), Refused)],
)
def test_partitions_that_go_when_an_epoch_has_just_failed(
    topic: MemoryTopic,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    expected: type[Exception] | None,
) -> None:
    """What was collected of them is dropped: it has no progress to build upon."""
    first_write_fails(monkeypatch, error)
    revoked = Partitions.revoked

    def late(self: Partitions, partitions: Sequence[TopicPartition]) -> None:
        time.sleep(0.4)
        revoked(self, partitions)

    monkeypatch.setattr(Partitions, "revoked", late)
    script = Once([Give(10), Give(10), Revoke((0, 1))])
    sink = MemorySink(promise=Guarantee.AT_LEAST_ONCE)
    with pytest.raises(expected) if expected else contextlib.nullcontext():
        run(MemorySource(topic, script=script), sink)
    assert numbers(sink) == EVERY if expected is None else not sink.target.batches


@pytest.mark.parametrize(
    ("where", "step"), [(MemorySink, "open"), (MemoryWriter, "claim")]
)
def test_a_stop_ends_the_wait_for_a_sink_that_is_down_from_the_start(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch, where: type, step: str
) -> None:
    """A worker that has nothing to finish yet still hears that it is stopped."""
    down = True
    works = getattr(where, step)

    def fail(self: object, given: object) -> object:
        if down:
            raise Unavailable(after_s=0.05)
        return works(self, given)

    monkeypatch.setattr(where, step, fail)
    worker = Worker(pipeline(MemorySource(topic), MemorySink()))
    thread = threading.Thread(target=worker.run)
    thread.start()
    while worker.status().state != "paused":
        time.sleep(0.01)
    worker.stop()
    thread.join(3)
    stopped = not thread.is_alive()
    down = False
    thread.join(3)
    assert stopped


def test_a_worker_is_not_paused_when_the_source_answers_again() -> None:
    """A source that is back says so also when it has no events."""
    script = Once([Give(), Idle(), Fail(Unavailable(after_s=0.05))])
    source = MemorySource(MemoryTopic({0: [event(1)]}), script=script)
    worker = Worker(pipeline(source, MemorySink()))
    thread = threading.Thread(target=worker.run)
    thread.start()
    until = time.monotonic() + 3
    while not worker.tally.retries and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.3)
    state = worker.status().state
    worker.stop()
    thread.join(5)
    assert state == "running"


def test_an_epoch_of_another_worker_is_not_taken_for_the_own(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a break, an equal epoch number that stands elsewhere is a fence."""
    write = MemoryWriter.write
    breaks = iter([Unavailable(after_s=0.01)])

    def overtaken(self: MemoryWriter, batch: SinkBatch) -> int:
        for error in breaks:
            short = [
                replace(one, epoch=1, positions=dict.fromkeys(one.positions, 0))
                for one in batch.after
            ]
            write(self, replace(batch, frame=batch.frame.clear(), after=short))
            raise error
        return write(self, batch)

    monkeypatch.setattr(MemoryWriter, "write", overtaken)
    sink = MemorySink()
    run(MemorySource(topic), sink)
    assert numbers(sink) == EVERY


def test_a_stop_finishes_what_was_read(topic: MemoryTopic) -> None:
    """A stopped worker has written all it had read, and says so."""
    sink = MemorySink()
    worker = Worker(pipeline(MemorySource(topic), sink))
    thread = threading.Thread(target=worker.run)
    thread.start()
    while worker.tally.counts()["rows_out"] < 100:
        pass
    worker.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert worker.status().state == "stopped"


def test_a_trickle_is_polled_when_its_last_epoch_is_written(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what came in the meantime is read, and decoded, in one go."""
    sink = MemorySink()
    written: list[int] = []  # epochs, at each poll that brought something
    poll = MemoryReader.poll

    def noted(reader: MemoryReader, most: int, timeout_s: float) -> RawBatch | None:
        batch = poll(reader, most, timeout_s)
        if batch is not None:
            written.append(len(sink.target.batches))
        return batch

    monkeypatch.setattr(MemoryReader, "poll", noted)
    monkeypatch.setattr("streamlab.engines.local.worker.MOST_WAIT_S", 10.0)
    run(MemorySource(topic, script=[Give(10)] * 10), sink)
    assert numbers(sink) == EVERY
    assert written == list(range(len(written)))
    assert len(written) >= 10


def test_a_stop_during_an_outage_does_not_wait_for_its_end(topic: MemoryTopic) -> None:
    """A worker whose sink is down still stops, and its position stays."""
    sink = MemorySink(script=[Fail(Unavailable(after_s=0.05))] * 10_000)
    worker = Worker(pipeline(MemorySource(topic), sink))
    thread = threading.Thread(target=worker.run)
    thread.start()
    while worker.status().state != "paused":
        pass
    worker.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert not sink.target.batches


def test_dead_letters_are_written_before_the_position_moves(
    topic: MemoryTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead-letter outage holds the position back (a control for rule 6)."""
    topic = MemoryTopic({0: [b"poison", event(1)]})
    sink = MemorySink()
    written: list[int] = []
    failures = iter([Unavailable(after_s=0.01)] * 3)

    def write(self: DeadLetterFile, letters: Sequence[object]) -> None:
        for failure in failures:
            assert not sink.target.batches
            raise failure
        written.append(len(letters))

    monkeypatch.setattr(DeadLetterFile, "write", write)
    run(MemorySource(topic), sink)
    assert written == [1]
    assert numbers(sink) == [1]


def test_read_is_decoded_plus_dead_lettered_in_every_partition() -> None:
    """The books balance for each partition."""
    topic = MemoryTopic({0: [event(1), b"x", event(2)], 1: [b"y", b"z"]})
    worker = run(MemorySource(topic), MemorySink())
    status = worker.status()
    assert status.partitions == {
        "events/0": {"read": 3, "dead_lettered": 1, "late": 0},
        "events/1": {"read": 2, "dead_lettered": 2, "late": 0},
    }
    counts = status.counts
    assert counts["read"] == counts["decoded"] + counts["dead_lettered"]
