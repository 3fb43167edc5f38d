"""What goes wrong in real systems, as steps of a script: one step a call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TypeAlias

from streamlab.errors import StreamlabError

MANY_ROWS = 2**31


@dataclass(frozen=True, slots=True)
class Fail:
    """Step: the call raises.

    Attributes:
        error: What it raises.
        after: For a sink: raise when the write has already taken effect, as when the
            connection breaks between a commit and its reply.
    """

    error: StreamlabError
    after: bool = False


@dataclass(frozen=True, slots=True)
class Idle:
    """Step: the poll returns nothing."""


@dataclass(frozen=True, slots=True)
class Give:
    """Step: the poll returns at most ``rows`` events."""

    rows: int = MANY_ROWS


@dataclass(frozen=True, slots=True)
class Revoke:
    """Step: the partitions go to another reader, after a warning."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lose:
    """Step: the partitions have gone to another reader."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assign:
    """Step: this reader is given the partitions."""

    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Step: the call blocks until a test sets the event, as a slow system does."""

    until: threading.Event


SourceStep: TypeAlias = Fail | Idle | Give | Revoke | Lose | Assign | Wait
SinkStep: TypeAlias = Fail | Wait
