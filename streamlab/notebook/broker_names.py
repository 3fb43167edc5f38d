"""Names of topics and groups for completion: remembered, renewed in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from streamlab.errors import StreamlabError
from streamlab.observe.lag import group_names

FRESH_S = 5.0
PATIENCE_S = 0.08  # completion feels instant below a tenth of a second

Ask: TypeAlias = Callable[[str], list[str]]
"""From the name of a profile to the names that its broker knows."""


def _topics(profile: str) -> list[str]:
    from streamlab.connectors.kafka import connection, topics

    return topics.names(connection.admin(profile))


QUESTIONS: Mapping[str, Ask] = {"topics": _topics, "groups": group_names}


class BrokerNames:
    """The names that a broker knows, as last heard.

    A question to a dead broker takes seconds, so it is asked on a daemon thread; a
    caller gets what is known after at most ``PATIENCE_S``, and the rest next time.
    """

    def __init__(self, questions: Mapping[str, Ask] = QUESTIONS) -> None:
        """Take the questions, by what they ask for."""
        self._questions = questions
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], list[str]] = {}
        self._heard_s: dict[tuple[str, str], float] = {}
        self._asking: dict[tuple[str, str], threading.Event] = {}

    def of(self, kind: str, profile: str) -> list[str]:
        """Return the names of a kind; empty while none are known."""
        asked = (kind, profile)
        with self._lock:
            age_s = time.monotonic() - self._heard_s.get(asked, float("-inf"))
            if age_s < FRESH_S:
                return self._known[asked]
            answered = self._asking.get(asked)
            if answered is None:
                answered = self._asking[asked] = threading.Event()
                threading.Thread(target=self._renew, args=asked, daemon=True).start()
        if asked not in self._known:
            answered.wait(PATIENCE_S)
        return self._known.get(asked, [])

    def _renew(self, kind: str, profile: str) -> None:
        asked = (kind, profile)
        try:
            found = self._questions[kind](profile)
        except StreamlabError:
            found = self._known.get(asked, [])
        with self._lock:
            self._known[asked] = found
            self._heard_s[asked] = time.monotonic()
            self._asking.pop(asked).set()
