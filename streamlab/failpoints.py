"""Failpoints: named places where a fault test can kill this process.

``STREAMLAB_FAILPOINT=after-sink-commit=kill@3`` kills the worker with SIGKILL the
third time it passes that place; ``=stop@N`` stops it with SIGSTOP instead. The
places stand here, in the order in which an epoch passes them, so that a test can go
through all of them. Without the variable a failpoint costs one comparison.
"""

from __future__ import annotations

import functools
import os
import signal
from dataclasses import dataclass, field

from streamlab.errors import SettingsError, UnknownName

VARIABLE = "STREAMLAB_FAILPOINT"

PLACES = (
    "after-poll",
    "after-transform",
    "after-dead-letters",
    "in-sink-transaction",
    "after-sink-commit",
    "after-group-commit",
)

SOURCE_PLACES = (
    "after-publication",
    "after-slot",
    "in-snapshot",
    "after-snapshot",
    "in-transaction",
    "before-feedback",
)
"""Places that only a source that reads a database's log has."""

STATE_PLACES = (
    "before-state-save",
    "in-state-save",
    "after-state-save",
    "in-compaction",
)
"""Places that only a pipeline with state passes, each time it saves or compacts."""

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass
class _Failpoint:
    place: str = ""
    action: str = "kill"
    at: int = 1
    passed: int = field(default=0, init=False)


def passing(place: str) -> None:
    """Send the signal to this process if that is asked for here and now.

    Raises:
        UnknownName: The variable names no place or no action.
        SettingsError: It is not of the form ``PLACE=ACTION@N``.
    """
    failpoint = _from_environment()
    if place != failpoint.place:
        return
    failpoint.passed += 1
    if failpoint.passed == failpoint.at:
        os.kill(os.getpid(), _SIGNALS[failpoint.action])


@functools.cache
def _from_environment() -> _Failpoint:
    text = os.environ.get(VARIABLE, "")
    if not text:
        return _Failpoint()
    place, _, rest = text.partition("=")
    action, _, count = rest.partition("@")
    if place not in (known := (*PLACES, *SOURCE_PLACES, *STATE_PLACES)):
        raise UnknownName("failpoint", place, known)
    if action not in _SIGNALS:
        raise UnknownName("failpoint action", action, _SIGNALS)
    if not count.isdigit():
        message = f"{VARIABLE} is not of the form PLACE=ACTION@N"
        raise SettingsError(message)
    return _Failpoint(place, action, int(count))
