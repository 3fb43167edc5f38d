"""The report has fixed keys and says what is not as promised."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from demo.report import Report

GOOD = Report(
    events_in=110,
    events_out=30,
    filtered=70,
    dead_lettered=10,
    rows_expected=30,
    rows_in_sink=30,
    lost=0,
    doubled=0,
    kills=1,
    groups_touched_by_tap=0,
    seconds={"run": 1.0},
    p50_ms=9.0,
    p99_ms=19.0,
)
KEYS = (
    "events_in events_out filtered dead_lettered rows_expected rows_in_sink lost "
    "doubled kills groups_touched_by_tap seconds p50_ms p99_ms"
)


def test_report_has_the_promised_keys(tmp_path: Path) -> None:
    """Other programs read the file by these names."""
    GOOD.write(tmp_path / "report.json")
    stored = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert list(stored) == KEYS.split()


def test_a_good_report_has_no_complaints() -> None:
    """Nothing is said where everything is as promised."""
    assert GOOD.complaints() == []


@pytest.mark.parametrize(
    "changed",
    [
        {"lost": 1},
        {"doubled": 1},
        {"filtered": 69},
        {"kills": 0},
        {"groups_touched_by_tap": 1},
        {"rows_expected": 0},
    ],
)
def test_each_broken_promise_is_named(changed: dict[str, int]) -> None:
    """Negative control: each broken promise makes one complaint."""
    assert len(replace(GOOD, **changed).complaints()) == 1
