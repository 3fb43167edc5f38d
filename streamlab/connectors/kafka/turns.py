"""Turns at a consumer: one thread at a time, and nobody starves.

confluent-kafka lets one thread into a consumer at a time and makes the others spin
until it is free. A reader that waits for messages is in it nearly always, so the
writing thread, which has offsets to commit, would hardly ever get in. And during a
rebalance it never would: the reading thread is then inside a callback, waiting for
the writing thread to commit what it has.

Source: https://github.com/confluentinc/confluent-kafka-python/pull/2322
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Turns:
    """Who may call the consumer now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = False
        self._lending = False
        self._waiting = 0
        self._handed: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def read(self, call: Callable[[], T]) -> T:
        """Make a call that may take long, after all others that wait."""
        with self._changed:
            self._changed.wait_for(lambda: not self._inside and not self._waiting)
            self._inside = True
        try:
            return call()
        finally:
            self._leave()

    def commit(self, call: Callable[[], T]) -> T:
        """Make a short call before the next read, from whichever thread can make it."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._inside or self._lending)
            self._waiting -= 1
            answer = self._hand_in(call) if self._lending else None
            self._inside = True
        if answer is not None:
            return answer.result()
        try:
            return call()
        finally:
            self._leave()

    def lend(self, work: Callable[[], None]) -> None:
        """Inside a callback: do ``work`` in another thread, make its calls in this one.

        Raises:
            Exception: What ``work`` raised.
        """
        done: Future[None] = Future()

        def run() -> None:
            _fulfil(done, work)
            self._handed.put(None)

        with self._changed:
            self._lending = True
            self._changed.notify_all()
        threading.Thread(target=run, name="rebalance", daemon=True).start()
        try:
            while (call := self._handed.get()) is not None:
                call()
        finally:
            with self._changed:
                self._lending = False
                while not self._handed.empty():  # handed in after the work was done
                    late = self._handed.get()
                    if late is not None:
                        late()
        done.result()

    def _hand_in(self, call: Callable[[], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._handed.put(lambda: _fulfil(answer, call))
        return answer

    def _leave(self) -> None:
        with self._changed:
            self._inside = False
            self._changed.notify_all()


def _fulfil(answer: Future[Any], call: Callable[[], Any]) -> None:
    try:
        answer.set_result(call())
    except BaseException as error:  # noqa: BLE001 -- handed to who waits for the answer
        answer.set_exception(error)
