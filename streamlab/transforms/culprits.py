"""Which events make a function fail: found by halving, named by origin.

A person who is told the line of a function still has to find the event among
thousands. Its value is shown nowhere: it may be personal data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import polars as pl

from streamlab.errors import TransformError
from streamlab.transforms import failure
from streamlab.transforms.steps import Step, collected

BUDGET_S = 2.0
"""How long the search may take."""

MOST = 10
"""How many events are named."""


def attach(
    error: TransformError,
    steps: Sequence[Step],
    frame: pl.DataFrame,
    origins: pl.DataFrame,
    *,
    budget_s: float = BUDGET_S,
) -> None:
    """Find the events that an error comes from, and keep them in it.

    Nothing is kept where the function fails on no rows already, or does not fail
    again: then no event is the cause.

    Args:
        error: What the steps raised on ``frame``; gets ``events``.
        steps: The transforms, in order.
        frame: What they were run on.
        origins: The same rows, with ``_topic``, ``_partition`` and ``_offset`` if
            there are any; without them rows are named by their number.
        budget_s: How long to search, in seconds.
    """
    deadline = time.monotonic() + budget_s

    def fails(part: pl.DataFrame) -> bool:
        try:
            collected(steps, part)
        except failure.RAISED:
            return True
        return False

    if not fails(frame) or fails(frame.clear()):
        return
    found: list[str] = []
    for start, end in _smallest(frame, fails, deadline):
        if len(found) == MOST:
            error.more_events = True
            break
        found.append(_origin(origins, start, end))
    if time.monotonic() > deadline:
        error.more_events = True
    if found:
        error.events = tuple(found)


def _smallest(
    frame: pl.DataFrame, fails: Callable[[pl.DataFrame], bool], deadline: float
) -> Iterator[tuple[int, int]]:
    """Return the smallest ranges of rows that fail alone: mostly single rows.

    A range whose halves both pass fails only as a whole, and is one. So is the
    narrowest one that is known to fail when the time is up.
    """
    waiting = [(0, frame.height)]  # each is known to fail
    while waiting and time.monotonic() < deadline:
        start, end = waiting.pop()
        middle = (start + end) // 2
        halves = [(start, middle), (middle, end)] if end - start > 1 else []
        failing = [half for half in halves if fails(frame[slice(*half)])]
        if failing:
            waiting += reversed(failing)
        else:
            yield start, end
    yield from waiting[-1:]  # out of time: as narrow as it got


def _origin(origins: pl.DataFrame, start: int, end: int) -> str:
    names = [_named(origins, row) for row in sorted({start, end - 1})]
    return " … ".join(names)


def _named(origins: pl.DataFrame, row: int) -> str:
    columns = ("_topic", "_partition", "_offset")
    if not set(columns) <= set(origins.columns):
        return f"row {row}"
    topic, partition, offset = origins.select(columns).row(row)
    return f"{topic}/{partition}@{offset}"
