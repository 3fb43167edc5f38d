"""Calls whose result changes by itself, found in the source."""

from __future__ import annotations

import datetime as dt
import random as rnd
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import random
from typing import Any

import polars as pl
import pytest

from streamlab.transforms.source import changing, readable


def _date(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.filter(pl.col("day") < dt.date.today())  # noqa: DTZ011 -- on purpose


def _by_another_name(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(x=rnd.uniform(0, 1))


def _imported(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(x=random())


def _clock(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(x=time.time())


def _identity(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(x=pl.lit(str(uuid.uuid4())))


def _in_a_helper(frame: pl.LazyFrame) -> pl.LazyFrame:
    return _clock(frame)


def _column_named_today(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.select(pl.col("today"), pl.col.now, pl.col("t").dt.time())


def _waiting(frame: pl.LazyFrame) -> pl.LazyFrame:
    time.sleep(0)
    return frame


def _catching(frame: pl.LazyFrame) -> pl.LazyFrame:
    try:
        return frame.filter(pl.col("v") > frame.collect()["v"].mean())
    except OSError:
        return frame


@pytest.mark.parametrize(
    ("function", "call"),
    [
        (_date, "dt.date.today()"),
        (_by_another_name, "rnd.uniform()"),
        (_imported, "random()"),
        (_clock, "time.time()"),
        (_identity, "uuid.uuid4()"),
        (_in_a_helper, "time.time()"),
    ],
)
def test_a_changing_call_is_found(function: Callable[..., Any], call: str) -> None:
    """The call is named with its line, in the function or in one that it calls."""
    assert f"calls {call}" in changing(function)


def test_a_column_of_that_name_is_no_call() -> None:
    """Columns named today or now, and polars' own dt.time(), are left alone."""
    assert changing(_column_named_today) == ""


def test_waiting_changes_nothing() -> None:
    """Not each function of a module with a clock gives another result each time."""
    assert changing(_waiting) == ""


def test_a_function_that_catches_errors_proves_nothing() -> None:
    """It could read rows while it is planned, and hide that."""
    assert not readable(_catching)
    assert readable(_date)


def test_code_without_source_proves_nothing() -> None:
    """Code that was never in a file or a cell cannot be searched."""
    names: dict[str, Any] = {}
    exec("def f(frame): return frame", names)
    assert not readable(names["f"])
    assert changing(names["f"]) == ""


def test_a_file_that_was_changed_since_is_a_source_that_cannot_be_read(
    tmp_path: Path,
) -> None:
    """Whatever stands on the function's lines now."""
    file = tmp_path / "module.txt"
    file.write_text("one = (1,\n    2,\n")
    names: dict[str, Any] = {}
    code = compile("def f(frame):\n    return frame\n", str(file), "exec")
    exec(code, names)
    assert changing(names["f"]) == ""
    assert not readable(names["f"])
