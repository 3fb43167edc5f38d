"""The examples of the tutorials of windows, state and joins run on samples."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl

DOCS = Path(__file__).parents[3] / "docs"
BEGIN = datetime(2013, 1, 1, 10, tzinfo=UTC)


def defined(page: str) -> dict[str, Any]:
    """Return what the code of a page defines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
    return names


@pytest.fixture
def flights() -> pl.DataFrame:
    """Return a flight every 20 minutes: two planes in turn, 30 minutes in the air."""
    count = 200
    times = pl.Series([BEGIN + timedelta(minutes=20 * n) for n in range(count)])
    return pl.DataFrame(
        {
            "_timestamp": times.dt.cast_time_unit("ms"),
            "carrier": "UA",
            "origin": "JFK",
            "tailnum": ["N1", "N2"] * (count // 2),
            "flight": range(count),
            "distance": 500,
            "dep_delay": [0.0, 0.0, 1.0, 0.0] * (count // 4),
            "arr_delay": [float(n % 7) for n in range(count)],
            "air_time": [10.0, 30.0] * (count // 2),
        }
    )


def test_windows(flights: pl.DataFrame) -> None:
    """Three flights an hour; and one session of each plane, which is still open."""
    names = defined("tutorial-windows.md")
    hours = sl.evaluate(names["hourly_delay"], flights)
    assert set(hours.output["flights"]) == {3}
    sessions = sl.evaluate(names["busy_times"], flights)
    assert isinstance(sessions, sl.StreamEvaluation)
    assert sessions.incomplete["flights"].to_list() == [100, 100]


def test_state(flights: pl.DataFrame) -> None:
    """One plane is back in 20 minutes, the other an hour after it left: too late."""
    names = defined("tutorial-state.md")
    for name in ("numbered", "not_back", "once", "miles", "longest"):
        assert sl.evaluate(names[name], flights).rows.kind == "tested", name
    numbered = sl.evaluate(names["numbered"], flights)
    assert isinstance(numbered, sl.StreamEvaluation)
    both = pl.concat([numbered.output, numbered.incomplete])
    assert both["flights"].max() == 100
    missed = sl.evaluate(names["not_back"], flights)
    assert set(missed.output["tailnum"]) == {"N2"}


def test_joins(flights: pl.DataFrame) -> None:
    """Each flight meets the weather of its hour; days follow."""
    names = defined("tutorial-joins.md")
    hours = pl.Series([BEGIN + timedelta(hours=n) for n in range(70)])
    weather = pl.DataFrame({"_timestamp": hours.dt.cast_time_unit("ms")}).with_columns(
        origin=pl.lit("JFK"), precip=pl.int_range(pl.len()) % 2 * 0.5
    )
    streams = {"flights": flights, "weather": weather}
    pairs = sl.evaluate(names["in_the_weather"], streams)
    assert pairs.output.height == flights.height
    days = sl.evaluate([names["in_the_weather"], names["rainy_days"]], streams)
    assert days.output["flights"].to_list()[1] == 72
