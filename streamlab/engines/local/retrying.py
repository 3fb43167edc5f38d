"""Retrying: what to do while the other side is down."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from streamlab.errors import Unavailable

FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Stopped(Exception):
    """The worker was told to stop while it waited for the other side."""


class Retrying:
    """Repeats a call while it raises ``Unavailable``, waiting longer each time.

    There is no last attempt: a server may be away for hours, and the stored position
    makes waiting safe. Only a stop ends it.
    """

    def __init__(
        self,
        stopping: threading.Event,
        paused: Callable[[Unavailable], None],
        resumed: Callable[[], None],
    ) -> None:
        """Keep what to watch and whom to tell.

        Args:
            stopping: Set when the worker must not wait any longer.
            paused: Told of each failed attempt.
            resumed: Told of the first success after a failure.
        """
        self._stopping = stopping
        self._paused = paused
        self._resumed = resumed

    def __call__(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, once it does.

        Raises:
            Stopped: The worker stops, and the other side is still down.
        """
        wait_s = FIRST_WAIT_S
        failed = False
        while True:
            try:
                result = call()
            except Unavailable as error:
                failed = True
                self._paused(error)
                if self._stopping.wait(error.after_s or wait_s):
                    raise Stopped from error
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            except BaseException:
                if failed:  # the other side has answered, though not as we hoped
                    self._resumed()
                raise
            else:
                if failed:
                    self._resumed()
                return result
