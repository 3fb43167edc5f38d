"""The memory doubles misbehave when they are told to, and only then."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import polars as pl
import pytest

from streamlab.connectors.memory import (
    Assign,
    Fail,
    Give,
    Idle,
    Lose,
    MemoryEvent,
    MemorySink,
    MemorySource,
    MemoryTopic,
    Revoke,
    Wait,
)
from streamlab.errors import (
    Fenced,
    OffsetExpired,
    TopicRecreated,
    Unavailable,
    UsageError,
)
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sinks import DeadLetter, SinkBatch, SinkContext
from streamlab.sources import Assignment, Reader

PLACES = (TopicPartition("events", 0), TopicPartition("events", 1))


class Listening:
    """A listener that starts where the source says, and keeps a diary."""

    def __init__(self) -> None:
        self.diary: list[tuple[str, tuple[int, ...]]] = []

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        self._note("assigned", given.partitions)
        return {place: given.start[place] for place in given.partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("revoked", partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._note("lost", partitions)

    def _note(self, word: str, places: Sequence[TopicPartition]) -> None:
        self.diary.append((word, tuple(place.partition for place in places)))


@pytest.fixture
def topic() -> MemoryTopic:
    """Return a topic of two partitions."""
    return MemoryTopic({0: [b"a", b"b", b"c"], 1: [b"x"]})


def opened(topic: MemoryTopic, *script: object, start: str = "earliest") -> Reader:
    """Return a reader that has been given its partitions."""
    reader = MemorySource(topic, script, start).open("p", Listening())
    assert reader.poll(10, 0) is None
    return reader


def values(reader: Reader, rows: int = 10) -> list[bytes | None] | None:
    """Return the values of the next poll."""
    batch = reader.poll(rows, 0)
    return None if batch is None else list(batch.values)


def test_script_is_followed_step_by_step_and_then_ends(topic: MemoryTopic) -> None:
    """Each poll takes one step; without a script, polls give what is there."""
    reader = opened(topic, Fail(Unavailable()), Idle(), Give(1))
    with pytest.raises(Unavailable):
        reader.poll(10, 0)
    assert values(reader) is None
    assert values(reader) == [b"a"]
    assert values(reader) == [b"x", b"b", b"c"]
    assert values(reader) is None


def test_rebalance_goes_through_the_listener(topic: MemoryTopic) -> None:
    """Partitions come and go from inside poll, and at the end by close."""
    listener = Listening()
    script = [Revoke((0,)), Lose((1,)), Assign((0, 1))]
    reader = MemorySource(topic, script).open("p", listener)
    for _ in range(4):
        assert reader.poll(10, 0) is None
    reader.close()
    assert listener.diary == [
        ("assigned", (0, 1)),
        ("revoked", (0,)),
        ("lost", (1,)),
        ("assigned", (0, 1)),
        ("revoked", (0, 1)),
    ]


def test_gap_of_the_log_is_inside_of_a_span(topic: MemoryTopic) -> None:
    """Compaction leaves gaps: a span starts at the position, not at the event."""
    topic.append(0, [MemoryEvent(b"d", key=b"k", headers=[("h", b"1")], offset=9)])
    reader = opened(topic)
    assert values(reader, 4) == [b"a", b"b", b"c", b"d"]
    topic.append(0, [MemoryEvent(b"e", offset=20)])
    batches = [reader.poll(10, 0)]
    spans = {span.partition: span for batch in batches for span in batch.spans}
    assert (spans[PLACES[0]].start, spans[PLACES[0]].end) == (10, 21)


def test_origins_have_keys_times_and_headers() -> None:
    """What an event carries beside its value arrives with it."""
    event = MemoryEvent(b"v", b"k", 5, [("h", None)])
    origins = opened(MemoryTopic({0: [b"u", event]})).poll(10, 0).origins
    assert list(origins.keys()) == [None, b"k"]
    assert list(origins.timestamps_ms()) == [None, 5]
    assert origins.headers(1) == [("h", None)]
    assert origins.headers(0) == ()


def test_poll_wakes_up_when_events_come(topic: MemoryTopic) -> None:
    """A waiting reader does not wait for its whole timeout."""
    reader = opened(topic, start="latest")
    threading.Timer(0.05, topic.append, (0, [b"new"])).start()
    assert reader.poll(10, 20).values == [b"new"]


def test_position_behind_the_log_is_lost_with_its_gap(topic: MemoryTopic) -> None:
    """Retention that overtakes a reader is an error with the exact range."""
    reader = opened(topic, Give(1))
    assert values(reader) == [b"a"]
    topic.trim(0, before=3)
    with pytest.raises(OffsetExpired) as caught:
        reader.poll(10, 0)
    assert caught.value.gaps == {"events/0": (1, 3)}


def test_recreated_topic_is_found_by_the_health_check(topic: MemoryTopic) -> None:
    """A reader of the old topic may not go on with the new one."""
    reader = opened(topic)
    reader.healthy()
    topic.recreate()
    with pytest.raises(TopicRecreated):
        reader.healthy()


def test_reader_that_was_replaced_cannot_acknowledge(topic: MemoryTopic) -> None:
    """The reader opened last owns the partitions."""
    first, second = opened(topic), opened(topic)
    done = [Progress("events/0", 1, {PLACES[0]: 3})]
    with pytest.raises(Fenced):
        first.acknowledge(done)
    second.acknowledge(done)
    assert topic.committed[PLACES[0]] == done[0]


def test_events_cannot_be_put_behind_the_end(topic: MemoryTopic) -> None:
    """A script that would turn positions around is a mistake of the test."""
    with pytest.raises(UsageError, match="behind the end"):
        topic.append(0, [MemoryEvent(b"z", offset=1)])


BEFORE = Progress("events/0", 0, {PLACES[0]: 0})
AFTER = Progress("events/0", 1, {PLACES[0]: 1})
FRAME = pl.DataFrame({"n": [1]})


def test_failure_after_the_write_has_taken_effect() -> None:
    """A connection that breaks behind the commit: claim tells what is stored."""
    sink = MemorySink(script=[Fail(Unavailable()), Fail(Unavailable(), after=True)])
    writer = sink.open(SinkContext("p", FRAME.schema))
    writer.claim([BEFORE])
    for stored in (BEFORE, AFTER):
        with pytest.raises(Unavailable):
            writer.write(SinkBatch(FRAME, [BEFORE], [AFTER]))
        assert writer.claim([BEFORE]) == [stored]
    assert sink.target.frame().equals(FRAME)


def test_slow_write_waits_for_the_test() -> None:
    """A write blocks until it is let go, as a slow system does."""
    go = threading.Event()
    sink = MemorySink(script=[Wait(go)])
    writer = sink.open(SinkContext("p", FRAME.schema))
    writer.claim([BEFORE])
    writing = threading.Thread(
        target=writer.write, args=(SinkBatch(FRAME, [BEFORE], [AFTER]),)
    )
    writing.start()
    assert sink.target.batches == []
    go.set()
    writing.join(20)
    assert len(sink.target.batches) == 1


def test_dead_letters_are_kept_with_the_rows() -> None:
    """A sink that takes dead letters has them after the commit."""
    sink = MemorySink(with_dead_letters=True)
    assert sink.takes_dead_letters
    writer = sink.open(SinkContext("p", FRAME.schema))
    writer.claim([BEFORE])
    letter = DeadLetter(
        "events", 0, 0, None, None, b"?", (), "decode", "not-json", "is not JSON"
    )
    writer.write(SinkBatch(FRAME, [BEFORE], [AFTER], dead_letters=[letter]))
    assert sink.target.dead_letters() == [letter]
