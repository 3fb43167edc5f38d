"""The clock for tests."""

from __future__ import annotations

from streamlab.testing import FakeClock


def test_sleeping_moves_the_clock_and_takes_no_time() -> None:
    """Sleep and advance are the same to the one who reads the clock."""
    clock = FakeClock(100.0)
    clock.sleep(5.0)
    clock.advance(0.5)
    assert clock.monotonic() == clock.time() == 105.5
