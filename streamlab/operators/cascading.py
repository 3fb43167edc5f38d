"""Operators behind another operator: their rows have no partition, and no lateness.

What is late was decided at the source. A row that an earlier operator gives may be
behind the watermark, by as much as that operator holds rows back; the later one waits
for as long as its event time's ``bound`` says. A row that is still later is a mistake
in the declaration, and stops the pipeline: it is never dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import polars as pl

from streamlab.errors import TransformError
from streamlab.operators.operator import END_OF_TIME, FLOOR, Moment


def is_behind(frame: pl.DataFrame) -> bool:
    """Return whether an operator's rows come from an operator, not from a source.

    Args:
        frame: Its rows: those from a source carry ``FLOOR``, where ``floors`` gives
            a series for every event.
    """
    return FLOOR not in frame.columns


def delayed(moment: Moment, bound_us: int) -> Moment:
    """Return the event time of an operator behind another.

    Args:
        moment: The event time of the task, as its source has it.
        bound_us: How far its rows may be behind, in µs.
    """
    return Moment(
        _less(moment.before, bound_us), _less(moment.after, bound_us), moment.wall_us
    )


def _less(mark: int | None, bound_us: int) -> int | None:
    return mark if mark is None or mark == END_OF_TIME else mark - bound_us


TooLate: TypeAlias = Callable[[int], TransformError]
"""Makes the error for rows that come so many µs too late."""


def too_late(name: str, column: str, behind_us: int) -> TransformError:
    """Return the error for rows that come after what they belong to was given out.

    Args:
        name: Of the transform that gets them.
        column: Its event time.
        behind_us: How far the furthest is behind what is allowed, in µs.
    """
    return TransformError(
        f"{name}() gets rows from the transform before it that are too late by "
        f"{behind_us / 1e6:g} s: what they belong to was given out already",
        hint="say how far they may be behind: "
        f'on=sl.event_time("{column}", bound="…"), with at least the size and the '
        "lateness of the windows before it",
    )
