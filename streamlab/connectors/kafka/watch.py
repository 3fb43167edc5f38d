"""Watches that a topic stays the one it was: a check in the background.

A consumer that was paused or cut off while its topic was deleted and created again
reads on in the new one without an error. So the incarnation is asked for every few
seconds, and at once after anything suspicious; until a pending check has passed,
nothing may commit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from confluent_kafka.admin import AdminClient

from streamlab.connectors.kafka import topics
from streamlab.connectors.kafka.topics import Topic
from streamlab.errors import (
    ConnectorError,
    Fenced,
    PositionLost,
    TopicRecreated,
    Unavailable,
    UnknownName,
)

CHECK_EVERY_S = 5.0
ASK_AGAIN_S = 0.5
STALE_AFTER_S = 3 * CHECK_EVERY_S
"""A check this old says that the process itself stood still: it must be repeated."""


class Watch:
    """Compares a topic with the one that positions belong to.

    Args:
        ask: Returns the topic as it is now, or raises what the broker answers.
        topic: The topic as it was when it was first seen.
        every_s: Seconds between two checks.
    """

    def __init__(
        self, ask: Callable[[], Topic], topic: Topic, *, every_s: float = CHECK_EVERY_S
    ) -> None:
        self._ask = ask
        self._topic = topic
        self._every_s = every_s
        self._changed = threading.Condition()
        self._asked = 0  # how many checks were wanted so far …
        self._answered = 0  # … and up to which of them an answer is in
        self._passed_at = time.monotonic()
        self._found: PositionLost | None = None
        self._away: Unavailable | None = None
        self._refused: ConnectorError | None = None
        self._missing = 0
        self._stopped = False
        self._thread = threading.Thread(
            target=self._run, name=f"watch {topic.name}", daemon=True
        )
        self._thread.start()

    def doubt(self) -> None:
        """Ask for a check now: something happened that a new topic would explain."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def away(self) -> Unavailable | None:
        """Return why the broker does not answer, None if it did the last time."""
        return self._away

    def raise_found(self) -> None:
        """Raise what a check has found, without waiting.

        Raises:
            PositionLost: The topic is another one now, or gone.
        """
        if self._found is not None:
            raise self._found

    def passed(self, timeout_s: float) -> None:
        """Wait for a pending check, and raise what it finds.

        Raises:
            PositionLost: The topic is another one now, or gone.
            Unavailable: The broker did not answer in time, so the doubt remains.
            Refused: The broker does not let us ask.
            Fenced: The watch was stopped: nobody answers a doubt any more.
        """
        if time.monotonic() - self._passed_at > STALE_AFTER_S:
            self.doubt()
        with self._changed:
            self._changed.wait_for(self._settled, timeout_s)
            self.raise_found()
            if self._refused is not None:
                raise self._refused
            if self._stopped:
                message = f"the reader of topic {self._topic.name!r} was closed"
                raise Fenced(message)
            if self._answered < self._asked:
                raise self._away or Unavailable(
                    f"Kafka did not confirm in {timeout_s:g} s that topic "
                    f"{self._topic.name!r} is still the same"
                )

    def stop(self) -> None:
        """End the thread; a second call does nothing."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _settled(self) -> bool:
        return (
            self._answered >= self._asked
            or self._found is not None
            or self._refused is not None
            or self._stopped
        )

    def _run(self) -> None:
        pause_s = self._every_s
        while not self._stopped:
            with self._changed:
                if self._answered >= self._asked or pause_s == ASK_AGAIN_S:
                    self._changed.wait(pause_s)
                wanted = self._asked
            pause_s = self._every_s if self._check(wanted) else ASK_AGAIN_S

    def _check(self, wanted: int) -> bool:
        """Ask once, note the answer, and return whether there was one."""
        try:
            found = self._ask()
        except Unavailable as error:
            self._away = error
            return False
        except UnknownName:
            return self._note_missing()
        except ConnectorError as error:
            self._note(wanted, refused=error)
            return True
        same = found.incarnation == self._topic.incarnation
        self._note(wanted, found=None if same else self._recreated(found))
        return True

    def _note_missing(self) -> bool:
        # One broker of several may not have heard of the topic yet: ask twice.
        self._missing += 1
        if self._missing < 2:  # noqa: PLR2004 -- "twice"
            self.doubt()
            return False
        gone = f"topic {self._topic.name!r} was deleted"
        hint = "create it again and reset the position, or remove the pipeline"
        self._note(self._asked, found=PositionLost(gone, hint=hint))
        return True

    def _note(
        self,
        wanted: int,
        *,
        found: PositionLost | None = None,
        refused: ConnectorError | None = None,
    ) -> None:
        with self._changed:
            self._found = self._found or found
            self._refused = refused
            self._away = None
            self._answered = max(self._answered, wanted)
            if found is None and refused is None:
                self._missing = 0
                self._passed_at = time.monotonic()
            self._changed.notify_all()

    def _recreated(self, found: Topic) -> TopicRecreated:
        return TopicRecreated(
            self._topic.name, stored=self._topic.incarnation, found=found.incarnation
        )


class Watches:
    """The watches of several topics, as one.

    Args:
        client: Asks the broker.
        found: The topics as they were when they were first seen.
    """

    def __init__(self, client: AdminClient, found: Iterable[Topic]) -> None:
        self._each = [
            Watch(lambda name=topic.name: topics.describe(client, name), topic)  # type: ignore[misc]  # mypy cannot type a lambda's default
            for topic in found
        ]

    def doubt(self) -> None:
        """Ask for a check of all now."""
        for one in self._each:
            one.doubt()

    def away(self) -> Unavailable | None:
        """Return why the broker does not answer for one of them, if it does not."""
        return next(filter(None, (one.away() for one in self._each)), None)

    def raise_found(self) -> None:
        """Raise what a check has found, without waiting; see ``Watch``."""
        for one in self._each:
            one.raise_found()

    def passed(self, timeout_s: float) -> None:
        """Wait for the pending checks, and raise what they find; see ``Watch``."""
        until = time.monotonic() + timeout_s
        for one in self._each:
            one.passed(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        """End the threads; a second call does nothing."""
        for one in self._each:
            one.stop()
