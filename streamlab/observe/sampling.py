"""Looking at something again and again on a thread, so that views can listen."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from streamlab.errors import StreamlabError

T = TypeVar("T")

KEPT_READINGS = 300  # at 2 readings a second: two and a half minutes


class Sampler(Generic[T]):
    """Takes a reading at a steady rate on a daemon thread, and says so.

    The last readings are in :attr:`readings`. Each function in :attr:`changed` is
    called on the sampler's thread after each attempt, also after one that failed:
    then :attr:`error` says why, and the readings stay as they were. A daemon thread
    ends with the process, so a forgotten sampler holds nothing up.
    """

    def __init__(
        self,
        read: Callable[[], T],
        *,
        every_s: float,
        keep: int = KEPT_READINGS,
        close: Callable[[], None] | None = None,
    ) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            read: Takes one reading; called on the sampler's thread only.
            every_s: Seconds from the start of one reading to that of the next.
            keep: How many readings are kept.
            close: Releases what ``read`` holds; called once, on the same thread.
        """
        self.readings: deque[T] = deque(maxlen=keep)
        self.error: StreamlabError | None = None
        self.changed: list[Callable[[], None]] = []
        self._read = read
        self._close = close
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._loop, name="streamlab-sampler", daemon=True
        )

    @property
    def running(self) -> bool:
        """Return whether readings are still being taken."""
        return self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Begin to take readings."""
        self._thread.start()

    def stop(self, *, wait_s: float = 0.0) -> None:
        """Take no more readings; a second call does nothing.

        Args:
            wait_s: How long to wait for a reading that is under way.
        """
        self._stopping.set()
        if wait_s and self._thread is not threading.current_thread():
            self._thread.join(wait_s)

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self.readings.append(self._read())
                self.error = None
            except StreamlabError as error:
                self.error = error
            for listener in tuple(self.changed):
                listener()
            self._stopping.wait(self._every_s)
        if self._close is not None:
            self._close()
