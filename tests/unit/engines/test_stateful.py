"""Pipelines that keep state, on a source and a sink in memory, against an oracle."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest

import streamlab as sl
from streamlab.connectors.memory import (
    Assign,
    Fail,
    Give,
    Lose,
    MemoryEvent,
    MemorySink,
    MemorySource,
    MemoryTopic,
    Revoke,
)
from streamlab.engines.local import Worker, resuming
from streamlab.engines.local.dead_letters import DeadLetterFile
from streamlab.engines.local.keyed import partition_of
from streamlab.engines.local.replaying import Kept
from streamlab.errors import Fenced, PipelineError, PositionLost, Unavailable
from streamlab.observe.status import WorkerStatus
from streamlab.operators import building
from streamlab.operators.operator import BEHIND
from streamlab.pipelines import Keyed
from streamlab.positions import TopicPartition
from streamlab.sinks import DeadLetter, Guarantee
from streamlab.transforms.declarations import Windowed
from streamlab.transforms.event_time import event_time
from streamlab.transforms.transform import Transform
from streamlab.transforms.windows import Window
from tests.unit.engines import tumbling
from tests.unit.engines.tumbling import WIDTH_US, expected

SCHEMA = sl.Schema.of({"at": pl.Int64(), "key": pl.Int64(), "n": pl.Int64()})
BOUND_US = 10_000_000
Event = dict[str, int]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(
        building._MODULES,  # type: ignore[arg-type]
        Windowed,
        tumbling.__name__,
    )


@sl.transform(window=Window(event_time("at", unit="us", bound="10s")), keys=["key"])
def summed(events: pl.LazyFrame) -> pl.LazyFrame:
    return events.group_by("window_start", "key").agg(pl.col("n").sum())


def stream(seed: int, partitions: int = 2, count: int = 300) -> dict[int, list[Event]]:
    """Return events that are out of order, some of them late."""
    chance = random.Random(seed)
    found: dict[int, list[Event]] = {}
    for partition in range(partitions):
        at = 0
        found[partition] = []
        for number in range(count):
            at += chance.randrange(3_000_000)
            back = chance.choice([0, 0, 5_000_000, 12_000_000, 90_000_000])
            event = {"at": max(0, at - back), "key": number % 5, "n": number}
            found[partition].append(event)
    return found


def encoded(events: Sequence[Event]) -> list[bytes]:
    return [json.dumps(one).encode() for one in events]


def topic_of(events: Mapping[int, Sequence[Event]]) -> MemoryTopic:
    return MemoryTopic({number: encoded(some) for number, some in events.items()})


def pipeline(
    source: MemorySource,
    sink: MemorySink,
    *,
    transform: Transform = summed,
    keyed_by: Keyed | None = None,
    event_time: object = None,
    **pace: int,
) -> sl.Pipeline:
    stream = sl.Input(source, "json", SCHEMA, event_time, keyed_by=keyed_by)  # type: ignore[arg-type]
    return sl.Pipeline(
        name="minutes",
        inputs=(stream,),
        transforms=(transform,),
        sink=sink,
        dead_letters=sl.DeadLetters(file=Path("dead.jsonl")),
        pace=sl.Pace(**pace) if pace else sl.Pace(),
    )


def finish(source: MemorySource, sink: MemorySink, **options: object) -> Worker:
    worker = Worker(pipeline(source, sink, **options))  # type: ignore[arg-type]
    worker.run(finish=True)
    return worker


def rows(sink: MemorySink) -> list[tuple[int, int, int]]:
    if not sink.target.batches:
        return []
    frame = sink.target.frame().select("window_start", "key", "n")
    return sorted(frame.iter_rows())


def letters() -> list[DeadLetter]:
    return list(DeadLetterFile(Path("dead.jsonl")).read())


class Once(list[object]):
    """A script for the first reader or writer only; later ones behave."""

    def __iter__(self):  # type: ignore[no-untyped-def]
        while self:
            yield self.pop(0)


@pytest.mark.parametrize("max_rows", [7, 50, 50_000])
def test_the_windows_are_those_of_the_oracle(max_rows: int) -> None:
    """Whatever the epochs, the rows are the same, and the late events, too."""
    events = stream(1)
    windows, late = expected(events, BOUND_US)
    sink = MemorySink()
    worker = finish(MemorySource(topic_of(events)), sink, max_rows=max_rows)
    assert rows(sink) == windows
    counts = worker.tally.counts()
    assert late > 0
    reasons = [one.reason for one in letters() if one.stage == "late"]
    assert counts["late"] == late == len(reasons)
    assert set(reasons) == {BEHIND}
    assert counts["decoded"] == counts["transformed"] + counts["late"]


def test_ignoring_the_watermark_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where no event is late, the oracle goes red."""

    def none_late(_self, _name, times, _marks):  # type: ignore[no-untyped-def]
        return pl.Series([None] * len(times), dtype=pl.Int64)

    monkeypatch.setattr(tumbling.Tumbling, "floors", none_late)
    events = stream(1)
    sink = MemorySink()
    finish(MemorySource(topic_of(events)), sink)
    assert rows(sink) != expected(events, BOUND_US)[0]


@pytest.mark.parametrize("promise", list(Guarantee))
def test_a_window_that_is_open_at_the_end_of_a_run_goes_on_in_the_next(
    promise: Guarantee,
) -> None:
    """A run that has caught up closes nothing; the state waits for the next run."""
    events = stream(2)
    topic = topic_of({number: some[:150] for number, some in events.items()})
    sink = MemorySink(promise=promise)
    Worker(pipeline(MemorySource(topic), sink, max_rows=40)).run(until_caught_up=True)
    assert 0 < len(rows(sink)) < len(expected(events, BOUND_US)[0])
    for number, some in events.items():
        topic.append(number, encoded(some[150:]))
    finish(MemorySource(topic), sink, max_rows=40)
    assert rows(sink) == expected(events, BOUND_US)[0]


SCRIPTS: Mapping[str, tuple[list[object], list[object]]] = {
    "lost": ([Give(30), Give(30), Lose((0, 1)), Assign((0, 1))], []),
    "revoked": ([Give(30), Revoke((0, 1)), Assign((0, 1)), Give(9)], []),
    "one-revoked": ([Give(30), Revoke((1,)), Assign((1,)), Give(9)], []),
    "away": ([Give(30), Fail(Unavailable()), Give(30)], [Fail(Unavailable())]),
    "uncertain": ([], [Fail(Unavailable(), after=True)] * 3),
    "fenced": ([], [Fail(Fenced("it is taken"))]),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_whatever_happens_to_an_epoch_the_windows_are_the_same(name: str) -> None:
    """Dropped, repeated and uncertain epochs leave state, rows and position as one."""
    read, written = SCRIPTS[name]
    events = stream(3)
    source = MemorySource(topic_of(events), script=Once(read))  # type: ignore[arg-type]
    sink = MemorySink(script=Once(written))  # type: ignore[arg-type]
    finish(source, sink, max_rows=25)
    assert rows(sink) == expected(events, BOUND_US)[0]


def test_going_on_with_the_memory_of_a_dropped_epoch_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: a worker that does not open the stored state doubles rows."""
    from streamlab.engines.local.stateful import StatefulProcessor

    opened = StatefulProcessor.open

    def once(self, progress):  # type: ignore[no-untyped-def]
        return [] if self.tasks else opened(self, progress)

    monkeypatch.setattr(StatefulProcessor, "open", once)
    monkeypatch.setattr(StatefulProcessor, "shut", lambda *_: None)
    # What is read again may be late for what is remembered; then nothing is doubled.
    for seed in range(3, 13):
        events = stream(seed)
        sink = MemorySink(script=Once([Fail(Fenced("it is taken"))]))  # type: ignore[arg-type]
        try:
            finish(MemorySource(topic_of(events)), sink, max_rows=25)
        except Fenced:
            return
        if rows(sink) != expected(events, BOUND_US)[0]:
            return
    pytest.fail("no run was wrong")


def test_the_brokers_time_can_be_the_event_time() -> None:
    """It is a metadata column, which the function need not name."""

    @sl.transform(window=sl.tumbling("1m", on="_timestamp"), keys=["key"])
    def counted(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "key").agg(n=pl.len().cast(pl.Int64))

    real = "streamlab.operators.windowed"
    events = [
        MemoryEvent(b'{"at": 0, "key": 1, "n": 1}', timestamp_ms=at)
        for at in (1, 2, 60_001)
    ]
    sink = MemorySink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(building._MODULES, Windowed, real)  # type: ignore[arg-type]
        finish(MemorySource(MemoryTopic({0: events})), sink, transform=counted)
    assert sorted(n for _, _, n in rows(sink)) == [1, 2]


def test_an_event_without_event_time_is_a_dead_letter() -> None:
    """Nobody can tell its window."""
    null_time = b'{"at": null, "key": 1, "n": 1}'
    topic = MemoryTopic({0: [null_time, *encoded(stream(1)[0])]})
    sink = MemorySink()
    worker = finish(MemorySource(topic), sink)
    [letter] = [one for one in letters() if one.code == "no-event-time"]
    assert (letter.position, letter.value) == (0, null_time)
    assert worker.tally.counts()["dead_lettered"] == 1


def test_a_group_that_the_function_fails_on_is_kept_as_rows() -> None:
    """The other groups come out; nothing is lost, and no event is called dead."""

    @sl.transform(window=summed.needs.window)
    def strict(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.select(
            "window_start", key=pl.col("n").cast(pl.Int8, strict=True).cast(pl.Int64)
        ).with_columns(n=pl.lit(1))

    minute = WIDTH_US
    events = [{"at": at, "key": 0, "n": n} for at, n in [(1, 1), (2, 300), (minute, 2)]]
    sink = MemorySink()
    worker = finish(MemorySource(topic_of({0: events})), sink, transform=strict)
    assert [key for _, key, _ in rows(sink)] == [2]
    kept = [json.loads(one.value or b"") for one in letters()]
    assert sorted(one["n"] for one in kept) == [1, 300]
    assert {one.code for one in letters()} == {"group-failed"}
    assert Kept.of(worker.pipeline).chosen(events=True) == []
    assert worker.tally.counts()["dead_lettered"] == 0


def test_rows_that_the_sink_refuses_are_kept_and_the_state_goes_on() -> None:
    """No event makes such a row alone, so the row itself is the dead letter."""
    events = stream(4)
    windows, _ = expected(events, BOUND_US)
    sink = MemorySink(refuse=pl.col("key") == 3)
    finish(MemorySource(topic_of(events)), sink, max_rows=50)
    assert rows(sink) == [one for one in windows if one[1] != 3]
    refused = [json.loads(one.value or b"") for one in letters() if one.stage == "sink"]
    kept = sorted((one["window_start"], one["key"], one["n"]) for one in refused)
    assert kept == [one for one in windows if one[1] == 3]


def test_a_quiet_partition_does_not_hold_the_others_for_ever() -> None:
    """It is set aside after its time, and that is counted and shown."""
    events = {
        0: [{"at": second * 1_000_000, "key": 0, "n": 1} for second in range(150)]
    }
    topic = topic_of({**events, 1: []})
    sink = MemorySink()
    quiet = event_time("at", unit="us", bound="10s", idle_after="50ms")
    worker = Worker(pipeline(MemorySource(topic), sink, event_time=quiet))
    seen = run_until(worker, lambda: len(rows(sink)) == 2)
    assert rows(sink) == [(0, 0, 60), (WIDTH_US, 0, 60)]
    assert "events/1" in seen.tasks["*"]["idle"]
    assert seen.tasks["*"]["idled"] >= 1


def test_a_quiet_partition_is_set_aside_while_others_are_busy() -> None:
    """The events of the others do not begin its time anew."""
    topic, sink = topic_of({0: [], 1: []}), MemorySink()
    quiet = event_time("at", unit="us", bound="10s", idle_after="200ms")
    worker = Worker(pipeline(MemorySource(topic), sink, event_time=quiet))
    sent = iter(range(100_000))

    def comes() -> bool:
        for second in (next(sent), next(sent)):
            topic.append(0, encoded([{"at": second * 1_000_000, "key": 0, "n": 1}]))
        return len(rows(sink)) > 0

    seen = run_until(worker, comes)
    assert seen.tasks["*"]["idle"] == ["events/1"]


def test_a_task_that_has_ended_does_not_end_the_others() -> None:
    """A worker that takes an ended task over still reads its own to their end."""
    topic, spread = keyed_topic({0: stream(6)[0]})
    sink = MemorySink()
    own, other = (0, 1, 2), 3
    script = [Revoke(own)]
    worker = Worker(pipeline(MemorySource(topic, script=script), sink, keyed_by=KEYED))
    worker.run(finish=True)
    assert rows(sink) == expected({other: spread[other]}, BOUND_US)[0]
    finish(MemorySource(topic), sink, keyed_by=KEYED)
    assert rows(sink) == expected(spread, BOUND_US)[0]


def test_without_an_idle_time_a_quiet_partition_holds_the_watermark() -> None:
    """Nothing is guessed: the windows wait."""
    events = [{"at": second * 1_000_000, "key": 0, "n": 1} for second in range(150)]
    sink = MemorySink()
    worker = Worker(pipeline(MemorySource(topic_of({0: events, 1: []})), sink))
    worker.run(until_caught_up=True)
    assert rows(sink) == []
    assert worker.status().tasks == {}  # closed


def test_a_change_is_shown_early_though_nothing_more_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its interval an epoch without events shows what has changed since."""
    real = "streamlab.operators.windowed"
    monkeypatch.setitem(building._MODULES, Windowed, real)  # type: ignore[arg-type]
    window = sl.tumbling("1h", on=event_time("at", unit="us"))

    @sl.transform(window=window, keys=["key"], emit="updates", early="300ms")
    def counted(events: pl.LazyFrame) -> pl.LazyFrame:
        return events.group_by("window_start", "key").agg(n=pl.len().cast(pl.Int64))

    topic = topic_of({0: [{"at": 1, "key": 1, "n": 1}]})
    sink = MemorySink()
    worker = Worker(pipeline(MemorySource(topic), sink, transform=counted))

    def shown() -> list[int]:
        return [n for one in sink.target.batches for n in one.frame["n"].to_list()]

    def second() -> bool:
        if shown() == [1] and topic.end(TopicPartition("events", 0)) == 1:
            topic.append(0, encoded([{"at": 2, "key": 1, "n": 1}]))
        return shown()[-1:] == [2]

    run_until(worker, second)
    assert shown()[0] == 1
    assert any(not one.frame.height for one in sink.target.batches)


def run_until(worker: Worker, done: Callable[[], bool]) -> WorkerStatus:
    """Run a worker until something holds; return what it said then."""
    import threading
    import time

    thread = threading.Thread(target=worker.run)
    thread.start()
    deadline = time.monotonic() + 10
    try:
        while not done():
            assert time.monotonic() < deadline
            assert thread.is_alive()
            time.sleep(0.01)
        return worker.status()
    finally:
        worker.stop()
        thread.join(10)


def test_a_finished_pipeline_is_not_run_again() -> None:
    """Its windows are closed, so what comes later would be in none."""
    topic = topic_of(stream(1))
    sink = MemorySink()
    finish(MemorySource(topic), sink)
    with pytest.raises(PipelineError, match="was finished"):
        Worker(pipeline(MemorySource(topic), sink)).run(until_caught_up=True)


def test_a_finish_that_was_repeated_changes_nothing() -> None:
    """Whoever is not sure whether it was finished may finish again."""
    topic = topic_of(stream(1))
    sink = MemorySink()
    finish(MemorySource(topic), sink)
    before = rows(sink)
    finish(MemorySource(topic), sink)
    assert rows(sink) == before


def test_a_span_is_read_exactly_and_the_next_run_goes_on_behind_it() -> None:
    """A backfill stops at its positions, in the middle of a batch."""
    events = stream(5)
    topic, sink = topic_of(events), MemorySink()
    limits = {TopicPartition("events", 0): 101, TopicPartition("events", 1): 7}
    worker = Worker(pipeline(MemorySource(topic), sink))
    summary = worker.run(until=limits)
    assert summary.positions == {"events/0": 101, "events/1": 7}
    assert summary.counts["read"] == 108
    finish(MemorySource(topic), sink)
    assert rows(sink) == expected(events, BOUND_US)[0]


def test_a_part_of_the_partitions_is_refused() -> None:
    """A second worker would see a part of each key; the message says what to do."""
    source = MemorySource(topic_of(stream(1)), script=[Revoke((1,))])
    worker = Worker(pipeline(source, MemorySink()))
    worker._partitions.parted = resuming.Parted(wait_s=0.05)
    with pytest.raises(PipelineError, match="events/1") as refused:
        worker.run()
    assert "keyed_by" in refused.value.hint


def test_partitions_that_were_added_stop_it() -> None:
    """Keys would go on in other partitions than their state."""
    topic, sink = topic_of(stream(1)), MemorySink()
    Worker(pipeline(MemorySource(topic), sink)).run(until_caught_up=True)
    topic.append(2, encoded(stream(1)[0]))
    with pytest.raises(PositionLost, match="number of partitions"):
        Worker(pipeline(MemorySource(topic), sink)).run(until_caught_up=True)


KEYED = Keyed(("key",))


def keyed_topic(events: Mapping[int, Sequence[Event]], partitions: int = 4):  # type: ignore[no-untyped-def]
    """Return the events spread by their keys, and what each partition then has."""
    spread: dict[int, list[Event]] = {number: [] for number in range(partitions)}
    for some in events.values():
        for one in some:
            key = str(one["key"]).encode()
            spread[partition_of(key, KEYED, partitions)].append(one)
    topic = MemoryTopic(
        {
            number: [
                MemoryEvent(json.dumps(one).encode(), str(one["key"]).encode())
                for one in some
            ]
            for number, some in spread.items()
        }
    )
    return topic, spread


def test_a_topic_that_is_keyed_alike_has_a_task_for_each_partition() -> None:
    """Each partition has its own state, and moves alone."""
    topic, spread = keyed_topic({0: stream(6)[0]})
    sink = MemorySink()
    script = Once([Give(40), Revoke((1,)), Give(40), Assign((1,))])
    finish(MemorySource(topic, script=script), sink, keyed_by=KEYED, max_rows=20)  # type: ignore[arg-type]
    assert rows(sink) == expected(spread, BOUND_US)[0]
    assert set(sink.target.of("minutes")) == {"*/0", "*/1", "*/2", "*/3"}


def test_a_topic_that_is_not_keyed_as_it_says_stops_it() -> None:
    """Both partitions are named: where the event is, and where its key belongs."""
    topic, _ = keyed_topic({0: stream(6)[0]})
    keyed = Keyed(("key",), "crc32")
    with pytest.raises(PipelineError, match="belongs to partition"):
        finish(MemorySource(topic), MemorySink(), keyed_by=keyed)


def test_a_sink_that_keeps_no_position_has_the_state_in_the_groups_offsets() -> None:
    """State and position are committed as one, whoever keeps them."""
    topic, sink = topic_of(stream(7)), MemorySink(promise=Guarantee.IDEMPOTENT)
    Worker(pipeline(MemorySource(topic), sink)).run(until_caught_up=True)
    kept = {one.state_id for one in topic.committed.values()}
    assert len(kept) == 1
    assert None not in kept


@sl.transform(keys="key", state={"total": pl.Int64})
def added(events: pl.LazyFrame, state: pl.LazyFrame) -> tuple[pl.LazyFrame, ...]:
    known = events.join(state, on="key", how="left", maintain_order="left")
    so_far = pl.col("n").cum_sum().over("key") + pl.col("total").fill_null(0)
    output = known.select("key", "n", total=so_far)
    return output, output.group_by("key").agg(pl.col("total").last())


def test_a_fold_goes_on_with_its_state_after_a_restart() -> None:
    """A total is that of all events so far, in the order of their partition."""
    events = stream(3, partitions=1)[0]
    topic, sink = topic_of({0: events[:100]}), MemorySink()
    first = pipeline(MemorySource(topic), sink, transform=added, max_rows=37)
    Worker(first).run(until_caught_up=True)
    topic.append(0, encoded(events[100:]))
    finish(MemorySource(topic), sink, transform=added, max_rows=37)
    totals: dict[int, int] = {}
    wanted = []
    for event in events:
        totals[event["key"]] = totals.get(event["key"], 0) + event["n"]
        wanted.append((event["key"], event["n"], totals[event["key"]]))
    assert sorted(sink.target.frame().iter_rows()) == sorted(wanted)


def test_events_as_they_come_must_have_one_order() -> None:
    """Between partitions there is none, unless the topic is keyed alike."""
    source = MemorySource(topic_of(stream(3)))
    with pytest.raises(PipelineError, match="between which there is no order"):
        finish(source, MemorySink(), transform=added)


def test_the_newest_rows_of_a_compacted_topic_are_deleted_by_its_tombstones() -> None:
    """A message without a value is no dead letter to ``latest``."""
    events = [{"at": 1, "key": 1, "n": 5}, {"at": 1, "key": 2, "n": 6}]
    gone = MemoryEvent(None, key=b"1")
    topic, sink = MemoryTopic({0: [*encoded(events), gone]}), MemorySink()
    finish(MemorySource(topic), sink, transform=sl.latest("key"))
    assert sink.target.frame().select("key", "n", "_op").rows() == [
        (1, 5, "insert"),
        (2, 6, "insert"),
        (1, 5, "delete"),
    ]
    assert letters() == []
