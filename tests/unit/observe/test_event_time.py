"""The event time of a pipeline, as its workers tell it."""

from __future__ import annotations

from typing import Any

from streamlab.observe.event_time import of
from streamlab.observe.status import WorkerStatus


def status(**tasks: dict[str, Any]) -> WorkerStatus:
    """Return what a worker with some tasks says."""
    return WorkerStatus("p", "w", 1, "running", 0, tasks=tasks)


def task(watermark_us: int | None, held: int, *idle: str) -> dict[str, Any]:
    """Return what it says of one."""
    return {
        "watermark_us": watermark_us,
        "idle": list(idle),
        "held": {"hourly": held},
        "state_bytes": 1_500_000,
    }


def test_the_lowest_watermark_of_all_workers_is_that_of_the_pipeline() -> None:
    """Rows and bytes are those of all; a partition that is set aside is counted."""
    times = of(
        [status(a=task(7_200_000_000, 3)), status(b=task(3_600_000_000, 4, "t/1"))]
    )
    assert times is not None
    assert times.facts() == {
        "watermark": "1970-01-01 01:00:00 UTC",
        "rows held": "7",
        "state": "3.0 MB",
        "idle partitions": "1",
    }


def test_a_task_that_has_none_yet_holds_the_others() -> None:
    """Then there is no watermark to show."""
    times = of([status(a=task(None, 3), b=task(1, 0))])
    assert times is not None
    assert "watermark" not in times.facts()


def test_a_pipeline_without_state_has_no_event_time() -> None:
    """Nothing is shown of it."""
    assert of([status()]) is None
    assert of([]) is None
