"""A clock for tests."""

from __future__ import annotations


class FakeClock:
    """A clock that moves only when it is told to, or slept on.

    Use ``clock.monotonic``, ``clock.time`` and ``clock.sleep`` in place of the
    functions of :mod:`time`.
    """

    def __init__(self, start_s: float = 1_000_000_000.0) -> None:
        """Start at a time, in seconds since 1970 UTC."""
        self.now_s = start_s

    def monotonic(self) -> float:
        """Return the seconds on the clock."""
        return self.now_s

    def time(self) -> float:
        """Return the seconds since 1970 UTC on the clock."""
        return self.now_s

    def sleep(self, seconds: float) -> None:
        """Move the clock on instead of waiting."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.now_s += seconds
