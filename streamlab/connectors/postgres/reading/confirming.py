"""What a sink has taken: kept on disk, and told to the server when that is durable."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from streamlab import failpoints
from streamlab.connectors.postgres.reading.kept import KeptProgress
from streamlab.positions import Position, Progress, TopicPartition

CONFIRM_S = 1.0
"""How often the server hears of a position, and the disk makes it last."""


class Confirming:
    """Keeps positions, and confirms them in a thread of its own.

    The server only hears of what a failing machine would not lose: once a second.
    What a sink repeats after such a failure is what it took in that second.

    Attributes:
        acknowledged: The last position that the sink has taken; None before the first.
    """

    def __init__(
        self,
        kept: KeptProgress,
        partition: TopicPartition,
        confirm: Callable[[Position], None],
    ) -> None:
        """Confirm nothing yet.

        Args:
            kept: The file of the position.
            partition: The one partition of the source.
            confirm: Tells the server of a position.
        """
        self.acknowledged: Position | None = None
        self._kept, self._partition, self._confirm_it = kept, partition, confirm
        self._unconfirmed: Progress | None = None
        self._confirmed_at = 0.0
        self._keeping = threading.Lock()  # acknowledged in one thread, due in another
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="keeping")
        self._confirming: Future[None] | None = None
        self._closed = False

    def acknowledge(self, progress: Sequence[Progress]) -> None:
        """Keep what a sink has taken; the process may be killed from here on."""
        with self._keeping:
            for one in progress:
                (self._kept.confirm if self._closed else self._kept.note)(one)
                self.acknowledged = one.positions[self._partition]
                self._unconfirmed = one
                failpoints.passing("before-feedback")

    def due(self, *, at_once: bool = False) -> None:
        """Have the last position made durable, and tell the server, if it is time.

        In a thread of its own: no change waits for the disk.

        Raises:
            Unavailable: The last time it could not be kept.
        """
        if self._confirming is not None and (at_once or self._confirming.done()):
            done, self._confirming = self._confirming, None
            done.result()
        if self._unconfirmed is None or self._confirming is not None:
            return
        if at_once:
            self._confirm()
        elif time.monotonic() - self._confirmed_at >= CONFIRM_S:
            self._confirming = self._keeper.submit(self._confirm)

    def close(self) -> None:
        """End the thread. A write that had begun may still be acknowledged."""
        self._keeper.shutdown()
        with self._keeping:
            self._closed = True
            # Before the first acknowledgement what is noted is of a run before.
            done = self.acknowledged is not None and self._unconfirmed is None
            self._kept.close(is_durable=done)

    def _confirm(self) -> None:
        """Make the last position durable, then tell the server of it."""
        with self._keeping:
            left = self._unconfirmed
        if left is None:
            return
        # What another epoch notes in the meantime is a later position.
        self._kept.confirm(left)
        self._confirm_it(left.positions[self._partition])
        self._confirmed_at = time.monotonic()
        with self._keeping:
            if self._unconfirmed is left:
                self._unconfirmed = None
