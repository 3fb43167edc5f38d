"""Rows as dead letters: where no single event is at fault.

A group that a function fails on is made of many events, and a row of a window that a
sink refuses, too. Such rows are kept as JSON. Their origin is that of their event
where they carry it, and else the task, its epoch and a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from streamlab.operators.operator import FLOOR, Failed
from streamlab.positions import Progress
from streamlab.sinks import DeadLetter
from streamlab.values import encoded

GROUP_FAILED, ROW_REFUSED, SIDE = "group-failed", "row-refused", "side"

ORIGIN = ("_topic", "_partition", "_offset")


def of_groups(
    failed: Sequence[Failed], after: Progress, numbered_from: int = 0
) -> tuple[DeadLetter, ...]:
    """Return the rows of groups that a function failed on.

    Args:
        failed: The groups.
        after: Progress of the task with the epoch.
        numbered_from: Number of the first row in that epoch.
    """
    letters: list[DeadLetter] = []
    for group in failed:
        for row in group.rows.drop(FLOOR, strict=False).iter_rows(named=True):
            number = numbered_from + len(letters)
            letters.append(
                _letter(row, after, number, "transform", GROUP_FAILED, group.reason)
            )
    return tuple(letters)


def of_sides(
    sides: Mapping[str, pl.DataFrame], after: Progress, numbered_from: int = 0
) -> tuple[DeadLetter, ...]:
    """Return the rows of side outputs, each under the name of its output."""
    letters: list[DeadLetter] = []
    for name, frame in sides.items():
        for row in frame.iter_rows(named=True):
            number = numbered_from + len(letters)
            reason = f"the function put it out as {name!r}"
            letters.append(_letter(row, after, number, SIDE, name, reason))
    return tuple(letters)


def refused(
    output: pl.DataFrame,
    reasons: Mapping[int, str],
    after: Progress,
    numbered_from: int,
) -> tuple[DeadLetter, ...]:
    """Return rows that a sink has refused.

    Args:
        output: The rows of the epoch.
        reasons: Row → reason.
        after: Progress of the task with the epoch.
        numbered_from: Number of the first row in that epoch.
    """
    return tuple(
        _letter(
            output.row(row, named=True),
            after,
            number,
            "sink",
            ROW_REFUSED,
            reasons[row],
        )
        for number, row in enumerate(sorted(reasons), numbered_from)
    )


def is_row(letter: DeadLetter) -> bool:
    """Return whether a dead letter is a row, and no event that can be sent again."""
    return letter.code in {GROUP_FAILED, ROW_REFUSED} or letter.stage == SIDE


def _letter(
    row: Mapping[str, object],
    after: Progress,
    number: int,
    stage: str,
    code: str,
    reason: str,
) -> DeadLetter:
    topic, partition, position = (row.get(name) for name in ORIGIN)
    known = None not in (topic, partition, position)
    return DeadLetter(
        topic=str(topic) if known else after.task,
        partition=int(str(partition)) if known else 0,
        position=position if known else (after.epoch, number),
        timestamp_ms=None,
        key=None,
        value=encoded(dict(row)),
        headers=(),
        stage=stage,
        code=code,
        reason=reason,
    )
