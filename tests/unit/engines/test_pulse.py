"""When time alone makes an epoch."""

from __future__ import annotations

from streamlab.engines.local.pulse import Pulse
from streamlab.positions import TopicPartition

QUIET, BUSY = TopicPartition("events", 0), TopicPartition("events", 1)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def watched(idle_after_s: float = 5.0) -> tuple[Pulse, Clock]:
    clock = Clock()
    return Pulse({"events": idle_after_s}, clock=clock), clock


def test_a_partition_at_its_end_is_idle_after_its_time() -> None:
    """Not before, and not twice."""
    pulse, clock = watched()
    pulse.watch({QUIET: 7}, {QUIET: 7}, healthy=True)
    clock.now += 4.9
    assert pulse.idle() == frozenset()
    clock.now += 0.2
    assert pulse.idle() == {QUIET}
    pulse.set_aside([QUIET])
    assert pulse.idle() == frozenset()


def test_a_broker_that_does_not_answer_makes_nobody_idle() -> None:
    """The time begins anew when it is back."""
    pulse, clock = watched()
    pulse.watch({QUIET: 7}, {QUIET: 7}, healthy=True)
    clock.now += 4
    pulse.watch({QUIET: 7}, {QUIET: 7}, healthy=False)
    clock.now += 4
    pulse.watch({QUIET: 7}, {QUIET: 7}, healthy=True)
    assert pulse.idle() == frozenset()


def test_a_partition_with_events_to_read_is_not_idle() -> None:
    """It is only slow."""
    pulse, clock = watched()
    pulse.watch({BUSY: 7}, {BUSY: 8}, healthy=True)
    clock.now += 60
    pulse.watch({BUSY: 7}, {BUSY: 8}, healthy=True)
    assert pulse.idle() == frozenset()


def test_an_event_brings_a_partition_back() -> None:
    """It is called idle again after another time without events."""
    pulse, clock = watched()
    pulse.watch({QUIET: 7}, {QUIET: 7}, healthy=True)
    clock.now += 6
    pulse.set_aside(pulse.idle())
    pulse.sent([QUIET])
    pulse.watch({QUIET: 8}, {QUIET: 8}, healthy=True)
    assert pulse.idle() == frozenset()
    clock.now += 6
    assert pulse.idle() == {QUIET}


def test_what_is_shown_early_needs_one_epoch_after_the_last_events() -> None:
    """Behind it there is nothing more to show."""
    clock = Clock()
    pulse = Pulse(early_s=2.0, clock=clock)
    assert not pulse.shows
    pulse.sent([BUSY])
    clock.now += 1.9
    assert not pulse.shows
    clock.now += 0.2
    assert pulse.shows
    pulse.shown()
    assert not pulse.shows
