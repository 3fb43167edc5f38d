"""Several sources that are read as one."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from streamlab.connectors.combined import CombinedReader, CombinedSource
from streamlab.connectors.kafka.source import KafkaSource, KafkaTopics
from streamlab.connectors.memory import (
    Fail,
    Idle,
    Lose,
    MemorySource,
    MemoryTopic,
    Revoke,
)
from streamlab.connectors.memory.source import MemoryReader
from streamlab.connectors.postgres.source import PostgresSource
from streamlab.errors import Unavailable, UsageError
from streamlab.positions import Position, Progress, TopicPartition
from streamlab.sources import Assignment, Listener, RawBatch


@dataclass
class Listening:
    """A listener that begins where the sources say, and remembers what it hears."""

    given: list[Assignment] = field(default_factory=list)
    heard: list[tuple[str, tuple[TopicPartition, ...]]] = field(default_factory=list)
    repeats: bool = False

    def assigned(self, given: Assignment) -> Mapping[TopicPartition, Position]:
        """Begin at the start."""
        self.given.append(given)
        return {one: given.start[one] for one in given.partitions}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember it."""
        self.heard.append(("revoked", tuple(partitions)))

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """Remember it."""
        self.heard.append(("lost", tuple(partitions)))


def topic(name: str, *counts: int) -> MemoryTopic:
    """Return a topic with so many events in each partition."""
    return MemoryTopic(
        {p: [b"%d" % n for n in range(count)] for p, count in enumerate(counts)},
        name=name,
    )


def polled(reader: CombinedReader, polls: int = 12) -> list[RawBatch]:
    """Return what some polls give."""
    return [one for _ in range(polls) if (one := reader.poll(100, 0)) is not None]


FLIGHTS, WEATHER = TopicPartition("flights", 0), TopicPartition("weather", 0)


def test_all_inputs_are_read_and_no_batch_mixes_them() -> None:
    """Each batch is of one topic, and every event of every input comes once."""
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 3, 2)),
            "weather": MemorySource(topic("weather", 4)),
        }
    )
    reader = source.open("p", Listening())

    batches = polled(reader)

    assert {len({s.partition.topic for s in one.spans}) for one in batches} == {1}
    assert sum(len(one) for one in batches) == 9
    assert source.streams("p") == {"flights": "flights", "weather": "weather"}


def test_partitions_of_all_inputs_are_assigned_together() -> None:
    """A task may have partitions of several inputs, so its listener hears of all."""
    listener = Listening()
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 1), script=[Idle(), Idle()]),
            "weather": MemorySource(topic("weather", 1, 1)),
        }
    )

    source.open("p", listener).poll(1, 0)

    (given,) = listener.given
    assert given.partitions == (FLIGHTS, WEATHER, TopicPartition("weather", 1))
    assert set(given.start) == set(given.partitions)
    assert set(given.incarnations) == {"flights", "weather"}


class EagerReader(MemoryReader):
    """Gives events in the very poll that it is assigned its partitions in."""

    def poll(self, max_rows: int, timeout_s: float) -> RawBatch | None:
        """Poll once more where the first call only assigned."""
        return super().poll(max_rows, 0) or super().poll(max_rows, timeout_s)


class EagerSource(MemorySource):
    """Opens such a reader."""

    def open(self, pipeline: str, listener: Listener) -> EagerReader:
        """Return it."""
        del pipeline
        return EagerReader(self, listener)


def test_events_that_come_while_others_are_waited_for_stay_in_order() -> None:
    """What one input gives before all are assigned is delivered before what follows."""
    source = CombinedSource(
        {
            "flights": EagerSource(topic("flights", 9)),
            "weather": MemorySource(topic("weather", 9)),
        }
    )

    batches = polled(source.open("p", Listening()))

    for partition in (FLIGHTS, WEATHER):
        spans = [s for one in batches for s in one.spans if s.partition == partition]
        ends = [0, *(span.end for span in spans)]
        assert [span.start for span in spans] == ends[:-1]
        assert ends[-1] == 9


def test_a_busy_input_starves_no_other() -> None:
    """With one event a poll, both inputs advance by turns."""
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 1000)),
            "weather": MemorySource(topic("weather", 5)),
        }
    )
    reader = source.open("p", Listening())

    read = [one for _ in range(12) if (one := reader.poll(1, 0)) is not None]

    topics = [one.spans[0].partition.topic for one in read]
    assert topics.count("weather") == 5


def test_an_idle_poll_waits_and_returns_with_the_first_event_of_any_input() -> None:
    """It neither spins nor waits for one input while another has events."""
    weather = topic("weather", 0)
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 0)),
            "weather": MemorySource(weather),
        }
    )
    reader = source.open("p", Listening())
    polled(reader, 4)
    began, used = time.monotonic(), time.thread_time()
    threading.Timer(0.3, weather.append, (0, [b"1"])).start()

    batch = reader.poll(10, 5.0)

    assert batch is not None
    assert time.monotonic() - began < 1.5
    assert time.thread_time() - used < 0.15


def test_an_input_that_is_away_does_not_hold_up_the_others() -> None:
    """Its error is told only when nobody else has an event."""
    source = CombinedSource(
        {
            "flights": MemorySource(
                topic("flights", 2),
                script=[Idle(), Fail(Unavailable("away", after_s=0.2))],
            ),
            "weather": MemorySource(topic("weather", 2)),
        }
    )
    reader = source.open("p", Listening())

    assert reader.poll(10, 0) is None  # partitions are assigned
    first = reader.poll(10, 0)
    assert first is not None
    assert first.spans[0].partition == WEATHER
    with pytest.raises(Unavailable, match="away"):
        reader.poll(10, 0)
    time.sleep(0.25)
    assert [one.spans[0].partition for one in polled(reader)] == [FLIGHTS]


def test_each_input_hears_of_its_own_positions_only() -> None:
    """The progress of a task with partitions of both is split."""
    flights, weather = topic("flights", 1), topic("weather", 1)
    source = CombinedSource(
        {"flights": MemorySource(flights), "weather": MemorySource(weather)}
    )
    reader = source.open("p", Listening())
    polled(reader)

    reader.acknowledge(
        [Progress("*", 4, {FLIGHTS: 1, WEATHER: 1}, {"flights": "a", "weather": "b"})]
    )

    assert flights.committed[FLIGHTS].positions == {FLIGHTS: 1}
    assert weather.committed[WEATHER].incarnations == {"weather": "b"}
    assert weather.committed[WEATHER].epoch == 4


@pytest.mark.parametrize("step", [Revoke((0,)), Lose((0,))])
def test_partitions_that_go_away_take_all_others_along(step: Revoke | Lose) -> None:
    """No task goes on with half of its inputs: the listener must enter anew."""
    listener = Listening()
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 1), script=[step]),
            "weather": MemorySource(topic("weather", 1)),
        }
    )
    reader = source.open("p", listener)

    polled(reader, 3)

    kinds = [kind for kind, _ in listener.heard]
    told = {one for _, partitions in listener.heard for one in partitions}
    assert kinds == (["revoked", "lost"] if isinstance(step, Revoke) else ["lost"])
    assert told == {FLIGHTS, WEATHER}


def test_closing_gives_every_partition_back_once() -> None:
    """Each partition is revoked once, and a second call does nothing."""
    listener = Listening()
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 1)),
            "weather": MemorySource(topic("weather", 1)),
        }
    )
    reader = source.open("p", listener)
    polled(reader)

    reader.close()
    reader.close()

    assert listener.heard == [("revoked", (FLIGHTS, WEATHER))]


def test_a_table_is_read_to_its_present_end_first() -> None:
    """No event of another input comes before; later rows of the table come as any."""
    planes = topic("planes", 7, 3)
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 50)),
            "planes": MemorySource(planes),
        },
        first=frozenset({"planes"}),
    )
    reader = source.open("p", Listening())

    read = [one for _ in range(40) if (one := reader.poll(2, 0)) is not None]
    planes.append(0, [b"8"])
    later = polled(reader)

    topics = [one.spans[0].partition.topic for one in read]
    assert topics == sorted(topics, reverse=True)
    assert (
        sum(len(one) for one in read if one.spans[0].partition.topic == "planes") == 10
    )
    assert "flights" in topics
    assert "planes" in {one.spans[0].partition.topic for one in later}


def test_an_empty_table_holds_nothing_up() -> None:
    """Its end is where it begins."""
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 5)),
            "planes": MemorySource(topic("planes", 0)),
        },
        first=frozenset({"planes"}),
    )

    assert [len(one) for one in polled(source.open("p", Listening()))] == [5]


def test_some_topics_can_be_read_alone_for_a_while() -> None:
    """What is left out stays where it is, and comes when all are wanted again."""
    source = CombinedSource(
        {
            "flights": MemorySource(topic("flights", 5)),
            "weather": MemorySource(topic("weather", 5)),
        }
    )
    reader = source.open("p", Listening())
    reader.only({"weather"})

    alone = polled(reader)
    reader.only(None)

    assert [one.spans[0].partition for one in alone] == [WEATHER]
    assert [one.spans[0].partition for one in polled(reader)] == [FLIGHTS]


def test_topics_of_one_broker_are_one_part_and_keep_the_name_of_the_group() -> None:
    """Their partitions are assigned together; other systems are parts of their own."""
    source = CombinedSource(
        {
            "flights": KafkaSource("flights"),
            "orders": PostgresSource(tables=("orders",)),
            "weather": KafkaSource("weather", start="latest"),
        }
    )
    alone = CombinedSource({n: source.inputs[n] for n in ("flights", "weather")})

    assert [(p.pipeline, p.names) for p in source.parts("p")] == [
        ("p.flights", ("flights", "weather")),
        ("p.orders", ("orders",)),
    ]
    assert [(p.pipeline, type(p.source)) for p in alone.parts("p")] == [
        ("p", KafkaTopics)
    ]
    assert source.streams("p")["streamlab_p_orders"] == "orders"
    assert alone.keeps_position_in("p") == "the offsets of group streamlab.p"


def test_brokers_are_parts_of_their_own() -> None:
    """One client reads one broker only."""
    source = CombinedSource(
        {"a": KafkaSource("a"), "b": KafkaSource("b", profile="other")}
    )

    assert [part.pipeline for part in source.parts("p")] == ["p.a", "p.b"]


def test_the_same_topic_twice_is_refused() -> None:
    """Positions are kept by topic, whatever its broker is."""
    source = CombinedSource(
        {"a": KafkaSource("flights"), "b": KafkaSource("flights", profile="other")}
    )

    with pytest.raises(UsageError, match="a and b both read 'flights'"):
        source.streams("p")


def test_a_failed_opening_leaves_nothing_open() -> None:
    """The parts that were opened before are closed."""
    flights = topic("flights", 1)
    source = CombinedSource(
        {
            "flights": MemorySource(flights),
            "weather": MemorySource(topic("weather", 1), start="nowhere"),
        }
    )

    with pytest.raises(UsageError, match="nowhere"):
        source.open("p", Listening())
    with pytest.raises(UsageError, match="closed"):
        flights.owner.poll(1, 0)  # type: ignore[union-attr]
