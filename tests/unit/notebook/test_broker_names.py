"""Names for completion: never waited for, remembered through an outage."""

import threading
import time

from streamlab.errors import Unavailable
from streamlab.notebook import broker_names
from streamlab.notebook.broker_names import BrokerNames


def test_names_of_a_quick_broker_come_at_once():
    """The first Tab already offers the topics."""
    assert BrokerNames({"topics": lambda profile: [profile]}).of("topics", "p") == ["p"]


def test_a_slow_broker_does_not_hold_completion_up():
    """A broker that is away costs a tenth of a second, not its timeout."""
    release = threading.Event()
    names = BrokerNames({"topics": lambda _profile: release.wait(30) and ["late"]})
    started = time.monotonic()
    assert names.of("topics", "") == []
    assert time.monotonic() - started < 0.2
    release.set()


def test_names_are_remembered_when_the_broker_goes(monkeypatch):
    """What was known once is offered still."""
    monkeypatch.setattr(broker_names, "FRESH_S", 0)
    answers = [["flights"]]

    def ask(profile):
        if not answers:
            raise Unavailable("away")
        return answers.pop()

    names = BrokerNames({"topics": ask})
    assert names.of("topics", "") == ["flights"]
    assert names.of("topics", "") == ["flights"]
    time.sleep(0.05)
    assert names.of("topics", "") == ["flights"]


def test_one_question_at_a_time():
    """Pressing Tab again and again does not ask again and again."""
    asked = []
    release = threading.Event()

    def ask(profile):
        asked.append(profile)
        release.wait(30)
        return []

    names = BrokerNames({"topics": ask})
    for _ in range(3):
        names.of("topics", "")
    release.set()
    assert len(asked) == 1
