"""The table of functions, right and wrong, and the verdict that each deserves.

``rows`` and ``order`` are how the claim is known; ``because`` is a part of what the
message says. docs/transforms.md shows this table, and a test compares the two.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import streamlab as sl
from streamlab.contracts import Schema
from streamlab.transforms.evaluation import evaluate
from streamlab.transforms.transform import Transform
from streamlab.transforms.verdicts import Kind

DOCUMENT = Path(__file__).parents[3] / "docs" / "transforms.md"

SCHEMA = Schema.of(
    {
        "id": pl.Int64(),
        "carrier": pl.String(),
        "v": pl.Float64(),
        "tags": pl.List(pl.Int64()),
        "place": pl.Struct({"lat": pl.Float64(), "name": pl.String()}),
        "day": pl.String(),
        "text": pl.String(),
    },
    "events",
)

PLANES = pl.DataFrame({"id": [1, 2, 3, 500], "seats": [10, 20, 30, 40]})
STOPS = pl.DataFrame({"id": [1, 1, 2], "stop": ["a", "b", "c"]})


def events(rows: int = 600) -> pl.DataFrame:
    """Return events of two partitions, with nulls, NaN and empty lists."""
    source = random.Random(7)
    return pl.DataFrame(
        {
            "_partition": [row % 2 for row in range(rows)],
            "id": range(rows),
            "carrier": [source.choice(["AA", "UA", None]) for _ in range(rows)],
            "v": [source.choice([0.5, 1.25, None, float("nan")]) for _ in range(rows)],
            "tags": [list(range(row % 4)) for row in range(rows)],
            "place": [{"lat": row / 7, "name": f"p{row % 5}"} for row in range(rows)],
            "day": [f"2013-01-{1 + row % 28:02}" for row in range(rows)],
            "text": ['{"n": 1}'] * rows,
        },
        schema={"_partition": pl.Int32(), **SCHEMA.dtypes},
    )


@dataclass(frozen=True)
class Case:
    """One function and what must be said of it."""

    name: str
    transform: Transform[Any, Any]
    rows: Kind
    order: Kind
    because: str


def _case(
    name: str,
    function: Callable[..., Any],
    rows: Kind,
    order: Kind,
    because: str = "",
    **options: Any,
) -> Case:
    made = sl.transform(**options)(function)
    return Case(name, made, rows, order, because)


def _unstable(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(r=random.random())


def _today(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(today=dt.date.today())  # noqa: DTZ011 -- on purpose


def _age(days: int) -> dt.timedelta:
    return dt.datetime.now(dt.UTC) - dt.datetime(2013, 1, days, tzinfo=dt.UTC)


def _now_in_a_helper(frame: pl.LazyFrame) -> pl.LazyFrame:
    return frame.with_columns(age=_age(1))


def _eager_mean(frame: pl.LazyFrame) -> pl.LazyFrame:
    mean = frame.select(pl.col("id").mean()).collect().item() or 0.0
    return frame.filter(pl.col("id") > mean)


def _fails_on_empty(frame: pl.LazyFrame) -> pl.LazyFrame:
    first = frame.collect()["carrier"][0]
    return frame.with_columns(first=pl.lit(first, pl.String))


def _rare_shift(frame: pl.LazyFrame) -> pl.LazyFrame:
    rare = pl.when(pl.col("id") == -1).then(pl.col("v").shift(1))
    return frame.with_columns(w=rare.otherwise(pl.col("v")))


def _schema_by_data(frame: pl.LazyFrame) -> pl.DataFrame:
    rows = [{"id": row} for row in frame.collect()["id"]]
    return pl.DataFrame(rows) if rows else pl.DataFrame({"id": [None]}).clear()


def _pandas_rows(frame: Any) -> Any:
    return frame[frame["id"] > 15][["id", "carrier"]]


def _pandas_max(frame: Any) -> Any:
    frame["v"] = frame["v"] - frame["v"].max()
    return frame[["v"]]


_PLANES = {"planes": sl.table(PLANES, key="id")}
_STOPS = {"stops": sl.table(STOPS)}
_left: dict[str, Any] = {"on": "id", "how": "left"}

CASES = [
    # Right, and shown from the plan.
    _case("filter(v > 1)", lambda f: f.filter(pl.col("v") > 1), "shown", "shown"),
    _case(
        "select, upper case",
        lambda f: f.select("id", pl.col("carrier").str.to_uppercase()),
        "shown",
        "shown",
    ),
    _case(
        "when / then / otherwise",
        lambda f: f.with_columns(
            late=pl.when(pl.col("v") > 1).then(pl.lit("late")).otherwise(pl.lit("ok"))
        ),
        "shown",
        "shown",
    ),
    _case(
        "rename, drop, cast, fill_null",
        lambda f: (
            f.rename({"v": "w"}).drop("text").cast({"id": pl.Float64}).fill_null(0)
        ),
        "shown",
        "shown",
    ),
    _case("drop_nulls", lambda f: f.drop_nulls("carrier"), "shown", "shown"),
    _case(
        "is_in([...])",
        lambda f: f.filter(pl.col("carrier").is_in(["AA", "UA"])),
        "shown",
        "shown",
    ),
    _case(
        "explode", lambda f: f.select("id", "tags").explode("tags"), "shown", "shown"
    ),
    _case(
        "struct.field, unnest",
        lambda f: (
            f.with_columns(lat=pl.col("place").struct.field("lat"))
            .drop("lat")
            .select("id", "place")
            .unnest("place")
        ),
        "shown",
        "shown",
    ),
    _case(
        "list.eval(element().rank())",
        lambda f: f.select(pl.col("tags").list.eval(pl.element().rank())),
        "shown",
        "shown",
    ),
    _case(
        "str.json_decode(dtype)",
        lambda f: f.select(pl.col("text").str.json_decode(pl.Struct({"n": pl.Int64}))),
        "shown",
        "shown",
    ),
    _case(
        "str.to_date(format)",
        lambda f: f.select(pl.col("day").str.to_date("%Y-%m-%d")),
        "shown",
        "shown",
    ),
    _case(
        'join(planes, how="left", maintain_order="left")',
        lambda f, planes: f.join(planes, **_left, maintain_order="left"),
        "shown",
        "shown",
        tables=_PLANES,
    ),
    _case(
        'join(planes, how="left")',
        lambda f, planes: f.join(planes, **_left),
        "shown",
        "failed",
        'maintain_order="left"',
        tables=_PLANES,
    ),
    _case(
        'join(planes, how="semi", maintain_order="left")',
        lambda f, planes: f.join(planes, on="id", how="semi", maintain_order="left"),
        "shown",
        "shown",
        tables=_PLANES,
    ),
    _case(
        'join(stops, how="inner", maintain_order="left_right")',
        lambda f, stops: f.join(stops, on="id", maintain_order="left_right"),
        "shown",
        "shown",
        tables=_STOPS,
    ),
    _case(
        'join(stops, how="cross")',
        lambda f, stops: f.select("v").join(stops, how="cross"),
        "shown",
        "failed",
        "order not promised",
        tables=_STOPS,
    ),
    _case(
        "unpivot",
        lambda f: f.unpivot(on=["id", "v"], index="carrier"),
        "shown",
        "failed",
        "order not promised",
    ),
    _case("sort", lambda f: f.sort("v"), "shown", "failed", "order not promised"),
    _case(
        "concat of two filters",
        lambda f: pl.concat([f.filter(pl.col("v") > 1), f.filter(pl.col("v") <= 1)]),
        "shown",
        "failed",
        "order not promised",
    ),
    # Right as far as the sample goes: the plan cannot show it.
    _case(
        "map_elements(return_dtype)",
        lambda f: f.select(pl.col("id").map_elements(hex, return_dtype=pl.String)),
        "tested",
        "tested",
    ),
    _case(
        "map_batches, row-wise",
        lambda f: f.select(
            pl.col("id").map_batches(lambda s: s * 2, return_dtype=pl.Int64)
        ),
        "tested",
        "tested",
    ),
    _case(
        "str.to_date() without a format",
        lambda f: f.select(pl.col("day").str.to_date()),
        "tested",
        "tested",
    ),
    _case(
        "collect() inside, row-wise",
        lambda f: f.collect().filter(pl.col("v") > 1),
        "tested",
        "tested",
    ),
    _case("pandas, row-wise", _pandas_rows, "tested", "tested", pandas=True),
    # Wrong, and shown from the plan: a sample can hide each of these.
    _case(
        "head(1_000_000)", lambda f: f.head(1_000_000), "failed", "unknown", "head()"
    ),
    _case(
        "filter(is_duplicated)",
        lambda f: f.filter(~pl.col("id").is_duplicated()),
        "failed",
        "unknown",
        "is_duplicated()",
    ),
    _case(
        "sum().over(id)",
        lambda f: f.with_columns(pl.col("v").sum().over("id")),
        "failed",
        "unknown",
        "over()",
    ),
    _case(
        "forward_fill",
        lambda f: f.with_columns(pl.col("v").forward_fill()),
        "failed",
        "unknown",
        "looks across rows",
    ),
    _case(
        "filter(len() > 1)",
        lambda f: f.filter(pl.len() > 1),
        "failed",
        "unknown",
        "len()",
    ),
    _case(
        "filter(null_count() == 0)",
        lambda f: f.filter(pl.col("id").null_count() == 0),
        "failed",
        "unknown",
        "null_count()",
    ),
    _case("unique(id)", lambda f: f.unique("id"), "failed", "unknown", "unique()"),
    _case(
        "group_by(id).agg(sum)",
        lambda f: f.group_by("id").agg(pl.col("v").sum()),
        "failed",
        "unknown",
        "group_by()",
    ),
    _case("shift in a rare branch", _rare_shift, "failed", "unknown", "shift()"),
    _case(
        "cum_sum",
        lambda f: f.with_columns(pl.col("v").cum_sum()),
        "failed",
        "unknown",
        "cum_sum()",
    ),
    _case(
        "v - v.mean()",
        lambda f: f.with_columns(pl.col("v") - pl.col("v").mean()),
        "failed",
        "unknown",
        "an aggregation",
    ),
    _case(
        "rank",
        lambda f: f.with_columns(pl.col("v").rank()),
        "failed",
        "unknown",
        "rank()",
    ),
    _case(
        "rolling_mean",
        lambda f: f.with_columns(pl.col("v").rolling_mean(3)),
        "failed",
        "unknown",
        "rolling_mean()",
    ),
    _case(
        "pivot",
        lambda f: f.pivot(
            "carrier",
            on_columns=["AA"],
            index="id",
            values="v",
            aggregate_function="sum",
        ),
        "failed",
        "unknown",
        "pivot()",
    ),
    _case(
        "with_row_index",
        lambda f: f.with_row_index(),
        "failed",
        "unknown",
        "with_row_index()",
    ),
    _case(
        "join_asof",
        lambda f, planes: f.join_asof(planes.sort("id"), on="id"),
        "failed",
        "unknown",
        "join_asof()",
        tables=_PLANES,
    ),
    _case(
        'join(planes, how="full")',
        lambda f, planes: f.join(planes, on="id", how="full"),
        "failed",
        "unknown",
        "rows of no event",
        tables=_PLANES,
    ),
    _case(
        "join with the events themselves",
        lambda f: f.join(f.group_by("carrier").len(), on="carrier"),
        "failed",
        "unknown",
        "with themselves",
    ),
    # Wrong, and found in the source.
    _case("today()", _today, "failed", "unknown", "not repeatable"),
    _case("now() in a helper", _now_in_a_helper, "failed", "unknown", "not repeatable"),
    _case("random.random()", _unstable, "failed", "unknown", "not repeatable"),
    _case(
        "sample",
        lambda f: f.collect().sample(fraction=0.5),
        "failed",
        "unknown",
        "not repeatable",
    ),
    # Wrong, and found by a test on the sample.
    _case(
        "map_batches(s - s.max())",
        lambda f: f.select(
            pl.col("v").map_batches(
                lambda s: s - (s.max() or 0.0), return_dtype=pl.Float64
            )
        ),
        "failed",
        "unknown",
        "looks across rows",
    ),
    _case("collect() a mean, filter", _eager_mean, "failed", "unknown", "looks across"),
    _case(
        "pandas, v - v.max()",
        _pandas_max,
        "failed",
        "unknown",
        "looks across",
        pandas=True,
    ),
    _case(
        "carrier of the first row", _fails_on_empty, "failed", "unknown", "empty piece"
    ),
    _case("dtypes by the data", _schema_by_data, "failed", "unknown", "give the dtype"),
]


@pytest.mark.filterwarnings("ignore::polars.exceptions.PolarsInefficientMapWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_function_gets_the_verdict_it_deserves(case: Case) -> None:
    """The verdicts on rows and order are the table's, and say why."""
    evaluation = evaluate(case.transform, events())
    assert (evaluation.rows.kind, evaluation.order.kind) == (case.rows, case.order)
    assert case.because in f"{evaluation.rows} {evaluation.order}"


def test_the_documented_table_is_this_one() -> None:
    """docs/transforms.md has the table; run this file to print it."""
    assert documented() in DOCUMENT.read_text(encoding="utf-8")


def documented() -> str:
    """Return the table of verdicts as Markdown."""
    lines = ["| function | rows | order |", "|---|---|---|"]
    lines += [f"| `{case.name}` | {case.rows} | {case.order} |" for case in CASES]
    return "\n".join(lines)


if __name__ == "__main__":
    print(documented())
