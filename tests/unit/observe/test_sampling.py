"""The sampler: readings at a steady rate, on a thread that can be stopped."""

import threading

from streamlab.errors import Unavailable
from streamlab.observe.sampling import Sampler

PATIENCE_S = 5


def test_readings_are_kept_and_announced():
    """Each reading is kept, and listeners hear of it."""
    heard = threading.Event()
    numbers = iter(range(100))
    sampler = Sampler(lambda: next(numbers), every_s=0.001)
    sampler.changed.append(lambda: len(sampler.readings) >= 3 and heard.set())
    sampler.start()
    assert heard.wait(PATIENCE_S)
    sampler.stop(wait_s=PATIENCE_S)
    assert list(sampler.readings)[:3] == [0, 1, 2]


def test_only_the_last_readings_are_kept():
    """Memory stays bounded however long it runs."""
    heard = threading.Event()
    numbers = iter(range(10_000))
    sampler = Sampler(lambda: next(numbers), every_s=0.0001, keep=4)
    sampler.changed.append(lambda: sampler.readings[-1] > 10 and heard.set())
    sampler.start()
    assert heard.wait(PATIENCE_S)
    sampler.stop(wait_s=PATIENCE_S)
    assert len(sampler.readings) == 4


def test_a_failed_reading_is_said_and_the_next_one_heals_it():
    """An outage keeps the readings, and says why there are no new ones."""
    seen = []
    done = threading.Event()
    turns = iter([Unavailable("away"), 7])

    def read():
        turn = next(turns, 7)
        if isinstance(turn, Exception):
            raise turn
        return turn

    sampler = Sampler(read, every_s=0.001)

    def listen():
        seen.append(sampler.error)
        if len(seen) >= 2:
            done.set()

    sampler.changed.append(listen)
    sampler.start()
    assert done.wait(PATIENCE_S)
    sampler.stop(wait_s=PATIENCE_S)
    assert [str(seen[0]), seen[1]] == ["away", None]


def test_stopping_closes_once_and_may_be_repeated():
    """What the readings needed is released when it stops."""
    closed = []
    sampler = Sampler(lambda: 1, every_s=0.001, close=lambda: closed.append(1))
    sampler.start()
    sampler.stop(wait_s=PATIENCE_S)
    sampler.stop(wait_s=PATIENCE_S)
    assert closed == [1]
    assert not sampler.running
