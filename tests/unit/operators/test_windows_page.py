"""The examples of docs/windows.md."""

from __future__ import annotations

import importlib.util
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from streamlab.operators.driving import Drive
from tests.unit.operators.streams import chain_of

PAGE = Path(__file__).parents[3] / "docs" / "windows.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return the code of the page as a module, whose source can be read."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    path = tmp_path_factory.mktemp("page") / "page.py"
    path.write_text("\n\n".join(code), "utf-8")
    spec = importlib.util.spec_from_file_location("windows_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def at(*minutes: int) -> list[datetime]:
    """Return times."""
    begin = datetime(2013, 1, 1, tzinfo=UTC)
    return [begin + timedelta(minutes=one) for one in minutes]


def flights() -> pl.DataFrame:
    """Return some flights."""
    return pl.DataFrame(
        {
            "scheduled": at(5, 10, 70, 20),
            "carrier": ["UA", "UA", "AA", "AA"],
            "arr_delay": [4, 8, 15, 1],
            "air_time": [100, 60, 90, 80],
        }
    )


def run(transform: Any, **streams: pl.DataFrame) -> tuple[Drive, str]:
    """Return what came of some streams, and what was kept."""
    schemas = {name: rows.schema for name, rows in streams.items()}
    chain = chain_of(transform, schemas)
    drive = Drive.of(chain)
    for name, rows in streams.items():
        drive.epoch({name: rows})
    drive.epoch({}, ended=True)
    return drive, chain.operators[0].keeps


def test_flights_are_counted_by_hour(page: Any) -> None:
    """Partial results are kept for it."""
    drive, keeps = run(page.hourly, flights=flights())
    assert sorted(drive.output.rows()) == [
        (at(0)[0], "AA", 1, 1.0),
        (at(0)[0], "UA", 2, 6.0),
        (at(60)[0], "AA", 1, 15.0),
    ]
    assert keeps == "partial results of 2 aggregations"


def test_updates_come_before_the_window_closes(page: Any) -> None:
    """At once, as inserts."""
    drive, _ = run(page.so_far, flights=flights())
    assert drive.outputs[0]["_op"].to_list() == ["insert"] * 3


def test_new_sellers_are_met_in_their_window(page: Any) -> None:
    """By their own event times."""
    people = pl.DataFrame({"since": at(0, 1), "id": [1, 2], "name": ["Ada", "Max"]})
    auctions = pl.DataFrame({"date_time": at(0, 5), "seller": [1, 2]})
    drive, keeps = run(page.new_sellers, people=people, auctions=auctions)
    assert drive.output.rows() == [(at(0)[0], 1, "Ada")]
    assert keeps == "rows"


def test_extremes_are_merged(page: Any) -> None:
    """By the function on the page."""
    drive, keeps = run(page.extremes, flights=flights())
    assert (drive.output["shortest"].min(), drive.output["longest"].max()) == (60, 100)
    assert keeps == "partial results that combine= merges"
