"""The watch of a topic's incarnation: nothing passes on a doubt."""

from __future__ import annotations

import contextlib
import time

import pytest

from streamlab.connectors.kafka import watch as module
from streamlab.connectors.kafka.topics import Topic
from streamlab.connectors.kafka.watch import Watch
from streamlab.errors import (
    Fenced,
    PositionLost,
    Refused,
    TopicRecreated,
    Unavailable,
    UnknownName,
)

FIRST = Topic("flights", "cluster/one", ())
SECOND = Topic("flights", "cluster/two", ())
PATIENCE_S = 5


class Broker:
    """Answers what it is told to."""

    def __init__(self) -> None:
        self.answer: Topic | Exception = FIRST
        self.asked = 0

    def ask(self) -> Topic:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def watch(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ASK_AGAIN_S", 0.01)
    with contextlib.ExitStack() as stack:
        made = Watch(broker.ask, FIRST, every_s=60)
        stack.callback(made.stop)
        yield made


def test_without_a_doubt_nothing_is_asked(watch, broker):
    """A healthy reader commits without waiting for the broker."""
    watch.passed(PATIENCE_S)
    assert broker.asked == 0


def test_a_doubt_that_is_answered_passes(watch, broker):
    """A doubt is settled by asking, once."""
    watch.doubt()
    watch.passed(PATIENCE_S)
    assert broker.asked == 1


def test_another_topic_of_the_name_stops(watch, broker):
    """A re-created topic is named with both incarnations, for good."""
    broker.answer = SECOND
    watch.doubt()
    with pytest.raises(TopicRecreated, match=r"cluster/one.*cluster/two"):
        watch.passed(PATIENCE_S)
    broker.answer = FIRST
    with pytest.raises(TopicRecreated):
        watch.raise_found()


def test_no_answer_is_no_pass(watch, broker):
    """While the broker is away the doubt remains; it passes when it is back."""
    broker.answer = Unavailable("away")
    watch.doubt()
    with pytest.raises(Unavailable, match="away"):
        watch.passed(0.1)
    assert watch.away() is not None
    broker.answer = FIRST
    watch.passed(PATIENCE_S)
    assert watch.away() is None


def test_a_deleted_topic_stops_after_a_second_look(watch, broker):
    """One broker that has not heard of the topic is not believed at once."""
    broker.answer = UnknownName("topic", "flights", [])
    watch.doubt()
    with pytest.raises(PositionLost, match="was deleted"):
        watch.passed(PATIENCE_S)
    assert broker.asked == 2


def test_a_broker_that_does_not_let_us_ask_stops(watch, broker):
    """Missing rights are an error, not a pass."""
    broker.answer = Refused("no rights")
    watch.doubt()
    with pytest.raises(Refused, match="no rights"):
        watch.passed(PATIENCE_S)


def test_a_process_that_stood_still_asks_again(watch, broker, monkeypatch):
    """After a long pause of the process the old answer counts for nothing."""
    later = time.monotonic() + module.STALE_AFTER_S + 1
    monkeypatch.setattr(module.time, "monotonic", lambda: later)
    broker.answer = SECOND
    with pytest.raises(TopicRecreated):
        watch.passed(PATIENCE_S)


def test_a_stopped_watch_fences(watch):
    """A doubt that nobody will answer is not waited for again and again."""
    watch.stop()
    watch.doubt()
    with pytest.raises(Fenced, match="closed"):
        watch.passed(PATIENCE_S)
