"""The proof of the demo must notice a single wrong row."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import polars as pl
import pytest

from demo import flights, oracle
from demo.oracle import Difference


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Return every flight."""
    return flights.flights()


@pytest.fixture(scope="module")
def wanted(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that the demo expects."""
    return oracle.expected(frame)


def test_expected_rows_are_the_delayed_flights(
    frame: pl.DataFrame, wanted: pl.DataFrame
) -> None:
    """Joining airlines and planes neither drops nor doubles a delayed flight."""
    assert wanted.height == frame.filter(pl.col("arr_delay") > 15).height


def test_equal_tables_differ_in_nothing(wanted: pl.DataFrame) -> None:
    """The order of the rows does not matter."""
    shuffled = wanted.sample(fraction=1, shuffle=True, seed=1)
    assert Difference.between(wanted, shuffled) == Difference(lost=0, doubled=0)


def test_one_dropped_row_is_seen(wanted: pl.DataFrame) -> None:
    """Negative control: a row that is missing is lost."""
    assert Difference.between(wanted, wanted.tail(-1)) == Difference(1, 0)


def test_one_repeated_row_is_seen(wanted: pl.DataFrame) -> None:
    """Negative control: a row that is there twice is doubled."""
    found = pl.concat([wanted, wanted.tail(1)])
    assert Difference.between(wanted, found) == Difference(0, 1)


def test_one_changed_value_is_seen(wanted: pl.DataFrame) -> None:
    """Negative control: a row with another value is lost, and one too many is there."""
    changed = wanted.with_row_index().with_columns(
        model=pl.when(pl.col("index") == 7).then(None).otherwise("model")
    )
    assert Difference.between(wanted, changed.drop("index")) == Difference(1, 1)


def test_dead_letters_are_counted_by_origin(tmp_path: Path) -> None:
    """A dead letter that was written twice counts once; a tombstone has no value."""
    file = tmp_path / "dead.jsonl"
    lines = [
        {"partition": 0, "position": 3, "value": base64.b64encode(b"{").decode()},
        {"partition": 1, "position": 3, "value": None},
        {"partition": 0, "position": 3, "value": base64.b64encode(b"{").decode()},
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert oracle.dead_letters(file) == {(0, 3): b"{", (1, 3): None}
