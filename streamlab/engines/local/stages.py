"""The stages behind the reading: computing and writing, each in its own thread.

Epoch N+1 is computed while epoch N is written; no more than that, so memory is
bounded. What another worker took away, or what this one lost, is dropped by its
generation number: a stage looks at it before it touches anything outside.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from streamlab import failpoints
from streamlab.engines.local.delivery import Delivered, Delivery
from streamlab.engines.local.epoch import Epoch
from streamlab.engines.local.processing import Processed, Processing
from streamlab.engines.local.retrying import Retrying
from streamlab.errors import Fenced

MOST_EPOCHS_TO_WRITE = 2  # one being written, one waiting
CALL_LOOK_S = 0.1  # how often who waits for a call looks at something else

T = TypeVar("T")


class Stages:
    """The computing and the writing thread of one worker.

    Attributes:
        delivery: The writing end; call it only through :meth:`call`.
        generation: Epochs of earlier generations are dropped.
        failure: What ended a stage for good.
        fenced: Another worker has written the tasks; set until the worker rejoins.
    """

    def __init__(
        self,
        processing: Processing,
        delivery: Delivery,
        committed: Callable[[Epoch, Delivered, dict[str, float]], None],
        retrying: Retrying,
    ) -> None:
        """Start the threads.

        Args:
            processing: Decodes and transforms.
            delivery: Writes.
            committed: Told of each committed epoch with the seconds of its stages,
                in the writing thread.
            retrying: Waits where the format's registry is down.
        """
        self.delivery = delivery
        self.generation = 0
        self.failure: BaseException | None = None
        self.fenced: Fenced | None = None
        self._processing = processing
        self._committed = committed
        self._retrying = retrying
        self._closing = False
        self._in_computing = 0
        self._in_writing = 0
        self._in_acknowledging = 0
        self._changed = threading.Condition()
        self._computing = ThreadPoolExecutor(1, thread_name_prefix="computing")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="writing")

    @property
    def idle(self) -> bool:
        """Return whether no epoch is under way."""
        return self.free and self._in_acknowledging == 0

    @property
    def free(self) -> bool:
        """Return whether no epoch is computed or written; one may be acknowledged."""
        return self._in_computing == 0 and self._in_writing == 0

    @property
    def has_room(self) -> bool:
        """Return whether an epoch can be sent."""
        return self._in_computing == 0 and self._in_writing < MOST_EPOCHS_TO_WRITE

    def send(self, epoch: Epoch) -> None:
        """Compute and write an epoch behind those already sent."""
        self._move(computing=1)
        self._computing.submit(self._compute, epoch)

    def wait(self, timeout_s: float) -> None:
        """Wait until an epoch has left a stage, or the time is up."""
        with self._changed:
            self._changed.wait(timeout_s)

    def wait_until_free(self, timeout_s: float) -> None:
        """Wait until no epoch is computed or written, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self.free, timeout_s)

    def call(
        self, function: Callable[[], T], meanwhile: Callable[[], None] = lambda: None
    ) -> T:
        """Return what a function returns in the writing thread, behind its epochs.

        Args:
            function: What to call.
            meanwhile: Called now and then while that lasts.
        """
        return _waited(self._writing.submit(function), meanwhile)

    def compute(
        self, function: Callable[[], T], meanwhile: Callable[[], None] = lambda: None
    ) -> T:
        """Return what a function returns in the computing thread; see :meth:`call`."""
        return _waited(self._computing.submit(function), meanwhile)

    def drop(self) -> None:
        """Drop the epochs under way, but for a write that has already begun."""
        self.generation += 1

    def close(self) -> None:
        """End both threads, when the delivery has closed its sink."""
        self._closing = True
        self._computing.submit(self._processing.close)
        self._computing.shutdown()
        self._writing.submit(self.delivery.close)
        self._writing.shutdown()

    def _move(
        self, *, computing: int = 0, writing: int = 0, acknowledging: int = 0
    ) -> None:
        with self._changed:
            self._in_computing += computing
            self._in_writing += writing
            self._in_acknowledging += acknowledging
            self._changed.notify_all()

    def _compute(self, epoch: Epoch) -> None:
        try:
            if epoch.generation != self.generation or self._closing:
                return
            began = time.monotonic()
            decoded = self._retrying(lambda: self._processing.decode(epoch.raws))
            between = time.monotonic()
            epoch, processed = self._processing.transform(epoch, decoded)
            failpoints.passing("after-transform")
            seconds = {
                "read": epoch.read_s,
                "decode": between - began,
                "transform": time.monotonic() - between,
            }
            self._move(writing=1)
            self._writing.submit(self._write, epoch, processed, seconds)
        except BaseException as error:  # noqa: BLE001 -- the reading thread raises it
            self._fail(error)
        finally:
            self._move(computing=-1)

    def _write(
        self, epoch: Epoch, processed: Processed, seconds: dict[str, float]
    ) -> None:
        # Where the epoch counts now: the stage that it leaves, however it ends.
        leaving = {"writing": -1}

        def written() -> None:
            leaving.clear()
            leaving["acknowledging"] = -1
            self._move(writing=-1, acknowledging=1)

        try:
            if epoch.generation != self.generation:
                return
            delivered = self.delivery.deliver(
                epoch.reader, processed, epoch.before, epoch.after, written
            )
            seconds["write"] = delivered.write_s
            seconds["acknowledge"] = delivered.acknowledge_s
            self._committed(epoch, delivered, seconds)
            with contextlib.suppress(RuntimeError):  # the computing thread has ended
                self._computing.submit(self._confirm, epoch)
        except Fenced as error:
            self.drop()
            self.fenced = error
        except BaseException as error:  # noqa: BLE001 -- the reading thread raises it
            self._fail(error)
        finally:
            self._move(**leaving)

    def _confirm(self, epoch: Epoch) -> None:
        try:
            self._processing.confirm(epoch.after)
        except BaseException as error:  # noqa: BLE001 -- the reading thread raises it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        # Where the source keeps the position, an epoch written behind the one that
        # failed would move it past events that nobody has written.
        self.drop()
        self.failure = error


def _waited(future: Future[T], meanwhile: Callable[[], None]) -> T:
    while wait([future], CALL_LOOK_S).not_done:
        meanwhile()
    return future.result()
