"""The lists of row-wise names against polars itself: every method that it has."""

from __future__ import annotations

import datetime as dt
import itertools
import random
import warnings
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from streamlab.transforms import failure, rowwise
from streamlab.transforms.plan import claims
from streamlab.transforms.steps import Step, collected
from streamlab.transforms.transform import Transform

_COLUMNS = {
    "str": ["text", "day"],
    "dt": ["time", "span"],
    "list": ["numbers", "words"],
    "arr": ["pair"],
    "struct": ["place"],
    "bin": ["raw"],
    "cat": ["kind"],
    "name": ["a"],
    "": ["a", "v", "text", "numbers", "yes"],
}
# Arguments that are tried in turn until polars takes one.
_ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    ("a",),
    (1,),
    (1, 2),
    ("%Y-%m-%d",),
    ("x", "y"),
    ("1d",),
    (pl.Int64,),
    (pl.Date,),
    (pl.Struct({"q": pl.Int64}),),
    ([1, 2],),
    ({"x": "y"},),
    (["x"],),
    (pl.element() + 1,),
    (pl.col("a"),),
    (pl.col("v"), 1.0),
    ("ms",),
    ("UTC",),
    ("hex",),
    (0.5,),
    (2, "0"),
    ("max",),
    (dt.time(1),),
    (pl.col("yes"),),
]
_NO_COMPUTATION = {"deserialize", "from_json", "inspect", "pipe", "register_plugin"}


def _events(rows: int = 60) -> pl.DataFrame:
    chance = random.Random(3)
    return pl.DataFrame(
        {
            "a": [chance.choice([1, 2, None]) for _ in range(rows)],
            "v": [chance.choice([0.5, -2.0, None, float("nan")]) for _ in range(rows)],
            "text": [chance.choice(["x", "aXa", "12", None]) for _ in range(rows)],
            "day": [f"2013-01-{1 + row % 28:02}" for row in range(rows)],
            "yes": [row % 3 == 0 for row in range(rows)],
            "numbers": [list(range(row % 4)) for row in range(rows)],
            "words": [["x", "y"][: row % 3] for row in range(rows)],
            "pair": [[row % 5, 2] for row in range(rows)],
            "place": [{"x": row % 7} for row in range(rows)],
            "raw": [b"12345678"] * rows,
            "kind": [chance.choice(["x", "y"]) for _ in range(rows)],
            "time": [
                dt.datetime(2013, 1, 1 + row % 28, tzinfo=dt.UTC) for row in range(rows)
            ],
            "span": [dt.timedelta(hours=row) for row in range(rows)],
        },
        schema_overrides={
            "pair": pl.Array(pl.Int64, 2),
            "kind": pl.Categorical,
            "time": pl.Datetime("us", "UTC"),
        },
    )


def _methods() -> Iterator[tuple[str, list[pl.Expr]]]:
    """Yield each method of an expression, with the arguments that polars takes."""
    for namespace, columns in _COLUMNS.items():
        for column in columns:
            owner = getattr(pl.col(column), namespace) if namespace else pl.col(column)
            for method in dir(owner):
                if method.startswith("_") or method in _NO_COMPUTATION:
                    continue
                calls = [_called(owner, method, one) for one in _ARGUMENTS]
                found = [one for one in calls if isinstance(one, pl.Expr)]
                yield f"{column}.{namespace}.{method}", found


def _called(owner: Any, method: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return getattr(owner, method)(*arguments)
    except Exception:  # noqa: BLE001 -- these are not its arguments
        return None


def _steps(expression: pl.Expr) -> tuple[Step, ...]:
    def function(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(pl.struct(expression).alias("found"))

    return (Step(Transform(function)),)


def _holds_in_pieces(
    steps: tuple[Step, ...], events: pl.DataFrame, whole: pl.DataFrame
) -> bool:
    places = [0, 1, 1, 2, 9, events.height]
    pieces = [events[start:end] for start, end in itertools.pairwise(places)]
    try:
        return pl.concat([collected(steps, piece) for piece in pieces]).equals(whole)
    except failure.RAISED:
        return False


def test_no_method_that_the_plan_shows_is_refuted_on_a_sample() -> None:
    """Each method of an expression that is shown to be row-wise passes the cuts."""
    events, shown, refuted = _events(), set(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated methods are tried too
        for name, expressions in _methods():
            for steps in map(_steps, expressions):
                if claims(steps, events.schema).rows.kind != "shown":
                    continue
                try:
                    whole = collected(steps, events)
                except failure.RAISED:
                    continue  # not the dtypes it works on
                shown.add(name)
                if not _holds_in_pieces(steps, events, whole):
                    refuted.append(name)
                break
    assert refuted == []
    assert len(shown) > 150


def test_a_wrong_name_on_the_list_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: with shift() on the list, the cuts find it."""
    listed = rowwise.ROW_WISE | {"Shift"}
    monkeypatch.setattr(rowwise, "ROW_WISE", listed)
    monkeypatch.setattr(rowwise, "ACROSS_ROWS", rowwise.ACROSS_ROWS - {"Shift"})
    events, steps = _events(), _steps(pl.col("a").shift(1))
    assert claims(steps, events.schema).rows.kind == "shown"
    assert not _holds_in_pieces(steps, events, collected(steps, events))


def test_a_name_is_on_one_list_only() -> None:
    """What looks across rows is not in the list of what looks at one."""
    assert not rowwise.ROW_WISE & rowwise.ACROSS_ROWS
