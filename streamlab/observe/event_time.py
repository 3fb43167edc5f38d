"""Event time of a running pipeline with state, as its workers on this machine say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from streamlab.errors import Unavailable
from streamlab.observe import workers
from streamlab.observe.status import WorkerStatus

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EventTimes:
    """How far the event time of a pipeline has come, and what it holds.

    Attributes:
        watermark: The lowest of its tasks; None before the first, and at the end.
        idle: Partitions that are set aside.
        held: Rows in the state.
        state_bytes: Size of the state, in bytes.
    """

    watermark: datetime | None
    idle: int
    held: int
    state_bytes: int

    def facts(self) -> dict[str, str]:
        """Return label → figure, for a view."""
        shown = {
            "rows held": f"{self.held:,}",
            "state": f"{self.state_bytes / 1e6:,.1f} MB",
        }
        if self.watermark is not None:
            shown = {"watermark": f"{self.watermark:%Y-%m-%d %H:%M:%S} UTC", **shown}
        if self.idle:
            shown["idle partitions"] = str(self.idle)
        return shown


def event_times(pipeline: str) -> EventTimes | None:
    """Return the event time of a pipeline; None where no worker here keeps state."""
    found = []
    for announced in workers.workers(pipeline) if pipeline else ():
        with contextlib.suppress(Unavailable):
            found.append(workers.status(announced))
    return of(found)


def of(statuses: Iterable[WorkerStatus]) -> EventTimes | None:
    """Return the event time that some workers of a pipeline tell together."""
    tasks = [task for status in statuses for task in status.tasks.values()]
    if not tasks:
        return None
    marks = [task["watermark_us"] for task in tasks]
    known = None if None in marks else EPOCH + timedelta(microseconds=min(marks))
    return EventTimes(
        known,
        sum(len(task["idle"]) for task in tasks),
        sum(_held(task["held"]) for task in tasks),
        sum(task["state_bytes"] for task in tasks),
    )


def _held(by_operator: Mapping[str, int]) -> int:
    return sum(by_operator.values())
